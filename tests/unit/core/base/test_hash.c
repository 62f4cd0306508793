/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/base/hash.h"
#include "tests/unit/core/base/testing.h"

START_TEST(bytes_and_seed_decide)
{
    ck_assert(hash_bytes(SLICE("a"), 1) == hash_bytes(SLICE("a"), 1));
    ck_assert(hash_bytes(SLICE("a"), 1) != hash_bytes(SLICE("b"), 1));
    ck_assert(hash_bytes(SLICE("a"), 1) != hash_bytes(SLICE("a"), 2));
    ck_assert(hash_bytes(SLICE("a"), 1) != hash_bytes(slice_of("a", 2), 1));
    ck_assert(hash_bytes((struct slice){NULL, 0}, 1) == hash_bytes(SLICE(""), 1));
}
END_TEST

int main(void)
{
    const TTest *tests[] = {bytes_and_seed_decide};
    return testing_run("core/base/hash", tests, ARRAY_COUNT(tests));
}
