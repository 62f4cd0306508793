/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Profile bokysan, as far as it is a matter of configuration; tests/e2e/test_profile_bokysan.py has the
 * rest.
 */
#include "tests/unit/core/conf/profile_testing.h"

#define OPEN "ALLOW_EMPTY_SENDER_DOMAINS=true"
#define NETS "\"127.0.0.0/8\", \"10.0.0.0/8\", \"172.16.0.0/12\", \"192.168.0.0/16\""
#define CLEAR                                                                                        \
    "RELAYHOST_PASSWORD: may be sent without TLS, as the original does; RINGPOST_RELAY_TLS=encrypt " \
    "forbids it"

static const struct effect effects[] = {
    {"defaults",
     {{OPEN}},
     {{"listeners[0].port", "587"},
      {"listeners[0].tls", "may"},
      {"tls.on_missing", "disable"},
      {"listeners[0].access", "network"},
      {"access.networks", "[" NETS "]"},
      {"sender.restrict", "none"},
      {"limits.message_size", "1GiB"},
      {"relay.tls", "may"},
      {"delivery.tls", "may"},
      {"relay.lookup", "mx"}},
     NULL},
    {"sender domains",
     {{"ALLOWED_SENDER_DOMAINS=example.com  example.org"}},
     {{"sender.restrict", "domain"},
      {"domains[0].name", "\"example.com\""},
      {"domains[1].name", "\"example.org\""},
      {"domains[1].dkim_key_file", "\"\""}},
     NULL},
    {"keys",
     {{"ALLOWED_SENDER_DOMAINS=signed.example plain.example"}},
     {{"domains[0].dkim_key_file", "\"$ROOT/etc/opendkim/keys/signed.example.private\""},
      {"domains[0].dkim_selector", "\"mail\""},
      {"domains[0].dkim_canonicalization", "relaxed/relaxed"},
      {"domains[1].dkim_key_file", "\"\""},
      {"domains[1].dkim_selector", "\"\""}},
     NULL},
    {"selector",
     {{"ALLOWED_SENDER_DOMAINS=signed.example", "DKIM_SELECTOR=postfix"}},
     {{"domains[0].dkim_selector", "\"postfix\""}},
     NULL},
    {"selectors",
     {{"ALLOWED_SENDER_DOMAINS=signed.example other.example",
       "DKIM_SELECTOR=foo,Signed.example=bar,x.example=blah"}},
     {{"domains[0].dkim_selector", "\"bar\""}, {"domains[1].dkim_selector", "\"foo\""}},
     NULL},
    {"relay",
     {{OPEN, "RELAYHOST=192.168.115.215:587"}},
     {{"relay.host", "[\"192.168.115.215:587\"]"}, {"relay.username", "\"\""}},
     NULL},
    {"relay with login",
     {{OPEN, "RELAYHOST=[smtp.gmail.com]:587", "RELAYHOST_USERNAME=hello@gmail.com",
       "RELAYHOST_PASSWORD=world"}},
     {{"relay.username", "\"hello@gmail.com\""}, {"relay.password", "\"(redacted)\""}},
     CLEAR},
    {"password in a file",
     {{OPEN, "RELAYHOST=a.example", "RELAYHOST_USERNAME=u", "RELAYHOST_PASSWORD_FILE=/run/p",
       "POSTFIX_smtp_tls_security_level=encrypt"}},
     {{"relay.username", "\"u\""}, {"relay.tls", "encrypt"}, {"delivery.tls", "encrypt"}},
     NULL},
    {"user without password",
     {{OPEN, "RELAYHOST=a.example", "RELAYHOST_USERNAME=u"}},
     {{"relay.username", "\"\""}},
     "RELAYHOST_USERNAME: used only together with RELAYHOST and RELAYHOST_PASSWORD"},
    {"old TLS level", {{OPEN, "RELAYHOST_TLS_LEVEL=secure"}}, {{"relay.tls", "verify"}}, NULL},
    {"old networks",
     {{OPEN, "MYNETWORKS=10.9.0.0/16"}},
     {{"access.networks", "[\"10.9.0.0/16\"]"}},
     NULL},
    {"old size", {{OPEN, "MESSAGE_SIZE_LIMIT=26214400"}}, {{"limits.message_size", "25MiB"}}, NULL},
    {"POSTFIX_myhostname",
     {{OPEN, "POSTFIX_myhostname=postfix-docker"}},
     {{"identity.hostname", "\"postfix-docker\""}},
     NULL},
    {"POSTFIX_mynetworks",
     {{OPEN, "POSTFIX_mynetworks=10.1.2.0/24"}},
     {{"access.networks", "[\"10.1.2.0/24\"]"}},
     NULL},
    {"POSTFIX_message_size_limit",
     {{OPEN, "POSTFIX_message_size_limit=26214400"}},
     {{"limits.message_size", "25MiB"}},
     NULL},
    {"POSTFIX_ empty",
     {{OPEN, "POSTFIX_message_size_limit="}},
     {{"limits.message_size", "1GiB"}},
     NULL},
    {"POSTFIX_ TLS",
     {{OPEN, "POSTFIX_smtpd_tls_cert_file=/c.crt", "POSTFIX_smtpd_tls_key_file=/c.key",
       "POSTFIX_smtpd_tls_security_level=encrypt"}},
     {{"tls.cert_file", "[\"$ROOT/c.crt\"]"},
      {"tls.key_file", "[\"$ROOT/c.key\"]"},
      {"listeners[0].tls", "encrypt"}},
     NULL},
    {"POSTFIX_ unknown",
     {{OPEN, "POSTFIX_allow_mail_to_commands=alias"}},
     {{"relay.tls", "may"}},
     "POSTFIX_allow_mail_to_commands: allow_mail_to_commands has no effect: no counterpart of this "
     "Postfix parameter"},
    {"POSTFIX_ of Kubernetes",
     {{OPEN, "POSTFIX_MAIL_SERVICE_PORT_SMTP=587", "POSTFIX_MAIL_PORT=tcp://10.0.0.1:587"}},
     {{"relay.tls", "may"}},
     NULL},
    {"users",
     {{OPEN, "SMTPD_SASL_USERS=user1:pass1,user2@d.example:pa:ss2"}},
     {{"users[0].name", "\"user1\""},
      {"users[1].name", "\"user2@d.example\""},
      {"listeners[0].access", "network"},
      {"auth.cram_md5", "true"}},
     NULL},
    {"token",
     {{OPEN, "RELAYHOST=[smtp.gmail.com]:587", "RELAYHOST_USERNAME=u@gmail.com",
       "XOAUTH2_INITIAL_ACCESS_TOKEN_FILE=/run/token"}},
     {{"relay.token_file", "\"$ROOT/run/token\""}, {"relay.username", "\"u@gmail.com\""}},
     NULL},
    {"no refresh",
     {{OPEN, "RELAYHOST=a.example", "RELAYHOST_USERNAME=u", "XOAUTH2_SECRET=x"}},
     {{"relay.token_file", "\"\""}},
     "XOAUTH2_SECRET: has no effect: tokens are not renewed; let something else write the file of "
     "relay.token_file"},
    {"debugging", {{OPEN, "INBOUND_DEBUGGING=1"}}, {{"log.level", "debug"}}, NULL},
    {"log format",
     {{OPEN, "LOG_FORMAT=plain"}},
     {{"log.format", "json"}},
     "LOG_FORMAT: has no effect: the log is JSON"},
    {"log format json", {{OPEN, "LOG_FORMAT=json"}}, {{"log.format", "json"}}, NULL},
    {"time zone",
     {{OPEN, "TZ=Europe/Berlin"}},
     {{"log.format", "json"}},
     "TZ: has no effect: the log is in UTC"},
    {"old name wins",
     {{OPEN, "MYNETWORKS=10.1.0.0/16", "POSTFIX_mynetworks=10.2.0.0/16"}},
     {{"access.networks", "[\"10.1.0.0/16\"]"}},
     "POSTFIX_mynetworks: has no effect: the older variable of this meaning is set too"},
    {"anonymous log",
     {{OPEN, "ANONYMIZE_EMAILS=smart"}},
     {{"log.format", "json"}},
     "ANONYMIZE_EMAILS: has no effect: addresses stand in the log as they are"},
    {"masquerading",
     {{OPEN, "MASQUERADED_DOMAINS=example.com"}},
     {{"relay.tls", "may"}},
     "MASQUERADED_DOMAINS: has no effect: addresses are not rewritten"},
    {"OPENDKIM_",
     {{OPEN, "OPENDKIM_RequireSafeKeys=yes"}},
     {{"relay.tls", "may"}},
     "OPENDKIM_RequireSafeKeys: has no effect: Ringpost signs by itself; see dkim.* and domains[]"},
    {"RSPAMD_",
     {{OPEN, "RSPAMD_dkim_signing__use_esld=false"}},
     {{"relay.tls", "may"}},
     "RSPAMD_dkim_signing__use_esld: has no effect: Ringpost signs by itself; see dkim.* and "
     "domains[]"},
};

