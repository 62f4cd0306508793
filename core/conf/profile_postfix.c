/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Parameters of Postfix' main.cf with a counterpart here, for postfix.d (003) and POSTFIX_… (bokysan).
 * A parameter that stands in no row is warned about by name; so is a value that refers to others ($x).
 */
#include "core/base/must.h"
#include "core/conf/profile_tables.h"

#define TLS_LEVEL "none=none|may=may|encrypt=encrypt|verify=verify|secure=verify|dane=may"
#define TIME(name_, key, unit)                                                                     \
    {                                                                                              \
        SLICE_INIT(name_), CONF_VAR_POSTFIX_TIME, 0, .keys = key, .text = unit                     \
    }
#define NUMBER(name_, key)                                                                         \
    {                                                                                              \
        SLICE_INIT(name_), CONF_VAR_TEXT, 0, .keys = key                                           \
    }
#define FILE_OF(name_, key)                                                                        \
    {                                                                                              \
        SLICE_INIT(name_), CONF_VAR_PATH, 0, .keys = key, .text = ""                               \
    }
#define NOTHING(name_)                                                                             \
    {                                                                                              \
        SLICE_INIT(name_), CONF_VAR_SILENT, 0, .keys = ""                                          \
    }
#define CODE(name_, key)                                                                           \
    {                                                                                              \
        SLICE_INIT(name_), CONF_VAR_CODE, 0, .keys = key                                           \
    }

