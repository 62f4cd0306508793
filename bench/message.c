/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bench/message.h"

#include "core/base/must.h"
#include "core/base/rng.h"

#include <stdio.h>

enum {
    MESSAGE_LINE_BYTES = 78, /* 76 characters and CRLF */
};

bool bench_template_init(struct bench_template *t, uint64_t seed, size_t size_max)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyz0123456789 ABCDEFGHIJKLMNOPQRSTUVWXYZ ";
    must(size_max <= BENCH_MESSAGE_MAX);
    struct rng rng;
    rng_init_seed(&rng, seed);
    size_t lines = size_max / MESSAGE_LINE_BYTES + 1;
    buf_init(&t->body, lines * MESSAGE_LINE_BYTES);
    if (!buf_reserve(&t->body, lines * MESSAGE_LINE_BYTES)) {
        return false;
    }
    for (size_t i = 0; i < lines; i++) {
        for (size_t c = 0; c < MESSAGE_LINE_BYTES - 2; c++) {
            buf_add_byte(&t->body, letters[rng_u64(&rng) % (sizeof(letters) - 1)]);
        }
        buf_add(&t->body, SLICE("\r\n"));
    }
    return !t->body.overflow;
}

void bench_template_deinit(struct bench_template *t)
{
    buf_deinit(&t->body);
}

void bench_template_add(const struct bench_template *t, struct buf *out,
                        const struct bench_stamp *s, struct slice fields, size_t size)
{
    char head[BENCH_MESSAGE_MIN];
    int n = snprintf(head, sizeof(head),
                     "X-Bench-Id: %016llx-%llu\r\nX-Bench-R: %llu\r\nX-Bench-T: %llu\r\n"
                     "From: Bench <bench@example.test>\r\nTo: r0@example0.test\r\n"
                     "Subject: message %llu\r\nMessage-ID: <%016llx.%llu@bench.example.test>\r\n"
                     "Date: Sat, 21 Nov 2026 12:00:00 +0000\r\n",
                     (unsigned long long)s->run, (unsigned long long)s->number,
                     (unsigned long long)s->recipients, (unsigned long long)s->sent_us,
                     (unsigned long long)s->number, (unsigned long long)s->run,
                     (unsigned long long)s->number);
    must(n > 0 && (size_t)n + 4 <= sizeof(head) && (size_t)n + fields.len + 5 <= size);
    size_t rest = size - (size_t)n - fields.len - 4;
    must(rest <= t->body.len);
    buf_add(out, slice_of(head, (size_t)n));
    buf_add(out, fields);
    buf_add(out, SLICE("\r\n"));
    /* A cut between CR and LF would make a bare CR: cut one earlier and pad the last line. */
    bool split = rest % MESSAGE_LINE_BYTES == MESSAGE_LINE_BYTES - 1;
    buf_add(out, slice_of(t->body.ptr, split ? rest - 1 : rest));
    buf_add(out, split ? SLICE(" \r\n") : SLICE("\r\n"));
}

static bool stamp_id(struct slice value, struct bench_stamp *out)
{
    uint64_t run = 0;
    if (value.len < 18 || value.ptr[16] != '-') {
        return false;
    }
    for (size_t i = 0; i < 16; i++) {
        char c = ascii_lower(value.ptr[i]);
        if (!ascii_is_digit(c) && !(c >= 'a' && c <= 'f')) {
            return false;
        }
        run = run << 4 | (uint64_t)(ascii_is_digit(c) ? c - '0' : c - 'a' + 10);
    }
    out->run = run;
    return slice_to_u64(slice_skip(value, 17), &out->number);
}

/* One header line; returns the bit of the field it was. */
static unsigned stamp_line(struct slice line, struct bench_stamp *out)
{
    if (!slice_starts_nocase(line, SLICE("X-Bench-"))) {
        return 0;
    }
    struct slice value = slice_skip(line, sizeof("X-Bench-") - 1);
    struct slice name = slice_cut(&value, ':');
    value = slice_trim(value);
    if (slice_eq_nocase(name, SLICE("Id"))) {
        return stamp_id(value, out) ? 1 : 0;
    }
    if (slice_eq_nocase(name, SLICE("R"))) {
        return slice_to_u64(value, &out->recipients) ? 2 : 0;
    }
    if (slice_eq_nocase(name, SLICE("T"))) {
        return slice_to_u64(value, &out->sent_us) ? 4 : 0;
    }
    return 0;
}

/* The next line of the header; false at its end. */
static bool header_line(struct slice *rest, struct slice *line)
{
    *line = slice_cut(rest, '\n');
    if (line->len > 0 && line->ptr[line->len - 1] == '\r') {
        line->len--;
    }
    return line->len > 0;
}

bool bench_message_is_signed(struct slice message)
{
    struct slice rest = slice_first(message, BENCH_STAMP_SEARCH_BYTES);
    struct slice line;
    while (header_line(&rest, &line)) {
        if (slice_starts_nocase(line, SLICE("DKIM-Signature:"))) {
            return true;
        }
    }
    return false;
}

bool bench_stamp_find(struct slice message, struct bench_stamp *out)
{
    struct slice rest = slice_first(message, BENCH_STAMP_SEARCH_BYTES);
    struct slice line;
    struct bench_stamp stamp = {.recipients = 0};
    unsigned found = 0;
    while (found != 7 && header_line(&rest, &line)) {
        found |= stamp_line(line, &stamp);
    }
    if (found != 7) {
        return false;
    }
    *out = stamp;
    return true;
}

bool bench_recipient_index(struct slice address, uint64_t *k)
{
    struct slice local = slice_cut(&address, '@');
    if (local.len < 2 || local.ptr[0] != 'r') {
        return false;
    }
    return slice_to_u64(slice_skip(local, 1), k);
}
