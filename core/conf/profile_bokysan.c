/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Profile bokysan: boky/postfix (Postfix, port 587, by network and sender domain).
 */
#include "core/base/must.h"
#include "core/conf/env.h"
#include "core/conf/file.h"
#include "core/conf/profile_tables.h"

#define KEYS_FOLDER "/etc/opendkim/keys"
#define RELAY_LOGIN "RELAYHOST RELAYHOST_USERNAME RELAYHOST_PASSWORD"
#define TLS_LEVEL "none=none|may=may|encrypt=encrypt|verify=verify|secure=verify|dane=may"
#define NO_REFRESH "tokens are not renewed; let something else write the file of relay.token_file"

static const struct conf_variable variables[] = {
    {SLICE_INIT("ALLOWED_SENDER_DOMAINS"), CONF_VAR_CODE, CONF_VAR_SELECTS,
     .keys = "domains[].name sender.restrict",
     .initial = "must be set, unless `ALLOW_EMPTY_SENDER_DOMAINS` is",
     .note = "Holds for users of `SMTPD_SASL_USERS` as well; the original lets them use any."},
    {SLICE_INIT("ALLOW_EMPTY_SENDER_DOMAINS"), CONF_VAR_CODE, CONF_VAR_SELECTS, .keys = "",
     .initial = "not set"},
    {SLICE_INIT("RELAYHOST"), CONF_VAR_POSTFIX_RELAY, 0, .keys = "relay.host",
     .initial = "MX of the recipients' domains"},
    {SLICE_INIT("SASL_RELAYHOST"), CONF_VAR_NONE, CONF_VAR_SELECTS,
     .note = "the login is used at every relay host"},
    {SLICE_INIT("RELAYHOST_USERNAME"), CONF_VAR_TEXT, CONF_VAR_SELECTS, .keys = "relay.username",
     .needs = RELAY_LOGIN "|XOAUTH2_INITIAL_ACCESS_TOKEN_FILE",
     .unmet = "used only together with RELAYHOST and RELAYHOST_PASSWORD", .initial = "no login"},
    {SLICE_INIT("RELAYHOST_PASSWORD"), CONF_VAR_TEXT, CONF_VAR_SELECTS | CONF_VAR_SECRET,
     .keys = "relay.password", .needs = RELAY_LOGIN,
     .unmet = "used only together with RELAYHOST and RELAYHOST_USERNAME", .initial = "no login"},
    {SLICE_INIT("RELAYHOST_TLS_LEVEL"), CONF_VAR_WORDS, CONF_VAR_SELECTS,
     .keys = "relay.tls delivery.tls", .text = TLS_LEVEL, .initial = "may",
     .note = "The old name of `POSTFIX_smtp_tls_security_level`."},
    {SLICE_INIT("MYNETWORKS"), CONF_VAR_NETS, CONF_VAR_SELECTS, .keys = "access.networks",
     .text = ", \t", .initial = "127.0.0.0/8, 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16",
     .note = "The old name of `POSTFIX_mynetworks`."},
    {SLICE_INIT("MESSAGE_SIZE_LIMIT"), CONF_VAR_BYTES, 0, .keys = "limits.message_size",
     .initial = "no limit (1 GiB)", .note = "The old name of `POSTFIX_message_size_limit`."},
    {SLICE_INIT("POSTFIX_"), CONF_VAR_CODE, CONF_VAR_PREFIX | CONF_VAR_LOWER | CONF_VAR_SELECTS,
     .keys = "", .initial = "see below", .note = "The parameters below; others are warned about."},
    {SLICE_INIT("SMTPD_SASL_USERS"), CONF_VAR_USERS, CONF_VAR_SELECTS | CONF_VAR_SECRET,
     .keys = "users[].name users[].password", .text = ",", .initial = "AUTH is not offered",
     .note = "`user` logs in as `user` and as `user@` the host name."},
    {SLICE_INIT("DKIM_SELECTOR"), CONF_VAR_CODE, 0, .keys = "domains[].dkim_selector",
     .initial = "mail", .note = "Also `foo,example.org=bar`."},
    {SLICE_INIT("DKIM_AUTOGENERATE"), CONF_VAR_NONE, CONF_VAR_SELECTS,
     .note = "make the keys with `ringpost dkim keygen` and mount them"},
    {SLICE_INIT("DKIM_BACKEND"), CONF_VAR_NONE, CONF_VAR_SELECTS,
     .note = "Ringpost signs by itself; see dkim.* and domains[]"},
    {SLICE_INIT("OPENDKIM_"), CONF_VAR_NONE, CONF_VAR_PREFIX | CONF_VAR_SELECTS,
     .note = "Ringpost signs by itself; see dkim.* and domains[]"},
    {SLICE_INIT("RSPAMD_"), CONF_VAR_NONE, CONF_VAR_PREFIX | CONF_VAR_SELECTS,
     .note = "Ringpost signs by itself; see dkim.* and domains[]"},
    {SLICE_INIT("XOAUTH2_INITIAL_ACCESS_TOKEN_FILE"), CONF_VAR_PATH, CONF_VAR_SELECTS,
     .keys = "relay.token_file", .text = "", .needs = "RELAYHOST RELAYHOST_USERNAME",
     .initial = "no XOAUTH2", .note = "Read again when it changes, but not renewed by Ringpost."},
    {SLICE_INIT("XOAUTH2_INITIAL_ACCESS_TOKEN"), CONF_VAR_NONE, CONF_VAR_SELECTS,
     .note = "use XOAUTH2_INITIAL_ACCESS_TOKEN_FILE: a token ends within an hour"},
    {SLICE_INIT("XOAUTH2_"), CONF_VAR_NONE, CONF_VAR_PREFIX | CONF_VAR_SELECTS, .note = NO_REFRESH},
    {SLICE_INIT("MASQUERADED_DOMAINS"), CONF_VAR_NONE, CONF_VAR_SELECTS,
     .note = "addresses are not rewritten"},
    {SLICE_INIT("SMTP_HEADER_CHECKS"), CONF_VAR_NONE, CONF_VAR_SELECTS,
     .note = "header checks are not run; see headers.strip"},
    {SLICE_INIT("AUTOSET_HOSTNAME"), CONF_VAR_CODE, CONF_VAR_SELECTS, .keys = "identity.hostname",
     .initial = "off",
     .note = "Reverse DNS of a public address of this machine; no web service is "
             "asked."},
    {SLICE_INIT("AUTOSET_HOSTNAME_SERVICES"), CONF_VAR_NONE, CONF_VAR_SELECTS,
     .note = "no web service is asked for the public address"},
    {SLICE_INIT("ANONYMIZE_EMAILS"), CONF_VAR_NONE, CONF_VAR_SELECTS,
     .note = "addresses stand in the log as they are"},
    {SLICE_INIT("LOG_FORMAT"), CONF_VAR_CODE, 0, .keys = "log.format", .initial = "json",
     .note = "Other formats are JSON as well (a warning)."},
    {SLICE_INIT("INBOUND_DEBUGGING"), CONF_VAR_SWITCH, CONF_VAR_SELECTS, .keys = "log.level",
     .text = "debug", .initial = "off"},
    {SLICE_INIT("TZ"), CONF_VAR_NONE, 0, .note = "the log is in UTC"},
    {SLICE_INIT("FORCE_COLOR"), CONF_VAR_NONE, 0, .note = "the log has no colours"},
    {SLICE_INIT("SKIP_ROOT_SPOOL_CHOWN"), CONF_VAR_NONE, CONF_VAR_SELECTS,
     .note = "Ringpost changes no owner of a folder"},
};

