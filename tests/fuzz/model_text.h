/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * model_text - what a message that came by DATA or BDAT is, computed from all its octets at once
 *
 * Purpose:   the slow twin of proto/smtp/body.c and headscan.c: no state is kept between segments; whoever wants to
 *            know what has come so far starts again at the first octet. Header only.
 * Thread:    any. RFC: 5321 2.3.8, 4.5.2; 3030; 5322 2.2.
 */
#ifndef RINGPOST_FUZZ_MODEL_TEXT_H
#define RINGPOST_FUZZ_MODEL_TEXT_H

#include "proto/smtp/server.h"
#include "tests/fuzz/model_address.h"

struct model_text {
    struct buf stored; /* canonical */
    bool bare, nul, long_line, eight_bit, leading_dot;
    size_t longest;
    size_t header_bytes;
    uint32_t fields, hops;
};

/* The octets of DATA from s on: where the line is that ends them, or -1. The line before it, if there is one, must
 * end in CR LF. */
static inline long model_data_end(struct slice s)
{
    for (size_t i = 0; i + 3 <= s.len; i++) {
        bool start = i == 0 || (i >= 2 && s.ptr[i - 2] == '\r' && s.ptr[i - 1] == '\n');
        if (start && memcmp(s.ptr + i, ".\r\n", 3) == 0) {
            return (long)i;
        }
    }
    return -1;
}

static inline void model_text_lines(struct model_text *t, uint32_t longest)
{
    struct slice s = buf_slice(&t->stored);
    size_t from = 0;
    for (size_t i = 0; i <= s.len; i++) {
        if (i == s.len || s.ptr[i] == '\n') {
            size_t len = i - from - (i > from && i < s.len && s.ptr[i - 1] == '\r' ? 1 : 0);
            t->longest = len > t->longest ? len : t->longest;
            t->leading_dot = t->leading_dot || (i > from && s.ptr[from] == '.');
            from = i + 1;
        }
    }
    t->long_line = longest && t->longest > longest;
    t->eight_bit = model_high(s);
}

static inline bool model_field_byte(char c)
{
    return c > ' ' && c < 0x7F && c != ':';
}

/* What is header for certain: up to and with the empty line, else up to the first line that cannot be header. */
static inline void model_text_header(struct model_text *t)
{
    struct slice s = buf_slice(&t->stored);
    size_t at = 0;
    while (at < s.len) {
        struct slice line = slice_skip(s, at);
        int lf = slice_find_byte(line, '\n');
        line = lf < 0 ? line : slice_first(line, (size_t)lf + 1);
        bool folded = (line.ptr[0] == ' ' || line.ptr[0] == '\t') && t->fields > 0;
        if (!folded) {
            size_t name = 0;
            while (name < line.len && model_field_byte(line.ptr[name])) {
                name++;
            }
            size_t colon = name;
            while (colon < line.len && (line.ptr[colon] == ' ' || line.ptr[colon] == '\t')) {
                colon++;
            }
            if (name == 0 || colon == line.len || line.ptr[colon] != ':') {
                t->header_bytes = at + (slice_eq(line, SLICE("\r\n")) ? 2 : 0);
                return;
            }
            t->fields++;
            t->hops += model_is(slice_first(line, name), "received");
        }
        at += line.len;
    }
    t->header_bytes = s.len;
}

/* raw: all octets so far. over: there are no more; a line without an end gets one. A CR that is the last octet so
 * far may yet be followed by its LF: it is not stored. */
static inline void model_text_read(struct model_text *t, const struct smtp_server_config *config,
                                   struct slice raw, bool dots, bool over)
{
    *t = (struct model_text){0};
    buf_init(&t->stored, 1 << 24);
    for (size_t i = 0; i < raw.len; i++) {
        char c = raw.ptr[i];
        bool start = i == 0 || raw.ptr[i - 1] == '\n';
        bool after_cr = i > 0 && raw.ptr[i - 1] == '\r';
        bool before_lf = i + 1 < raw.len && raw.ptr[i + 1] == '\n';
        bool last = i + 1 == raw.len;
        if (dots && start && c == '.') {
            continue;
        }
        if (c == '\r' && last && !over) {
            continue;
        }
        t->nul = t->nul || c == '\0';
        t->bare = t->bare || (c == '\r' && !before_lf);
        if (c == '\n' && !after_cr && config->normalize_bare_lf) {
            buf_add_byte(&t->stored, '\r');
        } else if (c == '\n' && !after_cr) {
            t->bare = true;
        }
        buf_add_byte(&t->stored, c);
    }
    if (over && raw.len && raw.ptr[raw.len - 1] != '\n') {
        buf_add(&t->stored, SLICE("\r\n"));
    }
    model_text_lines(t, config->line_length_max);
    model_text_header(t);
}

/* "550 5.5.2", or NULL: nothing is wrong with it. */
static inline const char *model_text_fault(const struct model_text *t,
                                           const struct smtp_server_config *config)
{
    return t->bare                                                ? "550 5.5.2"
           : t->nul                                               ? "554 5.6.0"
           : config->size_max && t->stored.len > config->size_max ? "552 5.3.4"
           : t->header_bytes > config->header_bytes_max           ? "552 5.3.4"
           : t->fields > config->header_fields_max                ? "554 5.6.0"
           : config->hops_max && t->hops >= config->hops_max      ? "554 5.4.6"
           : t->long_line                                         ? "554 5.6.0"
                                                                  : NULL;
}

#endif
