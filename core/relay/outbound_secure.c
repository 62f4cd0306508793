/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * TLS and logins towards servers. The machine decides what a failed handshake or login means; here the
 * stream is fed, and what the certificate was worth is told: to the machine (verified or not) and to the
 * log (never silently called verified).
 */
#include "core/relay/outbound_private.h"
#include "core/base/hash.h"
#include "core/base/secret.h"
#include "core/io/net.h"
#include "tls/hmac.h"

enum { ALERT_CERTIFICATE_REQUIRED = 116 };

/* ---- configuration of one connection ---- */

/* "*.example.org" stands for every name below it, "*" for every name. */
static bool host_matches(struct slice pattern, struct slice host)
{
    if (pattern.len && pattern.ptr[0] == '*') {
        struct slice tail = slice_skip(pattern, 1);
        return host.len > tail.len && slice_ends_nocase(host, tail);
    }
    return slice_eq_nocase(pattern, host);
}

/* Its name in the configuration counts too: MX and CNAME give a host another one. A route may be older than
 * the configuration: what was a relay host then gets nothing of what is for those of now. */
static bool login_is_for(const struct conf_relay *relay, const struct route_candidate *c)
{
    bool is_relay = false, fits = relay->auth_hosts.count == 0;
    for (size_t i = 0; i < relay->host.count && !is_relay; i++) {
        is_relay = slice_eq_nocase(relay->host.items[i].name, c->named);
    }
    for (size_t i = 0; i < relay->auth_hosts.count && !fits; i++) {
        struct slice pattern = relay->auth_hosts.items[i];
        fits = host_matches(pattern, c->host) || host_matches(pattern, c->named);
    }
    return is_relay && fits;
}

struct smtp_client_config outbound_client_config(struct outbound *o)
{
    const struct conf *conf = o->settings->conf;
    const struct route_candidate *c = outbound_candidate(o);
    o->route = c->named.len ? RELAY_ROUTE_SMARTHOST : RELAY_ROUTE_MX;
    struct smtp_client_config config = o->settings->routes[o->route].client;
    config.helo_name = o->source ? o->source->ehlo : config.helo_name;
    o->policy = (uint8_t)route_plan_number(o->plan, CONF_SHAPING_TLS);
    config.tls = o->plaintext ? SMTP_TLS_NONE
                              : relay_settings_policy((enum conf_tls_policy)o->policy);
    if (config.auth_user.len && !login_is_for(&conf->relay, c)) {
        config.auth_user = slice_of("", 0);
    }
    outbound_learn_open(o, &config);
    return config;
}

/* ---- sessions to resume ---- */

static struct tls_session **resumable(struct outbound *o)
{
    uint64_t seed = (uint64_t)o->route * CONF_TLS_POLICIES + o->policy;
    /* By another source we are somebody else: who resumes ties the two together. */
    seed = o->source ? hash_bytes(o->source->name, seed) : seed;
    uint64_t hash = hash_bytes(outbound_candidate(o)->host, seed);
    return &o->relay->resumable[hash % RELAY_RESUMABLE];
}

static void resumable_keep(struct outbound *o)
{
    struct tls_session *session = tls_stream_session(o->tls.stream);
    if (session) {
        struct tls_session **kept = resumable(o);
        tls_session_free(kept);
        *kept = session;
    }
}

/* As far as the socket takes it at once: the connection is over, nobody waits for this. */
void outbound_secure_goodbye(struct outbound *o)
{
    if (secure_is_open(&o->tls)) {
        secure_shutdown(&o->tls);
        net_say(o->fd, buf_slice(&o->tls.wire));
    }
}

void outbound_secure_free(struct outbound *o)
{
    if (secure_is_open(&o->tls)) {
        if (o->tls.up && !o->tls_refused) {
            resumable_keep(o);
        } else {
            /* If the host cannot deal with it, the next handshake is a full one. */
            tls_session_free(resumable(o));
        }
        secure_close(&o->tls);
    }
    o->tls_refused = false;
    buf_release(&o->cipher);
    buf_release(&o->plain);
}

/* ---- handshake ---- */

