/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/relay/inbound_private.h"
#include "core/policy/mailbox.h"
#include "core/relay/signing.h"
#include "proto/mail/trace.h"

#include <stdlib.h>

static const struct smtp_verdict verdict_no_space = {.code = 452,
                                                     .enhanced = SLICE_INIT("4.3.1"),
                                                     .text = SLICE_INIT(
                                                         "Insufficient system storage")};
static const struct smtp_verdict verdict_failed = {.code = 451,
                                                   .enhanced = SLICE_INIT("4.3.0"),
                                                   .text = SLICE_INIT("Local error, not stored")};

/* How it comes in (RFC 3848). */
static uint32_t inbound_with(const struct inbound *s)
{
    return (smtp_server_esmtp(&s->smtp) ? MAIL_WITH_ESMTP : 0u) |
           (smtp_server_tls(&s->smtp) ? MAIL_WITH_TLS : 0u) |
           (smtp_server_authenticated(&s->smtp) ? MAIL_WITH_AUTH : 0u);
}

/* ---- logging ---- */

void inbound_log_rejected(struct inbound *s, enum outcome_stage stage, struct slice rcpt,
                          const struct smtp_verdict *v)
{
    must(v != NULL);
    if (inbound_event(s, OBS_REJECTED)) {
        struct obs_log *log = s->relay->log;
        const struct smtp_envelope *e = smtp_server_envelope(&s->smtp);
        obs_str(log, OBS_F_HELO, smtp_server_helo(&s->smtp));
        if (e) {
            struct smtp_sender_view sender;
            smtp_envelope_sender(e, &sender);
            obs_str(log, OBS_F_FROM, sender.address);
        }
        if (rcpt.len) {
            obs_str(log, OBS_F_TO, rcpt);
        }
        obs_str(log, OBS_F_STAGE, outcome_stage_name(stage));
        obs_u64(log, OBS_F_CODE, v->code);
        obs_str(log, OBS_F_STATUS, v->enhanced);
        obs_str(log, OBS_F_REPLY, v->text);
        inbound_event_end(s);
    }
}

static void inbound_log_accepted(struct inbound *s, const struct queue_message *m)
{
    if (inbound_event(s, OBS_ACCEPTED)) {
        struct obs_log *log = s->relay->log;
        char id[QUEUE_ID_TEXT_BYTES + 1];
        obs_str(log, OBS_F_ID, queue_id_text(m->id, id));
        obs_str(log, OBS_F_HELO, smtp_server_helo(&s->smtp));
        obs_str(log, OBS_F_PROTOCOL, mail_trace_with(inbound_with(s)));
        if (s->user.len) {
            obs_str(log, OBS_F_USER, buf_slice(&s->user));
        }
        obs_str(log, OBS_F_FROM, m->sender);
        obs_u64(log, OBS_F_RECIPIENTS, m->rcpt_count);
        obs_u64(log, OBS_F_SIZE, m->body_bytes);
        inbound_log_attributes(s, m);
        inbound_event_end(s);
    }
}

/* ---- what the machine asks for ---- */

struct access_client inbound_access_client(const struct inbound *s)
{
    return (struct access_client){
        .addr = s->peer.addr,
        .listener = inbound_listener(s),
        .authenticated = smtp_server_authenticated(&s->smtp) || s->certificate_shown,
        .user = buf_slice(&s->user),
        .allowed_from = s->credential ? &s->credential->allowed_from : NULL,
    };
}

void inbound_check_rcpt(struct inbound *s)
{
    const struct smtp_envelope *e = smtp_server_envelope(&s->smtp);
    struct access_client client = inbound_access_client(s);
    struct access_refusal refusal;
    struct smtp_sender_view sender;
    struct smtp_rcpt_view rcpt;
    const struct smtp_verdict *v = NULL;
    smtp_envelope_sender(e, &sender);
    smtp_envelope_rcpt(e, e->rcpt_count - 1, &rcpt);
    if (!access_check_rcpt(s->settings->conf, &client, sender.address, &rcpt.parts, &refusal)) {
        v = &refusal.verdict;
    } else if (queue_is_full(s->relay->queue, e->rcpt_count)) {
        v = &verdict_no_space;
    }
    if (v) {
        inbound_log_rejected(s, OUTCOME_STAGE_RCPT, rcpt.address, v);
    } else if (mailbox_is_local(s->settings->conf, rcpt.parts.domain)) {
        inbound_check_mailbox(s, rcpt.address);
        return;
    }
    inbound_answer(s, v ? v : &SMTP_VERDICT_ACCEPT);
}

static const struct smtp_verdict *inbound_verdict_of(enum spool_append result)
{
    switch (result) {
    case SPOOL_FULL:
        return &verdict_no_space;
    case SPOOL_FAILED:
        return &verdict_failed;
    case SPOOL_APPENDED:
    case SPOOL_WAIT:
        break;
    }
    return NULL;
}

