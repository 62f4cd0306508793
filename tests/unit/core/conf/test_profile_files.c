/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The files of profile 003: yaml.d, users.d, postfix.d, opendkim (003-12 … 003-18).
 */
#include "tests/unit/core/conf/profile_testing.h"

#define YAML "/etc/smarthost/yaml.d/"
#define POSTFIX "/etc/smarthost/postfix.d/"

static const struct variables nothing = {{"HOME=/root"}};

static struct loaded load_good(const struct variables *v)
{
    struct loaded l = load_profile(v, NULL);
    ck_assert_msg(l.conf != NULL, "%.*s", SLICE_ARG(buf_slice(&l.errors)));
    return l;
}

/* ---- YAML ---------------------------------------------------------------------------------- */

/* 003-12, and the README's example: files alone choose the profile. */
START_TEST(the_readme_example)
{
    root_file(YAML "all.yaml", "config:\n  hostname: 'relay.mydomain.com'\n  auth: true\n"
                               "  sender_restrictions: 'domain'\n  tls:\n    level: 'may'\n\n"
                               "users:\n  - name: 'user1'\n    password: 'password1'\n"
                               "  - name: 'user2'\n    password: 'password2'\n\n"
                               "domains:\n  - name: 'mydomain.com'\n  - name: 'mydomain.io'\n");
    struct loaded l = load_good(&nothing);
    buf_expect(&l.warnings, "");
    slice_expect(l.conf->profile, "003");
    key_expect(l.conf, "identity.hostname", "\"relay.mydomain.com\"");
    key_expect(l.conf, "listeners[0].access", "auth_and_network");
    key_expect(l.conf, "listeners[1].tls", "may");
    key_expect(l.conf, "sender.restrict", "domain");
    key_expect(l.conf, "users[0].name", "\"user1\"");
    key_expect(l.conf, "users[2].name", "\"user2\"");
    key_expect(l.conf, "domains[0].name", "\"mydomain.com\"");
    key_expect(l.conf, "domains[1].name", "\"mydomain.io\"");
    ck_assert_uint_eq(l.conf->users.count, 4); /* each with @smarthost too */
    unload(&l);
}
END_TEST

START_TEST(every_name_of_config)
{
    root_file(YAML "c.yaml",
              "config:\n  hostname: h.example\n  allowed_networks: ['10.0.0.0/8', 192.0.2.7]\n"
              "  tls: {level: encrypt, crt_file: a/b.crt, key_file: a/b.key}\n"
              "  relay: {host: 'r.example:587', username: u, password: p, tls: true}\n"
              "  verbose: true\n  postconf: ['-e hopcount_limit=7']\n");
    struct loaded l = load_good(&nothing);
    buf_expect(&l.warnings, "");
    key_expect(l.conf, "access.networks", "[\"10.0.0.0/8\", \"192.0.2.7/32\"]");
    key_expect(l.conf, "listeners[0].tls", "encrypt");
    key_expect(l.conf, "auth.require_tls", "true");
    key_expect(l.conf, "tls.cert_file", "[\"$ROOT/etc/smarthost/a/b.crt\"]");
    key_expect(l.conf, "tls.key_file", "[\"$ROOT/etc/smarthost/a/b.key\"]");
    key_expect(l.conf, "relay.host", "[\"r.example:587\"]");
    key_expect(l.conf, "relay.username", "\"u\"");
    key_expect(l.conf, "relay.tls", "encrypt");
    key_expect(l.conf, "delivery.tls", "encrypt");
    key_expect(l.conf, "log.level", "debug");
    key_expect(l.conf, "limits.hops", "7");
    unload(&l);
    root_file(YAML "c.yaml", "config: {relay: {host: r.example, username: u, password: p}}\n");
    l = load_good(&nothing);
    lines_expect(&l.warnings,
                 "$ROOT" YAML "c.yaml:1:58: relay.password: may be sent without TLS, as "
                 "the original does; RINGPOST_RELAY_TLS=encrypt forbids it\n");
    unload(&l);
}
END_TEST

