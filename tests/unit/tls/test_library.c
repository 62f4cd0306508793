/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tls/library.h"

#include <check.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

START_TEST(version_has_numbers)
{
    unsigned dots = 0;
    const char *text = tls_library_version();
    ck_assert(isdigit((unsigned char)text[0]));
    for (const char *p = text; *p; p++) {
        dots += *p == '.';
        ck_assert_msg(isgraph((unsigned char)*p), "%s", text);
    }
    ck_assert_uint_ge(dots, 2);
    ck_assert_ptr_eq(text, tls_library_version());
}
END_TEST

/* Never claims what the processor lacks; twice the same. */
START_TEST(aes_as_the_processor_says)
{
    bool has = tls_library_has_aes_hardware();
    ck_assert(has == tls_library_has_aes_hardware());
#if defined(__x86_64__)
    ck_assert(!has || __builtin_cpu_supports("aes"));
#endif
}
END_TEST

/* One TLS library per process: two would bind each other's symbols (docs of the libraries we use). */
START_TEST(no_other_library_is_loaded)
{
    static const char *const others[] = {"libssl", "libcrypto", "libgnutls"};
    char line[4096];
    FILE *f = fopen("/proc/self/maps", "r");
    ck_assert_ptr_nonnull(f);
    while (fgets(line, sizeof(line), f)) {
        for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
            ck_assert_msg(strstr(line, others[i]) == NULL, "%s", line);
        }
    }
    fclose(f);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("tls/library");
    TCase *t = tcase_create("library");
    tcase_add_test(t, version_has_numbers);
    tcase_add_test(t, aes_as_the_processor_says);
    tcase_add_test(t, no_other_library_is_loaded);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
