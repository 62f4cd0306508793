/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Profile 001, as far as it is a matter of configuration (001-01 …); tests/e2e/test_profile_001.py has
 * the rest. NET_DEV=lo: the one interface that every machine has.
 */
#include "tests/unit/core/conf/profile_testing.h"

#define BASE "RINGPOST_PROFILE=001", "NET_DEV=lo", "MAILNAME=mx.example.org"
#define OWN "127.0.0.0/8\", \"::1/128\", \"127.0.0.0/8\""
#define NO_KEYS                                                                                    \
    "KEY_PATH: KEY_PATH and CERTIFICATE_PATH do not both name files that are not empty: STARTTLS " \
    "is not offered"

static const struct effect effects[] = {
    {"001-01 listeners",
     {{BASE}},
     {{"listeners[0].address", "\"0.0.0.0\""},
      {"listeners[0].port", "25"},
      {"listeners[0].mode", "relay"},
      {"listeners[1].address", "\"::\""},
      {"listeners[1].port", "25"},
      {"delivery.ipv6", "true"}},
     NULL},
    {"001-01 PORT",
     {{BASE, "PORT=2500"}},
     {{"listeners[0].port", "2500"}, {"listeners[1].port", "2500"}},
     NULL},
    {"001-01 BIND",
     {{BASE, "BIND_IP=127.0.0.1", "BIND_IP6=::1"}},
     {{"listeners[0].address", "\"127.0.0.1\""}, {"listeners[1].address", "\"::1\""}},
     NULL},
    {"001-01 BIND_IP6=::0", {{BASE, "BIND_IP6=::0"}}, {{"listeners[1].address", "\"::\""}}, NULL},
    {"001-01 DISABLE_IPV6",
     {{BASE, "DISABLE_IPV6=1"}},
     {{"listeners[0].address", "\"0.0.0.0\""}, {"delivery.ipv6", "false"}},
     NULL},
    {"001-01 any value", {{BASE, "DISABLE_IPV6=false"}}, {{"delivery.ipv6", "false"}}, NULL},
    {"001-01 PORT of Kubernetes",
     {{BASE, "PORT=tcp://10.0.0.1:25"}},
     {{"listeners[0].port", "25"}},
     NULL},
    {"001-02 nothing",
     {{"RINGPOST_PROFILE=exim-relay", "NET_DEV=lo"}},
     {{"relay.host", "[]"}, {"listeners[0].access", "network"}},
     NULL},
    {"001-03 networks", {{BASE}}, {{"access.networks", "[\"" OWN "]"}}, NULL},
    {"001-03 RELAY_NETWORKS",
     {{BASE, "RELAY_NETWORKS=:192.168.0.0/24:10.0.0.0/16"}},
     {{"access.networks", "[\"" OWN ", \"192.168.0.0/24\", \"10.0.0.0/16\"]"}},
     NULL},
    {"001-03 host bits",
     {{BASE, "RELAY_NETWORKS=:172.17.0.5/16:192.0.2.7"}},
     {{"access.networks", "[\"" OWN ", \"172.17.0.0/16\", \"192.0.2.7/32\"]"}},
     NULL},
    {"001-03 without colon",
     {{BASE, "RELAY_NETWORKS=192.168.0.0/24"}},
     {{"access.networks", "[\"" OWN ", \"192.168.0.0/24\"]"}},
     "RELAY_NETWORKS: does not begin with \":\"; taken as if it did"},
    {"001-03 other separator",
     {{BASE, "RELAY_NETWORKS=<; 10.0.0.0/8 ; fd00::/8"}},
     {{"access.networks", "[\"" OWN ", \"10.0.0.0/8\", \"fd00::/8\"]"}},
     NULL},
    {"001-03 IPv6",
     {{BASE, "RELAY_NETWORKS=:fd00::/8:10.0.0.0/8:2001::db8::::/32:::1"}},
     {{"access.networks",
       "[\"" OWN ", \"fd00::/8\", \"10.0.0.0/8\", \"2001:db8::/32\", \"::1/128\"]"}},
     NULL},
    {"001-04 relay rule",
     {{BASE}},
     {{"listeners[0].access", "network"},
      {"listeners[1].access", "network"},
      {"listeners[0].reject_at", "rcpt"},
      {"auth.users_file", "[]"}},
     NULL},
    {"001-05 no keys",
     {{BASE}},
     {{"listeners[0].tls", "may"},
      {"tls.on_missing", "disable"},
      {"tls.cert_file", "[]"},
      {"tls.key_file", "[]"}},
     NULL},
    {"001-05 keys",
     {{BASE, "KEY_PATH=/tls/key", "CERTIFICATE_PATH=/tls/crt"}},
     {{"listeners[0].tls", "may"},
      {"tls.cert_file", "[\"$ROOT/tls/crt\"]"},
      {"tls.key_file", "[\"$ROOT/tls/key\"]"}},
     NULL},
    {"001-05 empty file",
     {{BASE, "KEY_PATH=/tls/empty", "CERTIFICATE_PATH=/tls/crt"}},
     {{"tls.cert_file", "[]"}, {"tls.key_file", "[]"}},
     NO_KEYS},
    {"001-05 no file",
     {{BASE, "KEY_PATH=/tls/none", "CERTIFICATE_PATH=/tls/crt"}},
     {{"tls.cert_file", "[]"}},
     NO_KEYS},
    {"001-05 one of two", {{BASE, "KEY_PATH=/tls/key"}}, {{"tls.key_file", "[]"}}, NO_KEYS},
    {"001-06 MAILNAME", {{BASE}}, {{"identity.hostname", "\"mx.example.org\""}}, NULL},
    {"001-07 own names",
     {{BASE}},
     {{"access.local_domains", "[\"localhost\", \"mx.example.org\"]"}},
     NULL},
    {"001-07 OTHER_HOSTNAMES",
     {{BASE, "OTHER_HOSTNAMES=a.example : @ : b.example"}},
     {{"access.local_domains",
       "[\"localhost\", \"mx.example.org\", \"a.example\", \"b.example\"]"}},
     NULL},
    {"001-07 semicolons",
     {{BASE, "OTHER_HOSTNAMES=a.example;b.example"}},
     {{"access.local_domains",
       "[\"localhost\", \"mx.example.org\", \"a.example\", \"b.example\"]"}},
     NULL},
    {"001-08 RELAY_DOMAINS",
     {{BASE, "RELAY_DOMAINS=d1.example : d2.example :d3.example"}},
     {{"access.relay_domains", "[\"d1.example\", \"d2.example\", \"d3.example\"]"}},
     NULL},
    {"001-09 SMTPPORTOUT",
     {{BASE, "SMTPPORTOUT=2525"}},
     {{"delivery.mx_port", "2525"}, {"relay.port", "25"}},
     NULL},
    {"001-10 GMAIL",
     {{BASE, "GMAIL_USER=u@gmail.com", "GMAIL_PASSWORD=p"}},
     {{"relay.host", "[\"[smtp.gmail.com]:587\"]"},
      {"relay.username", "\"u@gmail.com\""},
      {"relay.password", "\"(redacted)\""},
      {"relay.auth_hosts", "[\"*.gmail.com\"]"}},
     NULL},
    {"001-10 half",
     {{BASE, "GMAIL_USER=u@gmail.com"}},
     {{"relay.host", "[]"}, {"relay.username", "\"\""}},
     "GMAIL_USER: used only when GMAIL_USER and GMAIL_PASSWORD are both set"},
    {"001-11 SES",
     {{BASE, "SES_USER=u", "SES_PASSWORD=p"}},
     {{"relay.host", "[\"[email-smtp.us-east-1.amazonaws.com]:587\"]"},
      {"relay.username", "\"u\""},
      {"relay.auth_hosts", "[\"*.amazonaws.com\"]"}},
     NULL},
    {"001-11 region, port",
     {{BASE, "SES_USER=u", "SES_PASSWORD=p", "SES_REGION=eu-west-1", "SES_PORT=2587"}},
     {{"relay.host", "[\"[email-smtp.eu-west-1.amazonaws.com]:2587\"]"}},
     NULL},
    {"001-12 address only",
     {{BASE, "SMARTHOST_ADDRESS=mail.mysmtp.com"}},
     {{"relay.host", "[\"[mail.mysmtp.com]:25\"]"}, {"relay.username", "\"\""}},
     NULL},
    {"001-12 login",
     {{BASE, "SMARTHOST_ADDRESS=mail.mysmtp.com", "SMARTHOST_PORT=587", "SMARTHOST_USER=myuser",
       "SMARTHOST_PASSWORD=se:c;ret#", "SMARTHOST_ALIASES=*.mysmtp.com;*.other.example"}},
     {{"relay.host", "[\"[mail.mysmtp.com]:587\"]"},
      {"relay.username", "\"myuser\""},
      {"relay.auth_hosts", "[\"*.mysmtp.com\", \"*.other.example\"]"},
      {"relay.auth_without_tls", "false"}},
     NULL},
    {"001-12 no aliases",
     {{BASE, "SMARTHOST_ADDRESS=mail.mysmtp.com", "SMARTHOST_USER=u", "SMARTHOST_PASSWORD=p"}},
     {{"relay.host", "[\"[mail.mysmtp.com]:25\"]"}, {"relay.username", "\"\""}},
     "SMARTHOST_USER: used only when SMARTHOST_ADDRESS, _USER, _PASSWORD and _ALIASES are all set, "
     "and without GMAIL_* and SES_*"},
    {"001-12 port of Kubernetes",
     {{BASE, "SMARTHOST_ADDRESS=mail.mysmtp.com", "SMARTHOST_PORT=tcp://10.0.0.1:25"}},
     {{"relay.host", "[\"[mail.mysmtp.com]:25\"]"}},
     NULL},
    {"001-13 GMAIL before SES",
     {{BASE, "GMAIL_USER=u", "GMAIL_PASSWORD=p", "SES_USER=s", "SES_PASSWORD=s"}},
     {{"relay.host", "[\"[smtp.gmail.com]:587\"]"}, {"relay.username", "\"u\""}},
     "SES_USER: used only when SES_USER and SES_PASSWORD are both set, and without GMAIL_*"},
    {"001-13 SES before SMARTHOST",
     {{BASE, "SES_USER=s", "SES_PASSWORD=s", "SMARTHOST_ADDRESS=mail.mysmtp.com"}},
     {{"relay.host", "[\"[email-smtp.us-east-1.amazonaws.com]:587\"]"}},
     "SMARTHOST_ADDRESS: not used: GMAIL_* and SES_* come first"},
    {"001-13 RELAY_DOMAINS too",
     {{BASE, "SMARTHOST_ADDRESS=mail.mysmtp.com", "RELAY_DOMAINS=d.example"}},
     {{"relay.host", "[\"[mail.mysmtp.com]:25\"]"}, {"access.relay_domains", "[\"d.example\"]"}},
     NULL},
    {"001-14 TLS, AUTH",
     {{BASE}},
     {{"relay.tls", "may"},
      {"delivery.tls", "may"},
      {"relay.auth_without_tls", "false"},
      {"relay.lookup", "host"}},
     NULL},
    {"001-15 split config",
     {{BASE, "USE_SPLIT_CONFIG=true"}},
     {{"relay.host", "[]"}},
     "USE_SPLIT_CONFIG: has no effect: Exim's own configuration files cannot be read; write "
     "ringpost.yaml instead"},
    {"001-16 no DKIM",
     {{BASE}},
     {{"dkim.key_file", "\"\""},
      {"dkim.selector", "\"dkim\""},
      {"dkim.canonicalization", "simple/simple"}},
     NULL},
    {"001-16 DKIM",
     {{BASE, "DKIM_KEY_PATH=/tls/key", "DKIM_SELECTOR=mail"}},
     {{"dkim.key_file", "\"$ROOT/tls/key\""}, {"dkim.selector", "\"mail\""}},
     NULL},
    {"001-16 missing",
     {{BASE, "DKIM_KEY_PATH=/tls/empty"}},
     {{"dkim.key_file", "\"\""}},
     "DKIM_KEY_PATH: names no file with something in it: mail is not signed"},
    {"001-17 files",
     {{BASE, "SMARTHOST_ADDRESS=a.example", "SMARTHOST_USER_FILE=/run/u",
       "SMARTHOST_PASSWORD_FILE=/run/p", "SMARTHOST_ALIASES=*"}},
     {{"relay.username", "\"user in a file\""}, {"relay.password", "\"(redacted)\""}},
     NULL},
    {"001-17 SES from files",
     {{BASE, "SES_USER_FILE=/run/u", "SES_PASSWORD_FILE=/run/p"}},
     {{"relay.host", "[\"[email-smtp.us-east-1.amazonaws.com]:587\"]"},
      {"relay.username", "\"user in a file\""}},
     NULL},
    {"001-17 GMAIL from files",
     {{BASE, "GMAIL_USER_FILE=/run/u", "GMAIL_PASSWORD=x"}},
     {{"relay.host", "[\"[smtp.gmail.com]:587\"]"}, {"relay.username", "\"user in a file\""}},
     NULL},
    {"001-17 VERBOSE", {{BASE, "VERBOSE=true"}}, {{"log.level", "debug"}}, NULL},
    {"001-17 not true",
     {{BASE, "VERBOSE=1"}},
     {{"log.level", "info"}},
     "VERBOSE: only \"true\" switches this on; taken as false"},
    {"001-18 limits",
     {{BASE}},
     {{"limits.message_size", "50MiB"},
      {"limits.hops", "30"},
      {"limits.line_length", "998"},
      {"limits.line_length_action", "reject"},
      {"delivery.private_targets", "deny"},
      {"queue.max_age", "4d"},
      {"queue.jitter", "0"},
      {"queue.schedule",
       "[15m, 15m, 15m, 15m, 15m, 15m, 15m, 15m, 1h, 1h30m, 2h15m, 3h22m30s, 5h3m45s, 6h]"}},
     NULL},
    {"unknown name",
     {{BASE, "SMARTHOST_ALIAS=*"}},
     {{"relay.auth_hosts", "[]"}},
     "SMARTHOST_ALIAS: profile 001 has no variable of this name, ignored"},
    {"no such interface",
     {{"RINGPOST_PROFILE=001", "NET_DEV=none0"}},
     {{"access.networks", "[\"127.0.0.0/8\", \"::1/128\"]"}},
     "NET_DEV: there is no such interface"},
};