static void outbound_log_tls(struct outbound *o, const struct tls_facts *facts)
{
    struct obs_log *log = o->relay->log;
    if (obs_begin(log, OBS_OUTBOUND_TLS, io_now(o->relay->io)->wall_us)) {
        obs_u64(log, OBS_F_SESSION, o->id);
        obs_str(log, OBS_F_SITE, o->site->key);
        obs_str(log, OBS_F_PEER_NAME, outbound_candidate(o)->host);
        obs_str(log, OBS_F_TLS, slice_str(facts->version));
        obs_str(log, OBS_F_CIPHER, slice_str(facts->cipher));
        obs_str(log, OBS_F_VERDICT, slice_str(tls_verdict_name(facts->verdict.kind)));
        obs_end(log, io_now(o->relay->io)->mono_ms);
    }
}

static void outbound_tls_up(struct outbound *o)
{
    const struct tls_facts *facts = tls_stream_facts(o->tls.stream);
    o->relay->counters.tls_out++;
    outbound_log_tls(o, facts);
    if (o->taps) {
        dialogue_note(o->taps, slice_str(facts->version), io_now(o->relay->io));
    }
    smtp_client_tls_started(&o->smtp, facts->verdict.kind == TLS_VERDICT_TRUSTED);
}

void outbound_tell_tls(const struct outbound *o, struct queue_part_end *end)
{
    if (secure_is_open(&o->tls) && o->tls.up) {
        const struct tls_facts *facts = tls_stream_facts(o->tls.stream);
        end->tls_version = slice_str(facts->version);
        end->tls_cipher = slice_str(facts->cipher);
        end->tls_certificate = slice_str(tls_verdict_name(facts->verdict.kind));
    }
}

/* An alert that comes as the first thing under TLS is the server's judgement of our half of the handshake
 * (RFC 8446 4.4.2.4, 4.6.2): it is told as if the handshake had not ended. */
static void outbound_tls_failed(struct outbound *o)
{
    const struct tls_failure *why = secure_error(&o->tls);
    o->relay->counters.tls_out_failed++;
    o->tls_refused = o->tls.up && why->kind == TLS_ERROR_ALERT && smtp_client_tls_is_new(&o->smtp);
    if (o->tls.up && !o->tls_refused) {
        smtp_client_fail(&o->smtp, why->kind == TLS_ERROR_TRUNCATED ? SMTP_FAIL_EOF : SMTP_FAIL_IO);
        return;
    }
    bool nameless = why->kind == TLS_ERROR_ALERT && why->alert == ALERT_CERTIFICATE_REQUIRED;
    struct buf text;
    buf_init(&text, 256);
    buf_addf(&text, "TLS handshake failed (%s): %s%s", tls_error_name(why->kind), why->text,
             nameless ? "; it needs tls.client_cert_file" : "");
    smtp_client_tls_failed(&o->smtp, buf_slice(&text));
    buf_deinit(&text);
}

/* Whom the certificate must name: of a recipient at an address literal the address. */
static struct slice server_name(const struct outbound *o, char text[IP_TEXT_MAX])
{
    const struct route_candidate *c = outbound_candidate(o);
    bool literal = c->host.len && c->host.ptr[0] == '[';
    return literal ? slice_str(ip_addr_text(&c->endpoint.addr, text)) : c->host;
}

static bool outbound_lives(const struct outbound *o)
{
    return o->state != OUTBOUND_GONE && o->state != OUTBOUND_NEXT &&
           o->state != OUTBOUND_CONNECTING && secure_is_open(&o->tls);
}

static void outbound_on_turn(struct handshake_place *place)
{
    struct outbound *o = container_of(place, struct outbound, tls.place);
    if (outbound_lives(o)) {
        outbound_receive(o, (struct slice){NULL, 0});
    }
}

