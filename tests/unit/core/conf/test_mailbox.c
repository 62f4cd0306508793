/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The pattern of local.maildir: which are taken, where the base ends, what its names are made of.
 */
#include "core/conf/mailbox.h"
#include "tests/unit/core/base/testing.h"

START_TEST(valid)
{
    static const struct {
        const char *pattern, *base;
        bool per_user;
    } rows[] = {
        {"/var/mail/{domain}/{local}", "/var/mail", true},
        {"/var/mail/{domain}/{local}/", "/var/mail", true},
        {"/var//mail///{local}", "/var//mail", true},
        {"/home/{local}/Maildir", "/home", true},
        {"/srv/x-{local}@{domain}.d", "/srv", true},
        {"/srv/{local}{domain}", "/srv", true},
        {"/var/mail/all", "/var/mail", false},
        {"/var/mail/all/", "/var/mail", false},
        {"/var/mail/.all", "/var/mail", false},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct slice pattern = slice_str(rows[i].pattern), rest, name;
        const char *why = NULL;
        ck_assert_msg(mailbox_pattern_valid(pattern, &why), "%s: %s", rows[i].pattern, why);
        ck_assert_int_eq(mailbox_pattern_is_per_user(pattern), rows[i].per_user);
        struct slice base = mailbox_pattern_base(pattern, &rest);
        ck_assert_msg(slice_eq(base, slice_str(rows[i].base)), "%s: base %.*s", rows[i].pattern,
                      SLICE_ARG(base));
        ck_assert(mailbox_pattern_name(&rest, &name));
        ck_assert(name.ptr > base.ptr + base.len);
    }
}
END_TEST

START_TEST(invalid)
{
    static const char long_name[] = "/base/"
                                    "0123456789012345678901234567890123456789"
                                    "0123456789012345678901234567890123456789"
                                    "0123456789012345678901234567890123456789"
                                    "0123456789012345678901234567890123456789"
                                    "01234567890123456789012345678901234567890";
    static const struct {
        const char *pattern, *why;
    } rows[] = {
        {"", "must begin"},
        {"mail/{local}", "must begin"},
        {"/", "needs a folder"},
        {"///", "needs a folder"},
        {"/all", "needs a folder"},
        {"/{local}", "needs a folder"},
        {"/{domain}/x/{local}", "needs a folder"},
        {"/var/../{local}", "`..`"},
        {"/var/./all", "`.`"},
        {"/var/mail/{user}", "placeholders"},
        {"/var/mail/{Local}", "placeholders"},
        {"/var/mail/{local", "placeholders"},
        {"/var/mail/local}", "placeholders"},
        {"/var/mail/{}", "placeholders"},
        {"/var/mail/{{local}}", "placeholders"},
        {long_name, "more than 200"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        const char *why = "";
        ck_assert_msg(!mailbox_pattern_valid(slice_str(rows[i].pattern), &why), "%s",
                      rows[i].pattern);
        ck_assert_msg(strstr(why, rows[i].why) != NULL, "%s: %s", rows[i].pattern, why);
    }
}
END_TEST

START_TEST(pieces)
{
    struct slice name = SLICE("a{local}b{domain}{local}"), text;
    ck_assert_int_eq(mailbox_name_piece(&name, &text), MAILBOX_TEXT);
    ck_assert(slice_eq(text, SLICE("a")));
    ck_assert_int_eq(mailbox_name_piece(&name, &text), MAILBOX_LOCAL);
    ck_assert_int_eq(mailbox_name_piece(&name, &text), MAILBOX_TEXT);
    ck_assert(slice_eq(text, SLICE("b")));
    ck_assert_int_eq(mailbox_name_piece(&name, &text), MAILBOX_DOMAIN);
    ck_assert_int_eq(mailbox_name_piece(&name, &text), MAILBOX_LOCAL);
    ck_assert_int_eq(mailbox_name_piece(&name, &text), MAILBOX_END);
    ck_assert_int_eq(mailbox_name_piece(&name, &text), MAILBOX_END);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {valid, invalid, pieces};
    return testing_run("core/conf/mailbox", tests, ARRAY_COUNT(tests));
}
