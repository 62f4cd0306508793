/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Rules of `automation:` as files say them: fields, merging of files, unset, and every error with its place.
 */
#include "core/conf/automation.h"
#include "tests/unit/core/conf/conf_testing.h"

static struct loaded load_files(const char *main_text, const char *first, const char *second)
{
    if (first) {
        ck_assert_int_eq(mkdir("automation.d", 0700), 0);
        file_write("automation.d/10.yaml", first, slice_str(first).len);
    }
    if (second) {
        file_write("automation.d/20.yaml", second, slice_str(second).len);
    }
    return load_text(main_text);
}

struct merge_case {
    const char *about;
    const char *files[3]; /* t.yaml, automation.d/10.yaml, automation.d/20.yaml */
    const char *rules;
};

static const struct merge_case merge_cases[] = {
    {"nothing", {"automation:\n  builtin: false\n"}, ""},
    {"empty groups say nothing", {"automation:\n  rules:\n  classify: ~\n"}, ""},
    {"every field",
     {"automation:\n  rules:\n"
      "    mine: {provider: google, class: [rate-limited, policy], code: 4xx, enhanced: 4.7.x,\n"
      "      stage: [mail, rcpt], pattern: 'a \"b\"', sample: ['421 a', '450 b'], scope: source@site,\n"
      "      trigger: 3/10m, action: rate, value: 50%, duration: 30m, step: 10%, every: 5m}\n"},
     "  rules:\n"
     "    \"mine\": {provider: \"google\", class: \"rate-limited policy\", code: \"4xx\", "
     "enhanced: \"4.7.x\", stage: \"mail rcpt\", pattern: \"a \\\"b\\\"\", "
     "sample: \"421 a\\u000a450 b\", scope: \"source@site\", trigger: \"3/10m\", "
     "action: \"rate\", value: \"50%\", duration: \"30m\", step: \"10%\", every: \"5m\"}\n"},
    {"numbers are texts; one word is no list",
     {"automation: {rules: {r: {code: 421, class: policy, value: 2}}}\n"},
     "  rules:\n    \"r\": {class: \"policy\", code: \"421\", value: \"2\"}\n"},
    {"a later file replaces a rule as a whole",
     {"automation: {rules: {a: {code: 421, pattern: x}, b: {code: 422}}}\n",
      "rules: {a: {code: 450}}\n", "automation: {rules: {c: {code: 451}}}\n"},
     "  rules:\n    \"a\": {code: \"450\"}\n    \"b\": {code: \"422\"}\n    \"c\": {code: \"451\"}\n"},
    {"unset, quoted or not",
     {"automation: {rules: {a: unset, b: \"unset\"}}\n"},
     "  rules:\n    \"a\": unset\n    \"b\": unset\n"},
    {"a rule of nothing but comments says nothing",
     {"automation:\n  rules:\n    a:\n    b: {code: 421}\n"},
     "  rules:\n    \"b\": {code: \"421\"}\n"},
    {"rows of classify follow each other",
     {"automation: {classify: [{class: policy, code: 450, sample: 450 a}]}\n",
      "classify: [{class: virus, code: 451, sample: 451 a}]\n"},
     "  classify:\n    - {class: \"policy\", code: \"450\", sample: \"450 a\"}\n"
     "    - {class: \"virus\", code: \"451\", sample: \"451 a\"}\n"},
};

START_TEST(files_are_merged)
{
    const struct merge_case *c = &merge_cases[_i];
    struct buf out;
    folder_enter();
    struct loaded l = load_files(c->files[0], c->files[1], c->files[2]);
    ck_assert_msg(l.conf != NULL, "%s: %.*s", c->about, SLICE_ARG(buf_slice(&l.errors)));
    buf_init(&out, 1 << 20);
    conf_automation_print(l.conf->automation.rules, &out);
    buf_expect(&out, c->rules);
    buf_deinit(&out);
    unload(&l);
    folder_leave();
}
END_TEST

