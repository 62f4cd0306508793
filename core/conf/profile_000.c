/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Profile 000: the outbound MTA of ST Messages (Postfix, port 587, one user).
 *
 * Waits between attempts: Postfix waits the message's age, at least 300 s and at most 4000 s.
 */
#include "core/base/must.h"
#include "core/conf/profile_tables.h"

#define RELAY_HOST "RELAYHOST|SMTP_RELAY_HOST"

static const struct conf_variable variables[] = {
    {SLICE_INIT("SMTP_USERNAME"), CONF_VAR_USER,
     CONF_VAR_REQUIRED | CONF_VAR_SELECTS | CONF_VAR_SECRET, .keys = "users[].name",
     .text = "SMTP_PASSWORD", .initial = "must be set",
     .note = "`user` and `user@MYHOSTNAME` both log in. DIGEST-MD5 and NTLM are not offered."},
    {SLICE_INIT("SMTP_PASSWORD"), CONF_VAR_CODE,
     CONF_VAR_REQUIRED | CONF_VAR_SELECTS | CONF_VAR_SECRET, .keys = "users[].password",
     .initial = "must be set"},
    {SLICE_INIT("RELAYHOST"), CONF_VAR_POSTFIX_RELAY, CONF_VAR_HINTS, .keys = "relay.host",
     .initial = "MX of the recipients' domains"},
    {SLICE_INIT("SMTP_RELAY_HOST"), CONF_VAR_POSTFIX_RELAY, CONF_VAR_SELECTS, .keys = "relay.host",
     .initial = "`RELAYHOST`", .note = "The later name of `RELAYHOST`; it wins."},
    {SLICE_INIT("SMTP_RELAY_USERNAME"), CONF_VAR_TEXT, CONF_VAR_SELECTS | CONF_VAR_SECRET,
     .keys = "relay.username", .needs = RELAY_HOST " SMTP_RELAY_USERNAME SMTP_RELAY_PASSWORD",
     .initial = "no login"},
    {SLICE_INIT("SMTP_RELAY_PASSWORD"), CONF_VAR_TEXT, CONF_VAR_SELECTS | CONF_VAR_SECRET,
     .keys = "relay.password", .needs = RELAY_HOST " SMTP_RELAY_USERNAME SMTP_RELAY_PASSWORD",
     .initial = "no login"},
    {SLICE_INIT("MYHOSTNAME"), CONF_VAR_TEXT, CONF_VAR_SELECTS, .keys = "identity.hostname",
     .initial = "reverse DNS of a public address of this machine, else `localhost`",
     .note = "No web service is asked for the public address; the lookup ends after 2 s."},
    {SLICE_INIT("TLS_CERT_PATH"), CONF_VAR_PATH, CONF_VAR_SELECTS, .keys = "tls.cert_file",
     .text = "", .initial = "`/etc/ssl/certs/ssl-cert-snakeoil.pem`"},
    {SLICE_INIT("TLS_KEY_PATH"), CONF_VAR_PATH, CONF_VAR_SELECTS, .keys = "tls.key_file",
     .text = "", .initial = "`/etc/ssl/private/ssl-cert-snakeoil.key`"},
    {SLICE_INIT("MESSAGE_SIZE_LIMIT"), CONF_VAR_BYTES, 0, .keys = "limits.message_size",
     .initial = "10240000",
     .note = "0 and everything above 1 GiB mean 1 GiB; below 64 KiB is refused."},
    {SLICE_INIT("MAX_OUTGOING_EMAIL_SIZE"), CONF_VAR_BYTES, CONF_VAR_SELECTS,
     .keys = "limits.message_size", .initial = "`MESSAGE_SIZE_LIMIT`",
     .note = "The later name of `MESSAGE_SIZE_LIMIT`; it wins."},
    {SLICE_INIT("ENABLE_PROXY_PROTOCOL"), CONF_VAR_CODE, CONF_VAR_SELECTS,
     .keys = "listeners[*].proxy_protocol", .initial = "off",
     .note =
         "`haproxy`; everything else is off, with a warning. The header is believed from private "
         "addresses only, see `proxy.networks`."},
    {SLICE_INIT("POSTFIX_DEBUG"), CONF_VAR_SWITCH, 0, .keys = "log.level", .text = "debug",
     .initial = "off"},
    {SLICE_INIT("EXEC_CMD"), CONF_VAR_NONE, 0,
     .note = "Ringpost starts no other program; give the container another command"},
    {SLICE_INIT("EXEC_CMD_ONLY"), CONF_VAR_NONE, 0,
     .note = "Ringpost starts no other program; give the container another command"},
    {SLICE_INIT("SMTP_"), CONF_VAR_UNKNOWN, CONF_VAR_PREFIX, .keys = ""},
};

