/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Profile 000, as far as it is a matter of configuration; the numbers are those of the inventory of
 * the original's behaviour (000-01 …). tests/e2e/test_profile_000.py has the rest.
 */
#include "tests/unit/core/conf/profile_testing.h"

#define USER "SMTP_USERNAME=me", "SMTP_PASSWORD=secret", "MYHOSTNAME=mta.example.org"

static const struct effect effects[] = {
    {"000-01 listener",
     {{USER}},
     {{"listeners[0].address", "\"0.0.0.0\""},
      {"listeners[0].port", "587"},
      {"listeners[0].mode", "relay"},
      {"delivery.ipv6", "false"}},
     NULL},
    {"000-02 TLS first",
     {{USER}},
     {{"listeners[0].tls", "encrypt"}, {"auth.require_tls", "true"}},
     NULL},
    {"000-03 EHLO",
     {{USER}},
     {{"smtp.vrfy", "false"},
      {"smtp.auth_equals", "true"},
      {"smtp.pipelining", "true"},
      {"smtp.chunking", "true"},
      {"smtp.dsn", "true"},
      {"smtp.smtputf8", "true"}},
     NULL},
    {"000-04 the user",
     {{USER}},
     {{"users[0].name", "\"me\""},
      {"users[0].password", "\"(redacted)\""},
      {"users[0].allowed_from", "[]"}},
     NULL},
    {"000-05 mechanisms", {{USER}}, {{"auth.cram_md5", "true"}, {"auth.failures_max", "0"}}, NULL},
    {"000-06 relay rule",
     {{USER}},
     {{"listeners[0].access", "auth"},
      {"listeners[0].reject_at", "rcpt"},
      {"access.local_domains", "[]"},
      {"sender.restrict", "none"}},
     NULL},
    {"000-07 no relay", {{USER}}, {{"relay.host", "[]"}, {"relay.lookup", "mx"}}, NULL},
    {"000-07 RELAYHOST",
     {{USER, "RELAYHOST=[smtp.test-server.com]:1025"}},
     {{"relay.host", "[\"[smtp.test-server.com]:1025\"]"}},
     NULL},
    {"000-07 without brackets",
     {{USER, "RELAYHOST=relay.example.org:2525"}},
     {{"relay.host", "[\"relay.example.org:2525\"]"}, {"relay.lookup", "mx"}},
     NULL},
    {"000-07 port in brackets",
     {{USER, "RELAYHOST=[mailhog:1025]"}},
     {{"relay.host", "[\"[mailhog]:1025\"]"}},
     NULL},
    {"000-07 several",
     {{USER, "RELAYHOST=[a.example]:25, b.example  [192.0.2.1]:2525,[2001:db8::1]"}},
     {{"relay.host",
       "[\"[a.example]:25\", \"b.example\", \"[192.0.2.1]:2525\", \"[2001:db8::1]\"]"}},
     NULL},
    {"000-07 service",
     {{USER, "RELAYHOST=[a.example]:submission"}},
     {{"relay.host", "[\"[a.example]:587\"]"}},
     NULL},
    {"000-07 container",
     {{USER, "RELAYHOST=[project_mail_1]:25"}},
     {{"relay.host", "[\"[project_mail_1]:25\"]"}},
     NULL},
    {"000-07 new name",
     {{USER, "SMTP_RELAY_HOST=new.example", "RELAYHOST=old.example"}},
     {{"relay.host", "[\"new.example\"]"}},
     NULL},
    {"000-08 login",
     {{USER, "RELAYHOST=[a.example]", "SMTP_RELAY_USERNAME=u", "SMTP_RELAY_PASSWORD=p"}},
     {{"relay.username", "\"u\""},
      {"relay.password", "\"(redacted)\""},
      {"relay.auth_without_tls", "true"}},
     "SMTP_RELAY_PASSWORD: may be sent without TLS, as the original does; "
     "RINGPOST_RELAY_TLS=encrypt forbids it"},
    {"000-08 forbidden in clear",
     {{USER, "RELAYHOST=[a.example]", "SMTP_RELAY_USERNAME=u", "SMTP_RELAY_PASSWORD=p",
       "RINGPOST_RELAY_TLS=encrypt"}},
     {{"relay.username", "\"u\""}, {"relay.tls", "encrypt"}},
     NULL},
    {"000-08 user only",
     {{USER, "RELAYHOST=[a.example]", "SMTP_RELAY_USERNAME=u"}},
     {{"relay.username", "\"\""}, {"relay.password", "\"\""}},
     "SMTP_RELAY_USERNAME or SMTP_RELAY_PASSWORD provided without the other. Relay authentication "
     "disabled."},
    {"000-08 password only",
     {{USER, "SMTP_RELAY_HOST=[a.example]", "SMTP_RELAY_PASSWORD=p"}},
     {{"relay.username", "\"\""}, {"relay.password", "\"\""}},
     "SMTP_RELAY_USERNAME or SMTP_RELAY_PASSWORD provided without the other. Relay authentication "
     "disabled."},
    {"000-08 without a relay",
     {{USER, "SMTP_RELAY_USERNAME=u", "SMTP_RELAY_PASSWORD=p"}},
     {{"relay.username", "\"\""}},
     NULL},
    {"000-08 empty",
     {{USER, "RELAYHOST=", "SMTP_RELAY_USERNAME=", "SMTP_RELAY_PASSWORD="}},
     {{"relay.host", "[]"}, {"relay.username", "\"\""}},
     NULL},
    {"000-09 name",
     {{USER}},
     {{"identity.hostname", "\"mta.example.org\""}, {"delivery.helo_name", "\"mta.example.org\""}},
     NULL},
    {"000-10 defaults",
     {{USER}},
     {{"tls.cert_file", "[\"$ROOT/etc/ssl/certs/ssl-cert-snakeoil.pem\"]"},
      {"tls.key_file", "[\"$ROOT/etc/ssl/private/ssl-cert-snakeoil.key\"]"},
      {"tls.on_missing", "fail"}},
     NULL},
    {"000-10 own",
     {{USER, "TLS_CERT_PATH=/tls/a,b.crt", "TLS_KEY_PATH=/tls/a,b.key"}},
     {{"tls.cert_file", "[\"$ROOT/tls/a,b.crt\"]"}, {"tls.key_file", "[\"$ROOT/tls/a,b.key\"]"}},
     NULL},
    {"000-11 default", {{USER}}, {{"limits.message_size", "10000KiB"}}, NULL},
    {"000-11 bytes",
     {{USER, "MESSAGE_SIZE_LIMIT=204800"}},
     {{"limits.message_size", "200KiB"}},
     NULL},
    {"000-11 no limit", {{USER, "MESSAGE_SIZE_LIMIT=0"}}, {{"limits.message_size", "1GiB"}}, NULL},
    {"000-11 too much",
     {{USER, "MESSAGE_SIZE_LIMIT=99999999999"}},
     {{"limits.message_size", "1GiB"}},
     "MESSAGE_SIZE_LIMIT: is more than Ringpost takes; the most it takes is used"},
    {"000-11 new name",
     {{USER, "MAX_OUTGOING_EMAIL_SIZE=1048576"}},
     {{"limits.message_size", "1MiB"}},
     NULL},
    {"000-12 transparency",
     {{USER}},
     {{"headers.received", "none"},
      {"headers.strip", "[\"Received\"]"},
      {"headers.add_missing", "false"},
      {"limits.line_length_action", "pass"}},
     NULL},
    {"000-13 queue",
     {{USER}},
     {{"queue.schedule", "[5m, 5m, 10m, 20m, 40m, 1h6m40s]"},
      {"queue.max_age", "5d"},
      {"queue.jitter", "0"},
      {"delivery.recipients_per_transaction", "50"}},
     NULL},
    {"000-14 outbound",
     {{USER}},
     {{"delivery.tls", "may"},
      {"relay.tls", "may"},
      {"delivery.ipv4", "true"},
      {"delivery.ipv6", "false"}},
     NULL},
    {"000-15 PROXY",
     {{USER, "ENABLE_PROXY_PROTOCOL=haproxy"}},
     {{"listeners[0].proxy_protocol", "required"}},
     NULL},
    {"000-15 no PROXY", {{USER}}, {{"listeners[0].proxy_protocol", "off"}}, NULL},
    {"000-15 debug", {{USER, "POSTFIX_DEBUG=1"}}, {{"log.level", "debug"}}, NULL},
    {"000-15 debug, false",
     {{USER, "POSTFIX_DEBUG=false"}},
     {{"log.level", "info"}},
     "POSTFIX_DEBUG: taken as false; the original takes any text as true"},
    {"000-15 EXEC_CMD",
     {{USER, "EXEC_CMD=true"}},
     {{"log.level", "info"}},
     "EXEC_CMD: has no effect: Ringpost starts no other program; give the container another "
     "command"},
};