void inbound_check_mail(struct inbound *s)
{
    struct access_client client = inbound_access_client(s);
    struct access_refusal refusal;
    struct smtp_sender_view sender;
    const struct smtp_verdict *v = NULL;
    smtp_envelope_sender(smtp_server_envelope(&s->smtp), &sender);
    if (s->relay->stopping) {
        v = &inbound_verdict_stopping;
    } else if (queue_is_full(s->relay->queue, 1)) {
        v = &verdict_no_space;
    } else if (!access_check_mail(s->settings->conf, &client, sender.address, &refusal)) {
        v = &refusal.verdict;
    } else {
        v = inbound_check_times(s, &client, &sender);
        v = v ? v : inbound_verdict_of(spool_takes_mail(s->relay->queue->spool));
    }
    if (v) {
        inbound_log_rejected(s, OUTCOME_STAGE_MAIL, (struct slice){NULL, 0}, v);
    }
    inbound_answer(s, v ? v : &SMTP_VERDICT_ACCEPT);
}

void inbound_body_begin(struct inbound *s)
{
    must(s->body == NULL);
    struct access_client client = inbound_access_client(s);
    struct body_in_origin origin = {
        .helo = smtp_server_helo(&s->smtp),
        .peer = &s->peer,
        .with = inbound_with(s),
        .envelope = smtp_server_envelope(&s->smtp),
        .submission = inbound_listener(s)->mode == CONF_MODE_SUBMISSION,
        .wants_authors = inbound_wants_authors(s),
        .trusted = attributes_trusted(s->settings->conf, &client),
    };
    if (!queue_memory_short(s->relay->queue, s->relay->inflight_bytes)) {
        s->body = body_in_open(s->relay, s->settings, &origin);
    }
    if (!s->body) {
        inbound_log_rejected(s, OUTCOME_STAGE_DATA, (struct slice){NULL, 0}, &verdict_no_space);
    }
    inbound_answer(s, s->body ? &SMTP_VERDICT_ACCEPT : &verdict_no_space);
}

/* The message is complete and not taken. */
static void inbound_refuse_body(struct inbound *s, const struct smtp_verdict *v)
{
    body_in_close(&s->body);
    inbound_log_rejected(s, OUTCOME_STAGE_FINAL_DOT, (struct slice){NULL, 0}, v);
    inbound_answer(s, v);
}

static void inbound_on_signed(struct relay *r, struct handle session,
                              const struct dkim_signer *signer);

static void inbound_wait_space(struct inbound *s)
{
    s->waiting_space = true;
    if (!list_linked(&s->link)) {
        list_push_back(&s->relay->space_waiters, &s->link);
    }
}

void inbound_body_data(struct inbound *s)
{
    enum spool_append result = body_in_add(s->body, smtp_server_data(&s->smtp));
    struct access_refusal refusal;
    const struct smtp_verdict *failure = inbound_verdict_of(result);
    failure = failure ? failure : inbound_check_authors(s, &refusal);
    if (failure) {
        inbound_log_rejected(s, OUTCOME_STAGE_BODY, (struct slice){NULL, 0}, failure);
        smtp_server_body_fail(&s->smtp, failure);
        body_in_close(&s->body);
    } else if (result == SPOOL_WAIT) {
        inbound_wait_space(s);
    }
}

/* True: on its way to be signed, inbound_commit is called again; or refused. */
static bool inbound_sign(struct inbound *s)
{
    struct dkim_signer *signer;
    const struct smtp_verdict *refusal = NULL;
    switch (body_in_finish(s->body, &signer)) {
    case BODY_IN_READY:
        return false;
    case BODY_IN_TO_SIGN:
        s->waiting_signature = signing_submit(s->relay, s->self, signer, inbound_on_signed);
        if (s->waiting_signature) {
            return true;
        }
        refusal = &verdict_failed;
        break;
    case BODY_IN_NO_MEMORY:
        refusal = &verdict_no_space;
        break;
    }
    inbound_refuse_body(s, refusal);
    return true;
}

static void inbound_on_signed(struct relay *r, struct handle session,
                              const struct dkim_signer *signer)
{
    struct inbound *s = pool_resolve(&r->inbound, session);
    if (!s || !s->waiting_signature) {
        return;
    }
    s->waiting_signature = false;
    if (s->state != INBOUND_OPEN) {
        return;
    }
    if (body_in_signed(s->body, signer)) {
        inbound_commit(s);
    } else {
        inbound_log_reason(s, OBS_INBOUND_TROUBLE, SLICE("DKIM: the message could not be signed"));
        inbound_refuse_body(s, &verdict_failed);
    }
    inbound_drive(s, (struct slice){NULL, 0});
}

