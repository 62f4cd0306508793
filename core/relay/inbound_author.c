/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * sender.check_header: in whose name the message at hand is written. Judged as soon as the header is over,
 * said behind the final dot (the only place for it), and nothing is stored.
 */
#include "core/policy/author.h"
#include "core/relay/inbound_private.h"

bool inbound_wants_authors(const struct inbound *s)
{
    struct access_client client = inbound_access_client(s);
    return author_is_checked(s->settings->conf, &client);
}

const struct smtp_verdict *inbound_check_authors(struct inbound *s, struct access_refusal *out)
{
    const struct mail_authors *authors = body_in_take_authors(s->body);
    struct access_client client = inbound_access_client(s);
    return !authors || author_check(s->settings->conf, &client, authors, out) ? NULL
                                                                              : &out->verdict;
}
