/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * slice - text and bytes with their length
 *
 * Purpose:   the one way text travels through Ringpost. A slice never owns its bytes and is never
 *            assumed to end in NUL.
 * Owner:     whoever owns the bytes; the header that hands a slice out says how long it lives.
 * Thread:    any (values).
 * Units:     len is bytes. ptr may be NULL only when len is 0.
 * Errors:    parse functions return false and leave *out untouched.
 */
#ifndef RINGPOST_BASE_SLICE_H
#define RINGPOST_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const char *ptr;
    size_t len;
};

/* A slice of a string literal: SLICE("RCPT"). */
#define SLICE(lit) ((struct slice){"" lit, sizeof(lit) - 1})
/* The same as a constant initialiser for tables. */
#define SLICE_INIT(lit)                                                                            \
    {                                                                                              \
        "" lit, sizeof(lit) - 1                                                                    \
    }
/* For printf("%.*s", SLICE_ARG(s)): two arguments, so s is evaluated more than once. Nothing that
 * changes anything belongs in it (slice_cut, a function that appends). */
#define SLICE_ARG(s) (int)(s).len, (s).len ? (s).ptr : ""

static inline struct slice slice_of(const void *ptr, size_t len)
{
    return (struct slice){ptr, len};
}

/* From a NUL-terminated string that comes from our own program or the C library. */
static inline struct slice slice_str(const char *s)
{
    return (struct slice){s, s ? strlen(s) : 0};
}

static inline struct slice slice_skip(struct slice s, size_t n)
{
    return n >= s.len ? (struct slice){s.ptr ? s.ptr + s.len : s.ptr, 0}
                      : (struct slice){s.ptr + n, s.len - n};
}

static inline struct slice slice_first(struct slice s, size_t n)
{
    return (struct slice){s.ptr, n < s.len ? n : s.len};
}

static inline bool slice_eq(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline int slice_find_byte(struct slice s, char c)
{
    /* NOLINTNEXTLINE(clang-analyzer-core.*): what has a length has a place */
    const char *p = s.len ? memchr(s.ptr, c, s.len) : NULL;
    return p && p - s.ptr <= INT32_MAX ? (int)(p - s.ptr) : -1;
}

/* ASCII-only case folding; bytes >= 0x80 compare as they are. Locale never matters. */
static inline char ascii_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static inline bool ascii_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline bool ascii_is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool slice_eq_nocase(struct slice a, struct slice b);
bool slice_starts_nocase(struct slice s, struct slice prefix);
bool slice_ends_nocase(struct slice s, struct slice suffix);

/* Without leading and trailing spaces and tabs. */
struct slice slice_trim(struct slice s);

/* Cuts *s at the first sep: returns what stands before it, *s keeps what stands behind it.
 * Without sep: returns all, *s becomes empty. */
struct slice slice_cut(struct slice *s, char sep);

/* Unsigned decimal, digits only, whole slice; false on empty, other characters or overflow. */
bool slice_to_u64(struct slice s, uint64_t *out);

/* Copies into a NUL-terminated buffer for an API that demands one. False (dst = "") when it does
 * not fit or holds a NUL byte. */
bool slice_to_cstr(struct slice s, char *dst, size_t dst_size);

#endif