/* The content is complete. True: and it may be stored. */
static bool inbound_end_body(struct inbound *s)
{
    struct access_refusal refusal;
    const struct smtp_verdict *v = body_in_end(s->body) ? inbound_check_authors(s, &refusal)
                                                        : &verdict_no_space;
    v = v ? v : inbound_decide_attributes(s, &refusal);
    if (v) {
        inbound_refuse_body(s, v);
    }
    return !v;
}

void inbound_commit(struct inbound *s)
{
    if (!inbound_end_body(s) || inbound_sign(s)) {
        return;
    }
    s->committing_id = s->body->id;
    enum spool_append result = body_in_submit(&s->body, smtp_server_envelope(&s->smtp),
                                              smtp_server_facts(&s->smtp), s->self);
    const struct smtp_verdict *failure = inbound_verdict_of(result);
    if (failure) {
        inbound_refuse_body(s, failure);
    } else if (result == SPOOL_WAIT) {
        inbound_wait_space(s);
    } else {
        s->waiting_commit = true;
    }
}

void inbound_body_abort(struct inbound *s)
{
    const struct smtp_verdict *fault = smtp_server_fault(&s->smtp);
    if (fault) {
        inbound_log_rejected(s, OUTCOME_STAGE_BODY, (struct slice){NULL, 0}, fault);
    }
    body_in_close(&s->body);
}

/* The 250 (or 451) that follows the commit. */
static void inbound_answer_commit(struct inbound *s)
{
    s->waiting_commit = false;
    s->commit_known = false;
    if (!s->commit_ok) {
        inbound_log_rejected(s, OUTCOME_STAGE_FINAL_DOT, (struct slice){NULL, 0}, &verdict_failed);
        inbound_answer(s, &verdict_failed);
        return;
    }
    char text[32] = "queued as ", id[QUEUE_ID_TEXT_BYTES + 1];
    struct slice id_text = queue_id_text(s->committing_id, id);
    memcpy(text + 10, id_text.ptr, id_text.len);
    struct smtp_verdict ok = {.code = 250,
                              .enhanced = SLICE("2.0.0"),
                              .text = slice_of(text, 10 + id_text.len)};
    s->relay->counters.messages_in++;
    inbound_answer(s, &ok);
}

/* The time was ours: the client's rate is measured from here. */
static void inbound_space_waited(struct inbound *s)
{
    s->waiting_space = false;
    s->phase_since_ms = io_now(s->relay->io)->mono_ms;
    s->phase_bytes = 0;
}

/* The record is not in the log (fragments without one are nothing), so it can be refused. */
void inbound_refuse_waiting(struct inbound *s)
{
    must(s->waiting_space && s->body != NULL);
    inbound_space_waited(s);
    list_remove(&s->link);
    if (smtp_server_phase(&s->smtp) == SMTP_PHASE_WAIT) {
        inbound_refuse_body(s, &verdict_failed);
        return;
    }
    inbound_log_rejected(s, OUTCOME_STAGE_BODY, (struct slice){NULL, 0}, &verdict_failed);
    smtp_server_body_fail(&s->smtp, &verdict_failed);
    body_in_close(&s->body);
}

void inbound_resume_mail(struct inbound *s)
{
    if (s->waiting_commit && s->commit_known) {
        inbound_answer_commit(s);
        return;
    }
    if (!s->waiting_space) {
        return;
    }
    inbound_space_waited(s);
    if (smtp_server_phase(&s->smtp) == SMTP_PHASE_WAIT) {
        inbound_commit(s);
    } else if (s->body) {
        enum spool_append result = body_in_flush(s->body);
        const struct smtp_verdict *failure = inbound_verdict_of(result);
        if (failure) {
            smtp_server_body_fail(&s->smtp, failure);
            body_in_close(&s->body);
        } else if (result == SPOOL_WAIT) {
            inbound_wait_space(s);
        }
    }
}

/* ---- the queue's word on a commit ---- */

static void inbound_on_accepted(void *ctx, struct handle submitter, struct queue_message *m)
{
    struct relay *r = ctx;
    struct inbound *s = pool_resolve(&r->inbound, submitter);
    if (!s) {
        return; /* the client left meanwhile; the message is ours all the same */
    }
    must(s->waiting_commit);
    s->commit_known = true;
    s->commit_ok = m != NULL;
    if (m) {
        inbound_log_accepted(s, m);
    }
    list_push_back(&r->resume, &s->link);
}

static void inbound_on_space(void *ctx)
{
    struct relay *r = ctx;
    list_splice_back(&r->resume, &r->space_waiters);
}

const struct queue_events relay_queue_events = {inbound_on_accepted, inbound_on_space,
                                                signing_report};
