/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What a tap shows, however the bytes were cut; and above all what it does not.
 */
#include "core/relay/dialogue.h"
#include "core/base/slice.h"

#include <check.h>
#include <stdatomic.h>
#include <stdlib.h>

struct said {
    char side; /* C, S; B: so many bytes of content */
    const char *bytes;
};

struct talk {
    const char *name;
    struct said said[16];
    const char *shown; /* "C:…|S:…|" */
};

static const struct talk talks[] = {
    {"commands",
     {{'S', "220 hi\r\n"}, {'C', "EHLO a\r\n"}, {'S', "250-b\r\n250 SIZE\r\n"}},
     "S:220 hi|C:EHLO a|S:250-b|S:250 SIZE|"},
    {"bare LF", {{'C', "NOOP\nNOOP x\n"}}, "C:NOOP|C:NOOP x|"},
    {"a body",
     {{'C', "DATA\r\n"}, {'S', "354 go\r\n"}, {'B', "1234"}, {'B', "6"}, {'S', "250 ok\r\n"}},
     "C:DATA|S:354 go|C:(1240 bytes)|S:250 ok|"},
    {"not SMTP",
     {{'C', "GET / HTTP/1.1\r\n"}, {'C', "\r\n"}, {'C', "secret\r\n"}},
     "C:(no command of SMTP: not shown)|C:(no command of SMTP: not shown)|"
     "C:(no command of SMTP: not shown)|"},
    {"plain at once",
     {{'C', "AUTH PLAIN c2VjcmV0\r\n"},
      {'S', "235 2.7.0 hello secret\r\n"},
      {'C', "MAIL FROM:<>\r\n"}},
     "C:AUTH PLAIN (hidden)|S:235 (hidden)|C:MAIL FROM:<>|"},
    {"plain later",
     {{'C', "auth plain\r\n"},
      {'S', "334 \r\n"},
      {'C', "c2VjcmV0\r\n"},
      {'S', "535 no secret\r\n"},
      {'C', "NOOP secret\r\n"}},
     "C:AUTH PLAIN|S:334 (hidden)|C:(hidden)|S:535 (hidden)|C:NOOP secret|"},
    {"login",
     {{'C', "AUTH LOGIN\r\n"},
      {'S', "334 VXNlcm5hbWU6\r\n"},
      {'C', "QUIT\r\n"},
      {'S', "334 c2VjcmV0\r\n"},
      {'C', "MAIL FROM:<secret>\r\n"},
      {'S', "535-x\r\n535 no\r\n"},
      {'S', "421 bye\r\n"}},
     "C:AUTH LOGIN|S:334 (hidden)|C:(hidden)|S:334 (hidden)|C:(hidden)|S:535 (hidden)|S:535 (hidden)|"
     "S:421 bye|"},
    {"a password as mechanism",
     {{'C', "AUTH secret\r\n"}, {'S', "504 what\r\n"}},
     "C:AUTH (hidden)|S:504 (hidden)|"},
    {"pipelined",
     {{'C', "NOOP\r\nAUTH LOGIN\r\n"},
      {'S', "250 ok\r\n334 x\r\n"},
      {'C', "secret\r\n"},
      {'S', "535 x\r\n"}},
     "C:NOOP|C:AUTH LOGIN|S:250 (hidden)|S:334 (hidden)|C:(hidden)|S:535 (hidden)|"},
    {"a lone dot", {{'C', ".\r\n"}}, "C:.|"},
};

static const struct clock_now now = {.wall_us = 1795293900000000,
                                     .mono_us = 5000000,
                                     .mono_ms = 5000};

/* "C:text|" of each line, the JSON around it left out. */
static void shown(const struct buf *out, struct buf *text)
{
    struct slice lines = buf_slice(out);
    buf_clear(text);
    while (lines.len) {
        struct slice line = slice_cut(&lines, '\n');
        const char *side = memmem(line.ptr, line.len, "\"side\":\"", 8);
        const char *said = memmem(line.ptr, line.len, "\"text\":\"", 8);
        ck_assert(side && said && line.ptr[line.len - 1] == '}');
        buf_addf(text, "%c:%.*s|", side[8], (int)(line.ptr + line.len - 2 - (said + 8)), said + 8);
    }
}