static const struct conf_preset presets[] = {
    {"spool.dir", "/var/spool/postfix/ringpost"},
    {"listeners[0].address", "0.0.0.0"},
    {"listeners[0].port", "587"},
    {"listeners[0].mode", "relay"},
    {"listeners[0].tls", "may"},
    {"access.networks", "127.0.0.0/8,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16"},
    {"tls.on_missing", "disable"},
    {"auth.require_tls", "false"},
    {"auth.cram_md5", "true"},
    {"auth.session_failures_max", "0"},
    {"smtp.auth_equals", "true"},
    {"limits.message_size", "1GiB"},
    {"limits.line_length_action", "pass"},
    {"relay.lookup", "mx"},
    {"relay.tls", "may"},
    {"relay.auth_without_tls", "true"},
    {"delivery.tls", "may"},
    {"delivery.recipients_per_transaction", "50"},
    {"queue.schedule", "5m,5m,10m,20m,40m,1h6m40s"},
    {"queue.jitter", "0"},
    {"queue.max_age", "5d"},
};

/* "foo,example.org=bar": bar for example.org, foo for all others; "mail" when there is none. */
static struct slice selector_of(const struct conf_profile_load *p, struct slice domain)
{
    struct slice rest = conf_vars_get(p->source, SLICE("DKIM_SELECTOR"));
    struct slice found = SLICE("mail"), item;
    while (conf_list_next(&rest, ", \t", &item)) {
        struct slice selector = item;
        struct slice name = slice_cut(&selector, '=');
        if (name.len == item.len) {
            found = item;
        } else if (slice_eq_nocase(name, domain)) {
            return selector;
        }
    }
    return found;
}

