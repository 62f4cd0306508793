/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/relay/settings.h"
#include "core/base/clock.h"
#include "core/base/must.h"
#include "core/conf/file.h"
#include "core/io/net.h"
#include "core/relay/dkim_keys.h"
#include "core/base/rng.h"
#include "core/base/secret.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { RELAY_TOKEN_BYTES = 8 * 1024 };

/* ---- the machines' configurations ---- */

static void relay_settings_server(struct smtp_server_config *out, const struct relay_settings *s,
                                  const struct conf_listener *listener)
{
    const struct conf *conf = s->conf;
    smtp_server_config_init(out);
    out->hostname = conf->identity.hostname;
    out->greeting = conf->smtp.banner;
    out->size_max = conf->limits.message_bytes;
    out->recipients_max = conf->limits.recipients;
    out->line_length_max = conf->limits.line_action == CONF_LINE_REJECT ? conf->limits.line_bytes
                                                                        : 0;
    out->header_bytes_max = conf->limits.header_bytes;
    out->hops_max = conf->limits.hops;
    out->errors_max = conf->limits.errors;
    out->junk_max = conf->limits.junk;
    out->normalize_bare_lf = listener->normalize_bare_lf;
    out->auth_needs_tls = conf->auth.require_tls;
    out->auth_failures_max = conf->auth.session_failures_max;
    const struct {
        bool on;
        uint32_t feature;
    } features[] = {
        {conf->smtp.pipelining, SMTP_FEATURE_PIPELINING},
        {conf->smtp.chunking, SMTP_FEATURE_CHUNKING},
        {conf->smtp.smtputf8, SMTP_FEATURE_SMTPUTF8},
        {conf->smtp.dsn, SMTP_FEATURE_DSN},
        {conf->smtp.vrfy, SMTP_FEATURE_VRFY},
        {conf->smtp.auth_equals, SMTP_FEATURE_AUTH_EQUALS},
    };
    for (size_t i = 0; i < ARRAY_COUNT(features); i++) {
        out->features = features[i].on ? out->features | features[i].feature
                                       : out->features & ~features[i].feature;
    }
    if (conf->smtp.future_release_ms && listener->mode == CONF_MODE_SUBMISSION) {
        out->features |= SMTP_FEATURE_FUTURERELEASE;
        out->future_release_s = (uint32_t)(conf->smtp.future_release_ms / 1000);
    }
    if (conf->smtp.deliver_by_ms) {
        out->features |= SMTP_FEATURE_DELIVERBY;
        out->deliver_by_s = (uint32_t)((conf->smtp.deliver_by_ms + 999) / 1000);
    }
    if (credentials_count(s->credentials)) {
        out->features |= SMTP_FEATURE_AUTH;
        out->auth_mechanisms = SMTP_AUTH_PLAIN | SMTP_AUTH_LOGIN |
                               (conf->auth.cram_md5 ? SMTP_AUTH_CRAM_MD5 : 0u);
    }
}

enum smtp_tls_policy relay_settings_policy(enum conf_tls_policy policy)
{
    static const enum smtp_tls_policy policies[CONF_TLS_POLICIES] = {
        [CONF_TLS_NONE] = SMTP_TLS_NONE,
        [CONF_TLS_MAY] = SMTP_TLS_MAY,
        [CONF_TLS_ENCRYPT] = SMTP_TLS_ENCRYPT,
        [CONF_TLS_VERIFY] = SMTP_TLS_VERIFY,
    };
    must(policy < CONF_TLS_POLICIES);
    return policies[policy];
}

