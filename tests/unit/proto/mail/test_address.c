/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Address lists: what each field names. One line per address: "local@domain", "name:" before what only
 * stands in a name, "odd:" before what others might read differently.
 */
#include "proto/mail/address.h"
#include "core/base/buf.h"
#include "core/base/limits.h"

#include <check.h>
#include <stdlib.h>

#define SYNTAX MAIL_ADDRESSES_SYNTAX

static const struct row {
    const char *value;
    const char *want;
    enum mail_addresses result;
} rows[] = {
    {" joe@example.org\r\n", "joe@example.org\n", 0},
    {"joe@example.org", "joe@example.org\n", 0},
    {" <joe@example.org>\r\n", "joe@example.org\n", 0},
    {" Joe <joe@EXAMPLE.org>\r\n", "joe@EXAMPLE.org\n", 0},
    {" \"Doe, Joe <x@evil.example>\" <joe@example.org>\r\n", "joe@example.org\n", 0},
    {" \"ceo@victim.example\" <joe@example.org>\r\n", "joe@example.org\n", 0},
    {" Joe\r\n <joe@\r\n example.org>\r\n", "joe@example.org\n", 0},
    {" (c (nested) \\) x@y) joe (b) @ (c) example (d) . (e) org (f)\r\n", "joe@example.org\n", 0},
    {" j . o . e@example.org\r\n", "j.o.e@example.org\n", 0},
    {" a.b+c=d!#$%&'*-/?^_`{|}~@example.org\r\n", "a.b+c=d!#$%&'*-/?^_`{|}~@example.org\n", 0},
    {" \"joe doe\"@example.org\r\n", "\"joe doe\"@example.org\n", 0},
    {" \"joe\\\"@x\"@example.org\r\n", "\"joe\\\"@x\"@example.org\n", 0},
    {" \"a@evil.example\"@example.org\r\n", "\"a@evil.example\"@example.org\n", 0},
    {" joe@[192.0.2.1]\r\n", "joe@[192.0.2.1]\n", 0},
    {" joe@[IPv6:2001:db8::1]\r\n", "joe@[IPv6:2001:db8::1]\n", 0},
    {" j\xc3\xb6@b\xc3\xbc.example\r\n", "j\xc3\xb6@b\xc3\xbc.example\n", 0},
    {" <@relay.example,@other.example:joe@example.org>\r\n", "joe@example.org\n", 0},
    /* Encoded words are names; in an address they are odd. */
    {" =?utf-8?Q?J=C3=B6?= <joe@example.org>\r\n", "joe@example.org\n", 0},
    {" =?utf-8?b?Y2VvQHZpY3RpbS5leGFtcGxl?= <joe@example.org>\r\n", "joe@example.org\n", 0},
    {" =?utf-8?q?joe?=@example.org\r\n", "odd:=?utf-8?q?joe?=@example.org\n", 0},
    {" joe@=?utf-8?q?example?=.org\r\n", "odd:joe@=?utf-8?q?example?=.org\n", 0},
    /* Lists and groups. */
    {" a@example.org, B <b@example.com>, \r\n", "a@example.org\nb@example.com\n", 0},
    {" ,, a@example.org ,\r\n", "a@example.org\n", 0},
    {" Team: a@example.org, b@example.com; , c@example.net\r\n",
     "a@example.org\nb@example.com\nc@example.net\n", 0},
    {" \"T: x@y\": a@example.org;\r\n", "a@example.org\n", 0},
    {" undisclosed-recipients:;\r\n", "", 0},
    {"\r\n", "", 0},
    {"", "", 0},
    {" joe\r\n", "", 0},
    {" ceo, a@example.org\r\n", "a@example.org\n", 0}, /* a piece of a name */
    {" Doe, Joe <joe@example.org>\r\n", "joe@example.org\n", 0},
    /* Addresses where names belong. */
    {" joe@example.org <joe@example.org>\r\n", "name:joe@example.org\njoe@example.org\n", 0},
    {" ceo@victim.example <joe@example.org>\r\n", "name:ceo@victim.example\njoe@example.org\n", 0},
    {" the ceo@victim.example <joe@example.org>\r\n",
     "name:odd:theceo@victim.example\njoe@example.org\n", 0},
    {" ceo@victim.example (via) us <joe@example.org>\r\n",
     "name:odd:ceo@victim.example\njoe@example.org\n", 0},
    {" a@b@c <joe@example.org>\r\n", "name:odd:a@bc\njoe@example.org\n", 0},
    {" joe @ <joe@example.org>\r\n", "name:odd:joe@\njoe@example.org\n", 0},
    {" ceo@victim.example: joe@example.org;\r\n", "name:ceo@victim.example\njoe@example.org\n", 0},
    {" ceo@victim.example:;\r\n", "name:ceo@victim.example\n", 0},
    {" @victim.example: joe@example.org;\r\n", "name:odd:@victim.example\njoe@example.org\n", 0},
    /* Odd ones. */
    {" joe doe@example.org\r\n", "odd:joedoe@example.org\n", 0},
    {" joe\"x\"@example.org\r\n", "odd:joe\"x\"@example.org\n", 0},
    {" jo(c)e@example.org\r\n", "odd:joe@example.org\n", 0},
    {" jo\\e@example.org\r\n", "odd:jo\\e@example.org\n", 0},
    {" jo\001e@example.org\r\n", "odd:jo\001e@example.org\n", 0},
    {" [joe]@example.org\r\n", "odd:[joe]@example.org\n", 0},
    {" joe@exam)ple.org\r\n", "odd:joe@exam)ple.org\n", 0},
    {" joe@example.org[192.0.2.1]\r\n", "odd:joe@example.org[192.0.2.1]\n", 0},
    {" joe@[192.0.2.1].example.org\r\n", "odd:joe@[192.0.2.1].example.org\n", 0},
    {" joe@exa'mple.org\r\n", "odd:joe@exa'mple.org\n", 0},
    /* No sense. */
    {" <>\r\n", "", SYNTAX},
    {" Joe <joe>\r\n", "", SYNTAX},
    {" @example.org\r\n", "", SYNTAX},
    {" joe@\r\n", "", SYNTAX},
    {" a@b@example.org\r\n", "", SYNTAX},
    {" <a@b@example.org>\r\n", "", SYNTAX},
    {" <joe@example.org\r\n", "", SYNTAX},
    {" a@example.org, <joe@example.org\r\n", "a@example.org\n", SYNTAX},
    {" <a@example.org> <b@example.com>\r\n", "", SYNTAX},
    {" <a@example.org> b@example.com\r\n", "", SYNTAX},
    {" <a@example.org, b@example.com>\r\n", "", SYNTAX},
    {" <<a@example.org>>\r\n", "", SYNTAX},
    {" joe@example org\r\n", "", SYNTAX},
    {" joe@exam\r\n ple.org\r\n", "", SYNTAX},
    {" joe@exam(c)ple.org\r\n", "", SYNTAX},
    {" joe@example.org \"Joe\"\r\n", "", SYNTAX},
    {" \"open <joe@example.org>\r\n", "", SYNTAX},
    {" (open <joe@example.org>\r\n", "", SYNTAX},
    {" joe@[open\r\n", "", SYNTAX},
    {" <@relay.example joe@example.org>\r\n", "", SYNTAX},
};

