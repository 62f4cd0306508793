/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Purpose: replies parsed whole, byte by byte and in random pieces must be the same, within bounds.
 * Input:   first byte seeds the cuts, the rest is what the peer sends.
 */
#include "core/base/must.h"
#include "core/base/rng.h"
#include "proto/smtp/client_caps.h"
#include "proto/smtp/hint.h"
#include "proto/smtp/reply.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void note(struct buf *log, const struct smtp_reply *r)
{
    char text[LIMIT_OUTCOME_TEXT_BYTES];
    struct outcome o = smtp_reply_outcome(r, OUTCOME_MESSAGE, OUTCOME_STAGE_DATA, text,
                                          sizeof(text));
    struct smtp_caps caps;
    must(r->lines >= 1 && r->lines <= LIMIT_REPLY_LINES && r->text.len <= LIMIT_REPLY_BYTES);
    smtp_caps_parse(&caps, r->text);
    must(r->code >= 400 || smtp_hint_of(r->code, r->text) == SMTP_HINT_NONE);
    for (size_t i = 0; i < o.text.len; i++) {
        must(o.text.ptr[i] >= 0x20 && o.text.ptr[i] < 0x7f);
    }
    buf_addf(log, "%u %u %u.%u.%u %d %zu <", r->code, r->lines, r->enhanced.cls,
             r->enhanced.subject, r->enhanced.detail, (int)o.kind, r->text.len);
    buf_add(log, r->text);
    outcome_add_line(log, &o);
    buf_add(log, SLICE(">\n"));
}

static void parse(struct buf *log, struct slice all, struct rng *rng, bool bytes)
{
    struct smtp_reply_parser p;
    struct smtp_reply reply;
    enum smtp_reply_result result = SMTP_REPLY_MORE;
    smtp_reply_init(&p);
    while (all.len > 0 && result != SMTP_REPLY_BROKEN) {
        size_t n = bytes ? 1 : rng ? 1 + (size_t)rng_below(rng, 64) : all.len;
        n = n < all.len ? n : all.len;
        char *copy = malloc(n);
        memcpy(copy, all.ptr, n);
        struct slice in = slice_of(copy, n);
        all = slice_skip(all, n);
        do {
            result = smtp_reply_feed(&p, &in, &reply);
            if (result == SMTP_REPLY_DONE) {
                note(log, &reply);
            }
        } while (result == SMTP_REPLY_DONE && in.len > 0);
        must(p.acc.len <= LIMIT_REPLY_BYTES + LIMIT_REPLY_LINE_BYTES);
        free(copy);
    }
    buf_addf(log, "fault %d", (int)p.fault);
    smtp_reply_deinit(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf logs[3];
    struct rng rng;
    if (size == 0) {
        return 0;
    }
    rng_init_seed(&rng, data[0]);
    struct slice all = slice_of(data + 1, size - 1);
    for (int i = 0; i < 3; i++) {
        buf_init(&logs[i], 64 << 20);
        parse(&logs[i], all, i == 2 ? &rng : NULL, i == 1);
        must(slice_eq(buf_slice(&logs[i]), buf_slice(&logs[0])));
    }
    for (int i = 0; i < 3; i++) {
        buf_deinit(&logs[i]);
    }
    return 0;
}