static const struct conf_preset presets[] = {
    {"identity.hostname", "localhost"},
    {"listeners[0].address", "0.0.0.0"},
    {"listeners[0].port", "587"},
    {"listeners[0].mode", "relay"},
    {"listeners[0].tls", "encrypt"},
    {"listeners[0].access", "auth"},
    {"listeners[0].reject_at", "rcpt"},
    {"tls.cert_file", "/etc/ssl/certs/ssl-cert-snakeoil.pem"},
    {"tls.key_file", "/etc/ssl/private/ssl-cert-snakeoil.key"},
    {"tls.on_missing", "fail"},
    {"auth.require_tls", "true"},
    {"auth.cram_md5", "true"},
    {"auth.session_failures_max", "0"},
    {"limits.message_size", "10240000"},
    {"limits.line_length", "2048"},
    {"limits.line_length_action", "pass"},
    {"smtp.vrfy", "false"},
    {"smtp.auth_equals", "true"},
    {"headers.received", "none"},
    {"headers.strip", "Received"},
    {"relay.lookup", "mx"},
    {"relay.tls", "may"},
    {"relay.auth_without_tls", "true"},
    {"delivery.tls", "may"},
    {"delivery.ipv6", "false"},
    {"delivery.recipients_per_transaction", "50"},
    {"queue.schedule", "5m,5m,10m,20m,40m,1h6m40s"},
    {"queue.jitter", "0"},
    {"queue.max_age", "5d"},
};

/* The original's words, which end in: Relay authentication disabled. */
static void half_login_warn(struct conf_profile_load *p)
{
    bool user = conf_vars_is_set(p, SLICE("SMTP_RELAY_USERNAME"));
    bool password = conf_vars_is_set(p, SLICE("SMTP_RELAY_PASSWORD"));
    struct conf_origin whole = {.kind = CONF_FROM_DEFAULT};
    if (conf_vars_meet(p, RELAY_HOST) && user != password) {
        conf_report_warning(p->apply->report, &whole, SLICE(""),
                            "SMTP_RELAY_USERNAME or SMTP_RELAY_PASSWORD provided without the "
                            "other. Relay authentication disabled.");
    }
}

static void below(struct conf_profile_load *p)
{
    struct conf_origin from = {.kind = CONF_FROM_DEFAULT};
    struct buf name;
    buf_init(&name, 512);
    if (conf_vars_get(p->source, SLICE("MYHOSTNAME")).len == 0 &&
        conf_machine_reverse_name(p->apply->machine, &name)) {
        conf_profile_put(p, &from, "identity.hostname", conf_profile_keep(p, buf_slice(&name)));
    }
    buf_deinit(&name);
}

static void proxy_protocol_put(struct conf_profile_load *p)
{
    struct slice value = conf_vars_get(p->source, SLICE("ENABLE_PROXY_PROTOCOL"));
    struct conf_origin from = {.kind = CONF_FROM_ENV, .name = SLICE("ENABLE_PROXY_PROTOCOL")};
    if (slice_eq(value, SLICE("haproxy"))) {
        conf_profile_put(p, &from, "listeners[*].proxy_protocol", SLICE("required"));
    } else if (value.len) {
        conf_report_warning(p->apply->report, &from, SLICE(""),
                            "only \"haproxy\" switches this on; taken as off");
    }
}

static void above(struct conf_profile_load *p)
{
    proxy_protocol_put(p);
    half_login_warn(p);
    conf_profile_warn_clear_relay(p);
}

const struct conf_profile conf_profile_000 = {
    .name = SLICE_INIT("000"),
    .alias = SLICE_INIT("messages"),
    .title = "ST Messages MTA outbound",
    .about =
        "- The rules of who may send are the original's: port 587, TLS first, one user, any "
        "recipient.\n"
        "- Every top-level `Received` field is removed and nothing is added; what is inside an "
        "attached message stays (Postfix' `nested_header_checks` would touch it and break its "
        "signature).\n"
        "- Lines of any length are passed as they are (Postfix folds them after 998 bytes, which "
        "breaks DKIM signatures).\n"
        "- There is no `ETRN`.\n",
    .variables = variables,
    .variable_count = ARRAY_COUNT(variables),
    .presets = presets,
    .preset_count = ARRAY_COUNT(presets),
    .below = below,
    .above = above,
};
