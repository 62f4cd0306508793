/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * As test_reclaim.c, with another number of workers at each start.
 */
#include "tests/unit/spool/fake_io.c"
#include "tests/unit/spool/model.c"
#include "tests/unit/spool/script.h"

static const struct script changing = {{1, 3, 2, 3}, 4, 220};

START_TEST(crash_steps)
{
    script_crash_steps(&changing, 4);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("spool reclaim, changing workers");
    TCase *t = tcase_create("reclaim");
    tcase_set_timeout(t, 100);
    tcase_add_test(t, crash_steps);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
