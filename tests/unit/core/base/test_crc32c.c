/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/base/crc32c.h"
#include "core/base/rng.h"
#include "tests/unit/core/base/testing.h"

START_TEST(known_vectors)
{
    static const char zeros[32];
    char ones[32], up[32], down[32];
    for (int i = 0; i < 32; i++) {
        ones[i] = (char)0xff;
        up[i] = (char)i;
        down[i] = (char)(31 - i);
    }
    const struct { /* RFC 3720 B.4 and the check value of the catalogue */
        const void *data;
        size_t len;
        uint32_t crc;
    } rows[] = {
        {zeros, 32, 0x8a9136aa}, {ones, 32, 0x62a8ab43},       {up, 32, 0x46dd794e},
        {down, 32, 0x113fdb5c},  {"123456789", 9, 0xe3069283}, {"", 0, 0},
        {"a", 1, 0xc1d04330},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        ck_assert_msg(crc32c(0, rows[i].data, rows[i].len) == rows[i].crc, "row %zu", i);
        ck_assert_msg(crc32c_table(0, rows[i].data, rows[i].len) == rows[i].crc, "table, row %zu",
                      i);
    }
}
END_TEST

/* All lengths and alignments that a word-wise loop may get wrong. */
START_TEST(hardware_equals_table)
{
    static char data[4096 + 16];
    struct rng r;
    rng_init_seed(&r, 1);
    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = (char)rng_u64(&r);
    }
    for (size_t start = 0; start < 9; start++) {
        for (size_t len = 0; len < 70; len++) {
            uint32_t seed = (uint32_t)rng_u64(&r);
            ck_assert_uint_eq(crc32c(seed, data + start, len),
                              crc32c_table(seed, data + start, len));
        }
        ck_assert_uint_eq(crc32c(0, data + start, 4096), crc32c_table(0, data + start, 4096));
    }
}
END_TEST

START_TEST(pieces_give_the_same)
{
    static char data[1000];
    struct rng r;
    rng_init_seed(&r, 2);
    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = (char)rng_u64(&r);
    }
    uint32_t whole = crc32c(0, data, sizeof(data));
    for (size_t cut = 0; cut <= sizeof(data); cut++) {
        ck_assert_uint_eq(crc32c(crc32c(0, data, cut), data + cut, sizeof(data) - cut), whole);
    }
    uint32_t bytewise = 0;
    for (size_t i = 0; i < sizeof(data); i++) {
        bytewise = crc32c(bytewise, data + i, 1);
    }
    ck_assert_uint_eq(bytewise, whole);
}
END_TEST

START_TEST(every_flipped_bit_shows)
{
    char data[64];
    memset(data, 0x5a, sizeof(data));
    uint32_t whole = crc32c(0, data, sizeof(data));
    for (size_t bit = 0; bit < sizeof(data) * 8; bit++) {
        data[bit / 8] = (char)(data[bit / 8] ^ 1 << bit % 8);
        ck_assert_uint_ne(crc32c(0, data, sizeof(data)), whole);
        data[bit / 8] = (char)(data[bit / 8] ^ 1 << bit % 8);
    }
}
END_TEST

int main(void)
{
    const TTest *tests[] = {known_vectors, hardware_equals_table, pieces_give_the_same,
                            every_flipped_bit_shows};
    return testing_run("core/base/crc32c", tests, ARRAY_COUNT(tests));
}
