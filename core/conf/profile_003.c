/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Profile 003: INSIOS smarthost (Postfix and OpenDKIM, ports 587 and 586, by network and login).
 */
#include "core/base/must.h"
#include "core/conf/file.h"
#include "core/conf/profile_tables.h"

#define FOLDER "/etc/smarthost"
#define SIGNING_TABLE FOLDER "/opendkim/signingtable"
#define KEY_TABLE FOLDER "/opendkim/keytable"

static const struct conf_variable variables[] = {
    {SLICE_INIT("SH_HOSTNAME"), CONF_VAR_TEXT, CONF_VAR_SELECTS, .keys = "identity.hostname",
     .initial = "localhost.localdomain"},
    {SLICE_INIT("SH_ALLOWED_NETWORKS"), CONF_VAR_NETS, CONF_VAR_SELECTS, .keys = "access.networks",
     .text = ", \t\r\n", .initial = "127.0.0.0/8, 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16"},
    {SLICE_INIT("SH_AUTH"), CONF_VAR_USERS, CONF_VAR_SELECTS | CONF_VAR_SECRET,
     .keys = "users[].name users[].password", .text = "", .initial = "nobody has to log in",
     .note =
         "`user` and `user@smarthost` both log in. A password may hold `:` (the original cuts it "
         "there). DIGEST-MD5 is not offered."},
    {SLICE_INIT("SH_AUTH"), CONF_VAR_CONST, CONF_VAR_SECRET, .keys = "listeners[*].access",
     .text = "auth_and_network"},
    {SLICE_INIT("SH_TLS_LEVEL"), CONF_VAR_WORDS, CONF_VAR_SELECTS, .keys = "listeners[*].tls",
     .text = "none=none|may=may|encrypt=encrypt", .initial = "STARTTLS is not offered",
     .note = "Anything else stops the start."},
    {SLICE_INIT("SH_TLS_LEVEL"), CONF_VAR_WORDS, CONF_VAR_QUIET, .keys = "auth.require_tls",
     .text = "none=false|may=false|encrypt=true"},
    {SLICE_INIT("SH_TLS_CRT"), CONF_VAR_PATH, CONF_VAR_SELECTS, .keys = "tls.cert_file",
     .text = FOLDER, .initial = "`" FOLDER "/postfix.tls/tls.crt`, else self-signed",
     .note = "An absolute path is taken as it is."},
    {SLICE_INIT("SH_TLS_KEY"), CONF_VAR_PATH, CONF_VAR_SELECTS, .keys = "tls.key_file",
     .text = FOLDER, .initial = "`" FOLDER "/postfix.tls/tls.key`",
     .note = "An absolute path is taken as it is."},
    {SLICE_INIT("SH_RELAY_HOST"), CONF_VAR_POSTFIX_RELAY, CONF_VAR_SELECTS, .keys = "relay.host",
     .initial = "MX of the recipients' domains"},
    {SLICE_INIT("SH_RELAY_USERNAME"), CONF_VAR_TEXT, CONF_VAR_SELECTS | CONF_VAR_SECRET,
     .keys = "relay.username", .needs = "SH_RELAY_USERNAME SH_RELAY_PASSWORD",
     .unmet = "used only together with SH_RELAY_PASSWORD", .initial = "no login"},
    {SLICE_INIT("SH_RELAY_PASSWORD"), CONF_VAR_TEXT, CONF_VAR_SELECTS | CONF_VAR_SECRET,
     .keys = "relay.password", .needs = "SH_RELAY_USERNAME SH_RELAY_PASSWORD",
     .unmet = "used only together with SH_RELAY_USERNAME", .initial = "no login"},
    {SLICE_INIT("SH_RELAY_TLS"), CONF_VAR_SWITCH, CONF_VAR_SELECTS,
     .keys = "relay.tls delivery.tls", .text = "encrypt", .initial = "off",
     .note = "`false`, `no`, `off` and `0` are off, with a warning; the original takes every text "
             "as on."},
    {SLICE_INIT("SH_VERBOSE"), CONF_VAR_SWITCH, CONF_VAR_SELECTS, .keys = "log.level",
     .text = "debug", .initial = "off", .note = "As `SH_RELAY_TLS`."},
    {SLICE_INIT("SH_"), CONF_VAR_UNKNOWN, CONF_VAR_PREFIX | CONF_VAR_SELECTS, .keys = ""},
};

static const struct conf_preset presets[] = {
    {"spool.dir", "/var/spool/postfix/ringpost"},
    {"identity.hostname", "localhost.localdomain"},
    {"listeners[0].address", "0.0.0.0"},
    {"listeners[0].port", "587"},
    {"listeners[0].mode", "relay"},
    {"listeners[1].address", "0.0.0.0"},
    {"listeners[1].port", "586"},
    {"listeners[1].mode", "relay"},
    {"listeners[1].proxy_protocol", "required"},
    {"access.networks", "127.0.0.0/8,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16"},
    {"tls.cert_file", FOLDER "/postfix.tls/tls.crt"},
    {"tls.key_file", FOLDER "/postfix.tls/tls.key"},
    {"tls.on_missing", "self_signed"},
    {"auth.require_tls", "false"},
    {"auth.cram_md5", "true"},
    {"auth.session_failures_max", "0"},
    {"dkim.canonicalization", "relaxed/simple"},
    {"limits.message_size", "10240000"},
    {"limits.recipients", "1000"},
    {"limits.errors", "20"},
    {"limits.line_length_action", "pass"},
    {"headers.add_missing", "true"},
    {"relay.lookup", "mx"},
    {"relay.tls", "may"},
    {"relay.auth_without_tls", "true"},
    {"delivery.tls", "may"},
    {"delivery.recipients_per_transaction", "50"},
    {"queue.schedule", "5m,5m,10m,20m,40m,1h6m40s"},
    {"queue.jitter", "0"},
    {"queue.max_age", "5d"},
};