const struct conf_variable conf_postfix_parameters[] = {
    NUMBER("myhostname", "identity.hostname"),
    NUMBER("smtp_helo_name", "delivery.helo_name"),
    {SLICE_INIT("mynetworks"), CONF_VAR_NETS, 0, .keys = "access.networks", .text = ", \t",
     .note = "Networks only: no files, tables or `!`."},
    {SLICE_INIT("relayhost"), CONF_VAR_POSTFIX_RELAY, 0, .keys = "relay.host"},
    {SLICE_INIT("relay_domains"), CONF_VAR_LIST, 0, .keys = "access.relay_domains", .text = ", \t"},
    {SLICE_INIT("message_size_limit"), CONF_VAR_BYTES, 0, .keys = "limits.message_size"},
    {SLICE_INIT("smtpd_tls_security_level"), CONF_VAR_WORDS, 0, .keys = "listeners[*].tls",
     .text = "none=none|may=may|encrypt=encrypt"},
    FILE_OF("smtpd_tls_cert_file", "tls.cert_file"),
    FILE_OF("smtpd_tls_key_file", "tls.key_file"),
    {SLICE_INIT("smtpd_tls_auth_only"), CONF_VAR_YES_NO, 0, .keys = "auth.require_tls"},
    {SLICE_INIT("smtp_tls_security_level"), CONF_VAR_WORDS, 0, .keys = "relay.tls delivery.tls",
     .text = TLS_LEVEL, .note = "`secure` is `verify`, `dane` is `may`."},
    {SLICE_INIT("smtp_tls_wrappermode"), CONF_VAR_YES_NO, 0, .keys = "relay.implicit_tls"},
    FILE_OF("smtp_tls_CAfile", "tls.ca_file"),
    FILE_OF("smtp_tls_cert_file", "tls.client_cert_file"),
    FILE_OF("smtp_tls_key_file", "tls.client_key_file"),
    CODE("smtpd_sasl_auth_enable", "users"),
    CODE("smtpd_client_restrictions", "listeners[*].access"),
    CODE("smtpd_relay_restrictions", "listeners[*].access"),
    CODE("smtpd_recipient_restrictions", "listeners[*].access"),
    {SLICE_INIT("smtpd_sender_restrictions"), CONF_VAR_WORDS, 0, .keys = "sender.restrict",
     .text = "reject_sender_login_mismatch=email|reject_authenticated_sender_login_mismatch=email"},
    {SLICE_INIT("smtpd_upstream_proxy_protocol"), CONF_VAR_WORDS, 0,
     .keys = "listeners[*].proxy_protocol", .text = "haproxy=required"},
    CODE("smtp_sasl_password_maps", "relay.username relay.password"),
    CODE("smtp_sasl_security_options", "relay.auth_without_tls"),
    NOTHING("smtp_sasl_auth_enable"),
    TIME("maximal_queue_lifetime", "queue.max_age", "d"),
    CODE("minimal_backoff_time", "queue.schedule"),
    CODE("maximal_backoff_time", "queue.schedule"),
    TIME("delay_warning_time", "dsn.delay_after", "h"),
    {SLICE_INIT("bounce_size_limit"), CONF_VAR_BYTES, 0, .keys = "dsn.original_size_max"},
    NUMBER("smtp_destination_recipient_limit", "delivery.recipients_per_transaction"),
    NUMBER("default_destination_recipient_limit", "delivery.recipients_per_transaction"),
    NUMBER("smtp_destination_concurrency_limit", "delivery.connections_per_site"),
    NUMBER("default_destination_concurrency_limit", "delivery.connections_per_site"),
    NUMBER("smtpd_recipient_limit", "limits.recipients"),
    NUMBER("smtpd_hard_error_limit", "limits.errors"),
    NUMBER("smtpd_junk_command_limit", "limits.junk"),
    NUMBER("smtpd_client_connection_count_limit", "limits.connections_per_ip"),
    NUMBER("hopcount_limit", "limits.hops"),
    {SLICE_INIT("header_size_limit"), CONF_VAR_BYTES, 0, .keys = "limits.header_size"},
    TIME("smtpd_timeout", "limits.command_timeout limits.data_timeout", "s"),
    TIME("smtp_connect_timeout", "delivery.connect_timeout", "s"),
    TIME("smtp_helo_timeout", "delivery.ehlo_timeout", "s"),
    TIME("smtp_mail_timeout", "delivery.mail_timeout", "s"),
    TIME("smtp_rcpt_timeout", "delivery.rcpt_timeout", "s"),
    TIME("smtp_data_init_timeout", "delivery.data_timeout", "s"),
    TIME("smtp_data_xfer_timeout", "delivery.body_timeout", "s"),
    TIME("smtp_data_done_timeout", "delivery.data_done_timeout", "s"),
    NUMBER("smtp_bind_address", "delivery.source_address4"),
    NUMBER("smtp_bind_address6", "delivery.source_address6"),
    CODE("inet_protocols", "delivery.ipv4 delivery.ipv6"),
    CODE("smtpd_banner", "smtp.banner"),
    CODE("smtpd_discard_ehlo_keywords", "smtp.pipelining smtp.chunking smtp.smtputf8 smtp.dsn"),
    {SLICE_INIT("smtputf8_enable"), CONF_VAR_YES_NO, 0, .keys = "smtp.smtputf8"},
    {SLICE_INIT("broken_sasl_auth_clients"), CONF_VAR_YES_NO, 0, .keys = "smtp.auth_equals"},
    {SLICE_INIT("always_add_missing_headers"), CONF_VAR_YES_NO, 0, .keys = "headers.add_missing"},
    {SLICE_INIT("disable_vrfy_command"), CONF_VAR_WORDS, 0, .keys = "smtp.vrfy",
     .text = "yes=false|no=true"},
    NOTHING("append_dot_mydomain"),
    NOTHING("biff"),
    NOTHING("bounce_queue_lifetime"),
    NOTHING("compatibility_level"),
    NOTHING("cyrus_sasl_config_path"),
    CODE("inet_interfaces", "listeners[*].address"),
    NOTHING("maillog_file"),
    NOTHING("milter_default_action"),
    NOTHING("milter_protocol"),
    NOTHING("mydestination"),
    NOTHING("mydomain"),
    NOTHING("myorigin"),
    NOTHING("postscreen_upstream_proxy_protocol"),
    NOTHING("queue_run_delay"),
    NOTHING("smtpd_helo_required"),
    NOTHING("smtpd_sasl_local_domain"),
    NOTHING("smtpd_sasl_path"),
    NOTHING("smtpd_sasl_security_options"),
    NOTHING("smtpd_sasl_type"),
    NOTHING("smtpd_tls_loglevel"),
    NOTHING("smtpd_tls_mandatory_protocols"),
    NOTHING("smtpd_tls_protocols"),
    NOTHING("smtpd_use_tls"),
    NOTHING("smtp_tls_loglevel"),
    NOTHING("smtp_tls_mandatory_protocols"),
    NOTHING("smtp_tls_protocols"),
    NOTHING("smtp_tls_note_starttls_offer"),
    NOTHING("smtp_use_tls"),
};
const size_t conf_postfix_parameter_count = ARRAY_COUNT(conf_postfix_parameters);