START_TEST(what_is_printed_is_read_again)
{
    folder_enter();
    struct loaded l = load_text(merge_cases[2].files[0]);
    struct buf whole, out;
    buf_init(&whole, 1 << 20);
    buf_init(&out, 1 << 20);
    conf_print_yaml(l.conf, &whole);
    buf_add_byte(&whole, '\0');
    struct loaded again = load_text(whole.ptr);
    ck_assert_msg(again.conf != NULL, "%.*s", SLICE_ARG(buf_slice(&again.errors)));
    conf_automation_print(again.conf->automation.rules, &out);
    buf_expect(&out, merge_cases[2].rules);
    buf_deinit(&whole);
    buf_deinit(&out);
    unload(&l);
    unload(&again);
    folder_leave();
}
END_TEST

static const struct {
    const char *text;
    const char *error;
} errors[] = {
    {"automation: 5\n", "t.yaml:1:13: automation: must be a group"},
    {"automation: {rules: [a]}\n", "automation.rules: is a list, must be a group of rules by name"},
    {"automation: {classify: {a: b}}\n", "automation.classify: is a group, must be a list of rows"},
    {"automation:\n  rules:\n    r: 5\n",
     "t.yaml:3:8: automation.rules.r: is a single value, must be a group of fields, or unset"},
    {"automation:\n  rules:\n    r: {patern: x}\n",
     "t.yaml:3:9: automation.rules.r.patern: unknown key; did you mean pattern?"},
    {"automation:\n  classify:\n    - {duration: 5m}\n",
     "automation.classify[0].duration: unknown key; known here: class, code"},
    {"automation: {ruls: {}}\n", "automation.ruls: unknown key; did you mean rules?"},
    {"automation: {rules: {r: {code: [421]}}}\n",
     "automation.rules.r.code: is a list, must be a text"},
    {"automation: {rules: {r: {class: [{}]}}}\n", "automation.rules.r.class: is a group, must be"},
    {"automation: {classify: [5]}\n", "automation.classify[0]: is a single value, must be a group"},
    {"automation: {builtin: maybe}\n", "automation.builtin"},
};

START_TEST(errors_name_the_place)
{
    folder_enter();
    struct loaded l = load_text(errors[_i].text);
    ck_assert_ptr_null(l.conf);
    buf_add_byte(&l.errors, '\0');
    ck_assert_msg(strstr(l.errors.ptr, errors[_i].error) != NULL, "%s", l.errors.ptr);
    unload(&l);
    folder_leave();
}
END_TEST

START_TEST(a_file_of_the_folder_holds_nothing_else)
{
    folder_enter();
    struct loaded l = load_files("workers: 1\n", "automation: {}\nworkers: 2\n", NULL);
    ck_assert_ptr_null(l.conf);
    buf_add_byte(&l.errors, '\0');
    ck_assert_ptr_nonnull(
        strstr(l.errors.ptr, "automation.d/10.yaml:1:13: automation: in automation.d"));
    unload(&l);
    folder_leave();
}
END_TEST

START_TEST(a_rule_that_a_file_takes_back_is_known_as_one)
{
    folder_enter();
    struct loaded l = load_files("automation: {rules: {a: {code: 421}}}\n", "rules: {a: unset}\n",
                                 NULL);
    const struct conf_automation *rules = l.conf->automation.rules;
    ck_assert_uint_eq(rules->rule_count, 1);
    ck_assert(rules->rules[0].unset && rules->rules[0].unsets);
    ck_assert(slice_eq(rules->rules[0].at.name, SLICE("automation.d/10.yaml")));
    unload(&l);
    folder_leave();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("core/conf/automation");
    TCase *t = tcase_create("automation");
    tcase_add_loop_test(t, files_are_merged, 0,
                        (int)(sizeof(merge_cases) / sizeof(merge_cases[0])));
    tcase_add_loop_test(t, errors_name_the_place, 0, (int)(sizeof(errors) / sizeof(errors[0])));
    tcase_add_test(t, what_is_printed_is_read_again);
    tcase_add_test(t, a_file_of_the_folder_holds_nothing_else);
    tcase_add_test(t, a_rule_that_a_file_takes_back_is_known_as_one);
    suite_add_tcase(s, t);
    return suite_run(s);
}
