/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * settings - one configuration with what the drivers derive from it
 *
 * Purpose:   sessions and connections work by the settings they began with; a reload makes a new one
 *            and the old one goes when its last user does.
 * Owner:     reference-counted (atomic): relay_settings_new gives one reference.
 * Thread:    immutable, shared by all workers.
 */
#ifndef RINGPOST_RELAY_SETTINGS_H
#define RINGPOST_RELAY_SETTINGS_H

#include "core/conf/conf.h"
#include "proto/mail/headers.h"
#include "proto/smtp/client.h"
#include "proto/smtp/server.h"

struct relay_settings {
    _Atomic uint32_t refs;
    struct conf *conf; /* owned */
    struct mail_headers_config headers;
    struct smtp_client_config client;
    struct smtp_server_config server[]; /* one per listener */
};

/* Takes conf over; NULL without memory (conf is then still the caller's). */
struct relay_settings *relay_settings_new(struct conf *conf);
struct relay_settings *relay_settings_ref(struct relay_settings *s);
void relay_settings_put(struct relay_settings **s);

#endif