static void warn(struct conf_postfix *m, const struct conf_origin *from, struct slice name,
                 const char *what)
{
    struct buf shown;
    buf_init(&shown, 512);
    conf_report_escape(&shown, name);
    conf_report_warning(m->p->apply->report, from, SLICE(""), "%.*s %s",
                        SLICE_ARG(buf_slice(&shown)), what);
    buf_deinit(&shown);
}

/* ---- restrictions -------------------------------------------------------------------------- */

/* "permit_mynetworks, reject": who gets through. 0: it cannot be told. */
static unsigned restrictions_read(struct conf_postfix *m, const struct conf_origin *from,
                                  struct slice value)
{
    static const struct {
        struct slice word;
        unsigned permits; /* 0: whoever comes so far is refused */
    } words[] = {
        {SLICE_INIT("permit_mynetworks"), CONF_POSTFIX_NETS},
        {SLICE_INIT("permit_sasl_authenticated"), CONF_POSTFIX_AUTH},
        {SLICE_INIT("permit"), CONF_POSTFIX_ALL},
        {SLICE_INIT("reject"), 0},
        {SLICE_INIT("defer"), 0},
        {SLICE_INIT("reject_unauth_destination"), 0},
        {SLICE_INIT("defer_unauth_destination"), 0},
    };
    unsigned through = 0;
    struct slice item;
    while (conf_list_next(&value, ", \t", &item)) {
        size_t i = 0;
        while (i < ARRAY_COUNT(words) && !slice_eq(words[i].word, item)) {
            i++;
        }
        if (i == ARRAY_COUNT(words)) {
            warn(m, from, item, "has no effect: Ringpost does not know this restriction");
        } else if (words[i].permits == 0) {
            return through;
        } else {
            through |= words[i].permits;
        }
    }
    return CONF_POSTFIX_ALL; /* who is not refused is taken */
}

static void access_end(struct conf_postfix *m)
{
    static const char *const rules[] = {
        [CONF_POSTFIX_NETS] = "network",
        [CONF_POSTFIX_AUTH] = "auth",
        [CONF_POSTFIX_NETS & CONF_POSTFIX_AUTH] = "auth_and_network",
        [CONF_POSTFIX_NETS | CONF_POSTFIX_AUTH] = "auth_or_network",
        [CONF_POSTFIX_ALL] = NULL,
    };
    unsigned relay = m->relay ? m->relay : CONF_POSTFIX_NETS;
    unsigned client = m->client ? m->client : CONF_POSTFIX_ALL;
    unsigned recipient = m->recipient ? m->recipient : CONF_POSTFIX_ALL;
    const char *rule = rules[relay & client & recipient];
    if (m->relay + m->client + m->recipient == 0) {
        return;
    }
    if (rule) {
        conf_profile_put(m->p, &m->access_from, "listeners[*].access", slice_str(rule));
    } else {
        warn(m, &m->access_from, SLICE("smtpd_relay_restrictions"),
             "has no effect: it would let anybody, or nobody, send to anybody");
    }
}

/* ---- other parameters that need a hand ----------------------------------------------------- */

