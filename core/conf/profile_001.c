/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Profile 001: ix.ai SMTP and its successor egos-tech SMTP (Exim, port 25, by network).
 *
 * Waits between attempts: Debian's retry rule F,2h,15m; G,16h,1h,1.5; F,4d,6h.
 */
#include "core/base/must.h"
#include "core/conf/file.h"
#include "core/conf/profile_tables.h"
#include "core/conf/value_names.h"

#define GMAIL "GMAIL_USER GMAIL_PASSWORD"
#define NO_GMAIL "!GMAIL_USER|!GMAIL_PASSWORD"
#define SES NO_GMAIL " SES_USER SES_PASSWORD"
#define NO_SES NO_GMAIL " !SES_USER|!SES_PASSWORD"
#define LOGIN NO_SES " SMARTHOST_ADDRESS SMARTHOST_USER SMARTHOST_PASSWORD SMARTHOST_ALIASES"
#define GMAIL_UNMET "used only when GMAIL_USER and GMAIL_PASSWORD are both set"
#define SES_UNMET "used only when SES_USER and SES_PASSWORD are both set, and without GMAIL_*"
#define HOST_UNMET "not used: GMAIL_* and SES_* come first"
#define LOGIN_UNMET                                                                                \
    "used only when SMARTHOST_ADDRESS, _USER, _PASSWORD and _ALIASES are all set, and without "    \
    "GMAIL_* and SES_*"
#define KEYS "@KEY_PATH @CERTIFICATE_PATH"
#define KEYS_UNMET                                                                                 \
    "KEY_PATH and CERTIFICATE_PATH do not both name files that are not empty: STARTTLS is not "    \
    "offered"
#define LOOPBACK "127.0.0.0/8,::1/128"
#define MACROS_FILE "/etc/exim4/_docker_additional_macros"

