/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * access - who may hand us mail, and in whose name
 *
 * Purpose:   pure decisions about a client, a sender and a recipient. With no configuration only
 *            loopback may relay.
 *
 *              listeners[].access    network, auth, both, either: may the client send to anybody?
 *              access.relay_domains  taken from everybody (backup MX)
 *              access.local_domains  taken from everybody when there are mailboxes (local.maildir; the
 *                                    caller asks whether the recipient has one), else from nobody
 *              sender.restrict       which envelope senders (or From fields) this client may use
 *
 * Thread:    any. Errors: false with the reply in *out; it may point into out->text.
 */
#ifndef RINGPOST_POLICY_ACCESS_H
#define RINGPOST_POLICY_ACCESS_H

#include "core/conf/conf.h"
#include "proto/smtp/path.h"
#include "proto/smtp/reply_out.h"

struct access_client {
    struct ip_addr addr;
    const struct conf_listener *listener;
    bool authenticated;
    struct slice user;                     /* authenticated: the name, for replies */
    const struct conf_names *allowed_from; /* authenticated: the user's; empty: any; NULL: has a
                                            * certificate and is none of the users */
};

struct access_refusal {
    struct smtp_verdict verdict;
    char text[256];
};

/* May this client send to anybody? */
bool access_may_relay(const struct conf *conf, const struct access_client *c);
/* At MAIL: listeners that refuse there; on a submission port also a sender without a full domain. */
bool access_check_mail(const struct conf *conf, const struct access_client *c, struct slice sender,
                       struct access_refusal *out);
/* At RCPT: everything else. sender: the envelope's, empty for the null sender. */
bool access_check_rcpt(const struct conf *conf, const struct access_client *c, struct slice sender,
                       const struct smtp_address *rcpt, struct access_refusal *out);
/* sender.restrict for an envelope sender, or an address of the From field. */
bool access_check_sender(const struct conf *conf, const struct access_client *c,
                         struct slice sender, struct access_refusal *out);
/* Is the name one of them? Ignoring case. */
bool access_domain_in(const struct conf_names *domains, struct slice domain);

#endif
