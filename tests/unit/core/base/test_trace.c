/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/base/trace.h"
#include "tests/unit/core/base/testing.h"

#include <pthread.h>

struct dump {
    char *text;
    size_t size;
};

static struct dump dump(void)
{
    struct dump d = {NULL, 0};
    FILE *f = open_memstream(&d.text, &d.size);
    ck_assert_ptr_nonnull(f);
    trace_dump(f);
    fclose(f);
    return d;
}

static unsigned lines(const struct dump *d)
{
    unsigned n = 0;
    for (size_t i = 0; i < d->size; i++) {
        n += d->text[i] == '\n';
    }
    return n;
}

START_TEST(the_last_ones_in_order)
{
    static const unsigned counts[] = {0,   1, TRACE_ENTRIES - 1, TRACE_ENTRIES, TRACE_ENTRIES + 1,
                                      1000};
    unsigned total = 0;
    for (size_t i = 0; i < ARRAY_COUNT(counts); i++) {
        for (unsigned k = 0; k < counts[i]; k++, total++) {
            trace_add("step", total, i);
        }
        struct dump d = dump();
        unsigned kept = total < TRACE_ENTRIES ? total : TRACE_ENTRIES;
        ck_assert_uint_eq(lines(&d), kept);
        const char *at = d.text;
        for (unsigned k = total - kept; k < total; k++) {
            char want[64];
            snprintf(want, sizeof(want), " %u: step %u ", k, k);
            at = strstr(at, want);
            ck_assert_msg(at != NULL, "%s is missing or out of order", want);
        }
        free(d.text);
    }
}
END_TEST

static void *other(void *arg)
{
    struct dump *d = arg;
    trace_add("other.thread", 1, 2);
    *d = dump();
    return NULL;
}

START_TEST(each_thread_has_its_own)
{
    struct dump theirs;
    pthread_t t;
    trace_add("main.thread", 3, 4);
    ck_assert_int_eq(pthread_create(&t, NULL, other, &theirs), 0);
    pthread_join(t, NULL);
    ck_assert_uint_eq(lines(&theirs), 1);
    ck_assert_ptr_nonnull(strstr(theirs.text, "other.thread 1 2"));
    struct dump ours = dump();
    ck_assert_ptr_nonnull(strstr(ours.text, "main.thread 3 4"));
    ck_assert_ptr_null(strstr(ours.text, "other.thread"));
    free(ours.text);
    free(theirs.text);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {the_last_ones_in_order, each_thread_has_its_own};
    return testing_run("core/base/trace", tests, ARRAY_COUNT(tests));
}
