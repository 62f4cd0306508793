/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * access - who may hand us mail
 *
 * Purpose:   pure decision for a client and a recipient. With no configuration only loopback may
 *            relay (access.networks).
 * Thread:    any. Errors: a refusal is a ready reply (static).
 */
#ifndef RINGPOST_POLICY_ACCESS_H
#define RINGPOST_POLICY_ACCESS_H

#include "core/conf/conf.h"
#include "proto/smtp/reply_out.h"

struct access_client {
    struct ip_addr addr;
    enum conf_listener_mode mode;
};

/* May this client send to anybody? NULL: yes. Otherwise the refusal for RCPT. */
const struct smtp_verdict *access_check_rcpt(const struct conf *conf,
                                             const struct access_client *c);

#endif
