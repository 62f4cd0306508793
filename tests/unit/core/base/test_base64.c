/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/base/base64.h"

#include "tests/unit/core/base/testing.h"

/* RFC 4648 section 10, and what needs the last two digits. */
static const struct {
    const char *plain;
    const char *text;
} vectors[] = {
    {"", ""},
    {"f", "Zg=="},
    {"fo", "Zm8="},
    {"foo", "Zm9v"},
    {"foob", "Zm9vYg=="},
    {"fooba", "Zm9vYmE="},
    {"foobar", "Zm9vYmFy"},
    {"\xfb\xff\xbf", "+/+/"},
    {"\xff\xff\xff\xff", "/////w=="},
};

START_TEST(vectors_both_ways)
{
    for (size_t i = 0; i < ARRAY_COUNT(vectors); i++) {
        struct buf out;
        char back[16];
        size_t len = 99;
        struct slice plain = slice_str(vectors[i].plain), text = slice_str(vectors[i].text);
        buf_init(&out, 64);
        base64_add(&out, plain);
        ck_assert_msg(slice_eq(buf_slice(&out), text), "%s", vectors[i].text);
        ck_assert_uint_eq(out.len, BASE64_TEXT_BYTES(plain.len));
        ck_assert(base64_decode(text, back, plain.len, &len));
        ck_assert(slice_eq(slice_of(back, len), plain));
        buf_deinit(&out);
    }
}
END_TEST

START_TEST(refuses)
{
    static const char *const wrong[] = {"Z",     "Zg",    "Zg=",      "Zg===",
                                        "====",  "=",     "==",       "Zh==", /* stray */
                                        "Zm9=",  "Zg= =", "Zm9v\r\n", " Zm9v",
                                        "Zm-v",  "Zm_v",  "Z=g=",     "Zg==Zg==",
                                        "Zm9v=", "Zm9.",  "Zm9v====", "Zm9v Zg"};
    char out[32];
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        size_t len = 77;
        ck_assert_msg(!base64_decode(slice_str(wrong[i]), out, sizeof(out), &len), "%s", wrong[i]);
        ck_assert_uint_eq(len, 77);
    }
}
END_TEST

START_TEST(bounds)
{
    char out[4] = {9, 9, 9, 9};
    size_t len;
    ck_assert(!base64_decode(SLICE("Zm9vYg=="), out, 3, &len));
    ck_assert(!base64_decode(SLICE("Zm9v\0Yg="), out, 4, &len));
    ck_assert(base64_decode(SLICE("Zm9v"), out, 3, &len));
    ck_assert_int_eq(out[3], 9);
    struct buf small;
    buf_init(&small, 7);
    base64_add(&small, SLICE("foob"));
    ck_assert(small.overflow && small.len == 0);
    buf_deinit(&small);
}
END_TEST

START_TEST(every_length)
{
    char plain[70], back[70];
    for (size_t n = 0; n < sizeof(plain); n++) {
        struct buf text;
        size_t len;
        buf_init(&text, 256);
        plain[n] = (char)(n * 37 + 200);
        base64_add(&text, slice_of(plain, n));
        ck_assert(base64_decode(buf_slice(&text), back, sizeof(back), &len));
        ck_assert(len == n && memcmp(plain, back, n) == 0);
        buf_deinit(&text);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {vectors_both_ways, refuses, bounds, every_length};
    return testing_run("base/base64", tests, ARRAY_COUNT(tests));
}
