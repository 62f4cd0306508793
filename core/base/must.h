/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * must - assertions that stay on in production
 *
 * Purpose:   must(cond) states a fact that only a programming error can break. When it is false
 *            the process prints the expression, the place and the calling thread's trace ring and
 *            aborts: a wrong engine must not go on acknowledging mail. Never used for input, disk
 *            contents, resource exhaustion or anything a peer can cause.
 * Owner:     none. Thread: any (the trace ring is per thread, see trace.h).
 */
#ifndef RINGPOST_BASE_MUST_H
#define RINGPOST_BASE_MUST_H

_Noreturn void must_fail(const char *expr, const char *file, int line);

#ifdef __CPPCHECK__ /* the same in words that it follows */
#define must(cond)                                                                                 \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            abort();                                                                               \
        }                                                                                          \
    } while (0)
#define must_never(why) abort()
#else
#define must(cond) ((cond) ? (void)0 : must_fail(#cond, __FILE__, __LINE__))

/* A place that only a programming error can reach. */
#define must_never(why) must_fail(why, __FILE__, __LINE__)
#endif

/* Compile-time relation between limits or layouts. */
#define must_static(cond, why) _Static_assert(cond, why)

#define ARRAY_COUNT(a) (sizeof(a) / sizeof((a)[0]))

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#endif
