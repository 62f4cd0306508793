/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Profile 003, its variables: as far as it is a matter of configuration (003-01 …). Its files are in
 * test_profile_files.c, the running engine in tests/e2e/test_profile_003.py.
 */
#include "tests/unit/core/conf/profile_testing.h"

#define CLEAR                                                                                       \
    "SH_RELAY_PASSWORD: may be sent without TLS, as the original does; RINGPOST_RELAY_TLS=encrypt " \
    "forbids it"
#define NETS "\"127.0.0.0/8\", \"10.0.0.0/8\", \"172.16.0.0/12\", \"192.168.0.0/16\""

static const struct effect effects[] = {
    {"003-01 listeners",
     {{"RINGPOST_PROFILE=003"}},
     {{"listeners[0].port", "587"},
      {"listeners[0].proxy_protocol", "off"},
      {"listeners[0].mode", "relay"},
      {"listeners[1].port", "586"},
      {"listeners[1].proxy_protocol", "required"},
      {"proxy.timeout", "5s"}},
     NULL},
    {"003-02 defaults",
     {{"RINGPOST_PROFILE=smarthost"}},
     {{"identity.hostname", "\"localhost.localdomain\""},
      {"access.networks", "[" NETS "]"},
      {"listeners[0].access", "network"},
      {"listeners[1].access", "network"},
      {"listeners[0].tls", "none"},
      {"listeners[1].tls", "none"},
      {"sender.restrict", "none"},
      {"dkim.key_file", "\"\""},
      {"dkim.signing_table", "\"\""},
      {"relay.host", "[]"}},
     NULL},
    {"003-03 SH_HOSTNAME",
     {{"SH_HOSTNAME=relay.mydomain.com"}},
     {{"identity.hostname", "\"relay.mydomain.com\""},
      {"delivery.helo_name", "\"relay.mydomain.com\""}},
     NULL},
    {"003-04 commas",
     {{"SH_ALLOWED_NETWORKS=10.1.0.0/16,192.0.2.7"}},
     {{"access.networks", "[\"10.1.0.0/16\", \"192.0.2.7/32\"]"}},
     NULL},
    {"003-04 spaces",
     {{"SH_ALLOWED_NETWORKS=10.1.0.0/16  fd00::/8, [::1]/128"}},
     {{"access.networks", "[\"10.1.0.0/16\", \"fd00::/8\", \"::1/128\"]"}},
     NULL},
    {"003-04 everybody",
     {{"SH_ALLOWED_NETWORKS=0.0.0.0/0"}},
     {{"access.networks", "[\"0.0.0.0/0\"]"}},
     "SH_ALLOWED_NETWORKS: a /0 lets the whole Internet send through this server"},
    {"003-05 SH_AUTH",
     {{"SH_AUTH=user:pass"}},
     {{"listeners[0].access", "auth_and_network"},
      {"listeners[1].access", "auth_and_network"},
      {"users[0].name", "\"user\""},
      {"users[1].name", "\"user@smarthost\""},
      {"auth.require_tls", "false"},
      {"auth.cram_md5", "true"},
      {"access.networks", "[" NETS "]"}},
     NULL},
    {"003-05 SH_AUTH_FILE",
     {{"SH_AUTH_FILE=/run/auth"}},
     {{"listeners[0].access", "auth_and_network"}, {"users[0].name", "\"filed\""}},
     NULL},
    {"003-06 empty",
     {{"RINGPOST_PROFILE=003", "SH_TLS_LEVEL="}},
     {{"listeners[0].tls", "none"}},
     NULL},
    {"003-06 may",
     {{"SH_TLS_LEVEL=may"}},
     {{"listeners[0].tls", "may"}, {"listeners[1].tls", "may"}, {"auth.require_tls", "false"}},
     NULL},
    {"003-06 encrypt",
     {{"SH_TLS_LEVEL=encrypt"}},
     {{"listeners[0].tls", "encrypt"},
      {"listeners[1].tls", "encrypt"},
      {"auth.require_tls", "true"}},
     NULL},
    {"003-07 default files",
     {{"SH_TLS_LEVEL=may"}},
     {{"tls.cert_file", "[\"$ROOT/etc/smarthost/postfix.tls/tls.crt\"]"},
      {"tls.key_file", "[\"$ROOT/etc/smarthost/postfix.tls/tls.key\"]"},
      {"tls.on_missing", "self_signed"}},
     NULL},
    {"003-07 own files",
     {{"SH_TLS_LEVEL=may", "SH_TLS_CRT=certs/a.crt", "SH_TLS_KEY=/abs/a.key"}},
     {{"tls.cert_file", "[\"$ROOT/etc/smarthost/certs/a.crt\"]"},
      {"tls.key_file", "[\"$ROOT/abs/a.key\"]"}},
     NULL},
    {"003-08 relay",
     {{"SH_RELAY_HOST=smtp-relay.gmail.com:587"}},
     {{"relay.host", "[\"smtp-relay.gmail.com:587\"]"}, {"relay.lookup", "mx"}},
     NULL},
    {"003-09 login",
     {{"SH_RELAY_HOST=[a.example]", "SH_RELAY_USERNAME=u", "SH_RELAY_PASSWORD=p:q"}},
     {{"relay.username", "\"u\""}, {"relay.auth_without_tls", "true"}, {"relay.auth_hosts", "[]"}},
     CLEAR},
    {"003-09 half",
     {{"SH_RELAY_HOST=[a.example]", "SH_RELAY_USERNAME=u"}},
     {{"relay.username", "\"\""}},
     "SH_RELAY_USERNAME: used only together with SH_RELAY_PASSWORD"},
    {"003-10 SH_RELAY_TLS",
     {{"SH_RELAY_TLS=true"}},
     {{"relay.tls", "encrypt"}, {"delivery.tls", "encrypt"}},
     NULL},
    {"003-10 any text", {{"SH_RELAY_TLS=1"}}, {{"relay.tls", "encrypt"}}, NULL},
    {"003-10 false",
     {{"SH_RELAY_TLS=false"}},
     {{"relay.tls", "may"}, {"delivery.tls", "may"}},
     "SH_RELAY_TLS: taken as false; the original takes any text as true"},
    {"003-10 with login",
     {{"SH_RELAY_TLS=yes", "SH_RELAY_USERNAME=u", "SH_RELAY_PASSWORD=p"}},
     {{"relay.tls", "encrypt"}, {"relay.username", "\"u\""}},
     NULL},
    {"003-11 SH_VERBOSE", {{"SH_VERBOSE=true"}}, {{"log.level", "debug"}}, NULL},
    {"003-11 false",
     {{"SH_VERBOSE=false"}},
     {{"log.level", "info"}},
     "SH_VERBOSE: taken as false; the original takes any text as true"},
    {"003-19 headers",
     {{"RINGPOST_PROFILE=003"}},
     {{"headers.received", "add"}, {"headers.add_missing", "true"}, {"headers.strip", "[]"}},
     NULL},
    {"003-20 limits",
     {{"RINGPOST_PROFILE=003"}},
     {{"limits.message_size", "10000KiB"},
      {"limits.recipients", "1000"},
      {"limits.errors", "20"},
      {"limits.command_timeout", "5m"},
      {"spool.dir", "\"$ROOT/var/spool/postfix/ringpost\""}},
     NULL},
    {"unknown name",
     {{"SH_HOSTNAME=a.example", "SH_HOSTNANE=b.example"}},
     {{"identity.hostname", "\"a.example\""}},
     "SH_HOSTNANE: profile 003 has no variable of this name, ignored"},
    {"a Service named sh",
     {{"SH_HOSTNAME=a.example", "SH_SERVICE_HOST=10.0.0.1", "SH_PORT=tcp://10.0.0.1:587",
       "SH_PORT_587_TCP_ADDR=10.0.0.1", "SH_SERVICE_PORT_SMTP=587"}},
     {{"identity.hostname", "\"a.example\""}},
     NULL},
};