static void domain_put(struct conf_profile_load *p, const struct conf_origin *from,
                       struct slice name)
{
    size_t index = 0;
    struct buf path;
    if (!conf_profile_put_domain(p, from, name, &index)) {
        return;
    }
    buf_init(&path, 4096);
    buf_addf(&path, KEYS_FOLDER "/%.*s.private", SLICE_ARG(name));
    struct slice kept = conf_profile_keep(p, buf_slice(&path));
    struct slice whole = conf_profile_path(p, kept);
    if (whole.len && conf_file_is_there(whole.ptr)) {
        conf_profile_put_item(p, from, "domains", index, "dkim_key_file", kept);
        conf_profile_put_item(p, from, "domains", index, "dkim_selector",
                              conf_profile_keep(p, selector_of(p, name)));
    }
    buf_deinit(&path);
}

static void domains_put(struct conf_profile_load *p)
{
    struct conf_origin from = {.kind = CONF_FROM_ENV, .name = SLICE("ALLOWED_SENDER_DOMAINS")};
    struct conf_origin whole = {.kind = CONF_FROM_DEFAULT};
    struct slice rest = conf_profile_keep(p, conf_vars_get(p->source, from.name)), item;
    if (rest.len == 0) {
        if (!conf_vars_is_set(p, SLICE("ALLOW_EMPTY_SENDER_DOMAINS"))) {
            conf_report_error(p->apply->report, &whole, SLICE(""),
                              "You need to specify ALLOWED_SENDER_DOMAINS or "
                              "ALLOW_EMPTY_SENDER_DOMAINS, otherwise nobody may send");
        }
        return;
    }
    conf_profile_put(p, &from, "sender.restrict", SLICE("domain"));
    while (conf_list_next(&rest, " \t\r\n", &item)) {
        domain_put(p, &from, conf_profile_keep(p, item));
    }
}

/* The names that came before POSTFIX_… win over it in the original's script. */
static bool has_old_name(const struct conf_profile_load *p, struct slice parameter)
{
    return (slice_eq(parameter, SLICE("mynetworks")) && conf_vars_is_set(p, SLICE("MYNETWORKS"))) ||
           (slice_eq(parameter, SLICE("message_size_limit")) &&
            conf_vars_is_set(p, SLICE("MESSAGE_SIZE_LIMIT"))) ||
           (slice_eq(parameter, SLICE("smtp_tls_security_level")) &&
            conf_vars_is_set(p, SLICE("RELAYHOST_TLS_LEVEL")));
}

static void parameters_put(struct conf_profile_load *p)
{
    static const struct slice lead = SLICE_INIT("POSTFIX_");
    struct conf_postfix m = {.p = p};
    for (size_t i = 0; p->source->environment && p->source->environment[i]; i++) {
        struct slice value = slice_str(p->source->environment[i]);
        struct slice name = slice_cut(&value, '=');
        const struct conf_variable *v = conf_vars_row(p->profile, name);
        if (!v || !slice_eq(v->name, lead) || value.len == 0 ||
            conf_env_is_kubernetes(name, value)) {
            continue;
        }
        struct conf_origin from = conf_profile_variable(p, name);
        if (has_old_name(p, slice_skip(name, lead.len))) {
            conf_report_warning(p->apply->report, &from, SLICE(""),
                                "has no effect: the older variable of this meaning is set too");
            continue;
        }
        conf_postfix_set(&m, &from, slice_skip(name, lead.len), conf_profile_keep(p, value));
    }
    conf_postfix_end(&m);
}