static void opendkim_tables(struct conf_profile_load *p)
{
    struct slice signing = conf_profile_path(p, SLICE(SIGNING_TABLE));
    struct slice keys = conf_profile_path(p, SLICE(KEY_TABLE));
    bool has_signing = signing.len && conf_file_is_there(signing.ptr);
    bool has_keys = keys.len && conf_file_is_there(keys.ptr);
    if (has_signing && has_keys) {
        struct conf_origin from = conf_profile_place(signing, 0);
        conf_profile_put(p, &from, "dkim.signing_table", SLICE(SIGNING_TABLE));
        conf_profile_put(p, &from, "dkim.key_table", SLICE(KEY_TABLE));
    } else if (has_signing || has_keys) {
        struct conf_origin from = conf_profile_place(has_signing ? signing : keys, 0);
        conf_report_warning(p->apply->report, &from, SLICE(""),
                            "has no effect: signingtable and keytable are needed together");
    }
}

static void sender_check(struct conf_profile_load *p, const struct conf_profile_yaml *y)
{
    const struct conf_node *n = conf_node_find(y->config, SLICE("sender_restrictions"));
    if (n && n->kind == CONF_NODE_SCALAR && slice_eq(n->text, SLICE("email")) && !p->auth) {
        conf_report_warning(p->apply->report, &n->origin, SLICE("config.sender_restrictions"),
                            "\"email\" has no effect: nobody logs in");
    }
}

/* postfix.d, opendkim, users.d, yaml.d, as the original applies them. Whether anybody logs in is known
 * only when all of them have been read: users without it would offer AUTH for nothing. */
static void below(struct conf_profile_load *p)
{
    struct conf_postfix m = {.p = p};
    struct conf_profile_yaml yaml;
    conf_postconf_folder(&m, FOLDER "/postfix.d");
    opendkim_tables(p);
    conf_profile_yaml_read(p, FOLDER "/yaml.d", &yaml);
    conf_profile_yaml_config(p, &yaml, &m);
    if (p->auth || conf_vars_is_set(p, SLICE("SH_AUTH"))) {
        m.client = CONF_POSTFIX_AUTH;
        p->auth = true;
    }
    conf_postfix_end(&m);
    if (p->auth || m.sasl) {
        conf_profile_users_folder(p, FOLDER "/users.d");
        conf_profile_yaml_users(p, &yaml);
    } else if (yaml.users->count) {
        conf_report_warning(p->apply->report, &yaml.users->first->origin, SLICE("users"),
                            "nobody has to log in: config.auth is not true");
    }
    p->auth |= m.sasl;
    sender_check(p, &yaml);
    conf_profile_yaml_domains(p, &yaml);
}

const struct conf_profile conf_profile_003 = {
    .name = SLICE_INIT("003"),
    .alias = SLICE_INIT("smarthost"),
    .title = "INSIOS smarthost",
    .about =
        "- The PROXY header on port 586 is believed from loopback and private addresses only "
        "(`proxy.networks`): the original believes everybody, so that whoever reaches the port "
        "chooses the address that `SH_ALLOWED_NETWORKS` judges.\n"
        "- The ports are opened on IPv4 addresses; `RINGPOST_LISTENERS_2_ADDRESS=::` and its port, tls "
        "and access add one for IPv6.\n"
        "- Mail is signed for every client; OpenDKIM signs only for clients that logged in or come "
        "from 127.0.0.1. A selector without a key stops the start instead of deferring mail.\n"
        "- Without `SH_RELAY_TLS` mail goes out with TLS where the other side offers it, whatever its "
        "certificate; the original then uses none at all.\n"
        "- A missing `allowed_from`, or an empty one, restricts nobody, as the README says (the "
        "script refuses everything for `[]`).\n"
        "- The self-signed certificate is ECDSA, has the host name in its SAN and lasts 397 days; it "
        "is made anew at each start, reloads keep it while the host name stays.\n"
        "- Lines of any length are passed as they are (Postfix folds them after 998 bytes, which "
        "breaks DKIM signatures).\n"
        "- `postfix.d` is not run by a shell: quotes, `$NAME` and the parameters in the table are "
        "understood, commands are not run. YAML anchors are refused.\n"
        "- The queue lies in a folder of its own below `/var/spool/postfix`, so that the volume that "
        "is mounted there keeps it; mail in an old Postfix queue is not read.\n"
        "- `docker-entrypoint.d/*.sh`, `postfix.d/*sh` and `users.d/*sh` are not run; arguments behind "
        "the command (`test …`) are refused.\n",
    .variables = variables,
    .variable_count = ARRAY_COUNT(variables),
    .presets = presets,
    .preset_count = ARRAY_COUNT(presets),
    .folder = FOLDER,
    .realm = SLICE_INIT("smarthost"),
    .more = {{"Names in `" FOLDER "/yaml.d/*.yaml`", conf_yaml_names, &conf_yaml_name_count},
             {"Parameters in `" FOLDER "/postfix.d/*.conf`", NULL, NULL}},
    .below = below,
    .above = conf_profile_warn_clear_relay,
};
