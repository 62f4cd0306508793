/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * 64 bytes become four bit masks (CR, LF, NUL or not, 8-bit or not); lines are well-formed when the
 * LF mask is the CR mask moved up by one. Only line ends are visited one by one. memchr for LF was
 * tried first: with lines of 78 bytes the calls cost more than the masks, and CR and NUL would need
 * a second and third pass.
 */
#include "proto/smtp/scan.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

struct masks {
    uint64_t cr;
    uint64_t lf;
    bool nul;
    bool high;
};

#ifdef __SSE2__
static uint64_t mask_of(const __m128i v[4], char c)
{
    __m128i want = _mm_set1_epi8(c);
    uint64_t mask = 0;
    for (int i = 0; i < 4; i++) {
        mask |= (uint64_t)(uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(v[i], want)) << (16 * i);
    }
    return mask;
}

static struct masks block_masks(const char *p)
{
    __m128i v[4];
    for (int i = 0; i < 4; i++) {
        v[i] = _mm_loadu_si128((const __m128i *)(const void *)(p + 16 * i));
    }
    __m128i least = _mm_min_epu8(_mm_min_epu8(v[0], v[1]), _mm_min_epu8(v[2], v[3]));
    __m128i any = _mm_or_si128(_mm_or_si128(v[0], v[1]), _mm_or_si128(v[2], v[3]));
    __m128i nul = _mm_cmpeq_epi8(least, _mm_setzero_si128());
    return (struct masks){mask_of(v, '\r'), mask_of(v, '\n'), _mm_movemask_epi8(nul) != 0,
                          _mm_movemask_epi8(any) != 0};
}
#else
static struct masks block_masks(const char *p)
{
    struct masks m = {0};
    for (int i = 0; i < SMTP_SCAN_BLOCK; i++) {
        m.cr |= (uint64_t)(p[i] == '\r') << i;
        m.lf |= (uint64_t)(p[i] == '\n') << i;
        m.nul |= p[i] == '\0';
        m.high |= (unsigned char)p[i] >= 0x80;
    }
    return m;
}
#endif

/* Takes the line ends of one block at `at`. Returns the offset of a dot it must stop at, or 0. */
static size_t take_lines(struct smtp_scan *s, struct slice in, size_t at, uint64_t lf,
                         bool stop_dot)
{
    size_t line_from = at; /* where the counted part of the line at hand begins */
    while (lf) {
        size_t pos = at + (size_t)__builtin_ctzll(lf);
        lf &= lf - 1;
        /* line_len came without a CR that ended the block before: then pos is `at` itself. */
        uint64_t len = s->line_len + (pos - line_from) - (pos > at ? 1 : 0);
        s->line_longest = len > s->line_longest ? len : s->line_longest;
        s->line_len = 0;
        line_from = pos + 1;
        if (line_from < in.len && in.ptr[line_from] == '.') {
            if (stop_dot) {
                return line_from;
            }
            s->leading_dot = true;
        }
    }
    s->line_len += at + SMTP_SCAN_BLOCK - line_from;
    return 0;
}

size_t smtp_scan_plain(struct smtp_scan *s, struct slice in, bool stop_dot)
{
    size_t at = 0;
    uint64_t cr_before = 0;
    bool high = false;
    if (in.len >= SMTP_SCAN_BLOCK && s->at_start && in.ptr[0] == '.') {
        if (stop_dot) {
            return 0;
        }
        s->leading_dot = true;
    }
    for (; in.len - at >= SMTP_SCAN_BLOCK; at += SMTP_SCAN_BLOCK) {
        struct masks m = block_masks(in.ptr + at);
        if (m.nul || m.lf != (m.cr << 1 | cr_before)) {
            break;
        }
        size_t dot = take_lines(s, in, at, m.lf, stop_dot);
        if (dot) {
            /* 8-bit bytes behind the dot of this block may not be ours yet to report. */
            for (size_t i = at; m.high && i < dot; i++) {
                high = high || (unsigned char)in.ptr[i] >= 0x80;
            }
            s->has_8bit = s->has_8bit || high;
            s->at_start = true;
            return dot;
        }
        high = high || m.high;
        cr_before = m.cr >> 63;
        s->line_len -= cr_before;
    }
    s->has_8bit = s->has_8bit || high;
    at -= cr_before;
    if (at) {
        s->at_start = in.ptr[at - 1] == '\n';
    }
    return at;
}