static void token_check(struct conf_profile_load *p)
{
    static const char together[] = "RELAYHOST RELAYHOST_USERNAME";
    static const char client[] = "XOAUTH2_CLIENT_ID|XOAUTH2_SECRET|XOAUTH2_CLIENT_ID_FILE|"
                                 "XOAUTH2_SECRET_FILE|XOAUTH2_INITIAL_ACCESS_TOKEN_FILE";
    struct conf_origin whole = {.kind = CONF_FROM_DEFAULT};
    if (conf_vars_meet(p, client) && !conf_vars_meet(p, together)) {
        conf_report_error(
            p->apply->report, &whole, SLICE(""),
            "You need to specify RELAYHOST and RELAYHOST_USERNAME, otherwise no token "
            "can be used");
    }
    if (conf_vars_meet(p, "XOAUTH2_INITIAL_ACCESS_TOKEN XOAUTH2_INITIAL_ACCESS_TOKEN_FILE")) {
        conf_report_error(p->apply->report, &whole, SLICE(""),
                          "error: both XOAUTH2_INITIAL_ACCESS_TOKEN and "
                          "XOAUTH2_INITIAL_ACCESS_TOKEN_FILE are set (but are mutually exclusive)");
    }
}

static void log_format_check(struct conf_profile_load *p)
{
    struct slice value = conf_vars_get(p->source, SLICE("LOG_FORMAT"));
    struct conf_origin from = {.kind = CONF_FROM_ENV, .name = SLICE("LOG_FORMAT")};
    if (value.len && !slice_eq(value, SLICE("json"))) {
        conf_report_warning(p->apply->report, &from, SLICE(""), "has no effect: the log is JSON");
    }
}

static void above(struct conf_profile_load *p)
{
    struct slice autoset = conf_vars_get(p->source, SLICE("AUTOSET_HOSTNAME"));
    struct buf name;
    buf_init(&name, 512);
    if (slice_eq(autoset, SLICE("1")) && conf_machine_reverse_name(p->apply->machine, &name)) {
        struct conf_origin from = {.kind = CONF_FROM_ENV, .name = SLICE("AUTOSET_HOSTNAME")};
        conf_profile_put(p, &from, "identity.hostname", conf_profile_keep(p, buf_slice(&name)));
    }
    buf_deinit(&name);
    token_check(p);
    log_format_check(p);
    parameters_put(p);
    domains_put(p);
    conf_profile_warn_clear_relay(p);
}

const struct conf_profile conf_profile_bokysan = {
    .name = SLICE_INIT("bokysan"),
    .alias = SLICE_INIT("docker-postfix"),
    .title = "bokysan/docker-postfix (boky/postfix)",
    .about =
        "- Keys are read from `" KEYS_FOLDER "/DOMAIN.private`, for the allowed sender domains.\n"
        "- A recipient's domain is not looked up at RCPT (`reject_unknown_recipient_domain`): mail to "
        "a domain that does not exist bounces.\n"
        "- STARTTLS is offered when `POSTFIX_smtpd_tls_cert_file` and `…_key_file` are set.\n"
        "- Lines of any length are passed as they are (Postfix folds them after 998 bytes, which "
        "breaks DKIM signatures).\n"
        "- The port is opened on IPv4 addresses; `RINGPOST_LISTENERS_1_ADDRESS=::` and its port and tls "
        "add one for IPv6.\n"
        "- A message's header may have 100 KiB, instead of 4 MB.\n"
        "- `/docker-init.d/*.sh` is not run.\n",
    .variables = variables,
    .variable_count = ARRAY_COUNT(variables),
    .presets = presets,
    .preset_count = ARRAY_COUNT(presets),
    .more = {{"Parameters as `POSTFIX_parameter`", NULL, NULL}},
    .above = above,
};
