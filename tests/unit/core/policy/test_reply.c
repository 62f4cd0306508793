/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/policy/reply.h"
#include "core/base/rng.h"
#include "tests/unit/core/base/testing.h"

static struct slice normal(char dst[REPLY_TEXT_BYTES], const char *text)
{
    return slice_of(dst, reply_normalise(dst, slice_str(text)));
}

static void same(const char *in, const char *want)
{
    char dst[REPLY_TEXT_BYTES];
    struct slice got = normal(dst, in);
    ck_assert_msg(slice_eq(got, slice_str(want)), "%s\n  gives: %.*s\n  not:   %s", in,
                  SLICE_ARG(got), want);
    struct slice again = normal(dst, want);
    ck_assert_msg(slice_eq(again, slice_str(want)), "not stable: %s", want);
}

/* In the style of the large providers. */
START_TEST(variable_parts_are_replaced)
{
    static const char *const rows[][2] = {
        {"[192.0.2.1      15] Our system has detected that this message is\n4.7.0 suspicious due to "
         "the very low reputation of the sending IP address.\n4.7.0 "
         "https://support.google.com/mail/answer/188131 d2e1a72fcca58-6e6f1a2b3c4si123456b3a.123 - "
         "gsmtp",
         "[<ip> <n>] Our system has detected that this message is suspicious due to the very low "
         "reputation of the sending IP address. https://support.google.com/mail/answer/188131 "
         "<id>.<n> - gsmtp"},
        {"The email account that you tried to reach does not exist. "
         "https://support.google.com/mail/?p=NoSuchUser "
         "5-20020a170902c10500b001a1b2c3d4esi1234567edb.354 - gsmtp",
         "The email account that you tried to reach does not exist. "
         "https://support.google.com/mail/?p=NoSuchUser <id>.<n> - gsmtp"},
        {"[TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user "
         "complaints - 4.16.55.1; see https://postmaster.yahooinc.com/error-codes",
         "[TSS04] Messages from <ip> temporarily deferred due to unexpected volume or user "
         "complaints - <ip>; see https://postmaster.yahooinc.com/error-codes"},
        {"block list (S3140). http://mail.live.com/mail/troubleshooting.aspx#errors. "
         "[AM6EUR05FT058.eop-eur05.prod.protection.outlook.com 2024-03-12T10:11:12.345Z "
         "08DC3FA12B8E13A2]",
         "block list (S3140). http://mail.live.com/mail/troubleshooting.aspx#errors. "
         "[*.*.prod.protection.outlook.com <time> <id>]"},
        {"RP-001 it exceeded the maximum number of connections. (IB007)",
         "RP-001 it exceeded the maximum number of connections. (IB007)"},
        {"<bob@example.com>: Recipient address rejected: Greylisted (in 287 seconds)",
         "<address>: Recipient address rejected: Greylisted (in <n> seconds)"},
        {"<bob+news=x@mail.example.com>... User unknown", "<address>... User unknown"},
        {"for bob@example.com.", "for <address>."},
        {"Sorry, no mailbox here by that name. (#5.1.1)", "Sorry, no mailbox here by that name."},
        {"550-5.1.1 no such user 550 5.1.1 really", "no such user really"},
        {"Message-ID <2024.abc-def@mail.example.com> id 550e8400-e29b-41d4-a716-446655440000",
         "Message-ID <address> id <id>"},
        {"queued as 4A1B2C3D4E, ours 1HV5K0Q4T8ZC3", "queued as <id>, ours <id>"},
        {"client [2001:db8::1] and 2001:db8::1: blocked; 1.2.0.192.zen.spamhaus.org",
         "client [<ip>] and <ip>: blocked; <ip>.zen.spamhaus.org"},
        {"IPv6:2001:DB8:0:0:8:800:200C:417A seen, ::1 too", "IPv6:<ip> seen, <ip> too"},
        {"RL000010 AUP#1310 throttled imp-12.comcast.net",
         "RL000010 AUP#1310 throttled *.comcast.net"},
        {"DT:SPM 163 mx14,QMCowAB3fkYg2bRlQXkEAA--.5432S2 1711098400,see "
         "http://mail.163.com/help/help_spam_16.htm?ip=192.0.2.1&hostid=mx14&time=1711098400",
         "DT:SPM <n> mx14,<id>--.<id> <n>,see "
         "http://mail.163.com/help/help_spam_16.htm?ip=<ip>&hostid=mx14&time=<n>"},
        {"retry in 300s, 5min or 00:04:59; limit 10MB",
         "retry in <n>s, <n>min or <n>:<n>:<n>; limit <n>MB"},
        {"mta1017.biz.mail.gq1.yahoo.com", "*.biz.mail.*.yahoo.com"},
        {"\\xE6\\x82\\xA8 Mail content denied.", "\\xE6\\x82\\xA8 Mail content denied."},
        {"", ""},
        {" \r\n\t ", ""},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        same(rows[i][0], rows[i][1]);
    }
}
END_TEST