static void files_make(void)
{
    root_enter();
    root_file("/tls/key", "key\n");
    root_file("/tls/crt", "crt\n");
    root_file("/tls/empty", "");
    root_file("/run/u", "user in a file\n");
    root_file("/run/p", "password\n");
}

START_TEST(effect)
{
    effect_check(&effects[_i]);
}
END_TEST

START_TEST(without_ipv6_there_is_one_listener)
{
    struct variables v = {{BASE, "DISABLE_IPV6=", "BIND_IP=127.0.0.1"}};
    struct loaded l = load_profile(&v, NULL);
    ck_assert_uint_eq(l.conf->listeners.count, 2); /* empty is not set */
    unload(&l);
    v.items[3] = "DISABLE_IPV6=no";
    l = load_profile(&v, NULL);
    ck_assert_uint_eq(l.conf->listeners.count, 1);
    unload(&l);
}
END_TEST

struct failure {
    struct variables set;
    const char *errors;
};

static const struct failure failures[] = {
    {{{"GMAIL_USER=a", "GMAIL_USER_FILE=/run/u"}},
     "error: both GMAIL_USER and GMAIL_USER_FILE are set (but are mutually exclusive)\n"},
    {{{"SMARTHOST_PASSWORD=a", "SMARTHOST_PASSWORD_FILE=/run/p"}},
     "error: both SMARTHOST_PASSWORD and SMARTHOST_PASSWORD_FILE are set (but are mutually "
     "exclusive)\n"},
    {{{"SES_PASSWORD=a", "SES_PASSWORD_FILE=/run/p"}},
     "error: both SES_PASSWORD and SES_PASSWORD_FILE are set (but are mutually exclusive)\n"},
    {{{BASE, "PORT=smtp"}}, "PORT: \"smtp\" is not a port (1–65535)\n"},
    {{{BASE, "BIND_IP=eth0"}},
     "BIND_IP: \"eth0\" is not an IP address, like 192.0.2.1 or 2001:db8::1\n"},
    {{{BASE, "RELAY_NETWORKS=:10.0.0.0/8:everybody"}},
     "RELAY_NETWORKS: \"everybody\" is not a network, like 192.0.2.0/24 or 2001:db8::/32\n"},
    {{{BASE, "RELAY_NETWORKS=:10.0.0.0/8:::::/32"}},
     "RELAY_NETWORKS: \"/32\" is not a network, like 192.0.2.0/24 or 2001:db8::/32\n"},
    {{{BASE, "RELAY_DOMAINS=a.example : *.b.example"}},
     "RELAY_DOMAINS: \"*.b.example\" is not a host name, like mail.example.org (letters, digits, "
     "hyphens; names outside ASCII in their xn-- form)\n"},
    {{{BASE, "SMTPPORTOUT=0"}}, "SMTPPORTOUT: 0 is not a port (1–65535)\n"},
    {{{BASE, "SMARTHOST_ADDRESS=a.example", "SMARTHOST_PORT=x"}},
     "SMARTHOST_ADDRESS: \"[a.example]:x\": \"x\" is not a port (1–65535)\n"},
};

