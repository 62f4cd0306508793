/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/policy/pattern.h"
#include "tests/unit/core/base/testing.h"

static struct pattern *compile(const char *text)
{
    char error[PATTERN_ERROR_BYTES];
    struct pattern *p = pattern_compile(slice_str(text), error);
    ck_assert_msg(p != NULL, "%s: %s", text, error);
    return p;
}

START_TEST(it_matches_anywhere_in_any_case)
{
    struct pattern_matcher m;
    ck_assert(pattern_matcher_open(&m));
    struct pattern *p = compile("too (many|much)");
    ck_assert(pattern_matches(p, &m, SLICE("that is TOO MANY of them")));
    ck_assert(!pattern_matches(p, &m, SLICE("not enough")));
    ck_assert(!pattern_matches(p, &m, SLICE("")));
    ck_assert(!pattern_matches(p, &m, slice_first(SLICE("too many"), 7))); /* no NUL needed */
    ck_assert_uint_eq(m.tried, 4);
    ck_assert_uint_eq(m.exceeded, 0);
    pattern_free(p);
    pattern_matcher_close(&m);
}
END_TEST

START_TEST(what_is_wrong_is_said_with_its_place)
{
    char error[PATTERN_ERROR_BYTES];
    char text[PATTERN_BYTES_MAX + 1];
    ck_assert_ptr_null(pattern_compile(SLICE("a(b"), error));
    ck_assert_ptr_nonnull(strstr(error, "parenthesis"));
    ck_assert_ptr_nonnull(strstr(error, "at its character 4"));
    ck_assert_ptr_null(pattern_compile(SLICE(""), error));
    memset(text, 'a', sizeof(text));
    ck_assert_ptr_null(pattern_compile(slice_of(text, sizeof(text)), error));
    ck_assert_ptr_nonnull(strstr(error, "1 to 1024"));
    ck_assert_ptr_null(pattern_compile(SLICE("(*UTF)a"), error)); /* nobody checks the subjects */
    ck_assert_ptr_null(pattern_compile(SLICE("((a{999}){999}){999}"), error));
}
END_TEST

START_TEST(a_pattern_that_runs_away_does_not_match_and_is_counted)
{
    static const char *const wild[] = {"(a+)+$", "(a|aa)+$", "^(([a-z])+.)+[A-Z]([a-z])+$",
                                       "(?:a(?R)?b|a)+c"};
    char subject[512];
    memset(subject, 'a', sizeof(subject) - 1);
    subject[sizeof(subject) - 1] = '!';
    for (size_t i = 0; i < ARRAY_COUNT(wild); i++) {
        struct pattern_matcher m;
        ck_assert(pattern_matcher_open(&m));
        struct pattern *p = compile(wild[i]);
        ck_assert_msg(!pattern_matches(p, &m, slice_of(subject, sizeof(subject))), "%s", wild[i]);
        if (i < 3) {
            ck_assert_msg(m.exceeded == 1, "%s", wild[i]);
        }
        pattern_free(p);
        pattern_matcher_close(&m);
    }
}
END_TEST

int main(void)
{
    const TTest *tests[] = {it_matches_anywhere_in_any_case, what_is_wrong_is_said_with_its_place,
                            a_pattern_that_runs_away_does_not_match_and_is_counted};
    return testing_run("core/policy/pattern", tests, ARRAY_COUNT(tests));
}
