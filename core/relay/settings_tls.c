/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Certificates and contexts of one configuration. A pair that is there and is not good is always an error:
 * only a pair that is not there falls under tls.on_missing. A pair that was there and is gone is one that is
 * being replaced: an error too, so that a running listener never loses its TLS or its name.
 */
#include "core/base/clock.h"
#include "core/base/must.h"
#include "core/base/secret.h"
#include "core/conf/file.h"
#include "core/relay/settings.h"

struct chain_list {
    struct tls_certificate *items[TLS_CONTEXT_CERTIFICATES_MAX];
    size_t count;
};

struct tls_work {
    struct relay_settings *s;
    const struct relay_settings_messages *to;
    uint64_t wall_us;
};

static void chains_free(struct chain_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        tls_certificate_free(&list->items[i]);
    }
    list->count = 0;
}

static bool work_error(const struct tls_work *w, const char *key, size_t index, const char *what)
{
    buf_addf(w->to->errors, "listeners[%zu].%s: %s\n", index, key, what);
    return false;
}

/* Listeners share certificates: what is wrong with one is said once. */
static void say_once(struct buf *lines, struct slice line)
{
    if (line.len && (lines->len == 0 || !memmem(lines->ptr, lines->len, line.ptr, line.len))) {
        buf_addf(lines, "%.*s\n", SLICE_ARG(line));
    }
}

static void chain_add(const struct tls_work *w, struct chain_list *list, struct tls_certificate *c)
{
    if (w->to->warnings) {
        say_once(w->to->warnings, tls_certificate_warning(c));
    }
    list->items[list->count++] = c;
}

static bool chains_load(const struct tls_work *w, const struct conf_names *certs,
                        const struct conf_names *keys, struct chain_list *list)
{
    struct buf problem;
    bool ok = true;
    must(certs->count == keys->count && certs->count <= TLS_CONTEXT_CERTIFICATES_MAX);
    buf_init(&problem, 4096);
    for (size_t i = 0; i < certs->count; i++) {
        buf_clear(&problem);
        struct tls_certificate *c = tls_certificate_load(certs->items[i].ptr, keys->items[i].ptr,
                                                         w->wall_us, &problem);
        if (c) {
            chain_add(w, list, c);
        } else {
            say_once(w->to->errors, buf_slice(&problem));
            ok = false;
        }
    }
    buf_deinit(&problem);
    return ok;
}

/* tls.cert_pem. */
static bool chain_inline(const struct tls_work *w, struct chain_list *list)
{
    const struct conf_tls *tls = &w->s->conf->tls;
    const struct tls_certificate_text text = {.chain_name = SLICE("tls.cert_pem"),
                                              .chain = tls->cert_pem,
                                              .key_name = SLICE("tls.key_pem"),
                                              .key = tls->key_pem};
    struct buf problem;
    buf_init(&problem, 4096);
    struct tls_certificate *c = tls_certificate_parse(&text, w->wall_us, &problem);
    if (c) {
        chain_add(w, list, c);
    } else {
        say_once(w->to->errors, buf_slice(&problem));
    }
    buf_deinit(&problem);
    return c != NULL;
}

/* ---- self-signed ---- */

/* Clients that pinned it, or asked a person, must not be asked again by every reload. */
enum { MADE_DAYS_LEFT_MIN = 30, MADE_PEM_BYTES_MAX = 64 * 1024 };

static struct tls_certificate *made_parse(const struct tls_work *w, struct buf *problem)
{
    const struct tls_certificate_text text = {.chain_name = SLICE("self-signed certificate"),
                                              .chain = buf_slice(&w->s->made_chain),
                                              .key_name = SLICE("its key"),
                                              .key = buf_slice(&w->s->made_key)};
    return text.chain.len ? tls_certificate_parse(&text, w->wall_us, problem) : NULL;
}

