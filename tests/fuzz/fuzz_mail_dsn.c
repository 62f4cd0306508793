/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Purpose: whatever stands in the fields, a DSN consists of canonical lines of at most 998 bytes, has
 *          exactly three parts, and no field of its header or status comes from outside.
 * Input:   two bytes of choices, then fields separated by NUL: host, sender, address, orcpt, envid,
 *          remote MTA, remote text, headers, body.
 */
#include "core/base/must.h"
#include "core/base/utf8.h"
#include "proto/mail/dsn.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct slice field(struct slice *rest, size_t max)
{
    return slice_first(slice_cut(rest, '\0'), max);
}

static void canonical(struct buf *out, struct slice raw)
{
    for (size_t i = 0; i < raw.len; i++) {
        if (raw.ptr[i] == '\n') {
            buf_add(out, SLICE("\r\n"));
        } else if (raw.ptr[i] != '\r') {
            buf_add_byte(out, raw.ptr[i]);
        }
    }
}

static unsigned count(struct slice text, struct slice what)
{
    unsigned n = 0;
    while (text.len > 0) {
        const char *at = memmem(text.ptr, text.len, what.ptr, what.len);
        if (!at) {
            break;
        }
        n++;
        text = slice_skip(text, (size_t)(at - text.ptr) + what.len);
    }
    return n;
}

/* Up to the last part's type nothing but our own words stands there: no input can begin a line. */
static struct slice own_part(struct slice all)
{
    static const struct slice types[] = {
        SLICE_INIT("\r\nContent-Type: message/rfc822\r\n"),
        SLICE_INIT("\r\nContent-Type: message/global\r\n"),
        SLICE_INIT("\r\nContent-Type: message/global-headers\r\n"),
        SLICE_INIT("\r\nContent-Type: text/rfc822-headers\r\n"),
    };
    const char *first = NULL;
    for (size_t i = 0; i < ARRAY_COUNT(types); i++) {
        const char *at = memmem(all.ptr, all.len, types[i].ptr, types[i].len);
        first = at && (!first || at < first) ? at : first;
    }
    must(first);
    return slice_first(all, (size_t)(first - all.ptr));
}

static void check(struct slice all, const struct dsn_facts *facts)
{
    struct slice lines = all;
    must(facts->body_8bit || facts->smtputf8 || !utf8_has_8bit(all));
    while (lines.len > 0) {
        struct slice before = lines;
        (void)slice_cut(&lines, '\n');
        struct slice line = slice_first(before, before.len - lines.len);
        must(line.len >= 2 && line.len <= 1000 && line.ptr[line.len - 1] == '\n');
        must(slice_find_byte(line, '\r') == (int)line.len - 2);
    }
    struct slice own = own_part(all);
    const char *mark = memmem(own.ptr, own.len, "\r\n\tboundary=\"", 13);
    must(mark);
    struct slice boundary = slice_skip(own, (size_t)(mark - own.ptr) + 13);
    boundary = slice_cut(&boundary, '"');
    char bytes[100];
    int n = snprintf(bytes, sizeof(bytes), "\r\n--%.*s", SLICE_ARG(boundary));
    struct slice delimiter = slice_of(bytes, (size_t)n);
    must(count(own, delimiter) == 3);
    must(count(slice_skip(all, own.len), boundary) == 1);
    must(slice_ends_nocase(all, SLICE("--\r\n")));
    must(count(own, SLICE("\r\nAuto-Submitted: ")) == 1);
    must(count(own, SLICE("\r\nAction: ")) == 1);
    must(count(own, SLICE("\r\nBcc:")) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    struct slice rest = slice_of(data + 2, size - 2);
    struct buf headers, body, out;
    struct dsn_facts facts;
    buf_init(&headers, 4 << 20);
    buf_init(&body, 4 << 20);
    buf_init(&out, 16 << 20);
    struct dsn d = {.reporting_mta = field(&rest, LIMIT_DOMAIN_BYTES),
                    .sender = field(&rest, LIMIT_ADDRESS_BYTES)};
    struct dsn_rcpt r = {.address = field(&rest, LIMIT_ADDRESS_BYTES),
                         .orcpt = field(&rest, LIMIT_ORCPT_BYTES),
                         .action = (enum dsn_action)(data[0] % 5)};
    d.envid = field(&rest, LIMIT_ENVID_BYTES);
    r.remote_mta = field(&rest, LIMIT_DOMAIN_BYTES);
    r.outcome.text = field(&rest, 4096);
    r.outcome.remote = data[0] & 32;
    r.outcome.code = 550;
    r.outcome.unknown = data[0] & 64;
    canonical(&headers, field(&rest, 1 << 20));
    canonical(&body, rest);
    d.headers = buf_slice(&headers);
    d.body = buf_slice(&body);
    d.body_bytes = body.len;
    d.unique = data[1] & 1;
    d.smtputf8 = data[1] & 2;
    d.ret = (enum mail_ret)((data[1] >> 2) % 3);
    d.original_bytes_max = data[1] & 64 ? 100 : 1 << 20;
    d.retry_until_us = d.arrival_us = data[1] & 128 ? 1795000000000000 : 0;
    d.rcpts = &r;
    d.rcpt_count = 1;
    bool ok = dsn_build(&out, &d, &facts);
    must(ok == (d.sender.len > 0));
    if (ok) {
        check(buf_slice(&out), &facts);
    }
    buf_deinit(&headers);
    buf_deinit(&body);
    buf_deinit(&out);
    return 0;
}