START_TEST(failure)
{
    failure_check(&failures[_i].set, failures[_i].errors);
}
END_TEST

START_TEST(a_missing_secret_file)
{
    struct variables v = {{"GMAIL_USER=a", "GMAIL_PASSWORD_FILE=/run/none"}};
    struct loaded l = load_profile(&v, NULL);
    const char *want = "GMAIL_PASSWORD_FILE: /run/none: cannot be read: No such file or directory";
    ck_assert_ptr_null(l.conf);
    ck_assert_msg(has_line(&l.errors, want), "%.*s", SLICE_ARG(buf_slice(&l.errors)));
    unload(&l);
}
END_TEST

/* ---- 001-14: the macro file ---------------------------------------------------------------- */

static const struct {
    const char *text;
    const char *path;
    const char *value;
} macros[] = {
    {"# disable TLS verification as a workaround\nREMOTE_SMTP_SMARTHOST_TLS_VERIFY_HOSTS = :\n",
     "relay.tls", "may"},
    {"REMOTE_SMTP_SMARTHOST_TLS_VERIFY_HOSTS=*", "relay.tls", "verify"},
    {"REMOTE_SMTP_SMARTHOST_HOSTS_REQUIRE_TLS = *\r\n", "relay.tls", "encrypt"},
    {"REMOTE_SMTP_HOSTS_AVOID_TLS = *\n", "delivery.tls", "none"},
    {"MESSAGE_SIZE_LIMIT = 20M\n", "limits.message_size", "20MiB"},
    {"IGNORE_SMTP_LINE_LENGTH_LIMIT = true\n", "limits.line_length_action", "pass"},
    {"MAIN_HARDCODE_PRIMARY_HOSTNAME == other.example\n", "delivery.mx_port", "25"},
    {"DKIM_SELECTOR = s1\nDKIM_PRIVATE_KEY = /tls/key\nDKIM_CANON = relaxed\n", "dkim.key_file",
     "\"$ROOT/tls/key\""},
    {"REMOTE_SMTP_HELO_DATA = helo.example.org\n", "delivery.helo_name", "\"helo.example.org\""},
};

