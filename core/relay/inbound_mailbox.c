/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Whether a recipient of a local domain exists is asked at RCPT, so that mail for nobody is refused and never
 * bounced to a forged sender. A folder is looked for on another thread; meanwhile the session waits as for a
 * password. An answer that comes too late belongs to nobody: each question has a number.
 */
#include "core/relay/inbound_private.h"
#include "core/relay/maildir.h"

#include <errno.h>
#include <stdlib.h>

static const struct smtp_verdict verdict_unknown = {.code = 550,
                                                    .enhanced = SLICE_INIT("5.1.1"),
                                                    .text = SLICE_INIT("No such user here")};
static const struct smtp_verdict verdict_later = {.code = 451,
                                                  .enhanced = SLICE_INIT("4.3.0"),
                                                  .text = SLICE_INIT(
                                                      "Mailbox not available, try again later")};

struct inbound_look {
    struct offload_job job;
    struct handle session;
    uint64_t number;
    int result;
    struct mailbox_path path;
};

static void inbound_look_run(struct offload_job *job, void *thread)
{
    (void)thread;
    struct inbound_look *l = container_of(job, struct inbound_look, job);
    l->result = maildir_look(&l->path);
}

static void inbound_mailbox_answer(struct inbound *s, const struct smtp_verdict *v)
{
    if (v) {
        const struct smtp_envelope *e = smtp_server_envelope(&s->smtp);
        struct smtp_rcpt_view rcpt;
        smtp_envelope_rcpt(e, e->rcpt_count - 1, &rcpt);
        inbound_log_rejected(s, OUTCOME_STAGE_RCPT, rcpt.address, v);
    }
    inbound_answer(s, v ? v : &SMTP_VERDICT_ACCEPT);
}

static void inbound_log_look(struct inbound *s, int error)
{
    char text[160], reason[64];
    int n = snprintf(text, sizeof(text), "local.maildir: %s",
                     error == ENXIO ? "the folder of the mailboxes is missing"
                                    : strerror_r(error, reason, sizeof(reason)));
    inbound_log_reason(s, OBS_INBOUND_TROUBLE, slice_of(text, n > 0 ? (size_t)n : 0));
}

static void inbound_look_done(struct offload_job *job, void *ctx)
{
    struct relay *r = ctx;
    struct inbound_look look = *container_of(job, struct inbound_look, job);
    free(container_of(job, struct inbound_look, job));
    must(r->mailbox_looks > 0);
    r->mailbox_looks--;
    struct inbound *s = pool_resolve(&r->inbound, look.session);
    if (!s || s->waiting_mailbox != look.number) {
        return; /* the client left meanwhile, or has heard 451 */
    }
    s->waiting_mailbox = 0;
    if (s->state != INBOUND_OPEN) {
        return;
    }
    if (look.result < 0 && look.result != -ENOENT) {
        inbound_log_look(s, -look.result);
    }
    inbound_mailbox_answer(s, look.result == 0         ? NULL
                              : look.result == -ENOENT ? &verdict_unknown
                                                       : &verdict_later);
    inbound_drive(s, (struct slice){NULL, 0});
}

void inbound_check_mailbox(struct inbound *s, struct slice address)
{
    struct relay *r = s->relay;
    const struct conf *conf = s->settings->conf;
    struct inbound_look *l = calloc(1, sizeof(*l));
    if (!l || r->mailbox_looks >= RELAY_MAILBOX_LOOKS) {
        free(l);
        inbound_mailbox_answer(s, &verdict_later);
        return;
    }
    if (!mailbox_find(conf, address, &l->path) || maildir_make_of(conf) != MAILDIR_MAKE_NONE) {
        bool named = l->path.bytes > 0;
        free(l);
        inbound_mailbox_answer(s, named ? NULL : &verdict_unknown);
        return;
    }
    l->job.run = inbound_look_run;
    l->job.done = inbound_look_done;
    l->session = s->self;
    l->number = s->waiting_mailbox = ++r->mailbox_number;
    r->mailbox_looks++;
    must(offload_submit(r->disk, &r->disk_port, &l->job));
}

void inbound_mailbox_late(struct inbound *s)
{
    must(s->waiting_mailbox > 0);
    s->waiting_mailbox = 0;
    inbound_mailbox_answer(s, &verdict_later);
}
