/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * settings - one configuration with what the drivers derive from it
 *
 * Purpose:   sessions and connections work by the settings they began with; a reload makes a new one
 *            and the old one goes when its last user does. Everything a configuration names is read here
 *            (certificates, keys, users), so that a start or a reload fails before anything has changed.
 * Owner:     reference-counted (atomic): relay_settings_new gives one reference.
 * Thread:    relay_settings_new blocks on files: the control thread or the command line. Immutable
 *            afterwards, shared by all workers.
 * Errors:    relay_settings_new: NULL, one line per error. Warnings likewise.
 */
#ifndef RINGPOST_RELAY_SETTINGS_H
#define RINGPOST_RELAY_SETTINGS_H

#include "core/conf/conf.h"
#include "core/policy/attributes.h"
#include "core/policy/automation_rules.h"
#include "core/policy/credentials.h"
#include "core/policy/dkim.h"
#include "core/policy/egress.h"
#include "proto/mail/headers.h"
#include "core/policy/shaping.h"
#include "proto/smtp/client.h"
#include "proto/smtp/server.h"
#include "tls/context.h"

enum { RELAY_TICKET_PERIOD_S = 12 * 3600 };

struct relay_listener_settings {
    struct smtp_server_config server;
    struct tls_context *tls;     /* NULL: TLS is not offered */
    struct tls_tickets *tickets; /* survive a reload */
    bool has_files;              /* its certificates come from files */
};

/* Towards servers: relay hosts and MX hosts have each their own. */
struct relay_route_settings {
    struct smtp_client_config client; /* its tls: see relay_settings_policy */
    /* By policy: those that the route or a shaping rule may ask for. */
    struct tls_context *tls[CONF_TLS_POLICIES];
};

enum relay_route { RELAY_ROUTE_MX, RELAY_ROUTE_SMARTHOST, RELAY_ROUTES };

struct relay_settings {
    _Atomic uint32_t refs;
    struct conf *conf; /* owned */
    struct credentials *credentials;
    struct dkim_table *dkim; /* never NULL; no rules: nothing is signed */
    struct shaping_table *shaping;
    struct egress_table *egress;   /* never NULL; without sources: empty */
    struct classifier *classifier; /* never NULL, nor the rules */
    struct automation_rules *automation;
    struct slice *strip; /* fields to be removed; the first take_count say attributes */
    size_t strip_count;
    size_t take_count;
    struct mail_headers_config headers;
    struct buf token;    /* of relay.token_file */
    struct ip_addr *own; /* conf->own */
    /* PEM of the self-signed certificate: one for all listeners, handed on to the next settings. */
    struct buf made_chain, made_key;
    struct relay_route_settings routes[RELAY_ROUTES];
    size_t listener_count;
    struct relay_listener_settings listeners[];
};

struct relay_settings_messages {
    struct buf *errors;
    struct buf *warnings;
};

/* Takes conf over; NULL: see messages (conf is then still the caller's). old: the settings that are
 * replaced, or NULL. */
struct relay_settings *relay_settings_new(struct conf *conf, const struct relay_settings *old,
                                          const struct relay_settings_messages *to);
enum smtp_tls_policy relay_settings_policy(enum conf_tls_policy policy);
struct relay_settings *relay_settings_ref(struct relay_settings *s);
void relay_settings_put(struct relay_settings **s);

/* Calls each for every file that was read to make these settings. */
void relay_settings_files(const struct relay_settings *s,
                          void (*each)(void *ctx, struct slice path), void *ctx);

/* ---- settings_rules.c ---- */

/* Reads the rules of `automation:`. Shaping is there. */
bool relay_settings_open_rules(struct relay_settings *s, const struct relay_settings_messages *to);
void relay_settings_close_rules(struct relay_settings *s);

/* ---- settings_warn.c ---- */

/* A line for each setting that is risky, or shuts everybody out. */
void relay_settings_warn(const struct relay_settings *s, struct buf *to);

/* ---- settings_tls.c ---- */

bool relay_settings_open_tls(struct relay_settings *s, const struct relay_settings *old,
                             const struct relay_settings_messages *to);
void relay_settings_close_tls(struct relay_settings *s);
/* About once a minute, by the control thread: rotates ticket keys. */
void relay_settings_tick(struct relay_settings *s, uint64_t wall_us);

#endif