static void files_make(void)
{
    root_enter();
    root_file("/run/auth", "filed:secret\n");
}

START_TEST(effect)
{
    effect_check(&effects[_i]);
}
END_TEST

/* 003-05, trap 29: everything behind the first colon. */
START_TEST(a_password_with_everything_in_it)
{
    struct variables v = {{"SH_AUTH=user:a:b#c ;d, e\\\"'$x"}};
    struct loaded l = load_profile(&v, NULL);
    ck_assert_ptr_nonnull(l.conf);
    slice_expect(l.conf->users.items[0].password, "a:b#c ;d, e\\\"'$x");
    slice_expect(l.conf->users.items[1].password, "a:b#c ;d, e\\\"'$x");
    unload(&l);
}
END_TEST

struct failure {
    struct variables set;
    const char *errors;
};

static const struct failure failures[] = {
    {{{"SH_TLS_LEVEL=verify"}}, "SH_TLS_LEVEL: \"verify\" is not one of: none, may, encrypt\n"},
    {{{"SH_AUTH=user"}}, "SH_AUTH: is not of the form user:password\n"},
    {{{"SH_AUTH=:password"}}, "SH_AUTH: is not of the form user:password\n"},
    {{{"SH_AUTH=a:b", "SH_AUTH_FILE=/run/auth"}},
     "error: both SH_AUTH and SH_AUTH_FILE are set (but are mutually exclusive)\n"},
    {{{"SH_ALLOWED_NETWORKS=10.0.0.0/8,!10.0.0.1"}},
     "SH_ALLOWED_NETWORKS: \"!10.0.0.1\" is not a network, like 192.0.2.0/24 or 2001:db8::/32\n"},
    {{{"SH_HOSTNAME=a b"}},
     "SH_HOSTNAME: \"a b\" is not a host name, like mail.example.org "
     "(letters, digits, hyphens; names outside ASCII in their xn-- form)\n"},
    {{{"SH_RELAY_HOST=a:b:c"}},
     "SH_RELAY_HOST: \"a:b:c\" is not a relay host, like smtp.example.org:587, "
     "[smtp.example.org]:587 or [192.0.2.1]\n"},
};

START_TEST(failure)
{
    failure_check(&failures[_i].set, failures[_i].errors);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("core/conf/profile_003");
    TCase *c = tcase_create("all");
    tcase_add_checked_fixture(c, files_make, root_leave);
    tcase_add_loop_test(c, effect, 0, ARRAY_COUNT(effects));
    tcase_add_loop_test(c, failure, 0, ARRAY_COUNT(failures));
    tcase_add_test(c, a_password_with_everything_in_it);
    suite_add_tcase(s, c);
    return suite_run(s);
}