/* The one of the settings that are replaced, while it names this host and lasts. */
static void made_keep(const struct tls_work *w, const struct relay_settings *old)
{
    const int64_t until = (int64_t)(w->wall_us / 1000000) + MADE_DAYS_LEFT_MIN * 86400;
    struct buf problem;
    if (!old || !slice_eq_nocase(old->conf->identity.hostname, w->s->conf->identity.hostname)) {
        return;
    }
    buf_init(&problem, 4096);
    buf_add(&w->s->made_chain, buf_slice(&old->made_chain));
    secret_buf_add(&w->s->made_key, buf_slice(&old->made_key));
    struct tls_certificate *c = made_parse(w, &problem);
    if (!c || tls_certificate_not_after(c) < until) {
        buf_clear(&w->s->made_chain);
        secret_buf_clear(&w->s->made_key);
    }
    tls_certificate_free(&c);
    buf_deinit(&problem);
}

static bool chain_make(const struct tls_work *w, struct chain_list *list)
{
    const struct tls_self_signed how = {.host = w->s->conf->identity.hostname,
                                        .wall_us = w->wall_us};
    struct tls_certificate *c = NULL;
    struct buf problem;
    buf_init(&problem, 4096);
    if (w->s->made_chain.len || tls_certificate_make(&how, &w->s->made_chain, &w->s->made_key)) {
        c = made_parse(w, &problem);
    }
    if (c) {
        chain_add(w, list, c);
    } else {
        buf_addf(w->to->errors, "tls.on_missing: no self-signed certificate could be made %.*s\n",
                 SLICE_ARG(buf_slice(&problem)));
    }
    buf_deinit(&problem);
    return c != NULL;
}

/* ---- listeners ---- */

static bool files_are_there(const struct conf_names *files)
{
    for (size_t i = 0; i < files->count; i++) {
        if (!conf_file_is_there(files->items[i].ptr)) {
            return false;
        }
    }
    return files->count > 0;
}

/* In the words of profile 000's original. */
static bool files_missing(const struct tls_work *w, struct slice cert, struct slice key)
{
    struct buf line;
    buf_init(&line, 16384);
    buf_addf(&line, "Error: TLS certificate/key files not found: %.*s, %.*s", SLICE_ARG(cert),
             SLICE_ARG(key));
    say_once(w->to->errors, buf_slice(&line));
    buf_deinit(&line);
    return false;
}

/* The certificates of one listener; an empty list: TLS is not to be offered. */
static bool listener_chains(const struct tls_work *w, size_t index, struct chain_list *list,
                            bool had_files)
{
    const struct conf *conf = w->s->conf;
    const struct conf_listener *l = &conf->listeners.items[index];
    bool own = l->cert_file.count > 0;
    const struct conf_names *certs = own ? &l->cert_file : &conf->tls.cert_file;
    const struct conf_names *keys = own ? &l->key_file : &conf->tls.key_file;
    if (certs->count != keys->count) {
        return work_error(w, "key_file", index, "each certificate needs its key");
    }
    if (files_are_there(certs) && files_are_there(keys)) {
        w->s->listeners[index].has_files = true;
        return chains_load(w, certs, keys, list);
    }
    if (certs->count == 0 && conf->tls.cert_pem.len) {
        return chain_inline(w, list);
    }
    switch (had_files && certs->count ? CONF_TLS_MISSING_FAIL : conf->tls.on_missing) {
    case CONF_TLS_MISSING_FAIL:
        if (certs->count) {
            return files_missing(w, certs->items[0], keys->items[0]);
        }
        return work_error(w, "tls", index,
                          "needs tls.cert_file and tls.key_file (or tls.on_missing: self_signed)");
    case CONF_TLS_MISSING_DISABLE:
        return l->tls == CONF_LISTENER_TLS_MAY ||
               work_error(w, "tls", index,
                          "cannot do without a certificate: tls.on_missing: disable is for `may`");
    case CONF_TLS_MISSING_SELF_SIGNED:
        return chain_make(w, list);
    }
    return false;
}

