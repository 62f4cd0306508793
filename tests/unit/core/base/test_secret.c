/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What a secret buf leaves behind is read past the allocator, through /proc/self/mem.
 */
#include "core/base/secret.h"

#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    SKIP = 16, /* the allocator's own notes in what was freed */
    SIZE = 64
};

/* Are the bytes at p, freed or not, free of c behind the first SKIP? */
static bool gone(uintptr_t p, size_t n, char c)
{
    char seen[512];
    int fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    ck_assert(fd >= 0 && n > SKIP && n <= sizeof(seen));
    ck_assert_int_eq(pread(fd, seen, n, (off_t)p), (ssize_t)n);
    close(fd);
    return memchr(seen + SKIP, c, n - SKIP) == NULL;
}

static void fill(struct buf *b, char c, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        secret_buf_add(b, slice_of(&c, 1));
    }
}

START_TEST(grows_without_leaving_copies)
{
    struct buf b;
    buf_init(&b, 300);
    fill(&b, 'X', SIZE);
    ck_assert_uint_eq(b.cap, SIZE);
    uintptr_t first = (uintptr_t)b.ptr;
    ck_assert(!gone(first, SIZE, 'X')); /* the look works */
    fill(&b, 'X', 1);
    uintptr_t second = (uintptr_t)b.ptr;
    ck_assert_uint_ne(first, second);
    ck_assert(gone(first, SIZE, 'X'));
    fill(&b, 'X', 235);
    ck_assert_uint_eq(b.len, 300);
    ck_assert_uint_eq(b.cap, 300);
    ck_assert(gone(second, 2 * SIZE, 'X'));
    for (size_t i = 0; i < b.len; i++) {
        ck_assert_int_eq(b.ptr[i], 'X');
    }
    secret_buf_add(&b, SLICE("Y")); /* past the ceiling: nothing added, the flag stays */
    ck_assert(b.overflow && b.len == 300);
    uintptr_t third = (uintptr_t)b.ptr;
    secret_buf_release(&b);
    ck_assert(gone(third, 300, 'X'));
    ck_assert(b.ptr == NULL && !b.overflow && b.cap_max == 300);
}
END_TEST

START_TEST(clears_what_was_used_before)
{
    struct buf b;
    buf_init(&b, 300);
    fill(&b, 'X', 60);
    b.len = 1; /* shortened by its owner */
    secret_buf_clear(&b);
    ck_assert(b.len == 0 && b.cap == SIZE);
    ck_assert(gone((uintptr_t)b.ptr, SIZE, 'X'));
    secret_buf_add(&b, SLICE(""));
    ck_assert(secret_buf_reserve(&b, 0));
    ck_assert(!secret_buf_reserve(&b, 301) && b.overflow);
    secret_buf_clear(&b);
    ck_assert(!b.overflow);
    secret_buf_release(&b);
    secret_buf_clear(&b); /* without memory */
    secret_wipe(NULL, 0);
}
END_TEST

START_TEST(no_room_for_the_sum)
{
    struct buf b;
    buf_init(&b, 100);
    fill(&b, 'X', 90);
    ck_assert(!secret_buf_reserve(&b, SIZE_MAX - 10) && b.overflow);
    secret_buf_add(&b, SLICE("z"));
    ck_assert_uint_eq(b.len, 90);
    secret_buf_release(&b);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core/base/secret");
    TCase *tc = tcase_create("secret");
    tcase_add_test(tc, grows_without_leaving_copies);
    tcase_add_test(tc, clears_what_was_used_before);
    tcase_add_test(tc, no_room_for_the_sum);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