static void talk(const struct talk *t, size_t step, struct buf *out)
{
    struct dialogue *d = dialogue_new(SLICE("a.test"), 1);
    struct dialogue_tap *tap = dialogue_tap_new(d, 7, out);
    ck_assert(d && tap);
    for (size_t i = 0; i < ARRAY_COUNT(t->said) && t->said[i].bytes; i++) {
        struct slice bytes = slice_str(t->said[i].bytes);
        if (t->said[i].side == 'B') {
            dialogue_body(tap, (uint64_t)atoll(bytes.ptr));
            continue;
        }
        for (size_t at = 0; at < bytes.len; at += step) {
            dialogue_say(tap, t->said[i].side == 'C' ? DIALOGUE_CLIENT : DIALOGUE_SERVER,
                         slice_first(slice_skip(bytes, at), step), &now);
        }
    }
    dialogue_taken(d, out->len);
    ck_assert_uint_eq(atomic_load(&d->waiting), 0);
    dialogue_tap_free(&tap);
    ck_assert_uint_eq(atomic_load(&d->sessions), 0);
    dialogue_put(&d);
}

START_TEST(shows_what_is_harmless)
{
    static const size_t steps[] = {1, 3, 1000};
    const struct talk *t = &talks[_i];
    for (size_t i = 0; i < ARRAY_COUNT(steps); i++) {
        struct buf out, text;
        buf_init(&out, 65536);
        buf_init(&text, 65536);
        talk(t, steps[i], &out);
        shown(&out, &text);
        buf_add_byte(&text, '\0');
        ck_assert_msg(strcmp(text.ptr, t->shown) == 0, "%s, %zu: %s", t->name, steps[i], text.ptr);
        bool may = strstr(t->shown, "secret") != NULL; /* as the argument of NOOP */
        ck_assert(may || !memmem(out.ptr, out.len, "secret", 6));
        ck_assert(!memmem(out.ptr, out.len, "c2Vj", 4));
        buf_deinit(&out);
        buf_deinit(&text);
    }
}
END_TEST

START_TEST(long_lines_are_cut)
{
    struct dialogue *d = dialogue_new(SLICE("a.test"), 1);
    struct buf out;
    buf_init(&out, 65536);
    struct dialogue_tap *tap = dialogue_tap_new(d, 7, &out);
    char line[5000];
    memset(line, 'x', sizeof(line));
    memcpy(line, "NOOP ", 5);
    for (size_t at = 0; at < sizeof(line); at += 700) {
        dialogue_say(tap, DIALOGUE_CLIENT, slice_first(slice_of(line + at, sizeof(line) - at), 700),
                     &now);
        ck_assert_uint_le(tap->lines[DIALOGUE_CLIENT].text.len, DIALOGUE_LINE_BYTES);
    }
    dialogue_say(tap, DIALOGUE_CLIENT, SLICE("\r\nNOOP y\r\n"), &now);
    ck_assert_uint_lt(out.len, DIALOGUE_LINE_BYTES + 300);
    ck_assert_ptr_nonnull(memmem(out.ptr, out.len, "NOOP y", 6));
    dialogue_tap_free(&tap);
    dialogue_put(&d);
    buf_deinit(&out);
}
END_TEST

static uint64_t say_noops(struct dialogue_tap *tap, unsigned n, uint64_t at_ms)
{
    struct clock_now then = {.wall_us = 1, .mono_us = at_ms * 1000, .mono_ms = at_ms};
    uint64_t before = atomic_load(&tap->dialogue->lost);
    for (unsigned i = 0; i < n; i++) {
        dialogue_say(tap, DIALOGUE_CLIENT, SLICE("NOOP\r\n"), &then);
    }
    return atomic_load(&tap->dialogue->lost) - before;
}