static const struct conf_variable variables[] = {
    {SLICE_INIT("PORT"), CONF_VAR_TEXT, 0, .keys = "listeners[*].port", .initial = "25"},
    {SLICE_INIT("BIND_IP"), CONF_VAR_TEXT, CONF_VAR_SELECTS, .keys = "listeners[0].address",
     .initial = "0.0.0.0"},
    {SLICE_INIT("BIND_IP6"), CONF_VAR_TEXT, CONF_VAR_SELECTS, .keys = "listeners[1].address",
     .needs = "!DISABLE_IPV6", .unmet = "not used: DISABLE_IPV6 is set", .initial = "::0"},
    {SLICE_INIT("DISABLE_IPV6"), CONF_VAR_CONST, CONF_VAR_SELECTS, .keys = "delivery.ipv6",
     .text = "false", .initial = "not set",
     .note = "Any value, also `false`, switches IPv6 off: "
             "no listener, no lookup, no delivery."},
    {SLICE_INIT("MAILNAME"), CONF_VAR_TEXT, CONF_VAR_SELECTS, .keys = "identity.hostname",
     .initial = "the container's host name"},
    {SLICE_INIT("RELAY_NETWORKS"), CONF_VAR_CODE, CONF_VAR_SELECTS, .keys = "access.networks",
     .initial = "loopback and the networks of `NET_DEV`",
     .note = "Added to loopback and to the networks of `NET_DEV`. The `:` in front may be missing "
             "(a warning); IPv6 networks and `<;` lists are understood."},
    {SLICE_INIT("NET_DEV"), CONF_VAR_CODE, CONF_VAR_SELECTS, .keys = "access.networks",
     .initial = "eth0", .note = "Its IPv4 networks, read at the start and at a reload."},
    {SLICE_INIT("RELAY_DOMAINS"), CONF_VAR_EXIM_LIST, CONF_VAR_SELECTS,
     .keys = "access.relay_domains", .initial = "none", .note = "Names only, no `*` patterns."},
    {SLICE_INIT("OTHER_HOSTNAMES"), CONF_VAR_CODE, CONF_VAR_SELECTS, .keys = "access.local_domains",
     .initial = "none",
     .note = "Beside `localhost` and the own host name. Without local.maildir there are no "
             "mailboxes: 550 at RCPT, as the original says for users it does not have."},
    {SLICE_INIT("KEY_PATH"), CONF_VAR_PATH, CONF_VAR_SELECTS, .keys = "tls.key_file", .text = "",
     .needs = KEYS, .unmet = KEYS_UNMET, .initial = "STARTTLS is not offered"},
    {SLICE_INIT("CERTIFICATE_PATH"), CONF_VAR_PATH, CONF_VAR_SELECTS, .keys = "tls.cert_file",
     .text = "", .needs = KEYS, .unmet = KEYS_UNMET, .initial = "STARTTLS is not offered",
     .note = "Read where it is, and again when it changes, instead of copied."},
    {SLICE_INIT("SMTPPORTOUT"), CONF_VAR_TEXT, CONF_VAR_SELECTS, .keys = "delivery.mx_port",
     .initial = "25"},
    {SLICE_INIT("GMAIL_USER"), CONF_VAR_CONST, CONF_VAR_SELECTS | CONF_VAR_SECRET,
     .keys = "relay.host", .text = "[smtp.gmail.com]:587", .needs = GMAIL, .unmet = GMAIL_UNMET,
     .initial = "not set"},
    {SLICE_INIT("GMAIL_USER"), CONF_VAR_CONST, CONF_VAR_SECRET, .keys = "relay.auth_hosts",
     .text = "*.gmail.com", .needs = GMAIL},
    {SLICE_INIT("GMAIL_USER"), CONF_VAR_TEXT, CONF_VAR_SECRET, .keys = "relay.username",
     .needs = GMAIL},
    {SLICE_INIT("GMAIL_PASSWORD"), CONF_VAR_TEXT, CONF_VAR_SELECTS | CONF_VAR_SECRET,
     .keys = "relay.password", .needs = GMAIL, .unmet = GMAIL_UNMET, .initial = "not set"},
    {SLICE_INIT("SES_USER"), CONF_VAR_TEMPLATE, CONF_VAR_SELECTS | CONF_VAR_SECRET,
     .keys = "relay.host",
     .text = "[email-smtp.${SES_REGION:-us-east-1}.amazonaws.com]:${SES_PORT:-587}", .needs = SES,
     .unmet = SES_UNMET, .initial = "not set"},
    {SLICE_INIT("SES_USER"), CONF_VAR_CONST, CONF_VAR_SECRET, .keys = "relay.auth_hosts",
     .text = "*.amazonaws.com", .needs = SES},
    {SLICE_INIT("SES_USER"), CONF_VAR_TEXT, CONF_VAR_SECRET, .keys = "relay.username",
     .needs = SES},
    {SLICE_INIT("SES_PASSWORD"), CONF_VAR_TEXT, CONF_VAR_SELECTS | CONF_VAR_SECRET,
     .keys = "relay.password", .needs = SES, .unmet = SES_UNMET, .initial = "not set"},
    {SLICE_INIT("SES_REGION"), CONF_VAR_CODE, CONF_VAR_SELECTS, .keys = "relay.host",
     .initial = "us-east-1"},
    {SLICE_INIT("SES_PORT"), CONF_VAR_CODE, CONF_VAR_SELECTS, .keys = "relay.host",
     .initial = "587"},
    {SLICE_INIT("SMARTHOST_ADDRESS"), CONF_VAR_TEMPLATE, CONF_VAR_SELECTS, .keys = "relay.host",
     .text = "[${SMARTHOST_ADDRESS}]:${SMARTHOST_PORT:-25}", .needs = NO_SES, .unmet = HOST_UNMET,
     .initial = "MX of the recipients' domains"},
    {SLICE_INIT("SMARTHOST_PORT"), CONF_VAR_CODE, CONF_VAR_SELECTS, .keys = "relay.host",
     .initial = "25"},
    {SLICE_INIT("SMARTHOST_USER"), CONF_VAR_TEXT, CONF_VAR_SELECTS | CONF_VAR_SECRET,
     .keys = "relay.username", .needs = LOGIN, .unmet = LOGIN_UNMET, .initial = "no login"},
    {SLICE_INIT("SMARTHOST_PASSWORD"), CONF_VAR_TEXT, CONF_VAR_SELECTS | CONF_VAR_SECRET,
     .keys = "relay.password", .needs = LOGIN, .unmet = LOGIN_UNMET, .initial = "no login"},
    {SLICE_INIT("SMARTHOST_ALIASES"), CONF_VAR_LIST, CONF_VAR_SELECTS, .keys = "relay.auth_hosts",
     .text = "; \t", .needs = LOGIN, .unmet = LOGIN_UNMET, .initial = "no login",
     .note = "The configured name matches too, not only the canonical one."},
    {SLICE_INIT("DKIM_KEY_PATH"), CONF_VAR_PATH, CONF_VAR_SELECTS, .keys = "dkim.key_file",
     .text = "", .needs = "@DKIM_KEY_PATH",
     .unmet = "names no file with something in it: mail is not signed",
     .initial = "mail is not signed", .note = "Mail to a smarthost is signed as well."},
    {SLICE_INIT("DKIM_SELECTOR"), CONF_VAR_TEXT, 0, .keys = "dkim.selector", .initial = "dkim"},
    {SLICE_INIT("USE_SPLIT_CONFIG"), CONF_VAR_NONE, CONF_VAR_SELECTS,
     .note = "Exim's own configuration files cannot be read; write ringpost.yaml instead"},
    {SLICE_INIT("VERBOSE"), CONF_VAR_TRUE, 0, .keys = "log.level", .text = "debug",
     .initial = "off"},
    {SLICE_INIT("SMARTHOST_"), CONF_VAR_UNKNOWN, CONF_VAR_PREFIX, .keys = ""},
    {SLICE_INIT("GMAIL_"), CONF_VAR_UNKNOWN, CONF_VAR_PREFIX, .keys = ""},
    {SLICE_INIT("SES_"), CONF_VAR_UNKNOWN, CONF_VAR_PREFIX, .keys = ""},
};

