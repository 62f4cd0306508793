/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/policy/automation_print.h"
#include "tests/unit/core/base/testing.h"

START_TEST(the_document_is_what_is_built_in)
{
    struct buf made;
    buf_init(&made, 1024 * 1024);
    automation_print(&made);
    ck_assert_uint_gt(made.len, 0);
    FILE *f = fopen("docs/AUTOMATION_RULES.md", "r");
    ck_assert_msg(f != NULL, "docs/AUTOMATION_RULES.md is missing");
    char *text = calloc(1, made.len + 2);
    size_t n = fread(text, 1, made.len + 1, f);
    fclose(f);
    ck_assert_msg(n == made.len && memcmp(text, made.ptr, n) == 0,
                  "docs/AUTOMATION_RULES.md differs: ringpost config --automation > "
                  "docs/AUTOMATION_RULES.md");
    free(text);
    buf_deinit(&made);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {the_document_is_what_is_built_in};
    return testing_run("core/policy/automation_print", tests, ARRAY_COUNT(tests));
}
