/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * message - test messages that can be recognised when they arrive
 *
 * Purpose:   the source writes a message with three fields that survive any relay; the sink reads
 *            them back and so knows which message it is and how long it was on its way.
 *              X-Bench-Id: <run, 16 hex digits>-<number, decimal>
 *              X-Bench-R: <recipients per message at most, decimal>
 *              X-Bench-T: <microseconds of the monotonic clock, decimal>
 *            Recipient k of a message is r<k>@example<d>.test, so a copy is (run, number, k).
 * Owner:     the template owns its text: bench_template_init / _deinit.
 * Thread:    the owner's; a template is read-only after init and may be shared.
 * Units:     bytes of the message as counted by SIZE (CRLF included, no dot-stuffing; the text has
 *            no line that begins with a dot, so DATA and BDAT carry the same bytes).
 * Limits:    size BENCH_MESSAGE_MIN .. BENCH_MESSAGE_MAX; header search in the first 64 KiB.
 * Errors:    init returns false without memory; find returns false when the fields are missing.
 */
#ifndef RINGPOST_BENCH_MESSAGE_H
#define RINGPOST_BENCH_MESSAGE_H

#include "core/base/buf.h"

enum {
    BENCH_MESSAGE_MIN = 320,
    BENCH_MESSAGE_MAX = 256 * 1024 * 1024,
    BENCH_STAMP_SEARCH_BYTES = 64 * 1024,
};

struct bench_stamp {
    uint64_t run;
    uint64_t number;
    uint64_t recipients;
    uint64_t sent_us;
};

struct bench_template {
    struct buf body; /* lines of text, as long as the longest message */
};

bool bench_template_init(struct bench_template *t, uint64_t seed, size_t size_max);
void bench_template_deinit(struct bench_template *t);

/* Appends the message of exactly `size` bytes, at least BENCH_MESSAGE_MIN and the length of `fields`:
 * more header fields, with their CRLF. */
void bench_template_add(const struct bench_template *t, struct buf *out,
                        const struct bench_stamp *s, struct slice fields, size_t size);

bool bench_stamp_find(struct slice message, struct bench_stamp *out);

/* Whether its header has a DKIM-Signature field (of whatever worth). */
bool bench_message_is_signed(struct slice message);

/* k of "r<k>@..."; false when the address is not one of ours. */
bool bench_recipient_index(struct slice address, uint64_t *k);

#endif
