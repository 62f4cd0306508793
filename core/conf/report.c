/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/conf/report.h"
#include "core/base/utf8.h"

#include <stdio.h>

enum { SHOWN_BYTES_MAX = 60, MESSAGE_BYTES_MAX = 2048 };

void conf_report_escape(struct buf *out, struct slice text)
{
    size_t end = text.len;
    if (end > SHOWN_BYTES_MAX) {
        end = SHOWN_BYTES_MAX;
        /* Not in the middle of a UTF-8 sequence. */
        while (end > 0 && ((unsigned char)text.ptr[end] & 0xc0) == 0x80) {
            end--;
        }
    }
    for (size_t i = 0; i < end;) {
        unsigned char c = (unsigned char)text.ptr[i];
        size_t n = utf8_sequence(slice_skip(slice_first(text, end), i));
        bool c1 = n == 2 && c == 0xc2 && (unsigned char)text.ptr[i + 1] < 0xa0;
        if (n == 0 || c < 0x20 || c == 0x7f || c1) {
            buf_addf(out, "\\x%02x", c);
            n = 1;
        } else {
            buf_add(out, slice_of(text.ptr + i, n));
        }
        i += n;
    }
    if (end < text.len) {
        buf_add(out, SLICE("…"));
    }
}

static void origin_add(struct buf *out, const struct conf_origin *from)
{
    switch (from->kind) {
    case CONF_FROM_DEFAULT:
        return;
    case CONF_FROM_FILE:
        buf_add(out, from->name);
        if (from->line) {
            buf_addf(out, ":%u:%u", from->line, from->col);
        }
        break;
    case CONF_FROM_ENV:
        conf_report_escape(out, from->name);
        break;
    case CONF_FROM_SET:
        buf_add(out, SLICE("--set "));
        conf_report_escape(out, from->name);
        break;
    }
    buf_add(out, SLICE(": "));
}

static void line_add(struct buf *out, const struct conf_origin *from, struct slice path,
                     struct slice text)
{
    size_t start = out->len;
    origin_add(out, from);
    /* A variable and --set name the key already. */
    if (path.len && (from->kind == CONF_FROM_FILE || from->kind == CONF_FROM_DEFAULT)) {
        buf_add(out, path);
        buf_add(out, SLICE(": "));
    }
    buf_add(out, text);
    buf_add_byte(out, '\n');
    if (out->overflow) {
        out->len = start; /* whole lines or none */
    }
}

__attribute__((format(printf, 2, 0))) static struct slice message_of(char dst[MESSAGE_BYTES_MAX],
                                                                     const char *fmt, va_list ap)
{
    int n = vsnprintf(dst, MESSAGE_BYTES_MAX, fmt, ap);
    if (n < 0) {
        return (struct slice){NULL, 0};
    }
    return slice_of(dst, (size_t)n < MESSAGE_BYTES_MAX ? (size_t)n : MESSAGE_BYTES_MAX - 1);
}

void conf_report_error(struct conf_report *r, const struct conf_origin *from, struct slice path,
                       const char *fmt, ...)
{
    char text[MESSAGE_BYTES_MAX];
    va_list ap;
    r->error_count++;
    if (r->error_count == CONF_REPORT_LINES_MAX + 1) {
        buf_add(r->errors, SLICE("more errors are not shown\n"));
    }
    if (r->error_count > CONF_REPORT_LINES_MAX) {
        return;
    }
    va_start(ap, fmt);
    struct slice message = message_of(text, fmt, ap);
    va_end(ap);
    line_add(r->errors, from, path, message);
}

void conf_report_warning(struct conf_report *r, const struct conf_origin *from, struct slice path,
                         const char *fmt, ...)
{
    char text[MESSAGE_BYTES_MAX];
    va_list ap;
    r->warning_count++;
    if (!r->warnings || r->warning_count > CONF_REPORT_LINES_MAX) {
        return;
    }
    va_start(ap, fmt);
    struct slice message = message_of(text, fmt, ap);
    va_end(ap);
    line_add(r->warnings, from, path, message);
}
