/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Purpose: the small texts of core/base: base64 against a decoder that works bit by bit, UTF-8 against one that works by
 *          code points (model_address.h), and durations, sizes, dates, ids: what is read is written to be read again.
 * Input:   the text.
 */
#include "core/base/base64.h"
#include "core/base/id.h"
#include "core/base/must.h"
#include "core/base/rfc3339.h"
#include "core/base/units.h"
#include "core/base/utf8.h"
#include "tests/fuzz/model_address.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* RFC 4648 4, all of it padded and canonical: -1 when it is not. */
static long slow_decode(struct slice s, char *out)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t pads = s.len && s.ptr[s.len - 1] == '=' ? 1 : 0;
    pads += pads && s.len > 1 && s.ptr[s.len - 2] == '=';
    unsigned bits = 0, held = 0;
    long len = 0;
    if (s.len % 4 != 0) {
        return -1;
    }
    for (size_t i = 0; i < s.len - pads; i++) {
        const char *at = s.ptr[i] ? strchr(letters, s.ptr[i]) : NULL;
        if (!at) {
            return -1;
        }
        for (int bit = 5; bit >= 0; bit--) {
            held = held << 1 | ((unsigned)(at - letters) >> bit & 1);
            if (++bits == 8) {
                out[len++] = (char)held;
                bits = held = 0;
            }
        }
    }
    return held ? -1 : len;
}

static void check_base64(struct slice text)
{
    char *fast = malloc(text.len + 1), *slow = malloc(text.len + 1);
    struct buf again;
    size_t len = 0;
    must(fast && slow);
    long want = slow_decode(text, slow);
    must(base64_decode(text, fast, text.len, &len) == (want >= 0));
    if (want >= 0) {
        must(slice_eq(slice_of(fast, len), slice_of(slow, (size_t)want)));
        must(want == 0 || !base64_decode(text, fast, len - 1, &len));
    }
    buf_init(&again, 1 << 24);
    base64_add(&again, text);
    must(again.len == BASE64_TEXT_BYTES(text.len));
    fast = realloc(fast, again.len + 1);
    must(fast && base64_decode(buf_slice(&again), fast, again.len, &len));
    must(slice_eq(slice_of(fast, len), text));
    buf_deinit(&again);
    free(fast);
    free(slow);
}

static void check_units(struct slice text)
{
    struct buf out;
    uint64_t value, again;
    buf_init(&out, 256);
    if (units_parse_duration(text, &value)) {
        units_add_duration(&out, value);
        must(units_parse_duration(buf_slice(&out), &again) && again == value);
    }
    buf_clear(&out);
    if (units_parse_size(text, &value)) {
        units_add_size(&out, value);
        must(units_parse_size(buf_slice(&out), &again) && again == value);
    }
    buf_deinit(&out);
}

static void check_ids(struct slice text)
{
    char written[ID_TEXT_BYTES + 1];
    uint64_t id, again;
    if (id_parse(text, &id)) {
        must(slice_eq_nocase(id_text(id, written), text));
        must(id_parse(slice_of(written, ID_TEXT_BYTES), &again) && again == id);
    }
    if (rfc3339_parse(text, &id)) {
        must(text.len >= 20 && id / 1000000 < UINT64_C(253402300800)); /* the year 10000 */
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_of(data, size);
    must(utf8_valid(text) == model_utf8(text));
    must(utf8_has_8bit(text) == model_high(text));
    check_base64(text);
    check_units(text);
    check_ids(text);
    return 0;
}
