/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The body machine against a slow reference that looks at the whole text at once. Texts are random
 * over an alphabet that is full of trouble, and long enough for the 64-byte blocks of scan.c.
 */
#include "proto/smtp/body.h"
#include "core/base/rng.h"

#include <check.h>
#include <stdlib.h>

enum { TEXT_MAX = 2000, ROUNDS = 2000 };

struct reference {
    char out[2 * TEXT_MAX + 2];
    size_t len;
    size_t used; /* input consumed, end of data included */
    bool ended;
    bool bare;
    bool nul;
    bool high;
    bool leading_dot;
    size_t longest;
};

static void ref_line(struct reference *r, const char *line, size_t len, bool dots)
{
    if (dots && len && line[0] == '.') {
        line++;
        len--;
    }
    for (size_t i = 0; i < len; i++) {
        r->nul = r->nul || line[i] == '\0';
        r->high = r->high || (unsigned char)line[i] >= 0x80;
        r->bare = r->bare || line[i] == '\r';
        r->out[r->len++] = line[i];
    }
    r->leading_dot = r->leading_dot || (len && line[0] == '.');
    r->longest = len > r->longest ? len : r->longest;
    r->out[r->len++] = '\r';
    r->out[r->len++] = '\n';
}

/* text always ends in CRLF here. */
static void ref_run(struct reference *r, const char *text, size_t len, bool dots, bool normalize)
{
    size_t at = 0;
    bool after_crlf = true;
    *r = (struct reference){0};
    while (at < len && !r->ended) {
        const char *lf = memchr(text + at, '\n', len - at);
        size_t end = (size_t)(lf - text);
        bool crlf = end > at && text[end - 1] == '\r';
        size_t line_len = end - at - (crlf ? 1 : 0);
        if (dots && after_crlf && crlf && line_len == 1 && text[at] == '.') {
            r->ended = true;
        } else {
            r->bare = r->bare || (!crlf && !normalize);
            ref_line(r, text + at, line_len, dots);
        }
        after_crlf = crlf;
        at = end + 1;
    }
    r->used = at;
}

static size_t make_text(struct rng *rng, char *text, size_t max)
{
    static const char *const pieces[] = {"\r\n",      "\n",    "\r",       ".", "..",
                                         "\r\n.\r\n", "\r\n.", "\xc3\xbc", "x", "\r\n..\r\n"};
    bool clean = rng_below(rng, 3) == 0;
    size_t len = 0;
    while (len + 140 < max) {
        uint64_t dice = rng_below(rng, 40);
        if (dice < ARRAY_COUNT(pieces) && !(clean && (dice == 1 || dice == 2))) {
            size_t n = strlen(pieces[dice]);
            memcpy(text + len, pieces[dice], n);
            len += n;
        } else if (dice == 39 && !clean) {
            text[len++] = '\0';
        } else {
            size_t n = (size_t)rng_below(rng, 130);
            memset(text + len, 'a', n);
            len += n;
            if (clean || dice < 36) {
                text[len++] = '\r';
                text[len++] = '\n';
            }
        }
    }
    memcpy(text + len, "\r\n.\r\n", 5);
    return len + 5;
}

static void compare(const struct smtp_body *b, const struct reference *r, const struct buf *got)
{
    bool fault = r->bare || r->nul;
    ck_assert_int_eq((b->faults & SMTP_FAULT_BARE) != 0, r->bare);
    ck_assert_int_eq((b->faults & SMTP_FAULT_NUL) != 0, r->nul);
    if (fault) {
        return;
    }
    ck_assert_uint_eq(got->len, r->len);
    ck_assert(memcmp(got->ptr ? got->ptr : "", r->out, r->len) == 0);
    ck_assert_uint_eq(b->facts.size, r->len);
    ck_assert_uint_eq(b->facts.line_longest, r->longest);
    ck_assert_int_eq(b->facts.has_8bit, r->high);
    ck_assert_int_eq(b->facts.leading_dot, r->leading_dot);
}

/* Feeds in pieces up to piece_max; returns the bytes consumed. */
static size_t run(struct smtp_body *b, const char *text, size_t len, size_t piece_max,
                  struct rng *rng, struct buf *got)
{
    size_t at = 0;
    enum smtp_body_event event = SMTP_BODY_MORE;
    struct slice out;
    while (at < len && event != SMTP_BODY_END) {
        size_t n = 1 + (size_t)rng_below(rng, piece_max);
        n = n < len - at ? n : len - at;
        char *copy = malloc(n);
        memcpy(copy, text + at, n);
        struct slice in = slice_of(copy, n);
        while ((event = smtp_body_step(b, &in, &out)) == SMTP_BODY_RUN) {
            buf_add(got, out);
        }
        at += n - in.len;
        ck_assert(event == SMTP_BODY_END || in.len == 0);
        free(copy);
    }
    if (event != SMTP_BODY_END && smtp_body_finish(b, &out)) {
        buf_add(got, out);
    }
    return at;
}

START_TEST(against_reference)
{
    static const size_t pieces[] = {1, 7, 100, 5000};
    static struct reference ref;
    char text[TEXT_MAX];
    struct smtp_server_config config;
    struct rng rng;
    bool dots = (_i & 1) != 0;
    smtp_server_config_init(&config);
    config.line_length_max = 0;
    config.normalize_bare_lf = (_i & 2) != 0;
    config.header_fields_max = TEXT_MAX;
    rng_init_seed(&rng, 100 + (uint64_t)_i);
    for (int round = 0; round < ROUNDS / 4; round++) {
        size_t len = make_text(&rng, text, 200 + rng_below(&rng, TEXT_MAX - 200));
        ref_run(&ref, text, len, dots, config.normalize_bare_lf);
        for (size_t i = 0; i < ARRAY_COUNT(pieces); i++) {
            struct smtp_body b;
            struct buf got;
            buf_init(&got, 100000);
            smtp_body_init(&b, &config, dots);
            size_t used = run(&b, text, len, pieces[i], &rng, &got);
            ck_assert_uint_eq(used, ref.used);
            compare(&b, &ref, &got);
            buf_deinit(&got);
        }
    }
}
END_TEST

/* A line of 998 at every offset against the blocks, one of 999 refused. */
START_TEST(line_limit_offsets)
{
    static char text[3000];
    struct smtp_server_config config;
    struct rng rng;
    smtp_server_config_init(&config);
    rng_init_seed(&rng, 1);
    for (size_t shift = 0; shift < 130; shift++) {
        for (size_t extra = 0; extra < 2; extra++) {
            struct smtp_body b;
            struct buf got;
            size_t len = 0;
            memset(text, 'a', sizeof(text));
            len += shift;
            memcpy(text + len, "\r\n", 2);
            len += 2 + 998 + extra;
            memcpy(text + len, "\r\n.\r\n", 5);
            len += 5;
            buf_init(&got, 10000);
            smtp_body_init(&b, &config, true);
            run(&b, text, len, shift % 2 ? 5000 : 77, &rng, &got);
            ck_assert_uint_eq(b.faults, extra ? SMTP_FAULT_LINE : 0);
            ck_assert_uint_eq(b.facts.line_longest, 998 + extra);
            buf_deinit(&got);
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("body");
    TCase *tc = tcase_create("machine");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, against_reference, 0, 4);
    tcase_add_test(tc, line_limit_offsets);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