static const struct conf_preset presets[] = {
    {"listeners[0].address", "0.0.0.0"},
    {"listeners[0].port", "25"},
    {"listeners[0].tls", "may"},
    {"access.refuse_code", "550"},
    {"tls.on_missing", "disable"},
    {"limits.message_size", "52428800"},
    {"limits.recipients", "50000"},
    {"limits.hops", "30"},
    {"relay.lookup", "host"},
    {"relay.tls", "may"},
    {"relay.auth_without_tls", "false"},
    {"delivery.tls", "may"},
    {"dkim.selector", "dkim"},
    {"dkim.canonicalization", "simple/simple"},
    {"queue.schedule", "15m,15m,15m,15m,15m,15m,15m,15m,1h,1h30m,2h15m,3h22m30s,5h3m45s,6h"},
    {"queue.jitter", "0"},
    {"queue.max_age", "4d"},
};

/* ---- the macro file ------------------------------------------------------------------------ */

static const struct conf_variable macros[] = {
    {SLICE_INIT("REMOTE_SMTP_SMARTHOST_TLS_VERIFY_HOSTS"), CONF_VAR_WORDS, 0, .keys = "relay.tls",
     .text = ":=may|*=verify"},
    {SLICE_INIT("REMOTE_SMTP_SMARTHOST_HOSTS_REQUIRE_TLS"), CONF_VAR_WORDS, 0, .keys = "relay.tls",
     .text = "*=encrypt"},
    {SLICE_INIT("REMOTE_SMTP_SMARTHOST_HOSTS_AVOID_TLS"), CONF_VAR_WORDS, 0, .keys = "relay.tls",
     .text = "*=none"},
    {SLICE_INIT("REMOTE_SMTP_HOSTS_REQUIRE_TLS"), CONF_VAR_WORDS, 0, .keys = "delivery.tls",
     .text = "*=encrypt"},
    {SLICE_INIT("REMOTE_SMTP_HOSTS_AVOID_TLS"), CONF_VAR_WORDS, 0, .keys = "delivery.tls",
     .text = "*=none"},
    {SLICE_INIT("REMOTE_SMTP_HELO_DATA"), CONF_VAR_TEXT, 0, .keys = "delivery.helo_name"},
    {SLICE_INIT("MAIN_HARDCODE_PRIMARY_HOSTNAME"), CONF_VAR_TEXT, 0, .keys = "identity.hostname"},
    {SLICE_INIT("MESSAGE_SIZE_LIMIT"), CONF_VAR_EXIM_SIZE, 0, .keys = "limits.message_size"},
    {SLICE_INIT("IGNORE_SMTP_LINE_LENGTH_LIMIT"), CONF_VAR_CONST, 0,
     .keys = "limits.line_length_action", .text = "pass"},
    {SLICE_INIT("DKIM_SELECTOR"), CONF_VAR_TEXT, 0, .keys = "dkim.selector"},
    {SLICE_INIT("DKIM_PRIVATE_KEY"), CONF_VAR_PATH, 0, .keys = "dkim.key_file", .text = ""},
    {SLICE_INIT("DKIM_CANON"), CONF_VAR_WORDS, 0, .keys = "dkim.canonicalization",
     .text = "simple=simple/simple|relaxed=relaxed/relaxed|simple/simple=simple/simple|"
             "relaxed/relaxed=relaxed/relaxed|relaxed/simple=relaxed/simple|"
             "simple/relaxed=simple/relaxed"},
    {SLICE_INIT("MAIN_TLS_ENABLE"), CONF_VAR_SILENT, 0, .keys = ""},
    {SLICE_INIT("MAIN_TLS_CERTIFICATE"), CONF_VAR_PATH, 0, .keys = "tls.cert_file", .text = ""},
    {SLICE_INIT("MAIN_TLS_PRIVATEKEY"), CONF_VAR_PATH, 0, .keys = "tls.key_file", .text = ""},
};

