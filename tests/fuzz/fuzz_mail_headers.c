/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Purpose: the header filter on any text, made canonical first. Whole, in single bytes and in pieces
 * it gives the same output, the same `present` and one END; with nothing to strip the output is the
 * input; with adds_fields at most one CRLF more.
 */
#include "core/base/must.h"
#include "core/base/rng.h"
#include "proto/mail/headers.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct result {
    struct buf text;
    struct buf taken;
    uint32_t present;
    uint64_t stripped;
    uint32_t ends;
    size_t end_at;
};

static bool take(struct result *r, enum mail_headers_event event, struct slice out)
{
    if (event == MAIL_HEADERS_END) {
        r->ends++;
        r->end_at = r->text.len;
    } else if (event == MAIL_HEADERS_DATA) {
        must(out.len > 0);
        buf_add(&r->text, out);
    }
    return event != MAIL_HEADERS_WANT_INPUT;
}

static void run(struct result *r, const struct mail_headers_config *config, struct slice input,
                size_t piece_max)
{
    struct mail_headers h;
    struct slice out;
    struct rng rng;
    *r = (struct result){0};
    rng_init_seed(&rng, input.len);
    buf_init(&r->text, 1 << 24);
    mail_headers_init(&h, config);
    while (input.len) {
        size_t n = piece_max ? 1 + (size_t)rng_below(&rng, piece_max) : input.len;
        n = n < input.len ? n : input.len;
        char *copy = malloc(n);
        must(copy != NULL);
        memcpy(copy, input.ptr, n);
        struct slice in = slice_of(copy, n);
        while (take(r, mail_headers_step(&h, &in, &out), out)) {
        }
        must(in.len == 0);
        free(copy);
        input = slice_skip(input, n);
    }
    while (take(r, mail_headers_finish(&h, &out), out)) {
    }
    must(r->ends == 1);
    r->present = h.present;
    r->stripped = h.stripped;
    must(h.taken.len <= h.stripped);
    r->taken = h.taken;
    buf_init(&h.taken, 1);
    mail_headers_deinit(&h);
}

static void canonical(struct buf *out, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (data[i] == '\n') {
            buf_add(out, SLICE("\r\n"));
        } else if (data[i] != '\r') {
            buf_add_byte(out, (char)data[i]);
        }
    }
    if (out->len && out->ptr[out->len - 1] != '\n') {
        buf_add(out, SLICE("\r\n"));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct slice names[] = {SLICE_INIT("Received"), SLICE_INIT("X"),
                                         SLICE_INIT("Bcc")};
    static const size_t pieces[] = {0, 1, 7};
    struct buf input;
    if (size == 0) {
        return 0;
    }
    struct mail_headers_config config = {names, data[0] & 1 ? 3 : 0, (data[0] & 2) != 0,
                                         data[0] & 1 ? 2 : 0};
    struct result r[3];
    buf_init(&input, 1 << 24);
    canonical(&input, data + 1, size - 1);
    for (size_t i = 0; i < 3; i++) {
        run(&r[i], &config, buf_slice(&input), pieces[i]);
        must(slice_eq(buf_slice(&r[0].text), buf_slice(&r[i].text)));
        must(r[0].present == r[i].present && r[0].stripped == r[i].stripped);
        must(r[0].end_at == r[i].end_at);
        /* What does not fit is dropped piece by piece: then the rest may differ. */
        must(r[0].taken.overflow == r[i].taken.overflow);
        must(r[0].taken.overflow || slice_eq(buf_slice(&r[0].taken), buf_slice(&r[i].taken)));
    }
    size_t added = r[0].text.len + r[0].stripped - input.len;
    must(added == 0 || (added == 2 && config.adds_fields));
    if (!config.strip_count && !added) {
        must(slice_eq(buf_slice(&r[0].text), buf_slice(&input)));
    }
    for (size_t i = 0; i < 3; i++) {
        buf_deinit(&r[i].text);
        buf_deinit(&r[i].taken);
    }
    buf_deinit(&input);
    return 0;
}
