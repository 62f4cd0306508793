/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Purpose: dot-stuffed canonical text holds no line that is a single dot and no bare CR or LF, and
 *          taking the dots off again gives the text back, however it was cut.
 * Input:   first byte seeds the cuts, the rest becomes canonical text.
 */
#include "core/base/must.h"
#include "core/base/rng.h"
#include "proto/mail/dot.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* CR is dropped, LF becomes CRLF. */
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

static void unstuff(struct buf *out, struct slice text)
{
    while (text.len > 0) {
        struct slice before = text;
        (void)slice_cut(&text, '\n');
        struct slice line = slice_first(before, before.len - text.len);
        must(!slice_eq(line, SLICE(".\r\n")) && !slice_eq(line, SLICE(".")));
        int cr = slice_find_byte(line, '\r');
        must(cr < 0 || ((size_t)cr + 2 == line.len && line.ptr[cr + 1] == '\n'));
        must(cr >= 0 || slice_find_byte(line, '\n') < 0);
        buf_add(out, line.ptr[0] == '.' ? slice_skip(line, 1) : line);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf text, whole, cut, back;
    struct mail_dot d;
    struct rng rng;
    if (size == 0) {
        return 0;
    }
    rng_init_seed(&rng, data[0]);
    buf_init(&text, 4 << 20);
    buf_init(&whole, 8 << 20);
    buf_init(&cut, 8 << 20);
    buf_init(&back, 8 << 20);
    canonical(&text, slice_of(data + 1, size - 1));

    mail_dot_init(&d);
    mail_dot_add(&d, buf_slice(&text), &whole);
    mail_dot_init(&d);
    for (struct slice rest = buf_slice(&text); rest.len > 0;) {
        struct slice in = slice_first(rest, 1 + (size_t)rng_below(&rng, 8));
        rest = slice_skip(rest, in.len);
        while (in.len > 0) {
            struct slice piece = mail_dot_next(&d, &in);
            must(piece.len > 0);
            buf_add(&cut, piece);
        }
    }
    must(slice_eq(buf_slice(&cut), buf_slice(&whole)));
    unstuff(&back, buf_slice(&whole));
    must(slice_eq(buf_slice(&back), buf_slice(&text)));

    buf_deinit(&text);
    buf_deinit(&whole);
    buf_deinit(&cut);
    buf_deinit(&back);
    return 0;
}