/* Exim: NAME = value, NAME == value for one that is there already. */
static void macro_line(struct conf_profile_load *p, const struct conf_origin *from,
                       struct slice line)
{
    struct slice value = slice_trim(line);
    if (value.len == 0 || value.ptr[0] == '#') {
        return;
    }
    struct slice name = slice_trim(slice_cut(&value, '='));
    value = value.len && value.ptr[0] == '=' ? slice_skip(value, 1) : value;
    value = conf_profile_keep(p, slice_trim(value));
    bool plain = slice_find_byte(value, '$') < 0;
    if (plain && conf_variables_apply(p, macros, ARRAY_COUNT(macros), from, name, value)) {
        return;
    }
    struct buf shown;
    buf_init(&shown, 512);
    conf_report_escape(&shown, name);
    conf_report_warning(p->apply->report, from, SLICE(""), "%.*s has no effect: %s",
                        SLICE_ARG(buf_slice(&shown)),
                        plain ? "Ringpost does not know this macro"
                              : "Exim's $ expansions are not evaluated");
    buf_deinit(&shown);
}

static void macro_file(struct conf_profile_load *p)
{
    struct slice path = conf_profile_path(p, SLICE(MACROS_FILE));
    struct buf text, why;
    if (path.len == 0 || !conf_file_is_there(path.ptr)) {
        return;
    }
    struct conf_origin from = conf_profile_place(path, 0);
    buf_init(&text, CONF_PROFILE_BYTES_MAX);
    buf_init(&why, 512);
    if (conf_file_read(path.ptr, CONF_PROFILE_BYTES_MAX / 2, &text, &why)) {
        struct slice rest = buf_slice(&text);
        for (from.line = 1; rest.len; from.line++) {
            struct slice line = slice_cut(&rest, '\n');
            line.len -= line.len && line.ptr[line.len - 1] == '\r';
            macro_line(p, &from, line);
        }
    } else {
        conf_report_error(p->apply->report, &from, SLICE(""), "%.*s", SLICE_ARG(buf_slice(&why)));
    }
    buf_deinit(&text);
    buf_deinit(&why);
}

/* ---- networks ------------------------------------------------------------------------------ */

/* Loopback and the interface, then what `nets`, the value of RELAY_NETWORKS, adds. */
static void networks_add(struct conf_profile_load *p, struct slice nets, struct buf *out)
{
    struct slice device = conf_vars_get(p->source, SLICE("NET_DEV"));
    struct buf own;
    char separator;
    struct slice rest = conf_exim_list(nets, &separator), item;
    buf_init(&own, 4096);
    buf_add(out, SLICE(LOOPBACK));
    bool found = conf_interface_nets(device.len ? device : SLICE("eth0"), &own);
    if (!found && device.len && nets.len == 0) {
        struct conf_origin from = conf_profile_variable(p, SLICE("NET_DEV"));
        conf_report_warning(p->apply->report, &from, SLICE(""), "there is no such interface");
    }
    if (own.len) {
        buf_addf(out, ",%.*s", SLICE_ARG(buf_slice(&own)));
    }
    while (conf_exim_net_next(&rest, separator, &item)) {
        buf_add_byte(out, ',');
        if (!conf_net_add(out, item)) {
            buf_add(out, item);
        }
    }
    buf_deinit(&own);
}

