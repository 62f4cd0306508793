/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A row per keyword: what it is called and what its argument does. Keywords may repeat; the last
 * one counts, as with the servers that send SIZE twice. AUTH adds up: some send one line per
 * mechanism, and the old form "AUTH=" besides.
 */
#include "proto/smtp/client_caps.h"

#include "core/base/must.h"
#include "proto/smtp/auth.h"

static void size_parse(struct smtp_caps *caps, struct slice args)
{
    uint64_t n;
    caps->size_max = slice_to_u64(args, &n) ? n : 0;
}

/* RFC 2852 2: at most nine digits. */
static void deliverby_parse(struct smtp_caps *caps, struct slice args)
{
    uint64_t n;
    caps->by_min_s = args.len <= 9 && slice_to_u64(args, &n) ? (uint32_t)n : 0;
}

static uint32_t limit_value(struct slice s)
{
    uint64_t n;
    /* RFC 9422 4: 1 to 6 digits; 0 and nonsense are no limit. */
    return s.len <= 6 && slice_to_u64(s, &n) ? (uint32_t)n : 0;
}

/* "RCPTMAX=100 MAILMAX=20" */
static void limits_parse(struct smtp_caps *caps, struct slice args)
{
    while (args.len > 0) {
        struct slice item = slice_cut(&args, ' ');
        struct slice name = slice_cut(&item, '=');
        if (slice_eq_nocase(name, SLICE("RCPTMAX"))) {
            caps->limit_rcpt = limit_value(item);
        } else if (slice_eq_nocase(name, SLICE("MAILMAX"))) {
            caps->limit_mail = limit_value(item);
        } else if (slice_eq_nocase(name, SLICE("RCPTDOMAINMAX"))) {
            caps->limit_rcpt_domain = limit_value(item);
        }
    }
}

static void auth_parse(struct smtp_caps *caps, struct slice args)
{
    caps->auth_mechanisms |= smtp_auth_find_all(args);
}

static const struct {
    struct slice keyword;
    size_t flag; /* offset of the bool; of `esmtp` (set anyway) when only the argument counts */
    void (*args)(struct smtp_caps *caps, struct slice args);
} rows[] = {
    {SLICE_INIT("PIPELINING"), offsetof(struct smtp_caps, pipelining), NULL},
    {SLICE_INIT("CHUNKING"), offsetof(struct smtp_caps, chunking), NULL},
    {SLICE_INIT("SIZE"), offsetof(struct smtp_caps, size), size_parse},
    {SLICE_INIT("8BITMIME"), offsetof(struct smtp_caps, eightbitmime), NULL},
    {SLICE_INIT("SMTPUTF8"), offsetof(struct smtp_caps, smtputf8), NULL},
    {SLICE_INIT("DSN"), offsetof(struct smtp_caps, dsn), NULL},
    {SLICE_INIT("ENHANCEDSTATUSCODES"), offsetof(struct smtp_caps, enhancedstatuscodes), NULL},
    {SLICE_INIT("STARTTLS"), offsetof(struct smtp_caps, starttls), NULL},
    {SLICE_INIT("REQUIRETLS"), offsetof(struct smtp_caps, requiretls), NULL},
    {SLICE_INIT("DELIVERBY"), offsetof(struct smtp_caps, deliverby), deliverby_parse},
    {SLICE_INIT("AUTH"), offsetof(struct smtp_caps, auth), auth_parse},
    {SLICE_INIT("LIMITS"), offsetof(struct smtp_caps, esmtp), limits_parse},
};

static void keyword_parse(struct smtp_caps *caps, struct slice line)
{
    struct slice rest = slice_trim(line);
    static const struct slice equals = SLICE_INIT("AUTH=");
    if (slice_starts_nocase(rest, equals)) {
        caps->auth = true;
        auth_parse(caps, slice_skip(rest, equals.len));
        return;
    }
    struct slice keyword = slice_cut(&rest, ' ');
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        if (slice_eq_nocase(keyword, rows[i].keyword)) {
            *(bool *)((char *)caps + rows[i].flag) = true;
            if (rows[i].args) {
                rows[i].args(caps, slice_trim(rest));
            }
            return;
        }
    }
}

void smtp_caps_parse(struct smtp_caps *caps, struct slice text)
{
    *caps = (struct smtp_caps){.esmtp = true};
    (void)slice_cut(&text, '\n');
    while (text.len > 0) {
        keyword_parse(caps, slice_cut(&text, '\n'));
    }
}