/* 003-13: groups key by key, lists replaced, users and domains behind each other; *_yaml as well. */
START_TEST(files_are_merged)
{
    root_file(YAML "10.yaml", "config: {hostname: late.example, relay: {username: u}}\n"
                              "domains: [{name: c.example}]\n");
    root_file(YAML "9.yaml",
              "config:\n  hostname: early.example\n  allowed_networks: [10.0.0.0/8]\n"
              "  relay: {host: r.example, password: p}\n"
              "domains: [{name: a.example}, {name: b.example}]\n");
    root_file(YAML "11_yaml", "config: {allowed_networks: [192.0.2.0/24]}\n");
    root_file(YAML "ignored.txt", "config: [\n");
    root_file(YAML "..data/x.yaml", "config: [\n"); /* as Kubernetes mounts it */
    struct loaded l = load_good(&nothing);
    key_expect(l.conf, "identity.hostname", "\"late.example\"");
    key_expect(l.conf, "access.networks", "[\"192.0.2.0/24\"]");
    key_expect(l.conf, "relay.host", "[\"r.example\"]");
    key_expect(l.conf, "relay.username", "\"u\"");
    key_expect(l.conf, "domains[0].name", "\"a.example\"");
    key_expect(l.conf, "domains[2].name", "\"c.example\"");
    unload(&l);
}
END_TEST

START_TEST(variables_win_over_files)
{
    root_file(YAML "c.yaml", "config: {hostname: file.example, tls: {level: may}}\n"
                             "users: [{name: a, password: fromfile}]\n");
    struct variables v = {{"SH_HOSTNAME=env.example", "SH_AUTH=a:from env"}};
    struct loaded l = load_good(&v);
    key_expect(l.conf, "identity.hostname", "\"env.example\"");
    key_expect(l.conf, "listeners[0].tls", "may");
    ck_assert_uint_eq(l.conf->users.count, 2); /* a, a@smarthost: one user, the later password */
    slice_expect(l.conf->users.items[0].password, "from env");
    unload(&l);
}
END_TEST

struct yaml_case {
    const char *text;
    const char *path;
    const char *value;
    const char *warnings;
};

static const struct yaml_case yaml_cases[] = {
    {"config: {auth: yes}\n", "listeners[0].access", "network",
     "$ROOT" YAML "c.yaml:1:16: config.auth: only \"true\" switches this on; taken as false\n"},
    {"config: {auth: 'true'}\n", "listeners[0].access", "auth_and_network", ""},
    {"config: {auth: false}\n", "listeners[0].access", "network", ""},
    {"config: {verbose: 1}\n", "log.level", "info",
     "$ROOT" YAML "c.yaml:1:19: config.verbose: only \"true\" switches this on; taken as false\n"},
    {"config: {relay: {tls: 'yes'}}\n", "relay.tls", "may",
     "$ROOT" YAML
     "c.yaml:1:23: config.relay.tls: only \"true\" switches this on; taken as false\n"},
    {"config: {nonsense: 1}\n", "relay.tls", "may",
     "$ROOT" YAML "c.yaml:1:20: Unknown config name nonsense\n"},
    {"config: {tls: {lvel: may}}\n", "listeners[0].tls", "none",
     "$ROOT" YAML "c.yaml:1:22: Unknown config name tls.lvel\n"},
    {"config: {hostname: '', tls: {level: ''}, relay: ~}\nusers:\n", "identity.hostname",
     "\"localhost.localdomain\"", ""},
    {"# nothing\n", "relay.tls", "may", ""},
    {"users: [{name: a, password: b}]\n", "listeners[0].access", "network",
     "$ROOT" YAML "c.yaml:1:9: users: nobody has to log in: config.auth is not true\n"},
    {"config: {sender_restrictions: email}\n", "sender.restrict", "email",
     "$ROOT" YAML "c.yaml:1:31: config.sender_restrictions: \"email\" has no effect: nobody logs "
     "in\n"},
    {"config: {allowed_networks: '10.0.0.0/8 192.0.2.1'}\n", "access.networks",
     "[\"10.0.0.0/8\", \"192.0.2.1/32\"]", ""},
    {"other: 1\n", "relay.tls", "may",
     "$ROOT" YAML "c.yaml:1:8: only config, users and domains are read, ignored\n"},
};

START_TEST(yaml)
{
    const struct yaml_case *c = &yaml_cases[_i];
    root_file(YAML "c.yaml", c->text);
    struct loaded l = load_good(&nothing);
    lines_expect(&l.warnings, c->warnings);
    key_expect(l.conf, c->path, c->value);
    unload(&l);
}
END_TEST

