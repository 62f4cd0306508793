/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/policy/reply_match.h"
#include "tests/unit/core/base/testing.h"

static struct reply_match match_of(struct reply_match_text text)
{
    const struct conf_origin at = {CONF_FROM_FILE, SLICE("x.yaml"), 1, 1};
    struct reply_match m;
    struct buf errors;
    struct conf_report report = {.errors = &errors};
    buf_init(&errors, 4096);
    ck_assert_msg(reply_match_init(&m, &text, &at, SLICE("x"), &report), "%.*s",
                  SLICE_ARG(buf_slice(&errors)));
    buf_deinit(&errors);
    return m;
}

START_TEST(each_condition_counts)
{
    static const struct {
        struct reply_match_text text;
        const char *line;
        enum outcome_stage stage;
        bool want;
    } rows[] = {
        {{.code = SLICE_INIT("421")}, "421 x", OUTCOME_STAGE_RCPT, true},
        {{.code = SLICE_INIT("421")}, "422 x", OUTCOME_STAGE_RCPT, false},
        {{.code = SLICE_INIT("42x")}, "429 x", OUTCOME_STAGE_RCPT, true},
        {{.code = SLICE_INIT("42X")}, "430 x", OUTCOME_STAGE_RCPT, false},
        {{.code = SLICE_INIT("4xx")}, "499 x", OUTCOME_STAGE_RCPT, true},
        {{.code = SLICE_INIT("4xx")}, "550 x", OUTCOME_STAGE_RCPT, false},
        {{.enhanced = SLICE_INIT("4.7.x")}, "421 4.7.28 x", OUTCOME_STAGE_RCPT, true},
        {{.enhanced = SLICE_INIT("4.7.x")}, "421 4.2.1 x", OUTCOME_STAGE_RCPT, false},
        {{.enhanced = SLICE_INIT("x.1.1")}, "450 4.1.1 x", OUTCOME_STAGE_RCPT, true},
        {{.enhanced = SLICE_INIT("x.1.1")}, "550 5.1.1 x", OUTCOME_STAGE_RCPT, true},
        {{.enhanced = SLICE_INIT("x.1.1")}, "550 x", OUTCOME_STAGE_RCPT, false},
        {{.stage = SLICE_INIT("banner  EHLO")}, "554 x", OUTCOME_STAGE_EHLO, true},
        {{.stage = SLICE_INIT("banner ehlo")}, "554 x", OUTCOME_STAGE_RCPT, false},
        {{.pattern = SLICE_INIT("^from <ip>$")}, "554 from 192.0.2.1", OUTCOME_STAGE_RCPT, true},
        {{.pattern = SLICE_INIT("192")}, "554 from 192.0.2.1", OUTCOME_STAGE_RCPT, false},
        {{.code = SLICE_INIT("5xx"), .pattern = SLICE_INIT("no")},
         "451 no",
         OUTCOME_STAGE_RCPT,
         false},
        {{.code = {"", 0}}, "451 no", OUTCOME_STAGE_RCPT, true},
    };
    struct pattern_matcher matcher;
    ck_assert(pattern_matcher_open(&matcher));
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct outcome o;
        char text[REPLY_TEXT_BYTES];
        struct reply_match m = match_of(rows[i].text);
        ck_assert(reply_sample_parse(slice_str(rows[i].line), rows[i].stage, &o));
        const struct reply_seen seen = {&o, slice_of(text, reply_normalise(text, o.text))};
        ck_assert_msg(reply_match_test(&m, &matcher, &seen) == rows[i].want, "row %zu: %s", i,
                      rows[i].line);
        o.remote = false;
        ck_assert(!reply_match_test(&m, &matcher, &seen));
        reply_match_deinit(&m);
    }
    pattern_matcher_close(&matcher);
}
END_TEST

START_TEST(samples_are_taken_line_by_line)
{
    struct reply_match m = match_of((struct reply_match_text){.stage = SLICE("mail final-dot")});
    struct slice samples = SLICE("\n 421 4.7.0 from 192.0.2.1\n\n250 ok\nhello\n 354 go on\n");
    struct outcome o;
    char text[REPLY_TEXT_BYTES];
    bool valid = false;
    ck_assert(reply_match_next_sample(&m, &samples, &valid, &o, text) && valid);
    ck_assert(o.code == 421 && o.stage == OUTCOME_STAGE_MAIL);
    ck_assert(slice_eq(o.text, SLICE("from <ip>")));
    for (unsigned i = 0; i < 3; i++) {
        ck_assert(reply_match_next_sample(&m, &samples, &valid, &o, text) && !valid);
    }
    ck_assert(!reply_match_next_sample(&m, &samples, &valid, &o, text));
    reply_match_deinit(&m);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {each_condition_counts, samples_are_taken_line_by_line};
    return testing_run("core/policy/reply_match", tests, ARRAY_COUNT(tests));
}