START_TEST(what_looks_alike_stays)
{
    static const char *const rows[] = {
        "version a:b::", /* no address of any kind */
        "not an enhanced code: x4.y7.0y",
        "user@ and @host and @",
        "rfc5321 SMTPUTF8 S3140 BS02 HCM1 E2110",
        "UnsolicitedMessageError deadbeef",
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        same(rows[i], rows[i]);
    }
    same("1.2.3.4567", "<n>.<n>.<n>.<n>");
    same("999.1.2.3", "<n>.<n>.<n>.<n>");
    same("a:4.7.0:b", "a:<n>.<n>.<n>:b"); /* taken out, it would leave an address behind */
}
END_TEST

START_TEST(a_long_text_is_cut_between_words_and_stays)
{
    char in[REPLY_TEXT_BYTES + 1];
    char out[REPLY_TEXT_BYTES];
    for (size_t i = 0; i + 4 <= REPLY_TEXT_BYTES; i += 4) {
        memcpy(in + i, "a@b ", 4); /* each becomes nine bytes and a blank */
    }
    in[REPLY_TEXT_BYTES] = '\0';
    struct slice got = normal(out, in);
    ck_assert_uint_eq(got.len, 51 * 10 - 1);
    ck_assert(slice_ends_nocase(got, SLICE(" <address>")));
    char again[REPLY_TEXT_BYTES];
    ck_assert_uint_eq(reply_normalise(again, got), got.len);
    memset(in, 'x', sizeof(in) - 1);
    ck_assert_uint_eq(normal(out, in).len, REPLY_TEXT_BYTES);
}
END_TEST

START_TEST(anything_is_a_fixed_point)
{
    static const char alphabet[] = "4a.7@:0-<>[] 5#(1)/x,_*g\n";
    struct rng rng;
    rng_init_seed(&rng, 11);
    for (unsigned n = 0; n < 200000; n++) {
        char in[40];
        char once[REPLY_TEXT_BYTES];
        char twice[REPLY_TEXT_BYTES];
        size_t len = rng_below(&rng, sizeof(in));
        for (size_t i = 0; i < len; i++) {
            in[i] = alphabet[rng_below(&rng, sizeof(alphabet) - 1)];
        }
        size_t a = reply_normalise(once, slice_of(in, len));
        size_t b = reply_normalise(twice, slice_of(once, a));
        if (a != b || memcmp(once, twice, a) != 0) {
            ck_abort_msg("<%.*s> gives <%.*s>, then <%.*s>", (int)len, in, (int)a, once, (int)b,
                         twice);
        }
    }
}
END_TEST

/* What the fuzzer found: a part that is replaced must not decide about the part before it. */
START_TEST(neighbours_do_not_change_each_other)
{
    same(":::b.0:b", ":<ip>.<n>:b");
    same("::x@7", "::<address>");
    same("mx1.biz.yahoo.com1.b.58-6e6f1a2b3c4si123", "*.biz.yahoo.com1.b.<id>");
    same("DDDDDDDDDDDDDDDDDDDDDDDD.gq1.yahoo.com", "*.*.yahoo.com");
    same("x1.y2.z3..DDDDDDDDDDDDDDDDDDDDDDDD", "x1.y2.z3..<id>");
    same("04.Magg.abc-.0", "04.Magg.abc-.<n>");
}
END_TEST

START_TEST(samples_are_replies)
{
    struct outcome o;
    ck_assert(reply_sample_parse(SLICE("421 4.7.0 Try later"), OUTCOME_STAGE_BANNER, &o));
    ck_assert(o.remote && o.kind == OUTCOME_TEMPORARY && o.code == 421);
    ck_assert(o.stage == OUTCOME_STAGE_BANNER);
    ck_assert(o.enhanced.cls == 4 && o.enhanced.subject == 7 && o.enhanced.detail == 0);
    ck_assert(slice_eq(o.text, SLICE("Try later")));
    ck_assert(reply_sample_parse(SLICE(" 550-no"), OUTCOME_STAGE_RCPT, &o));
    ck_assert(o.kind == OUTCOME_PERMANENT && o.enhanced.cls == 5 && o.enhanced.subject == 0);
    ck_assert(reply_sample_parse(SLICE("554"), OUTCOME_STAGE_RCPT, &o) && o.text.len == 0);
    ck_assert(reply_sample_parse(SLICE("450 5.1.1 x"), OUTCOME_STAGE_RCPT, &o));
    ck_assert(o.enhanced.cls == 4 && slice_eq(o.text, SLICE("5.1.1 x"))); /* RFC 2034 4 */
    static const char *const wrong[] = {"",      "55",     "no",   "100 x",
                                        "600 x", "5500 x", "550x", "55a x"};
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        ck_assert_msg(!reply_sample_parse(slice_str(wrong[i]), OUTCOME_STAGE_RCPT, &o), "%s",
                      wrong[i]);
    }
}
END_TEST

int main(void)
{
    const TTest *tests[] = {variable_parts_are_replaced,
                            what_looks_alike_stays,
                            a_long_text_is_cut_between_words_and_stays,
                            anything_is_a_fixed_point,
                            neighbours_do_not_change_each_other,
                            samples_are_replies};
    return testing_run("core/policy/reply", tests, ARRAY_COUNT(tests));
}
