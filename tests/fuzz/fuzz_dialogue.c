/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A tap on whatever is said: however the bytes are cut, it shows the same lines, each one JSON object without a
 * control character. Input: pieces {side and length: 1 byte, bytes}.
 */
#include "core/base/must.h"
#include "core/relay/dialogue.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FUZZ_OUT_BYTES = 1024 * 1024 };

static void say(struct dialogue_tap *tap, struct slice input, size_t step)
{
    static const struct clock_now now = {.wall_us = 1, .mono_us = 1000, .mono_ms = 1};
    while (input.len) {
        unsigned head = (uint8_t)input.ptr[0];
        struct slice piece = slice_first(slice_skip(input, 1), head >> 1);
        input = slice_skip(input, 1 + piece.len);
        if (piece.len == 0) {
            dialogue_body(tap, head);
        }
        for (size_t at = 0; at < piece.len; at += step) {
            dialogue_say(tap, head & 1 ? DIALOGUE_SERVER : DIALOGUE_CLIENT,
                         slice_first(slice_skip(piece, at), step), &now);
        }
    }
}

static void listen_to(struct slice input, size_t step, struct buf *out)
{
    struct dialogue *d = dialogue_new(SLICE("a.test"), 1);
    must(d != NULL);
    struct dialogue_tap *tap = dialogue_tap_new(d, 1, out);
    must(tap != NULL);
    say(tap, input, step);
    dialogue_tap_free(&tap);
    dialogue_put(&d);
}

static void check_lines(struct slice lines)
{
    while (lines.len) {
        struct slice line = slice_cut(&lines, '\n');
        must(line.len > 2 && line.ptr[0] == '{' && line.ptr[line.len - 1] == '}');
        for (size_t i = 0; i < line.len; i++) {
            must((unsigned char)line.ptr[i] >= ' ');
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_of((const char *)data, size);
    struct buf whole, cut;
    buf_init(&whole, FUZZ_OUT_BYTES);
    buf_init(&cut, FUZZ_OUT_BYTES);
    listen_to(input, 4096, &whole);
    listen_to(input, 1, &cut);
    check_lines(buf_slice(&whole));
    must(whole.len == cut.len);
    must(whole.len == 0 || memcmp(whole.ptr, cut.ptr, whole.len) == 0);
    buf_deinit(&whole);
    buf_deinit(&cut);
    return 0;
}