static void networks_put(struct conf_profile_load *p, const struct conf_origin *from,
                         struct slice more)
{
    struct buf nets;
    buf_init(&nets, 1 << 20);
    networks_add(p, more, &nets);
    conf_profile_put(p, from, "access.networks", conf_profile_keep(p, buf_slice(&nets)));
    buf_deinit(&nets);
}

/* "@" in Exim: the own name. */
static void local_domains_put(struct conf_profile_load *p, const struct conf_origin *from,
                              struct slice more)
{
    struct slice own = conf_vars_get(p->source, SLICE("MAILNAME"));
    char separator;
    struct slice rest = conf_exim_list(more, &separator), item;
    struct buf names;
    buf_init(&names, 1 << 20);
    own = own.len ? own : conf_machine_name(p->apply->machine);
    buf_add(&names, SLICE("localhost"));
    if (conf_domain_valid(own) && !slice_eq_nocase(own, SLICE("localhost"))) {
        buf_addf(&names, ",%.*s", SLICE_ARG(own));
    }
    while (conf_exim_list_next(&rest, separator, &item)) {
        if (!slice_eq(item, SLICE("@"))) {
            buf_addf(&names, ",%.*s", SLICE_ARG(item));
        }
    }
    conf_profile_put(p, from, "access.local_domains", conf_profile_keep(p, buf_slice(&names)));
    buf_deinit(&names);
}

/* ---- layers -------------------------------------------------------------------------------- */

static void below(struct conf_profile_load *p)
{
    struct conf_origin from = {.kind = CONF_FROM_DEFAULT};
    if (conf_vars_get(p->source, SLICE("DISABLE_IPV6")).len == 0 && conf_host_has_ipv6()) {
        conf_profile_put(p, &from, "listeners[1].address", SLICE("::"));
        conf_profile_put(p, &from, "listeners[1].port", SLICE("25"));
        conf_profile_put(p, &from, "listeners[1].tls", SLICE("may"));
    }
    networks_put(p, &from, SLICE(""));
    local_domains_put(p, &from, SLICE(""));
    macro_file(p);
}

static void above(struct conf_profile_load *p)
{
    struct slice nets = slice_trim(conf_vars_get(p->source, SLICE("RELAY_NETWORKS")));
    if (nets.len) {
        struct conf_origin from = conf_profile_variable(p, SLICE("RELAY_NETWORKS"));
        networks_put(p, &from, nets);
        if (nets.ptr[0] != ':' && nets.ptr[0] != '<') {
            conf_report_warning(p->apply->report, &from, SLICE(""),
                                "does not begin with \":\"; taken as if it did");
        }
    }
    struct slice names = conf_vars_get(p->source, SLICE("OTHER_HOSTNAMES"));
    if (names.len) {
        struct conf_origin from = conf_profile_variable(p, SLICE("OTHER_HOSTNAMES"));
        local_domains_put(p, &from, names);
    }
}

const struct conf_profile conf_profile_001 = {
    .name = SLICE_INIT("001"),
    .alias = SLICE_INIT("exim-relay"),
    .title = "ix.ai SMTP, egos-tech SMTP",
    .about =
        "- There is no count of refused recipients (`550 Rejected for too many bad recipients`): a "
        "client that errs often is cut off, `limits.errors`.\n"
        "- Where the smarthost's certificate is wrong, mail stays encrypted and is logged as "
        "untrusted; Exim would try again in clear. So `REMOTE_SMTP_SMARTHOST_TLS_VERIFY_HOSTS = :` "
        "is what holds anyway.\n"
        "- Credentials never go out without TLS (as the original: PLAIN and LOGIN).\n"
        "- Of `" MACROS_FILE "` the macros that have a counterpart are read, others are warned "
        "about by name. `USE_SPLIT_CONFIG` cannot be honoured.\n"
        "- EHLO offers DSN, SMTPUTF8 and ENHANCEDSTATUSCODES in addition, and no PRDR.\n"
        "- Bounces that cannot be delivered are dropped when they expire; nothing is frozen.\n",
    .variables = variables,
    .variable_count = ARRAY_COUNT(variables),
    .presets = presets,
    .preset_count = ARRAY_COUNT(presets),
    .below = below,
    .above = above,
};