static const struct {
    const char *text;
    const char *errors;
} yaml_failures[] = {
    {"config: [\n", NULL},
    {"config: {tls: {level: dane}}\n",
     "$ROOT" YAML "c.yaml:1:23: config.tls.level: \"dane\" is not one of: none, may, encrypt\n"},
    {"config: {hostname: [a]}\n",
     "$ROOT" YAML "c.yaml:1:20: config.hostname: must be a single value\n"},
    {"config: 5\n", "$ROOT" YAML "c.yaml:1:9: config: must be a group of keys\n"},
    {"users: {a: b}\n", "$ROOT" YAML "c.yaml:1:8: users: must be a list\n"},
    {"config: {auth: true}\nusers: [{name: a}]\n",
     "$ROOT" YAML "c.yaml:2:9: users: a user needs a name and a password\n"},
    {"config: {auth: true}\nusers: [a]\n",
     "$ROOT" YAML "c.yaml:2:9: users: each item must be a group with a name\n"},
    {"domains: [{dkim: {selector: s}}]\n",
     "$ROOT" YAML "c.yaml:1:11: domains: a domain needs a name\n"},
    {"domains: [{name: a.example, dkim: {selector: s}}]\n",
     "$ROOT" YAML "c.yaml:1:35: domains[].dkim: needs a selector, and key_file or key\n"},
    {"domains: [{name: a.example, dkim: {key: s}}]\n",
     "$ROOT" YAML "c.yaml:1:35: domains[].dkim: needs a selector, and key_file or key\n"},
    {"domains: [{name: a_b}]\n", NULL},
    {"config: {sender_restrictions: both}\n",
     "$ROOT" YAML
     "c.yaml:1:31: config.sender_restrictions: \"both\" is not one of: domain, email\n"},
};

START_TEST(yaml_failure)
{
    root_file(YAML "c.yaml", yaml_failures[_i].text);
    struct loaded l = load_profile(&nothing, NULL);
    ck_assert_ptr_null(l.conf);
    if (yaml_failures[_i].errors) {
        lines_expect(&l.errors, yaml_failures[_i].errors);
    }
    unload(&l);
}
END_TEST

/* 003-15 */
START_TEST(allowed_senders)
{
    root_file(YAML "c.yaml",
              "config: {auth: true, sender_restrictions: email}\nusers:\n"
              "- {name: a, password: x, allowed_from: ['a@d.example', '@e.example']}\n"
              "- {name: b, password: x, allowed_from: []}\n"
              "- {name: c@d.example, password: x, allowed_from: ~}\n");
    struct loaded l = load_good(&nothing);
    buf_expect(&l.warnings, "");
    key_expect(l.conf, "sender.restrict", "email");
    key_expect(l.conf, "users[0].allowed_from", "[\"a@d.example\", \"@e.example\"]");
    key_expect(l.conf, "users[1].allowed_from", "[\"a@d.example\", \"@e.example\"]");
    key_expect(l.conf, "users[2].allowed_from", "[]");
    key_expect(l.conf, "users[4].name", "\"c@d.example\"");
    ck_assert_uint_eq(l.conf->users.count, 5); /* a name with @ gets no other */
    unload(&l);
}
END_TEST

/* 003-17 */
START_TEST(dkim_of_domains)
{
    root_file(
        YAML "c.yaml",
        "domains:\n- {name: a.example, dkim: {selector: s1, key_file: opendkim.keys/a.key}}\n"
        "- name: b.example\n  dkim:\n    selector: s2\n    key: |\n      -----BEGIN\n      x\n"
        "- {name: c.example, dkim: {}}\n");
    struct loaded l = load_good(&nothing);
    key_expect(l.conf, "domains[0].dkim_selector", "\"s1\"");
    key_expect(l.conf, "domains[0].dkim_key_file", "\"$ROOT/etc/smarthost/opendkim.keys/a.key\"");
    key_expect(l.conf, "domains[0].dkim_canonicalization", "relaxed/simple");
    key_expect(l.conf, "domains[1].dkim_key_file", "\"\"");
    slice_expect(l.conf->domains.items[1].dkim_key_pem, "-----BEGIN\nx\n");
    key_expect(l.conf, "domains[2].dkim_selector", "\"\"");
    unload(&l);
}
END_TEST

/* 003-07: text in place counts when there is no file variant. */
START_TEST(certificate_in_place)
{
    root_file(YAML "c.yaml", "config: {tls: {level: may, crt: \"CERT\\n\", key: \"KEY\\n\"}}\n");
    struct loaded l = load_good(&nothing);
    key_expect(l.conf, "tls.cert_file", "[]");
    slice_expect(l.conf->tls.cert_pem, "CERT\n");
    slice_expect(l.conf->tls.key_pem, "KEY\n");
    unload(&l);
    root_file(YAML "d.yaml", "config: {tls: {crt_file: a.crt, key_file: a.key}}\n");
    l = load_good(&nothing);
    key_expect(l.conf, "tls.cert_file", "[\"$ROOT/etc/smarthost/a.crt\"]");
    unload(&l);
}
END_TEST