static void password_maps(struct conf_postfix *m, const struct conf_origin *from,
                          struct slice value)
{
    if (!slice_starts_nocase(value, SLICE("static:"))) {
        warn(m, from, SLICE("smtp_sasl_password_maps"),
             "has no effect: only static:user:password is read");
        return;
    }
    struct slice password = slice_skip(value, sizeof("static:") - 1);
    struct slice user = slice_cut(&password, ':');
    conf_profile_put(m->p, from, "relay.username", user);
    conf_profile_put(m->p, from, "relay.password", password);
}

static bool has_word(struct slice list, struct slice word)
{
    struct slice item;
    while (conf_list_next(&list, ", \t", &item)) {
        if (slice_eq_nocase(item, word)) {
            return true;
        }
    }
    return false;
}

static void protocols(struct conf_postfix *m, const struct conf_origin *from, struct slice value)
{
    bool all = has_word(value, SLICE("all"));
    bool ipv4 = all || has_word(value, SLICE("ipv4"));
    bool ipv6 = all || has_word(value, SLICE("ipv6"));
    conf_profile_put(m->p, from, "delivery.ipv4", ipv4 ? SLICE("true") : SLICE("false"));
    conf_profile_put(m->p, from, "delivery.ipv6", ipv6 ? SLICE("true") : SLICE("false"));
}

/* Which addresses to listen on: all, loopback-only, or one. */
static void interfaces(struct conf_postfix *m, const struct conf_origin *from, struct slice value)
{
    bool loopback = slice_eq_nocase(value, SLICE("loopback-only"));
    if (!slice_eq_nocase(value, SLICE("all"))) {
        conf_profile_put(m->p, from, "listeners[*].address", loopback ? SLICE("127.0.0.1") : value);
    }
}

/* Ours stands behind "HOST ESMTP ". */
static void banner(struct conf_postfix *m, const struct conf_origin *from, struct slice value)
{
    static const struct slice lead = SLICE_INIT("$myhostname ESMTP");
    struct slice text = slice_trim(slice_skip(value, lead.len));
    text = slice_eq(text, SLICE("$mail_name")) ? SLICE("Postfix") : text;
    if (!slice_starts_nocase(value, lead) || slice_find_byte(text, '$') >= 0) {
        warn(m, from, SLICE("smtpd_banner"),
             "has no effect: only `$myhostname ESMTP text` is read");
    } else if (text.len) {
        conf_profile_put(m->p, from, "smtp.banner", text);
    }
}

