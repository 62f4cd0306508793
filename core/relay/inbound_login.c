/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * AUTH. The machine has taken the exchange apart; here it is decided: the throttle first, then the password
 * on another thread (login.h). While that runs the session waits like for a commit: nothing is read.
 *
 * Some clients try every mechanism they know with the same wrong password. That is one mistake: the
 * throttle is told what the machine counts.
 */
#include "core/policy/throttle.h"
#include "core/relay/inbound_private.h"
#include "core/relay/login.h"

static const struct smtp_verdict verdict_wrong = {.code = 535,
                                                  .enhanced = SLICE_INIT("5.7.8"),
                                                  .text = SLICE_INIT(
                                                      "Authentication credentials invalid")};
static const struct smtp_verdict verdict_busy = {.code = 454,
                                                 .enhanced = SLICE_INIT("4.7.0"),
                                                 .text = SLICE_INIT(
                                                     "Temporary authentication failure")};
static const struct smtp_verdict verdict_locked = {.code = 421,
                                                   .close = true,
                                                   .enhanced = SLICE_INIT("4.7.0"),
                                                   .text = SLICE_INIT(
                                                       "Too many failed logins, try again later")};

void inbound_challenge(struct inbound *s)
{
    struct relay *r = s->relay;
    struct buf text;
    buf_init(&text, SMTP_AUTH_CHALLENGE_BYTES);
    buf_addf(&text, "<%016llx.%llu@%.*s>", (unsigned long long)rng_u64(r->rng),
             (unsigned long long)io_now(r->io)->wall_us,
             SLICE_ARG(slice_first(s->settings->conf->identity.hostname, 100)));
    smtp_server_challenge(&s->smtp, buf_slice(&text), &s->out);
    buf_deinit(&text);
}

static struct throttle_rule inbound_throttle_rule(const struct inbound *s)
{
    const struct conf_auth *auth = &s->settings->conf->auth;
    return (struct throttle_rule){auth->failures_max, auth->lockout_ms};
}

static void inbound_log_login(struct inbound *s, enum obs_event event, struct slice user,
                              struct slice reason)
{
    if (inbound_event(s, event)) {
        obs_str(s->relay->log, OBS_F_USER, slice_first(user, CREDENTIAL_NAME_BYTES));
        if (reason.len) {
            obs_str(s->relay->log, OBS_F_REASON, reason);
        }
        inbound_event_end(s);
    }
}

static void inbound_login_failed(struct inbound *s, const struct login *l)
{
    struct throttle_rule rule = inbound_throttle_rule(s);
    struct slice user = buf_slice(&l->name);
    uint32_t failures = smtp_server_auth_failures(&s->smtp);
    inbound_log_login(s, OBS_LOGIN_FAILED, user, SLICE("wrong user or password"));
    inbound_answer(s, &verdict_wrong);
    if (smtp_server_auth_failures(&s->smtp) != failures) {
        throttle_failed(s->relay->throttle, &rule, &s->peer.addr, user,
                        io_now(s->relay->io)->mono_ms);
    }
}

static void inbound_logged_in(struct inbound *s, struct slice user)
{
    throttle_succeeded(s->relay->throttle, &s->peer.addr, user);
    buf_clear(&s->user);
    buf_add(&s->user, user);
    s->credential = credentials_find(s->settings->credentials, user, slice_of("", 0));
    inbound_log_login(s, OBS_LOGIN, user, slice_of("", 0));
    inbound_answer(s, &(struct smtp_verdict){.code = 235,
                                             .enhanced = SLICE("2.7.0"),
                                             .text = SLICE("Authentication successful")});
}

static void inbound_on_login(void *ctx, struct login *l)
{
    struct relay *r = ctx;
    struct inbound *s = pool_resolve(&r->inbound, l->session);
    if (!s || !s->waiting_login) {
        return; /* the client left meanwhile */
    }
    s->waiting_login = false;
    if (s->state != INBOUND_OPEN) {
        return;
    }
    if (l->passed) {
        login_cache_keep(&r->logins, l, io_now(r->io)->mono_ms);
        inbound_logged_in(s, buf_slice(&l->name));
    } else {
        inbound_login_failed(s, l);
    }
    inbound_drive(s, (struct slice){NULL, 0});
}

void inbound_check_auth(struct inbound *s)
{
    struct relay *r = s->relay;
    const struct smtp_auth *auth = smtp_server_auth(&s->smtp);
    struct throttle_rule rule = inbound_throttle_rule(s);
    /* One user has one count, however the name was typed. */
    const struct credential *known = credentials_find(s->settings->credentials, auth->authcid,
                                                      s->settings->conf->identity.hostname);
    struct slice user = known ? known->name : auth->authcid;
    if (smtp_server_auth_is_new(&s->smtp) &&
        throttle_locked(r->throttle, &rule, &s->peer.addr, user, io_now(r->io)->mono_ms)) {
        inbound_log_login(s, OBS_LOGIN_FAILED, user, SLICE("locked out after too many failures"));
        inbound_answer(s, &verdict_locked);
        return;
    }
    if (known && auth->authzid.len == 0 && (auth->mechanism & SMTP_AUTH_CLEARTEXT) &&
        login_cache_knows(&r->logins, known, auth->password, io_now(r->io)->mono_ms)) {
        inbound_logged_in(s, user);
        return;
    }
    struct login_request request = {
        .session = s->self,
        .auth = auth,
        .credentials = s->settings->credentials,
        .hostname = s->settings->conf->identity.hostname,
        .answer = inbound_on_login,
    };
    s->waiting_login = login_submit(r->offload, &r->offload_port, &request);
    if (!s->waiting_login) {
        inbound_log_login(s, OBS_LOGIN_FAILED, user, SLICE("too many logins at once"));
        inbound_answer(s, &verdict_busy);
    }
}