/* ---- users.d ------------------------------------------------------------------------------- */

/* 003-16: comments, white space, later wins, union with SH_AUTH. */
START_TEST(users_d)
{
    root_file("/etc/smarthost/users.d/1.conf", "# [username] [password]\nuser1       password1\n"
                                               "username2\tpass:w#rd2\r\n\nuser1 again\n");
    root_file("/etc/smarthost/users.d/2_conf", "username2 {later\n");
    root_file("/etc/smarthost/users.d/readme", "not read\n");
    struct variables v = {{"SH_AUTH=user3:x"}};
    struct loaded l = load_good(&v);
    ck_assert_uint_eq(l.conf->users.count, 6);
    key_expect(l.conf, "users[0].name", "\"user1\"");
    slice_expect(l.conf->users.items[0].password, "again");
    key_expect(l.conf, "users[2].name", "\"username2\"");
    slice_expect(l.conf->users.items[2].password, "{PLAIN}{later");
    key_expect(l.conf, "users[4].name", "\"user3\"");
    unload(&l);
}
END_TEST

START_TEST(users_d_without_auth)
{
    root_file("/etc/smarthost/users.d/1.conf", "user1 password1\n");
    struct loaded l = load_good(&nothing);
    ck_assert_uint_eq(l.conf->users.count, 0); /* AUTH is not offered then */
    unload(&l);
}
END_TEST

START_TEST(users_d_wrong)
{
    root_file("/etc/smarthost/users.d/1.conf", "user1 password1\nuser2\n");
    struct variables v = {{"SH_AUTH=user3:x"}};
    struct loaded l = load_profile(&v, NULL);
    ck_assert_ptr_null(l.conf);
    lines_expect(&l.errors,
                 "$ROOT/etc/smarthost/users.d/1.conf:2:1: is not of the form: user password\n");
    unload(&l);
}
END_TEST

/* ---- postfix.d ----------------------------------------------------------------------------- */

struct postfix_case {
    const char *text;
    const char *path;
    const char *value;
    const char *warnings;
};