static bool take(void *ctx, const struct mail_address *a)
{
    struct buf *out = ctx;
    ck_assert_ptr_eq(a->text.ptr, a->local.ptr);
    ck_assert_uint_eq(a->text.len, a->local.len + 1 + a->domain.len);
    ck_assert_int_eq(a->text.ptr[a->local.len], '@');
    buf_add(out, a->in_name ? SLICE("name:") : SLICE(""));
    buf_add(out, a->odd ? SLICE("odd:") : SLICE(""));
    buf_add(out, a->text);
    buf_add_byte(out, '\n');
    return true;
}

START_TEST(table)
{
    const struct row *row = &rows[_i];
    struct buf out;
    buf_init(&out, 65536);
    const struct mail_address_sink to = {take, &out};
    enum mail_addresses result = mail_addresses_each(slice_str(row->value), &to);
    ck_assert_msg(result == row->result, "%s: %d", row->value, (int)result);
    ck_assert_msg(slice_eq(buf_slice(&out), slice_str(row->want)), "%s: %.*s", row->value,
                  SLICE_ARG(buf_slice(&out)));
    buf_deinit(&out);
}
END_TEST

/* Every beginning of every row ends, and reads nothing behind itself (ASan). */
START_TEST(cut_anywhere)
{
    size_t len = strlen(rows[_i].value);
    for (size_t n = 0; n <= len; n++) {
        struct buf out;
        buf_init(&out, 65536);
        const struct mail_address_sink to = {take, &out};
        char *copy = malloc(n ? n : 1);
        memcpy(copy, rows[_i].value, n);
        (void)mail_addresses_each(slice_of(copy, n), &to);
        free(copy);
        buf_deinit(&out);
    }
}
END_TEST

static bool take_none(void *ctx, const struct mail_address *a)
{
    (void)a;
    ++*(unsigned *)ctx;
    return false;
}

START_TEST(the_sink_may_stop)
{
    static const char *const values[] = {"a@b.c, d@e.f", "a@b.c <d@e.f>, \"", "a@b.c: d@e.f;",
                                         "a@b.c"};
    for (size_t i = 0; i < ARRAY_COUNT(values); i++) {
        unsigned calls = 0;
        const struct mail_address_sink to = {take_none, &calls};
        ck_assert_int_eq((int)mail_addresses_each(slice_str(values[i]), &to),
                         MAIL_ADDRESSES_STOPPED);
        ck_assert_uint_eq(calls, 1);
    }
}
END_TEST

/* At the limits and beyond: a long local part is cut and odd, a long domain is no address. */
START_TEST(long_parts)
{
    for (size_t local = LIMIT_ADDRESS_BYTES - 1; local <= LIMIT_ADDRESS_BYTES + 1; local++) {
        for (size_t domain = LIMIT_DOMAIN_BYTES - 1; domain <= LIMIT_DOMAIN_BYTES + 1; domain++) {
            struct buf text, out;
            buf_init(&text, 2048);
            buf_init(&out, 2048);
            const struct mail_address_sink to = {take, &out};
            for (size_t i = 0; i < local; i++) {
                buf_add_byte(&text, 'l');
            }
            buf_add_byte(&text, '@');
            for (size_t i = 0; i < domain; i++) {
                buf_add_byte(&text, 'd');
            }
            bool fits = domain <= LIMIT_DOMAIN_BYTES, odd = local > LIMIT_ADDRESS_BYTES;
            ck_assert_int_eq((int)mail_addresses_each(buf_slice(&text), &to),
                             fits ? MAIL_ADDRESSES_READ : MAIL_ADDRESSES_SYNTAX);
            ck_assert_uint_eq(out.len, !fits ? 0 : odd ? 4 + 1 + domain + 1 : local + domain + 2);
            buf_deinit(&text);
            buf_deinit(&out);
        }
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("mail/address");
    TCase *t = tcase_create("address");
    tcase_add_loop_test(t, table, 0, (int)ARRAY_COUNT(rows));
    tcase_add_loop_test(t, cut_anywhere, 0, (int)ARRAY_COUNT(rows));
    tcase_add_test(t, the_sink_may_stop);
    tcase_add_test(t, long_parts);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