static void relay_settings_machines(struct relay_settings *s)
{
    const struct conf *conf = s->conf;
    s->headers = (struct mail_headers_config){
        .strip = s->strip,
        .strip_count = s->strip_count,
        .take_count = s->take_count,
        .adds_fields = conf->headers.received == CONF_RECEIVED_ADD || conf->headers.add_missing,
    };
    for (size_t i = 0; i < RELAY_ROUTES; i++) {
        s->routes[i].client = (struct smtp_client_config){
            .helo_name = conf->delivery.helo_name,
            .pipelining = conf->delivery.pipelining,
            .chunking = conf->delivery.chunking,
            .window = 2, /* with DATA the commands of the next ride behind the final dot */
            .chunk_window = (uint8_t)conf->delivery.chunking_window,
            .careful = true,
            .check_order = true,
            .tls = relay_settings_policy(i == RELAY_ROUTE_SMARTHOST ? conf->relay.tls
                                                                    : conf->delivery.tls),
        };
    }
    struct smtp_client_config *smarthost = &s->routes[RELAY_ROUTE_SMARTHOST].client;
    smarthost->relay = true;
    smarthost->tls_implicit = conf->relay.implicit_tls;
    smarthost->auth_user = conf->relay.username;
    smarthost->auth_secret = conf->relay.password;
    smarthost->auth_mechanisms = SMTP_AUTH_PLAIN | SMTP_AUTH_LOGIN | SMTP_AUTH_CRAM_MD5;
    smarthost->auth_without_tls = conf->relay.auth_without_tls;
    if (s->token.len) {
        smarthost->auth_secret = buf_slice(&s->token);
        smarthost->auth_mechanisms = SMTP_AUTH_XOAUTH2;
    }
    for (size_t i = 0; i < conf->listeners.count; i++) {
        relay_settings_server(&s->listeners[i].server, s, &conf->listeners.items[i]);
    }
}

/* The fields of attributes come first: they are also read. */
static bool relay_settings_strip(struct relay_settings *s, const struct relay_settings_messages *to)
{
    const struct conf_names *names = &s->conf->headers.strip;
    s->strip = calloc(names->count + ATTRIBUTES_FIELDS, sizeof(*s->strip));
    if (!s->strip) {
        buf_add(to->errors, SLICE("headers.strip: out of memory\n"));
        return false;
    }
    s->take_count = attributes_field_names(&s->conf->headers, s->strip);
    for (size_t i = 0; i < names->count; i++) {
        s->strip[s->take_count + i] = names->items[i];
    }
    s->strip_count = s->take_count + names->count;
    return true;
}

/* ---- users ---- */

static bool relay_settings_users_file(struct relay_settings *s, struct slice path,
                                      const struct relay_settings_messages *to)
{
    struct buf text, why;
    buf_init(&text, CREDENTIALS_FILE_BYTES);
    buf_init(&why, 1024);
    bool ok = conf_file_read(path.ptr, CREDENTIALS_FILE_BYTES, &text, &why);
    if (ok) {
        ok = credentials_read(s->credentials, buf_slice(&text), path.ptr, to->errors);
    } else {
        buf_addf(to->errors, "auth.users_file: %.*s: %.*s\n", SLICE_ARG(path),
                 SLICE_ARG(buf_slice(&why)));
    }
    secret_buf_release(&text);
    buf_deinit(&why);
    return ok;
}

static bool relay_settings_users(struct relay_settings *s, const struct relay_settings_messages *to)
{
    const struct conf *conf = s->conf;
    struct rng rng;
    bool ok = rng_init_kernel(&rng);
    s->credentials = ok ? credentials_new(rng_u64(&rng)) : NULL;
    if (!s->credentials) {
        buf_add(to->errors, SLICE("auth: out of memory or random bytes\n"));
        return false;
    }
    for (size_t i = 0; i < conf->auth.users_file.count; i++) {
        ok = relay_settings_users_file(s, conf->auth.users_file.items[i], to) && ok;
    }
    for (size_t i = 0; i < conf->users.count; i++) {
        char where[32];
        snprintf(where, sizeof(where), "users[%zu]", i);
        ok = credentials_add(s->credentials, &conf->users.items[i], where, to->errors) && ok;
    }
    return ok;
}

/* ---- files ---- */

static void relay_settings_names(const struct conf_names *names,
                                 void (*each)(void *ctx, struct slice path), void *ctx)
{
    for (size_t i = 0; i < names->count; i++) {
        each(ctx, names->items[i]);
    }
}

void relay_settings_files(const struct relay_settings *s,
                          void (*each)(void *ctx, struct slice path), void *ctx)
{
    const struct conf *c = s->conf;
    relay_settings_names(&c->tls.cert_file, each, ctx);
    relay_settings_names(&c->tls.key_file, each, ctx);
    relay_settings_names(&c->auth.users_file, each, ctx);
    const struct slice files[] = {c->tls.ca_file,         c->tls.client_cert_file,
                                  c->tls.client_key_file, c->dkim.signing_table,
                                  c->dkim.key_table,      c->relay.token_file};
    for (size_t i = 0; i < ARRAY_COUNT(files); i++) {
        each(ctx, files[i]);
    }
    for (size_t i = 0; i < c->listeners.count; i++) {
        relay_settings_names(&c->listeners.items[i].cert_file, each, ctx);
        relay_settings_names(&c->listeners.items[i].key_file, each, ctx);
        each(ctx, c->listeners.items[i].client_ca_file);
    }
    dkim_table_key_files(s->dkim, each, ctx); /* also those that stand in dkim.key_table */
}