START_TEST(macro)
{
    root_file("/etc/exim4/_docker_additional_macros", macros[_i].text);
    struct variables v = {{BASE}};
    struct loaded l = load_profile(&v, NULL);
    ck_assert_msg(l.conf != NULL, "%.*s", SLICE_ARG(buf_slice(&l.errors)));
    buf_expect(&l.warnings, "");
    key_expect(l.conf, macros[_i].path, macros[_i].value);
    unload(&l);
}
END_TEST

START_TEST(macros_that_are_not_known)
{
    root_file("/etc/exim4/_docker_additional_macros",
              "\nREMOTE_SMTP_HELO_DATA = ${lookup dnsdb{ptr=1}}\nLOCAL_DELIVERY = x\n");
    struct variables v = {{BASE}};
    struct loaded l = load_profile(&v, NULL);
    lines_expect(&l.warnings,
                 "$ROOT/etc/exim4/_docker_additional_macros:2:1: REMOTE_SMTP_HELO_DATA has no "
                 "effect: Exim's $ expansions are not evaluated\n"
                 "$ROOT/etc/exim4/_docker_additional_macros:3:1: LOCAL_DELIVERY has no effect: "
                 "Ringpost does not know this macro\n");
    key_expect(l.conf, "delivery.helo_name", "\"mx.example.org\"");
    unload(&l);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("core/conf/profile_001");
    TCase *c = tcase_create("all");
    tcase_add_checked_fixture(c, files_make, root_leave);
    tcase_add_loop_test(c, effect, 0, ARRAY_COUNT(effects));
    tcase_add_loop_test(c, failure, 0, ARRAY_COUNT(failures));
    tcase_add_loop_test(c, macro, 0, ARRAY_COUNT(macros));
    tcase_add_test(c, without_ipv6_there_is_one_listener);
    tcase_add_test(c, a_missing_secret_file);
    tcase_add_test(c, macros_that_are_not_known);
    suite_add_tcase(s, c);
    return suite_run(s);
}
