/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/relay/signing.h"
#include "core/base/must.h"
#include "core/relay/dkim_keys.h"
#include "tls/dkim_hash.h"

#include <stdlib.h>

enum {
    REPORT_HEADER_BYTES_MAX = 16 * 1024, /* ours: some ten fields */
    REPORT_SIGNATURES_BYTES = DKIM_SIGNATURES_MAX * 4096,
};

struct signing {
    struct offload_job job;
    struct handle session;
    struct queue_bounce *report; /* or a session */
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

static void signing_end_report(struct queue_bounce *report, const struct dkim_signer *signer)
{
    struct buf text;
    buf_init(&text, REPORT_SIGNATURES_BYTES);
    bool ok = dkim_signer_attach(signer, &text) > 0 && !text.overflow;
    queue_bounce_signed(report, ok ? buf_slice(&text) : SLICE(""));
    buf_deinit(&text);
}

static void signing_finish(struct offload_job *job, void *ctx)
{
    struct signing *s = container_of(job, struct signing, job);
    if (s->report) {
        signing_end_report(s->report, s->signer);
    } else {
        s->done(ctx, s->session, s->signer);
    }
    dkim_signer_end(&s->signer);
    free(s);
}

static struct signing *signing_new(struct dkim_signer *signer)
{
    struct signing *s = calloc(1, sizeof(*s));
    if (s) {
        s->job.run = signing_run;
        s->job.done = signing_finish;
        s->signer = signer;
        s->count = dkim_signer_count(signer);
    }
    return s;
}

bool signing_submit(struct relay *r, struct handle session, struct dkim_signer *signer,
                    signing_done *done)
{
    struct signing *s = signing_new(signer);
    if (s) {
        s->session = session;
        s->done = done;
    }
    if (!s || !offload_submit(r->offload, &r->offload_port, &s->job)) {
        dkim_signer_end(&signer);
        free(s);
        return false;
    }
    return true;
}

/* ---- reports ---- */

/* A signer whose jobs are ready; NULL: nobody signs for the report's author. */
static struct dkim_signer *report_signer(struct relay *r, struct slice content)
{
    const char *end = memmem(content.ptr, content.len, "\r\n\r\n", 4);
    must(end != NULL);
    size_t header = (size_t)(end - content.ptr) + 2;
    struct dkim_signer *s = dkim_table_count(r->settings->dkim)
                                ? dkim_signer_begin(r->settings->dkim, dkim_hash_sha256(),
                                                    REPORT_HEADER_BYTES_MAX)
                                : NULL;
    if (!s) {
        return NULL;
    }
    dkim_signer_header(s, slice_first(content, header));
    dkim_signer_header_end(s);
    dkim_signer_body(s, slice_skip(content, header));
    if (dkim_signer_finish(s, io_now(r->io)->wall_us / 1000000) == 0) {
        dkim_signer_end(&s);
    }
    return s;
}

/* Half a millisecond of the loop, when the offload is full or the relay is about to end. */
static void report_sign_here(struct queue_bounce *report, struct dkim_signer *signer)
{
    struct dkim_signing *context = dkim_signing_open();
    if (context) {
        dkim_keys_sign(context, dkim_signer_jobs(signer), dkim_signer_count(signer));
    }
    dkim_signing_close(&context);
    signing_end_report(report, signer);
    dkim_signer_end(&signer);
}

bool signing_report(void *ctx, struct slice content, struct queue_bounce *report)
{
    struct relay *r = ctx;
    struct dkim_signer *signer = report_signer(r, content);
    if (!signer) {
        return false;
    }
    /* Later than that its port may be closed: nothing would come back. */
    struct signing *s = r->stopping ? NULL : signing_new(signer);
    if (s) {
        s->report = report;
    }
    if (!s || !offload_submit(r->offload, &r->offload_port, &s->job)) {
        free(s);
        report_sign_here(report, signer);
    }
    return true;
}