START_TEST(effect)
{
    effect_check(&effects[_i]);
}
END_TEST

struct failure {
    struct variables set;
    const char *errors;
};

static const struct failure failures[] = {
    {{{"SMTP_PASSWORD=x"}}, "Error: SMTP_USERNAME must be set\n"},
    {{{"SMTP_USERNAME=", "SMTP_PASSWORD=x"}}, "Error: SMTP_USERNAME must be set\n"},
    {{{"SMTP_USERNAME=x"}}, "Error: SMTP_PASSWORD must be set\n"},
    {{{"SMTP_USERNAME=x", "SMTP_PASSWORD="}}, "Error: SMTP_PASSWORD must be set\n"},
    {{{"SMTP_USERNAME=", "SMTP_PASSWORD="}},
     "Error: SMTP_USERNAME must be set\nError: SMTP_PASSWORD must be set\n"},
    {{{"MYHOSTNAME=mta.example.org"}},
     "Error: SMTP_USERNAME must be set\nError: SMTP_PASSWORD must be set\n"},
    {{{"RELAYHOST=mta.example.org"}},
     "Error: SMTP_USERNAME must be set\nError: SMTP_PASSWORD must be set\n"},
    {{{"RINGPOST_PROFILE=000"}},
     "Error: SMTP_USERNAME must be set\nError: SMTP_PASSWORD must be set\n"},
    {{{"MTA_PROFILE=messages"}},
     "Error: SMTP_USERNAME must be set\nError: SMTP_PASSWORD must be set\n"},
    {{{USER, "MESSAGE_SIZE_LIMIT=10MB"}}, "MESSAGE_SIZE_LIMIT: 10MB is not a number of bytes\n"},
    {{{USER, "MESSAGE_SIZE_LIMIT=-1"}}, "MESSAGE_SIZE_LIMIT: -1 is not a number of bytes\n"},
    {{{USER, "MESSAGE_SIZE_LIMIT=100"}}, "MESSAGE_SIZE_LIMIT: 100 is out of range (64KiB–1GiB)\n"},
    {{{"SMTP_USERNAME=x", "SMTP_PASSWORD_FILE=/run/none"}},
     "SMTP_PASSWORD_FILE: /run/none: cannot be read: No such file or directory\n"},
    {{{USER, "RELAYHOST=[smtp.example.org"}},
     "RELAYHOST: \"[smtp.example.org\" is not a relay host, like smtp.example.org:587, "
     "[smtp.example.org]:587 or [192.0.2.1]\n"},
    {{{USER, "SMTP_PASSWORD_FILE=/run/x"}},
     "error: both SMTP_PASSWORD and SMTP_PASSWORD_FILE are set (but are mutually exclusive)\n"},
};

