/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Text of strangers as JSON: one line, valid UTF-8, nothing a terminal obeys.
 */
#include "core/obs/log.h"
#include "core/base/rng.h"
#include "tests/unit/core/base/testing.h"

#include <json-c/json.h>

static void assert_json(struct slice in, const char *want)
{
    struct buf out;
    buf_init(&out, 65536);
    obs_json_string(&out, in);
    ck_assert_msg(slice_eq(buf_slice(&out), slice_str(want)), "%.*s is not %s",
                  SLICE_ARG(buf_slice(&out)), want);
    buf_deinit(&out);
}

START_TEST(vectors)
{
    static const struct {
        struct slice in;
        const char *out;
    } rows[] = {
        {SLICE_INIT(""), "\"\""},
        {SLICE_INIT("plain text 123"), "\"plain text 123\""},
        {SLICE_INIT("say \"hi\" \\ bye"), "\"say \\\"hi\\\" \\\\ bye\""},
        {SLICE_INIT("a\r\nb\tc"), "\"a\\r\\nb\\tc\""}, /* no second log line */
        {SLICE_INIT("\0\x01\x1b[31m\x7f"), "\"\\u0000\\u0001\\u001b[31m\\u007f\""},
        {SLICE_INIT("/ and ' stay"), "\"/ and ' stay\""},
        /* RFC 3629: well-formed sequences pass, at both ends of each range. */
        {SLICE_INIT("\xc2\xa0 \xdf\xbf"), "\"\xc2\xa0 \xdf\xbf\""},
        {SLICE_INIT("\xe0\xa0\x80 \xef\xbf\xbf"), "\"\xe0\xa0\x80 \xef\xbf\xbf\""},
        {SLICE_INIT("\xed\x9f\xbf \xee\x80\x80"), "\"\xed\x9f\xbf \xee\x80\x80\""},
        {SLICE_INIT("\xf0\x90\x80\x80 \xf4\x8f\xbf\xbf"), "\"\xf0\x90\x80\x80 \xf4\x8f\xbf\xbf\""},
        {SLICE_INIT("gr\xc3\xbc\xc3\x9f"
                    "e"),
         "\"gr\xc3\xbc\xc3\x9f"
         "e\""},
        /* A20: what commands a terminal or turns the direction of text keeps its value, not its form. */
        {SLICE_INIT("\xc2\x80\xc2\x9b"
                    "31m\xc2\x9f"),
         "\"\\u0080\\u009b31m\\u009f\""},
        {SLICE_INIT("a\xe2\x80\xa8\xe2\x80\xae\xe2\x81\xa6z"), "\"a\\u2028\\u202e\\u2066z\""},
        {SLICE_INIT("\xe2\x80\x8b\xe2\x80\xaf"), "\"\xe2\x80\x8b\xe2\x80\xaf\""},
        /* Everything else becomes the text \xNN. */
        {SLICE_INIT("\x80"), "\"\\\\x80\""},
        {SLICE_INIT("\xff\xfe"), "\"\\\\xff\\\\xfe\""},
        {SLICE_INIT("\xc0\xaf"), "\"\\\\xc0\\\\xaf\""},            /* overlong */
        {SLICE_INIT("\xe0\x9f\xbf"), "\"\\\\xe0\\\\x9f\\\\xbf\""}, /* overlong */
        {SLICE_INIT("\xf0\x8f\xbf\xbf"), "\"\\\\xf0\\\\x8f\\\\xbf\\\\xbf\""},
        {SLICE_INIT("\xed\xa0\x80"), "\"\\\\xed\\\\xa0\\\\x80\""}, /* half of a surrogate */
        {SLICE_INIT("\xf4\x90\x80\x80"), "\"\\\\xf4\\\\x90\\\\x80\\\\x80\""}, /* above U+10FFFF */
        {SLICE_INIT("\xf5\x80\x80\x80"), "\"\\\\xf5\\\\x80\\\\x80\\\\x80\""},
        {SLICE_INIT("\xc3"), "\"\\\\xc3\""}, /* cut at the end */
        {SLICE_INIT("\xe2\x82"), "\"\\\\xe2\\\\x82\""},
        {SLICE_INIT("\xf0\x9f\x98"), "\"\\\\xf0\\\\x9f\\\\x98\""},
        {SLICE_INIT("\xc3(\xe2\x82("), "\"\\\\xc3(\\\\xe2\\\\x82(\""},
        {SLICE_INIT("ok\xc3\xbcok\xfcok"), "\"ok\xc3\xbcok\\\\xfcok\""},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        assert_json(rows[i].in, rows[i].out);
    }
}
END_TEST

/* Another reader of JSON takes it as one string, and there is nothing in it that ends a line. */
static bool is_json_string(struct json_tokener *tok, struct slice s)
{
    json_tokener_reset(tok);
    struct json_object *got = json_tokener_parse_ex(tok, s.ptr, (int)s.len);
    bool ok = got && json_object_is_type(got, json_type_string) &&
              json_tokener_get_parse_end(tok) == s.len;
    json_object_put(got);
    for (size_t i = 0; i < s.len; i++) {
        ok = ok && (unsigned char)s.ptr[i] >= 0x20 && s.ptr[i] != 0x7f;
    }
    return ok;
}

START_TEST(noise_is_always_a_string)
{
    static const unsigned char spice[] = {'"',  '\\', 0,    '\n', 0xc2, 0xe0, 0xed, 0xf0,
                                          0xf4, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 'a'};
    char noise[40];
    struct buf out;
    struct rng rng;
    struct json_tokener *tok = json_tokener_new();
    json_tokener_set_flags(tok, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    rng_init_seed(&rng, 3);
    buf_init(&out, 65536);
    for (unsigned round = 0; round < 50000; round++) {
        size_t len = 0;
        for (; len < sizeof(noise); len++) {
            uint64_t r = rng_u64(&rng);
            if (r % 30 == 0) {
                break;
            }
            noise[len] = (char)(r >> 32 & 1 ? spice[r >> 40 & 15] : r >> 40);
        }
        buf_clear(&out);
        obs_json_string(&out, slice_of(noise, len));
        testing_that(is_json_string(tok, buf_slice(&out)));
        testing_that(out.len <= 6 * len + 2); /* what log.c reckons with */
    }
    json_tokener_free(tok);
    buf_deinit(&out);
}
END_TEST

/* A buffer that is full: no crash, and it says so. */
START_TEST(no_room)
{
    struct buf out;
    buf_init(&out, 4);
    obs_json_string(&out, SLICE("longer than that"));
    ck_assert(out.overflow);
    buf_deinit(&out);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {vectors, noise_is_always_a_string, no_room};
    return testing_run("core/obs/json", tests, ARRAY_COUNT(tests));
}