static void files_make(void)
{
    root_enter();
    root_file("/etc/opendkim/keys/signed.example.private", "key\n");
    root_file("/etc/opendkim/keys/other.example.private", "key\n");
    root_file("/run/p", "world\n");
}

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
    {{{"RINGPOST_PROFILE=bokysan"}},
     "You need to specify ALLOWED_SENDER_DOMAINS or ALLOW_EMPTY_SENDER_DOMAINS, otherwise nobody "
     "may send\n"},
    {{{"RINGPOST_PROFILE=docker-postfix",
       "ALLOWED_SENDER_DOMAINS=", "ALLOW_EMPTY_SENDER_DOMAINS="}},
     "You need to specify ALLOWED_SENDER_DOMAINS or ALLOW_EMPTY_SENDER_DOMAINS, otherwise nobody "
     "may send\n"},
    {{{OPEN, "RELAYHOST_PASSWORD=a", "RELAYHOST_PASSWORD_FILE=/run/p"}},
     "error: both RELAYHOST_PASSWORD and RELAYHOST_PASSWORD_FILE are set (but are mutually "
     "exclusive)\n"},
    {{{OPEN, "POSTFIX_message_size_limit=10M"}},
     "POSTFIX_message_size_limit: 10M is not a number of bytes\n"},
    {{{OPEN, "SMTPD_SASL_USERS=a:b,c"}}, "SMTPD_SASL_USERS: is not of the form user:password\n"},
    {{{OPEN, "RELAYHOST=a.example", "XOAUTH2_CLIENT_ID=x"}},
     "You need to specify RELAYHOST and RELAYHOST_USERNAME, otherwise no token can be used\n"},
};

START_TEST(failure)
{
    failure_check(&failures[_i].set, failures[_i].errors);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("core/conf/profile_bokysan");
    TCase *c = tcase_create("all");
    tcase_add_checked_fixture(c, files_make, root_leave);
    tcase_add_loop_test(c, effect, 0, ARRAY_COUNT(effects));
    tcase_add_loop_test(c, failure, 0, ARRAY_COUNT(failures));
    suite_add_tcase(s, c);
    return suite_run(s);
}