static struct tls_trust *trust_of(const struct tls_work *w, const char *what, struct slice path)
{
    struct buf problem;
    buf_init(&problem, 4096);
    struct tls_trust *trust = tls_trust_open();
    if (!trust || !tls_trust_add_path(trust, path.ptr, &problem)) {
        buf_addf(w->to->errors, "%s: %.*s\n", what, SLICE_ARG(buf_slice(&problem)));
        tls_trust_put(&trust);
    }
    buf_deinit(&problem);
    return trust;
}

static bool listener_context(const struct tls_work *w, size_t index, const struct chain_list *list,
                             const struct relay_settings *old)
{
    struct relay_listener_settings *ls = &w->s->listeners[index];
    const struct conf_listener *l = &w->s->conf->listeners.items[index];
    const struct tls_certificate *chains[TLS_CONTEXT_CERTIFICATES_MAX];
    struct buf problem;
    struct tls_trust *trust = NULL;
    for (size_t i = 0; i < list->count; i++) {
        chains[i] = list->items[i];
    }
    if (l->client_ca_file.len && !(trust = trust_of(w, "client_ca_file", l->client_ca_file))) {
        return false;
    }
    buf_init(&problem, 4096);
    bool kept = old && index < old->listener_count && old->listeners[index].tickets;
    ls->tickets = kept ? tls_tickets_get(old->listeners[index].tickets)
                       : tls_tickets_open(w->wall_us / 1000000, RELAY_TICKET_PERIOD_S);
    struct tls_server_config config = {
        .certificates = chains,
        .count = list->count,
        .client_cert = trust ? TLS_CLIENT_CERT_REQUEST : TLS_CLIENT_CERT_NONE,
        .client_trust = trust,
        .tickets = ls->tickets,
    };
    ls->tls = tls_context_open_server(&config, &problem);
    if (!ls->tls) {
        buf_addf(w->to->errors, "listeners[%zu].tls: %.*s\n", index,
                 SLICE_ARG(buf_slice(&problem)));
    }
    tls_trust_put(&trust);
    buf_deinit(&problem);
    return ls->tls != NULL;
}

static bool listener_open(const struct tls_work *w, size_t index, const struct relay_settings *old)
{
    struct relay_listener_settings *ls = &w->s->listeners[index];
    enum conf_listener_tls tls = w->s->conf->listeners.items[index].tls;
    struct chain_list list = {.count = 0};
    if (tls == CONF_LISTENER_TLS_NONE) {
        return true;
    }
    bool had_files = old && index < old->listener_count && old->listeners[index].has_files;
    bool ok = listener_chains(w, index, &list, had_files) &&
              (list.count == 0 || listener_context(w, index, &list, old));
    chains_free(&list);
    if (ok && ls->tls) {
        ls->server.features |= tls == CONF_LISTENER_TLS_IMPLICIT ? 0u : SMTP_FEATURE_STARTTLS;
        ls->server.tls_required = tls == CONF_LISTENER_TLS_ENCRYPT;
    }
    return ok;
}

/* ---- towards servers ---- */

static enum conf_tls_policy route_policy(const struct conf *conf, enum relay_route route)
{
    return route == RELAY_ROUTE_SMARTHOST ? conf->relay.tls : conf->delivery.tls;
}

static bool route_open(const struct tls_work *w, enum relay_route route,
                       enum conf_tls_policy policy, struct tls_trust *trust,
                       const struct tls_certificate *certificate)
{
    static const enum tls_policy policies[CONF_TLS_POLICIES] = {
        [CONF_TLS_NONE] = TLS_POLICY_MAY,
        [CONF_TLS_MAY] = TLS_POLICY_MAY,
        [CONF_TLS_ENCRYPT] = TLS_POLICY_ENCRYPT,
        [CONF_TLS_VERIFY] = TLS_POLICY_VERIFY,
    };
    struct tls_client_config config = {.policy = policies[policy],
                                       .trust = trust,
                                       .certificate = certificate};
    struct buf problem;
    if (policy == CONF_TLS_NONE ||
        (route_policy(w->s->conf, route) != policy &&
         !shaping_table_names(w->s->shaping, CONF_SHAPING_TLS, policy))) {
        return true;
    }
    buf_init(&problem, 4096);
    struct tls_context *context = tls_context_open_client(&config, &problem);
    w->s->routes[route].tls[policy] = context;
    if (!context) {
        buf_addf(w->to->errors, "delivery.tls: %.*s\n", SLICE_ARG(buf_slice(&problem)));
    }
    buf_deinit(&problem);
    return context != NULL;
}