START_TEST(failure)
{
    failure_check(&failures[_i].set, failures[_i].errors);
}
END_TEST

START_TEST(the_exit_status_is_one)
{
    char *with[] = {(char *)"SMTP_USERNAME=x", NULL};
    char *without[] = {(char *)"HOME=/", NULL};
    struct conf_source src = {.environment = with, .root = test_folder};
    ck_assert_int_eq(conf_failure_status(&src), 1);
    src.environment = without;
    ck_assert_int_eq(conf_failure_status(&src), 78);
}
END_TEST

/* A password is a password, however it begins. */
START_TEST(a_password_is_never_a_hash)
{
    static const struct {
        const char *variable;
        const char *stored;
    } cases[] = {
        {"SMTP_PASSWORD=plain:with#all; sorts", "plain:with#all; sorts"},
        {"SMTP_PASSWORD=$6$abc", "{PLAIN}$6$abc"},
        {"SMTP_PASSWORD={SHA256}x", "{PLAIN}{SHA256}x"},
        {"SMTP_PASSWORD= blank ", " blank "},
        {"SMTP_PASSWORD=tcp://x", "tcp://x"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct variables v = {{"SMTP_USERNAME=me", "MYHOSTNAME=a.example", cases[i].variable}};
        struct loaded l = load_profile(&v, NULL);
        ck_assert_ptr_nonnull(l.conf);
        slice_expect(l.conf->users.items[0].password, cases[i].stored);
        unload(&l);
    }
}
END_TEST

START_TEST(secrets_from_files)
{
    root_file("/run/secrets/user", "me\n");
    root_file("/run/secrets/password", "two\nlines \n\n");
    struct variables v = {{"SMTP_USERNAME_FILE=/run/secrets/user",
                           "SMTP_PASSWORD_FILE=/run/secrets/password", "MYHOSTNAME=a.example"}};
    struct loaded l = load_profile(&v, NULL);
    ck_assert_msg(l.conf != NULL, "%.*s", SLICE_ARG(buf_slice(&l.errors)));
    slice_expect(l.conf->users.items[0].name, "me");
    slice_expect(l.conf->users.items[0].password, "two\nlines \n"); /* one line end is taken off */
    unload(&l);
}
END_TEST

/* 000-09: no public address here, or no name for it: localhost, at once. */
START_TEST(without_a_name)
{
    struct variables v = {{"SMTP_USERNAME=me", "SMTP_PASSWORD=x"}};
    struct loaded l = load_profile(&v, NULL);
    ck_assert_ptr_nonnull(l.conf);
    ck_assert_uint_gt(l.conf->identity.hostname.len, 0);
    unload(&l);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("core/conf/profile_000");
    TCase *c = tcase_create("all");
    tcase_add_checked_fixture(c, root_enter, root_leave);
    tcase_add_loop_test(c, effect, 0, ARRAY_COUNT(effects));
    tcase_add_loop_test(c, failure, 0, ARRAY_COUNT(failures));
    tcase_add_test(c, the_exit_status_is_one);
    tcase_add_test(c, a_password_is_never_a_hash);
    tcase_add_test(c, secrets_from_files);
    tcase_add_test(c, without_a_name);
    suite_add_tcase(s, c);
    return suite_run(s);
}
