/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * txt - the TXT records of a name, asked once and waited for
 *
 * Purpose:   for commands (`ringpost dkim check`), which have no loop: blocks until the answer is
 *            there. The engine itself never calls it.
 * Owner:     the caller's struct dns_txt: dns_txt_init, dns_txt_deinit.
 * Thread:    the caller's; c-ares runs one of its own meanwhile.
 * Units:     cfg.timeout_ms and cfg.tries as in dns.h; both are waited for at the most, plus TCP.
 * Limits:    DNS_TXT_RECORDS_MAX records, DNS_TXT_BYTES_MAX bytes together; more is an error.
 * Errors:    the status and, when it is not DNS_OK, the reason without LF in why.
 * RFC:       1035 3.3.14; the strings of one record are joined (6376 3.6.2.2).
 */
#ifndef RINGPOST_DNS_TXT_H
#define RINGPOST_DNS_TXT_H

#include "core/base/buf.h"
#include "dns/dns.h"

enum { DNS_TXT_RECORDS_MAX = 32, DNS_TXT_BYTES_MAX = 64 * 1024 };

struct dns_txt {
    struct buf text; /* all records, one behind the other */
    size_t count;
    size_t end[DNS_TXT_RECORDS_MAX]; /* of each in text */
};

void dns_txt_init(struct dns_txt *t);
void dns_txt_deinit(struct dns_txt *t);
struct slice dns_txt_record(const struct dns_txt *t, size_t i);

/* DNS_OK: count > 0. NO_DOMAIN; NO_HOST: the name has no TXT record; BAD_NAME; TEMPORARY. */
enum dns_status dns_txt_ask(const struct dns_config *cfg, struct slice name, struct dns_txt *out,
                            struct buf *why);

#endif