/* Without authorities nobody can be verified; where nobody must be, that is only worth a warning. */
static bool routes_trust(const struct tls_work *w, struct tls_trust **trust)
{
    const struct conf *conf = w->s->conf;
    bool needed = conf->delivery.tls == CONF_TLS_VERIFY ||
                  (conf->relay.host.count && conf->relay.tls == CONF_TLS_VERIFY) ||
                  shaping_table_names(w->s->shaping, CONF_SHAPING_TLS, CONF_TLS_VERIFY);
    if (conf->tls.ca_file.len == 0 || (!needed && !conf_file_is_there(conf->tls.ca_file.ptr))) {
        return true;
    }
    *trust = trust_of(w, "tls.ca_file", conf->tls.ca_file);
    return *trust != NULL;
}

static bool routes_open(const struct tls_work *w)
{
    const struct conf *conf = w->s->conf;
    struct tls_trust *trust = NULL;
    struct tls_certificate *own = NULL;
    struct buf problem;
    bool ok = routes_trust(w, &trust);
    buf_init(&problem, 4096);
    if (ok && conf->tls.client_cert_file.len && conf->tls.client_key_file.len) {
        own = tls_certificate_load(conf->tls.client_cert_file.ptr, conf->tls.client_key_file.ptr,
                                   w->wall_us, &problem);
        ok = own != NULL;
        buf_addf(w->to->errors, ok ? "%.*s" : "%.*s\n", SLICE_ARG(buf_slice(&problem)));
    }
    for (int route = 0; route < RELAY_ROUTES; route++) {
        for (int policy = 0; policy < CONF_TLS_POLICIES; policy++) {
            ok = ok &&
                 route_open(w, (enum relay_route)route, (enum conf_tls_policy)policy, trust, own);
        }
    }
    tls_certificate_free(&own);
    tls_trust_put(&trust);
    buf_deinit(&problem);
    return ok;
}

/* ---- all ---- */

bool relay_settings_open_tls(struct relay_settings *s, const struct relay_settings *old,
                             const struct relay_settings_messages *to)
{
    struct tls_work w = {s, to, clock_read().wall_us};
    bool ok = routes_open(&w);
    buf_init(&s->made_chain, MADE_PEM_BYTES_MAX);
    buf_init(&s->made_key, MADE_PEM_BYTES_MAX);
    made_keep(&w, old);
    for (size_t i = 0; i < s->listener_count; i++) {
        ok = listener_open(&w, i, old) && ok;
    }
    return ok;
}

void relay_settings_close_tls(struct relay_settings *s)
{
    for (size_t i = 0; i < RELAY_ROUTES; i++) {
        for (size_t k = 0; k < CONF_TLS_POLICIES; k++) {
            tls_context_put(&s->routes[i].tls[k]);
        }
    }
    buf_deinit(&s->made_chain);
    secret_buf_release(&s->made_key);
    for (size_t i = 0; i < s->listener_count; i++) {
        tls_context_put(&s->listeners[i].tls);
        tls_tickets_put(&s->listeners[i].tickets);
    }
}

void relay_settings_tick(struct relay_settings *s, uint64_t wall_us)
{
    for (size_t i = 0; i < s->listener_count; i++) {
        if (s->listeners[i].tickets) {
            tls_tickets_tick(s->listeners[i].tickets, wall_us / 1000000);
        }
    }
}