/* ---- the token ---- */

/* One line; written by whatever renews it. A file that is not there yet is an error: mail would only be
 * deferred for reasons nobody sees. */
static bool relay_settings_token(struct relay_settings *s, const struct relay_settings_messages *to)
{
    struct slice path = s->conf->relay.token_file;
    struct buf why;
    buf_init(&s->token, RELAY_TOKEN_BYTES);
    if (path.len == 0) {
        return true;
    }
    buf_init(&why, 1024);
    bool ok = conf_file_read(path.ptr, RELAY_TOKEN_BYTES, &s->token, &why);
    struct slice text = slice_trim(buf_slice(&s->token));
    while (text.len && (text.ptr[text.len - 1] == '\n' || text.ptr[text.len - 1] == '\r')) {
        text.len--;
    }
    s->token.len = text.len ? (size_t)(text.ptr - s->token.ptr) + text.len : 0;
    if (!ok) {
        buf_addf(to->errors, "relay.token_file: %.*s: %.*s\n", SLICE_ARG(path),
                 SLICE_ARG(buf_slice(&why)));
    } else if (s->token.len == 0) {
        buf_addf(to->errors, "relay.token_file: %.*s: is empty\n", SLICE_ARG(path));
        ok = false;
    }
    buf_deinit(&why);
    return ok;
}

/* ---- ourselves ---- */

/* Without it mail may loop, which the hop limit ends: no reason not to start. */
static void relay_settings_own(struct relay_settings *s, const struct relay_settings_messages *to)
{
    size_t count = 0;
    s->own = net_own_addresses(&count);
    if (!s->own && to->warnings) {
        buf_add(to->warnings,
                SLICE("listeners: this machine's addresses are not known: a mail host "
                      "that is ourselves may not be recognised\n"));
    }
    s->conf->own = (struct conf_addresses){s->own, count};
}

/* ---- life ---- */

static void relay_settings_free(struct relay_settings *s)
{
    free(s->own);
    free(s->strip);
    relay_settings_close_tls(s);
    credentials_free(&s->credentials);
    dkim_table_put(&s->dkim);
    relay_settings_close_rules(s);
    shaping_table_free(s->shaping);
    egress_table_free(s->egress);
    secret_buf_release(&s->token);
    free(s);
}

struct relay_settings *relay_settings_new(struct conf *conf, const struct relay_settings *old,
                                          const struct relay_settings_messages *to)
{
    size_t count = conf->listeners.count;
    struct relay_settings *s = calloc(1, sizeof(*s) + count * sizeof(s->listeners[0]));
    if (!s) {
        buf_add(to->errors, SLICE("configuration: out of memory\n"));
        return NULL;
    }
    atomic_init(&s->refs, 1);
    s->conf = conf;
    s->listener_count = count;
    bool users_ok = relay_settings_users(s, to) && relay_settings_strip(s, to);
    users_ok = relay_settings_token(s, to) && users_ok;
    if (s->credentials && s->strip) {
        relay_settings_machines(s);
    }
    s->dkim = dkim_keys_load(conf, to->errors, to->warnings);
    s->shaping = shaping_table_new(conf);
    s->egress = egress_table_new(conf, old ? old->egress : NULL);
    if (!s->shaping || !s->egress) {
        buf_add(to->errors, SLICE("shaping, sources: out of memory\n"));
    }
    bool rules_ok = relay_settings_open_rules(s, to);
    bool made = s->shaping && s->egress;
    if (!made || !relay_settings_open_tls(s, old, to) || !users_ok || !s->dkim || !rules_ok) {
        relay_settings_free(s);
        return NULL;
    }
    relay_settings_own(s, to);
    if (to->warnings) {
        relay_settings_warn(s, to->warnings);
    }
    return s;
}

struct relay_settings *relay_settings_ref(struct relay_settings *s)
{
    uint32_t before = atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    must(before > 0);
    return s;
}

void relay_settings_put(struct relay_settings **s)
{
    if (*s && atomic_fetch_sub_explicit(&(*s)->refs, 1, memory_order_acq_rel) == 1) {
        struct conf *conf = (*s)->conf; /* what is made of it names parts of it to the end */
        relay_settings_free(*s);
        conf_free(conf);
    }
    *s = NULL;
}
