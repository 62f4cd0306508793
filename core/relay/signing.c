/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/relay/signing.h"
#include "core/base/must.h"
#include "core/relay/dkim_keys.h"

#include <stdlib.h>

struct signing {
    struct offload_job job;
    struct handle session;
    struct dkim_signer *signer;
    size_t count;
    signing_done *done;
};

static void *signing_thread_open(void)
{
    return dkim_signing_open();
}

static void signing_thread_close(void *thread)
{
    struct dkim_signing *s = thread;
    dkim_signing_close(&s);
}

const struct offload_thread_hooks *relay_thread_hooks(void)
{
    static const struct offload_thread_hooks hooks = {signing_thread_open, signing_thread_close};
    return &hooks;
}

static void signing_run(struct offload_job *job, void *thread)
{
    struct signing *s = container_of(job, struct signing, job);
    if (thread) { /* without a context nothing is signed, and attach says so */
        dkim_keys_sign(thread, dkim_signer_jobs(s->signer), s->count);
    }
}

static void signing_finish(struct offload_job *job, void *ctx)
{
    struct signing *s = container_of(job, struct signing, job);
    s->done(ctx, s->session, s->signer);
    dkim_signer_end(&s->signer);
    free(s);
}

bool signing_submit(struct relay *r, struct handle session, struct dkim_signer *signer,
                    signing_done *done)
{
    struct signing *s = calloc(1, sizeof(*s));
    if (s) {
        s->job.run = signing_run;
        s->job.done = signing_finish;
        s->session = session;
        s->signer = signer;
        s->count = dkim_signer_count(signer);
        s->done = done;
    }
    if (!s || !offload_submit(r->offload, &r->offload_port, &s->job)) {
        dkim_signer_end(&signer);
        free(s);
        return false;
    }
    return true;
}