static void discard_keywords(struct conf_postfix *m, const struct conf_origin *from,
                             struct slice value)
{
    static const struct {
        struct slice word;
        const char *key;
    } keywords[] = {
        {SLICE_INIT("pipelining"), "smtp.pipelining"},
        {SLICE_INIT("chunking"), "smtp.chunking"},
        {SLICE_INIT("smtputf8"), "smtp.smtputf8"},
        {SLICE_INIT("dsn"), "smtp.dsn"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(keywords); i++) {
        if (has_word(value, keywords[i].word)) {
            conf_profile_put(m->p, from, keywords[i].key, SLICE("false"));
        }
    }
}

static void backoff(struct conf_postfix *m, const struct conf_origin *from, struct slice value,
                    uint64_t *seconds)
{
    struct buf text;
    uint64_t n = 0;
    static const char units[] = "smhd";
    static const uint64_t factors[] = {1, 60, 3600, 86400};
    buf_init(&text, 64);
    if (conf_postfix_time_add(&text, value, 's') && text.len > 1) {
        struct slice number = slice_first(buf_slice(&text), text.len - 1);
        int unit = slice_find_byte(slice_str(units), text.ptr[text.len - 1]);
        must(slice_to_u64(number, &n) && unit >= 0);
        *seconds = n * factors[unit];
        m->backoff_from = *from;
    }
    if (n == 0 || *seconds > 30 * 86400) {
        *seconds = 0;
        warn(m, from, value, "is not a time above zero and below 30 days, ignored");
    }
    buf_deinit(&text);
}

/* Postfix waits as long as the message is old, but not less than min nor more than max. */
static void backoff_end(struct conf_postfix *m)
{
    uint64_t min = m->backoff_min_s ? m->backoff_min_s : 300;
    uint64_t max = m->backoff_max_s ? m->backoff_max_s : 4000;
    uint64_t age = 0, wait = 0;
    struct buf text;
    if (m->backoff_min_s == 0 && m->backoff_max_s == 0) {
        return;
    }
    max = max < min ? min : max;
    buf_init(&text, 4096);
    for (size_t i = 0; i < 60 && wait < max; i++) {
        wait = age < min ? min : age > max ? max : age;
        age += wait;
        buf_addf(&text, i ? ",%llus" : "%llus", (unsigned long long)wait);
    }
    conf_profile_put(m->p, &m->backoff_from, "queue.schedule",
                     conf_profile_keep(m->p, buf_slice(&text)));
    buf_deinit(&text);
}

static void sasl_options(struct conf_postfix *m, const struct conf_origin *from, struct slice value)
{
    bool deny = has_word(value, SLICE("noplaintext"));
    conf_profile_put(m->p, from, "relay.auth_without_tls", deny ? SLICE("false") : SLICE("true"));
}

/* ---- one parameter ------------------------------------------------------------------------- */

static void code_set(struct conf_postfix *m, const struct conf_origin *from, struct slice name,
                     struct slice value)
{
    unsigned *table = slice_eq(name, SLICE("smtpd_client_restrictions"))      ? &m->client
                      : slice_eq(name, SLICE("smtpd_relay_restrictions"))     ? &m->relay
                      : slice_eq(name, SLICE("smtpd_recipient_restrictions")) ? &m->recipient
                                                                              : NULL;
    if (table) {
        *table = restrictions_read(m, from, value);
        m->access_from = *from;
    } else if (slice_eq(name, SLICE("smtpd_sasl_auth_enable"))) {
        m->sasl = slice_eq_nocase(value, SLICE("yes"));
    } else if (slice_eq(name, SLICE("smtp_sasl_password_maps"))) {
        password_maps(m, from, value);
    } else if (slice_eq(name, SLICE("smtp_sasl_security_options"))) {
        sasl_options(m, from, value);
    } else if (slice_eq(name, SLICE("minimal_backoff_time"))) {
        backoff(m, from, value, &m->backoff_min_s);
    } else if (slice_eq(name, SLICE("maximal_backoff_time"))) {
        backoff(m, from, value, &m->backoff_max_s);
    } else if (slice_eq(name, SLICE("inet_protocols"))) {
        protocols(m, from, value);
    } else if (slice_eq(name, SLICE("inet_interfaces"))) {
        interfaces(m, from, value);
    } else if (slice_eq(name, SLICE("smtpd_discard_ehlo_keywords"))) {
        discard_keywords(m, from, value);
    } else {
        must(slice_eq(name, SLICE("smtpd_banner")));
        banner(m, from, value);
    }
}

void conf_postfix_set(struct conf_postfix *m, const struct conf_origin *from, struct slice name,
                      struct slice value)
{
    size_t i = 0;
    value = slice_trim(value);
    while (i < conf_postfix_parameter_count && !slice_eq(conf_postfix_parameters[i].name, name)) {
        i++;
    }
    if (i == conf_postfix_parameter_count) {
        warn(m, from, name, "has no effect: no counterpart of this Postfix parameter");
    } else if (conf_postfix_parameters[i].kind == CONF_VAR_CODE && value.len) {
        code_set(m, from, conf_postfix_parameters[i].name, value);
    } else if (conf_postfix_parameters[i].kind != CONF_VAR_SILENT &&
               slice_find_byte(value, '$') >= 0) {
        warn(m, from, name, "has no effect: references to other parameters ($) are not evaluated");
    } else {
        conf_variable_apply(m->p, &conf_postfix_parameters[i], from, value);
    }
}

void conf_postfix_end(struct conf_postfix *m)
{
    access_end(m);
    backoff_end(m);
}