static const struct postfix_case postfix_cases[] = {
    {"# Verbose\n-M -e submission/inet=\"submission inet n - n - - smtpd -v\"\n", "log.level",
     "debug", ""},
    {"-M -e submission/inet=\"submission inet n - n - - smtpd\"\n", "log.level", "info", ""},
    {"-M -e smtps/inet=\"smtps inet n - n - - smtpd\"\n", "log.level", "info",
     "$ROOT" POSTFIX "c.conf:1:1: smtps/inet has no effect: of master.cf only submission's -v is "
     "read\n"},
    {"-e myhostname=\"relay.mydomain.com\"\n", "identity.hostname", "\"relay.mydomain.com\"", ""},
    {"-e smtp_helo_name='helo.mydomain.com'\n", "delivery.helo_name", "\"helo.mydomain.com\"", ""},
    {"-e myhostname=a.example -e smtp_helo_name=$SH_X\n", "delivery.helo_name", "\"x.example\"",
     ""},
    {"-e smtpd_tls_security_level=\"may\"\n", "listeners[1].tls", "may", ""},
    {"-e smtpd_tls_cert_file=\"$APP_CONF/postfix.tls/x.crt\"\n", "tls.cert_file",
     "[\"$ROOT/etc/smarthost/postfix.tls/x.crt\"]", ""},
    {"-e smtpd_tls_key_file=/etc/x.key\n", "tls.key_file", "[\"$ROOT/etc/x.key\"]", ""},
    {"-e mynetworks=\"127.0.0.0/8, 10.1.0.0/16 [::1]/128\"\n", "access.networks",
     "[\"127.0.0.0/8\", \"10.1.0.0/16\", \"::1/128\"]", ""},
    {"-e relayhost=\"[RELAY.example]:587\"\n", "relay.host", "[\"[RELAY.example]:587\"]", ""},
    {"-e message_size_limit=20480000\n", "limits.message_size", "20000KiB", ""},
    {"-e header_size_limit=4096000\n", "limits.header_size", "100KiB",
     "$ROOT" POSTFIX
     "c.conf:1:1: header_size_limit: is more than Ringpost takes; the most it takes "
     "is used\n"},
    {"-e smtp_tls_security_level=encrypt\n", "delivery.tls", "encrypt", ""},
    {"-e smtp_tls_wrappermode=yes\n", "relay.implicit_tls", "true", ""},
    {"-e smtp_sasl_password_maps=static:u:p:q -e smtp_sasl_security_options=noplaintext\n",
     "relay.username", "\"u\"", ""},
    {"-e smtpd_sasl_auth_enable=yes -e smtpd_client_restrictions=\"permit_sasl_authenticated, "
     "reject\"\n",
     "listeners[0].access", "auth_and_network", ""},
    {"-e smtpd_relay_restrictions=\"permit_sasl_authenticated,reject\"\n", "listeners[0].access",
     "auth", ""},
    {"-e smtpd_relay_restrictions=\"permit_mynetworks permit_sasl_authenticated "
     "defer_unauth_destination\"\n",
     "listeners[0].access", "auth_or_network", ""},
    {"-e smtpd_relay_restrictions=permit\n", "listeners[0].access", "network",
     "$ROOT" POSTFIX "c.conf:1:1: smtpd_relay_restrictions has no effect: it would let anybody, or "
     "nobody, send to anybody\n"},
    {"-e smtpd_client_restrictions=\"reject_rbl_client x, permit_mynetworks, reject\"\n",
     "listeners[0].access", "network",
     "$ROOT" POSTFIX "c.conf:1:1: reject_rbl_client has no effect: Ringpost does not know this "
     "restriction\n$ROOT" POSTFIX
     "c.conf:1:1: x has no effect: Ringpost does not know this restriction\n"},
    {"-e maximal_queue_lifetime=2d\n", "queue.max_age", "2d", ""},
    {"-e maximal_queue_lifetime=2\n", "queue.max_age", "2d", ""},
    {"-e minimal_backoff_time=60s -e maximal_backoff_time=10m\n", "queue.schedule",
     "[1m, 1m, 2m, 4m, 8m, 10m]", ""},
    {"-e smtpd_discard_ehlo_keywords=\"chunking, dsn\"\n", "smtp.chunking", "false", ""},
    {"-e smtpd_banner='$myhostname ESMTP hello'\n", "smtp.banner", "\"hello\"", ""},
    {"-e inet_protocols=ipv4\n", "delivery.ipv6", "false", ""},
    {"-e disable_vrfy_command=yes\n", "smtp.vrfy", "false", ""},
    {"-e always_add_missing_headers=no\n", "headers.add_missing", "false", ""},
    {"-e virtual_alias_maps=hash:/x\n", "relay.tls", "may",
     "$ROOT" POSTFIX "c.conf:1:1: virtual_alias_maps has no effect: no counterpart of this Postfix "
     "parameter\n"},
    {"-e smtpd_timeout='${stress?10}s'\n", "limits.command_timeout", "5m",
     "$ROOT" POSTFIX
     "c.conf:1:1: smtpd_timeout has no effect: references to other parameters ($) are "
     "not evaluated\n"},
    {"-e myhostname=$(hostname)\n", "identity.hostname", "\"localhost.localdomain\"",
     "$ROOT" POSTFIX "c.conf:1:1: the rest of the line has no effect: commands are not run\n"},
    {"-e myhostname=a.example; rm -rf /\n", "relay.tls", "may",
     "$ROOT" POSTFIX "c.conf:1:1: the rest of the line has no effect: commands are not run\n"},
    {"-# relayhost\n", "relay.host", "[]",
     "$ROOT" POSTFIX
     "c.conf:1:1: -# has no effect: of postconf's options only -e and -M are read\n"},
};

START_TEST(postfix)
{
    const struct postfix_case *c = &postfix_cases[_i];
    struct variables v = {{"RINGPOST_PROFILE=003", "SH_X=x.example"}};
    char warnings[4096];
    root_file(POSTFIX "c.conf", c->text);
    struct loaded l = load_good(&v);
    snprintf(warnings, sizeof(warnings),
             "%sSH_X: profile 003 has no variable of this name, ignored\n", c->warnings);
    lines_expect(&l.warnings, warnings);
    key_expect(l.conf, c->path, c->value);
    unload(&l);
}
END_TEST

