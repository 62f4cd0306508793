/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Purpose: the Received field, with words of a stranger in every place: one field of folded lines that end in CR LF, none
 *          above 998 bytes, without controls, that the header filter takes for exactly one field.
 * Input:   a byte of MAIL_WITH_*, then HELO name, reverse name, address, recipient, separated by NUL.
 */
#include "core/base/must.h"
#include "proto/mail/headers.h"
#include "proto/mail/trace.h"
#include "proto/smtp/headscan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(struct slice field)
{
    struct smtp_headscan scan = {0};
    smtp_headscan_feed(&scan, field);
    must(scan.fields == 1 && scan.hops == 1 && !scan.ended);
    must(field.len > 2 && field.ptr[field.len - 1] == '\n');
    while (field.len) {
        struct slice line = slice_cut(&field, '\n');
        must(line.len > 1 && line.len <= 999 && line.ptr[line.len - 1] == '\r');
        line.len--;
        bool text = false;
        for (size_t i = 0; i < line.len; i++) {
            unsigned char c = (unsigned char)line.ptr[i];
            must(c == '\t' || (c >= 0x20 && c != 0x7F));
            text = text || c > ' ';
        }
        must(text); /* a line of blanks only would be an empty line for some */
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf out;
    if (size == 0) {
        return 0;
    }
    struct slice rest = slice_of(data + 1, size - 1);
    struct mail_trace t = {.host = SLICE("mx.test"), .id = SLICE("0123456789ABC"), .with = data[0]};
    t.helo = slice_cut(&rest, '\0');
    t.rdns = slice_cut(&rest, '\0');
    t.ip = slice_first(slice_cut(&rest, '\0'), 45);
    t.rcpt = slice_first(slice_cut(&rest, '\0'), 254);
    t.wall_us = (uint64_t)size * 86400000000ULL * 30;
    buf_init(&out, 1 << 16);
    mail_trace_add_received(&out, &t);
    must(!out.overflow);
    check(buf_slice(&out));
    buf_deinit(&out);
    return 0;
}