void outbound_start_tls(struct outbound *o)
{
    char text[IP_TEXT_MAX];
    if (o->out.len) { /* STARTTLS is still here */
        smtp_client_tls_failed(&o->smtp, SLICE("peer answered before it was asked"));
        return;
    }
    struct tls_stream_config config = {
        .context = o->settings->routes[o->route].tls[o->policy],
        .wall_us = io_now(o->relay->io)->wall_us,
        .server_name = server_name(o, text),
        .session = *resumable(o),
    };
    if (!config.context) { /* a route of before a reload; this connection has no future */
        smtp_client_tls_failed(&o->smtp, SLICE("the TLS policy has changed meanwhile"));
        return;
    }
    const struct secure_owner owner = {
        .turns = &o->relay->handshakes,
        .resume = outbound_on_turn,
        .wire_max = OUTBOUND_CIPHER_BYTES,
    };
    timer_start(o->relay->timers, &o->deadline,
                outbound_now(o) + route_plan_number(o->plan, CONF_SHAPING_EHLO_TIMEOUT));
    if (!secure_open(&o->tls, &config, &owner) ||
        secure_step(&o->tls, &o->plain, 0) == SECURE_FAILED) {
        smtp_client_tls_failed(&o->smtp, SLICE("TLS could not be started here"));
    }
}

/* ---- bytes ---- */

/* One step of the TLS layer; false: it wants the next receive. */
static bool outbound_secure_step(struct outbound *o)
{
    switch (secure_step(&o->tls, &o->plain, IO_RECV_BUFFER_BYTES)) {
    case SECURE_UP:
        outbound_tls_up(o);
        return true;
    case SECURE_DATA:
        return true;
    case SECURE_WANT_INPUT:
        secure_rest(&o->tls);
        return false;
    case SECURE_WANT_ROOM:
    case SECURE_WANT_TURN: /* outbound_drive receives nothing meanwhile */
        return false;
    case SECURE_END:
        smtp_client_fail(&o->smtp, SMTP_FAIL_EOF);
        return false;
    case SECURE_FAILED:
        outbound_tls_failed(o);
        return false;
    }
    return false;
}

void outbound_receive(struct outbound *o, struct slice in)
{
    if (!secure_is_open(&o->tls)) {
        outbound_drive(o, in);
        return;
    }
    struct handle self = o->self;
    struct relay *r = o->relay;
    if (in.len && !secure_feed(&o->tls, in)) {
        smtp_client_fail(&o->smtp, SMTP_FAIL_LOCAL);
    }
    bool more = true;
    while (more) {
        more = o->smtp.state != SMTP_CLIENT_ENDED && outbound_secure_step(o);
        /* The machine takes all of it: what is in plain lives until the next step. */
        struct slice plain = buf_slice(&o->plain);
        o->plain.len = 0;
        if (more || plain.len || o->smtp.state == SMTP_CLIENT_ENDED) {
            outbound_drive(o, plain);
            if (pool_resolve(&r->outbound, self) != o || !outbound_lives(o)) {
                return;
            }
        }
    }
    if (o->plain.cap && o->plain.len == 0) {
        buf_release(&o->plain);
    }
    outbound_drive(o, (struct slice){NULL, 0});
}

bool outbound_encrypt(struct outbound *o)
{
    for (size_t i = 0; i < o->msg.msg_iovlen; i++) {
        struct slice plain = slice_of(o->msg.msg_iov[i].iov_base, o->msg.msg_iov[i].iov_len);
        if (secure_write(&o->tls, plain) != plain.len) {
            return false; /* there is room for all that one send can be */
        }
    }
    o->msg.msg_iovlen = 0;
    if (o->sending_secret) {
        secret_buf_clear(&o->sending);
    } else {
        buf_clear(&o->sending);
    }
    if (o->tls.wire.len) {
        struct buf empty = o->cipher;
        must(empty.len == 0);
        o->cipher = o->tls.wire;
        o->tls.wire = empty;
        o->iov[0] = (struct iovec){o->cipher.ptr, o->cipher.len};
        o->msg = (struct msghdr){.msg_iov = o->iov, .msg_iovlen = 1};
    }
    return true;
}

void outbound_answer_challenge(struct outbound *o)
{
    unsigned char digest[TLS_HMAC_MD5_BYTES] = {0};
    must_static((int)TLS_HMAC_MD5_BYTES == (int)SMTP_AUTH_DIGEST_BYTES, "of the same size");
    tls_hmac_md5(o->smtp.config.auth_secret, smtp_client_challenge(&o->smtp), digest);
    smtp_client_cram(&o->smtp, digest);
    secret_wipe(digest, sizeof(digest));
}