START_TEST(postfix_errors_name_the_line)
{
    root_file(POSTFIX "c.conf", "\n-e message_size_limit=big\n-e smtpd_hard_error_limit=many\n"
                                "-e smtp_tls_security_level=dane-only\n");
    struct loaded l = load_profile(&nothing, NULL);
    ck_assert_ptr_null(l.conf);
    lines_expect(
        &l.errors,
        "$ROOT" POSTFIX "c.conf:2:1: message_size_limit: \"big\" is not a number of bytes\n"
        "$ROOT" POSTFIX
        "c.conf:3:1: limits.errors: \"many\" is not a whole number (1–10000)\n$ROOT" POSTFIX
        "c.conf:4:1: smtp_tls_security_level: \"dane-only\" is not one of: none, may, "
        "encrypt, verify, secure, dane\n");
    unload(&l);
}
END_TEST

/* 003-18: later files win, in the order of sort -V. */
START_TEST(postfix_order)
{
    root_file(POSTFIX "10.conf", "-e hopcount_limit=10\n");
    root_file(POSTFIX "9.conf", "-e hopcount_limit=9\n");
    struct loaded l = load_good(&nothing);
    key_expect(l.conf, "limits.hops", "10");
    unload(&l);
}
END_TEST

/* ---- OpenDKIM ------------------------------------------------------------------------------ */

START_TEST(opendkim_tables)
{
    root_file("/etc/smarthost/opendkim/signingtable", "a.example s._domainkey.a.example\n");
    struct loaded l = load_good(&nothing);
    lines_expect(&l.warnings,
                 "$ROOT/etc/smarthost/opendkim/signingtable: has no effect: signingtable "
                 "and keytable are needed together\n");
    unload(&l);
    root_file("/etc/smarthost/opendkim/keytable", "s._domainkey.a.example a.example:s:/k\n");
    l = load_good(&nothing);
    key_expect(l.conf, "dkim.signing_table", "\"$ROOT/etc/smarthost/opendkim/signingtable\"");
    key_expect(l.conf, "dkim.key_table", "\"$ROOT/etc/smarthost/opendkim/keytable\"");
    key_expect(l.conf, "dkim.canonicalization", "relaxed/simple");
    slice_expect(l.conf->root, test_folder);
    unload(&l);
}
END_TEST

/* ---- layers -------------------------------------------------------------------------------- */

/* Presets < files < ringpost.yaml < variables < RINGPOST_*. */
START_TEST(layers)
{
    root_file(POSTFIX "c.conf", "-e message_size_limit=100000 -e hopcount_limit=5\n"
                                "-e myhostname=a.example -e smtpd_hard_error_limit=3\n");
    root_file("/t.yaml", "limits: {message_size: 200000, hops: 6}\n"
                         "identity: {hostname: b.example}\n");
    struct variables v = {
        {"SH_HOSTNAME=c.example", "RINGPOST_LIMITS_HOPS=8", "RINGPOST_LIMITS_RECIPIENTS=7"}};
    struct loaded l = load_profile(&v, "t.yaml");
    ck_assert_msg(l.conf != NULL, "%.*s", SLICE_ARG(buf_slice(&l.errors)));
    key_expect(l.conf, "limits.errors", "3");
    key_expect(l.conf, "limits.message_size", "200KB");
    key_expect(l.conf, "identity.hostname", "\"c.example\"");
    key_expect(l.conf, "limits.hops", "8");
    key_expect(l.conf, "limits.recipients", "7");
    unload(&l);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("core/conf/profile_files");
    TCase *c = tcase_create("all");
    tcase_add_checked_fixture(c, root_enter, root_leave);
    tcase_add_test(c, the_readme_example);
    tcase_add_test(c, every_name_of_config);
    tcase_add_test(c, files_are_merged);
    tcase_add_test(c, variables_win_over_files);
    tcase_add_loop_test(c, yaml, 0, ARRAY_COUNT(yaml_cases));
    tcase_add_loop_test(c, yaml_failure, 0, ARRAY_COUNT(yaml_failures));
    tcase_add_test(c, allowed_senders);
    tcase_add_test(c, dkim_of_domains);
    tcase_add_test(c, certificate_in_place);
    tcase_add_test(c, users_d);
    tcase_add_test(c, users_d_without_auth);
    tcase_add_test(c, users_d_wrong);
    tcase_add_loop_test(c, postfix, 0, ARRAY_COUNT(postfix_cases));
    tcase_add_test(c, postfix_errors_name_the_line);
    tcase_add_test(c, postfix_order);
    tcase_add_test(c, opendkim_tables);
    tcase_add_test(c, layers);
    suite_add_tcase(s, c);
    return suite_run(s);
}