START_TEST(rate_and_room)
{
    struct dialogue *d = dialogue_new(SLICE("a.test"), 1);
    struct buf out;
    buf_init(&out, 1024 * 1024);
    struct dialogue_tap *tap = dialogue_tap_new(d, 7, &out);
    ck_assert_uint_eq(say_noops(tap, DIALOGUE_LINES_PER_S, 10000), 0);
    ck_assert_uint_eq(say_noops(tap, 7, 10999), 7); /* the same second */
    ck_assert_uint_eq(say_noops(tap, 7, 11000), 0);
    dialogue_taken(d, out.len);
    buf_clear(&out);
    /* A worker whose clock stands in the second before begins nothing anew. */
    ck_assert_uint_eq(say_noops(tap, DIALOGUE_LINES_PER_S - 7, 10999), 0);
    ck_assert_uint_eq(say_noops(tap, 5, 11001), 5);
    ck_assert_uint_eq(say_noops(tap, 5, 10999), 5);
    dialogue_taken(d, out.len);
    buf_clear(&out);
    /* Nobody takes them: as many as fit on the way, then none, whatever the second. */
    uint64_t lost = 0;
    for (unsigned s = 12; s < 30; s++) {
        lost += say_noops(tap, DIALOGUE_LINES_PER_S, s * 1000);
    }
    ck_assert_uint_gt(lost, 0);
    ck_assert_uint_le(out.len, DIALOGUE_WAITING_BYTES + 200);
    dialogue_tap_free(&tap);
    dialogue_put(&d);
    buf_deinit(&out);
}
END_TEST

START_TEST(so_many_sessions)
{
    struct dialogue *d = dialogue_new(SLICE("192.0.2.0/24"), 1);
    struct dialogue_tap *taps[DIALOGUE_SESSIONS_MAX];
    struct buf out;
    buf_init(&out, 1024);
    ck_assert(d->is_net);
    for (size_t i = 0; i < DIALOGUE_SESSIONS_MAX; i++) {
        taps[i] = dialogue_tap_new(d, i, &out);
        ck_assert_ptr_nonnull(taps[i]);
    }
    ck_assert_ptr_null(dialogue_tap_new(d, 99, &out));
    ck_assert_uint_eq(atomic_load(&d->missed), 1);
    dialogue_tap_free(&taps[0]);
    taps[0] = dialogue_tap_new(d, 100, &out);
    ck_assert_ptr_nonnull(taps[0]);
    for (size_t i = 0; i < DIALOGUE_SESSIONS_MAX; i++) {
        dialogue_tap_free(&taps[i]);
    }
    dialogue_put(&d);
    ck_assert_ptr_null(d);
    buf_deinit(&out);
}
END_TEST

/* Several operators listen to one session: each has all of it. */
START_TEST(two_taps)
{
    struct dialogue *d[2];
    struct dialogue_tap *taps[2];
    struct buf out[2];
    for (size_t i = 0; i < 2; i++) {
        buf_init(&out[i], 4096);
        d[i] = dialogue_new(SLICE("a.test"), (uint32_t)i + 1);
        taps[i] = dialogue_tap_new(d[i], 7, &out[i]);
    }
    taps[0]->next = taps[1];
    dialogue_note(taps[0], SLICE("connected"), &now);
    dialogue_say(taps[0], DIALOGUE_SERVER, SLICE("220 \x1b[2J\r\n"), &now);
    ck_assert_uint_eq(out[0].len, out[1].len);
    ck_assert_mem_eq(out[0].ptr, out[1].ptr, out[0].len);
    ck_assert_ptr_null(memchr(out[0].ptr, 0x1b, out[0].len)); /* escaped */
    for (size_t i = 0; i < 2; i++) {
        taps[i]->next = NULL;
        dialogue_tap_free(&taps[i]);
        dialogue_put(&d[i]);
        buf_deinit(&out[i]);
    }
    dialogue_say(NULL, DIALOGUE_CLIENT, SLICE("NOOP\r\n"), &now); /* nobody */
}
END_TEST

int main(void)
{
    Suite *s = suite_create("dialogue");
    TCase *t = tcase_create("dialogue");
    tcase_add_loop_test(t, shows_what_is_harmless, 0, (int)ARRAY_COUNT(talks));
    tcase_add_test(t, long_lines_are_cut);
    tcase_add_test(t, rate_and_room);
    tcase_add_test(t, so_many_sessions);
    tcase_add_test(t, two_taps);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
