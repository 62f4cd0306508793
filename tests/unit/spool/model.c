/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/spool/model_memo.h"

#include "core/base/must.h"

#include <check.h>
#include <stdlib.h>

/* Check reports every assertion to its parent process, also those that hold: far too slow for the
 * millions of facts here. */
static void expect(bool fact, const char *otherwise)
{
    if (!fact) {
        ck_abort_msg("%s", otherwise);
    }
}

/* ---- content ---- */

/* Where piece `piece` of message `id` begins in one long block of noise: bodies are copied from it and
 * compared with it, which the sanitizer checks once and not once per byte. */
static const char *model_content(uint64_t id, unsigned piece, size_t len)
{
    enum { MODEL_STARTS = 64 * 1024, MODEL_CONTENT_MAX = 1024 * 1024 };
    static char noise[MODEL_STARTS + MODEL_CONTENT_MAX];
    if (!noise[0]) {
        struct rng rng;
        rng_init_seed(&rng, 4711);
        for (size_t i = 0; i < sizeof(noise); i++) {
            noise[i] = (char)rng_u64(&rng);
        }
        noise[0] = 'x';
    }
    must(len <= MODEL_CONTENT_MAX);
    return noise + (id * 131 + piece * 17) % MODEL_STARTS;
}

static void model_check_body(struct model *m, unsigned worker, struct spool_ref ref, uint64_t id,
                             unsigned piece, size_t len)
{
    struct spool_place place;
    expect(spool_locate(m->spools[worker], ref, &place), "a held frame has no place");
    char *raw = malloc(place.bytes);
    must(raw);
    expect(disk_pread(place.fd, raw, place.bytes, place.offset) == (int64_t)place.bytes,
           "a short read");
    struct slice body;
    expect(spool_frame_body(&place, ref, slice_of(raw, place.bytes), id, &body), "a bad frame");
    expect(body.len == len, "a wrong body length");
    expect(memcmp(body.ptr, model_content(id, piece, len), len) == 0, "a wrong body byte");
    free(raw);
}

/* ---- appending ---- */

static void place_release(struct spool *s, struct model_place *p)
{
    for (unsigned i = 0; i < 1 + MODEL_FRAGMENTS; i++) {
        spool_release(s, &p->holds[i]);
    }
}

static bool place_holds(const struct model_place *p, uint64_t segment)
{
    for (unsigned i = 0; i < 1 + MODEL_FRAGMENTS; i++) {
        if (p->holds[i].segment == segment) {
            return true;
        }
    }
    return false;
}

static void place_hold(struct spool *s, struct model_place *p, struct spool_ref ref)
{
    for (unsigned i = 0; i < 1 + MODEL_FRAGMENTS; i++) {
        struct spool_hold *h = &p->holds[i];
        if (h->segment == ref.segment || (h->segment == 0 && !place_holds(p, ref.segment))) {
            expect(spool_hold(s, h, ref), "a hold refused");
            return;
        }
    }
    ck_abort_msg("no hold free");
}

static bool refused(struct model *m, enum spool_append a)
{
    m->refused_full += a == SPOOL_FULL ? 1 : 0;
    m->refused_failed += a == SPOOL_FAILED ? 1 : 0;
    return a != SPOOL_APPENDED;
}

static bool append_fragments(struct model *m, struct model_message *g, struct model_place *p,
                             enum spool_class cls)
{
    struct spool *s = m->spools[g->worker];
    for (unsigned i = 0; i < g->fragment_count; i++) {
        size_t len = g->fragment_bytes[i];
        if (refused(m, spool_frame_begin(s, cls, spool_fragment_bytes(len)))) {
            return false;
        }
        spool_add_fragment(s, g->id, i, slice_of(model_content(g->id, i + 1, len), len));
        uint64_t lsn;
        spool_frame_end(s, SPOOL_LAZY, &lsn, &p->fragments[i].ref);
        p->fragments[i].body_bytes = (uint32_t)len;
        place_hold(s, p, p->fragments[i].ref);
    }
    return true;
}

static void message_row(struct model *m, const struct model_message *g, const struct model_place *p,
                        const struct spool_result *with, enum spool_class cls, bool *ok,
                        uint64_t *lsn, struct spool_ref *ref)
{
    struct spool *s = m->spools[g->worker];
    char *body = (char *)(uintptr_t)model_content(g->id, 0, g->inline_bytes);
    struct iovec iov[2] = {{body, g->inline_bytes / 2},
                           {body + g->inline_bytes / 2, g->inline_bytes - g->inline_bytes / 2}};
    struct spool_rcpt rcpts[MODEL_RCPTS];
    for (unsigned i = 0; i < g->rcpt_count; i++) {
        rcpts[i] = (struct spool_rcpt){.address = SLICE("someone@example.test"),
                                       .orcpt = SLICE("rfc822;x"),
                                       .notify = (uint8_t)i,
                                       .status = g->rcpts[i].end == MODEL_ENDED
                                                     ? SPOOL_RCPT_DELIVERED
                                                     : SPOOL_RCPT_QUEUED,
                                       .attempts = g->rcpts[i].attempts};
    }
    uint64_t bytes = g->inline_bytes;
    for (unsigned i = 0; i < g->fragment_count; i++) {
        bytes += g->fragment_bytes[i];
    }
    struct spool_message row = {.id = g->id,
                                .arrival_us = g->id * 5,
                                .flags = 7,
                                .ret = 1,
                                .body_bytes = bytes,
                                .sender = SLICE("from@example.test"),
                                .envid = SLICE("e"),
                                .meta = SLICE("meta"),
                                .rcpts = rcpts,
                                .rcpt_count = g->rcpt_count,
                                .fragments = p->fragments,
                                .fragment_count = g->fragment_count,
                                .body = iov,
                                .body_count = 2};
    size_t need = spool_message_bytes(&row) + (with ? spool_result_bytes(with) : 0);
    *ok = !refused(m, spool_frame_begin(s, cls, need));
    if (*ok) {
        if (with) {
            spool_add_result(s, with);
        }
        spool_add_message(s, &row);
        spool_frame_end(s, cls == SPOOL_CLASS_MAIL ? SPOOL_URGENT : SPOOL_LAZY, lsn, ref);
    }
}

static struct model_message *message_new(struct model *m, unsigned worker)
{
    must(m->count < MODEL_MESSAGES);
    struct model_message *g = &m->messages[m->count];
    *g = (struct model_message){.id = m->id_next, .worker = worker};
    g->rcpt_count = 1 + (unsigned)rng_below(&m->rng, MODEL_RCPTS);
    g->inline_bytes = (uint32_t)rng_below(&m->rng, m->options.body_max + 1);
    if (rng_below(&m->rng, 5) == 0) {
        g->fragment_count = 1 + (unsigned)rng_below(&m->rng, MODEL_FRAGMENTS);
        for (unsigned i = 0; i < g->fragment_count; i++) {
            g->fragment_bytes[i] = 1 + (uint32_t)rng_below(&m->rng, m->options.body_max + 1);
        }
    }
    return g;
}

static bool model_append(struct model *m)
{
    unsigned worker = (unsigned)rng_below(&m->rng, m->options.workers);
    struct model_message *g = message_new(m, worker);
    bool ok = append_fragments(m, g, &g->place, SPOOL_CLASS_MAIL);
    if (ok) {
        message_row(m, g, &g->place, NULL, SPOOL_CLASS_MAIL, &ok, &g->lsn, &g->place.ref);
    }
    if (!ok) {
        place_release(m->spools[worker], &g->place);
        return false;
    }
    place_hold(m->spools[worker], &g->place, g->place.ref);
    m->count++;
    m->id_next++;
    return true;
}

/* ---- results ---- */

static struct model_message *model_pick(struct model *m)
{
    for (unsigned tries = 0; tries < 16 && m->count; tries++) {
        struct model_message *g = &m->messages[rng_below(&m->rng, m->count)];
        if (g->told == MODEL_ACKED && !g->gone && g->copy_lsn == 0) {
            return g;
        }
    }
    return NULL;
}

static void result_bounce(struct model *m, struct model_message *g, unsigned rcpt,
                          struct spool_result *r)
{
    struct model_message *dsn = message_new(m, g->worker);
    dsn->fragment_count = 0;
    dsn->rcpt_count = 1;
    dsn->dsn_of = true;
    bool ok;
    message_row(m, dsn, &dsn->place, r, SPOOL_CLASS_RESULT, &ok, &dsn->lsn, &dsn->place.ref);
    if (!ok) {
        return;
    }
    place_hold(m->spools[g->worker], &dsn->place, dsn->place.ref);
    m->count++;
    m->id_next++;
    g->rcpts[rcpt].end = MODEL_DOUBT;
    g->rcpts[rcpt].deferral = false;
    g->rcpts[rcpt].lsn = dsn->lsn;
    g->rcpts[rcpt].dsn = m->count;
}

static void model_result(struct model *m)
{
    struct model_message *g = model_pick(m);
    if (!g) {
        return;
    }
    unsigned rcpt = (unsigned)rng_below(&m->rng, g->rcpt_count);
    struct model_rcpt *t = &g->rcpts[rcpt];
    if (t->end != MODEL_OPEN) {
        return;
    }
    uint64_t kind = rng_below(&m->rng, 10);
    struct spool_result r = {.id = g->id,
                             .rcpt = rcpt,
                             .kind = SPOOL_RESULT_DELIVERED,
                             .attempts = (uint16_t)(t->attempts + 1),
                             .code = 250,
                             .text = SLICE("ok")};
    if (kind == 0 && !g->dsn_of && m->count + 1 < MODEL_MESSAGES) {
        r.kind = SPOOL_RESULT_BOUNCED;
        result_bounce(m, g, rcpt, &r);
        return;
    }
    if (kind < 3) {
        r.kind = SPOOL_RESULT_DEFERRED;
        r.next_due_ms = 77;
    } else if (kind > 7) {
        r.kind = kind == 8 ? SPOOL_RESULT_EXPIRED : SPOOL_RESULT_CANCELLED;
    }
    struct spool *s = m->spools[g->worker];
    if (refused(m, spool_frame_begin(s, SPOOL_CLASS_RESULT, spool_result_bytes(&r)))) {
        return;
    }
    spool_add_result(s, &r);
    struct spool_ref ref;
    spool_frame_end(s, SPOOL_LAZY, &t->lsn, &ref);
    t->end = MODEL_DOUBT;
    t->deferral = r.kind == SPOOL_RESULT_DEFERRED;
    t->attempts_doubt = r.attempts;
    t->dsn = 0;
}

static bool message_in_doubt(const struct model_message *g)
{
    for (unsigned i = 0; i < g->rcpt_count; i++) {
        if (g->rcpts[i].end == MODEL_DOUBT) {
            return true;
        }
    }
    return false;
}

static void model_move(struct model *m, struct model_message *g)
{
    if (!g || message_in_doubt(g)) {
        return;
    }
    memset(&g->copy, 0, sizeof(g->copy));
    bool ok = append_fragments(m, g, &g->copy, SPOOL_CLASS_COMPACT);
    if (ok) {
        message_row(m, g, &g->copy, NULL, SPOOL_CLASS_COMPACT, &ok, &g->copy_lsn, &g->copy.ref);
    }
    if (!ok) {
        place_release(m->spools[g->worker], &g->copy);
        g->copy_lsn = 0;
        return;
    }
    place_hold(m->spools[g->worker], &g->copy, g->copy.ref);
}

/* The message that a hold belongs to. */
static void model_compact(struct model *m, unsigned worker)
{
    struct spool_hold *h = spool_compact_next(m->spools[worker]);
    for (unsigned i = 0; h && i < m->count; i++) {
        struct model_message *g = &m->messages[i];
        for (unsigned k = 0; k < 1 + MODEL_FRAGMENTS; k++) {
            if (&g->place.holds[k] == h && g->told == MODEL_ACKED && g->copy_lsn == 0) {
                model_move(m, g);
                return;
            }
        }
    }
}

/* ---- what the log says ---- */

static bool in_range(uint64_t lsn, uint64_t after, uint64_t upto)
{
    return lsn > after && lsn <= upto;
}

static void rcpt_decided(struct model_rcpt *t, bool durable)
{
    if (durable && t->deferral) {
        t->attempts = t->attempts_doubt;
    }
    t->end = durable && !t->deferral ? MODEL_ENDED : MODEL_OPEN;
    t->lsn = 0;
}

static void place_move(struct spool *s, struct model_message *g)
{
    place_release(s, &g->place);
    for (unsigned i = 0; i < 1 + MODEL_FRAGMENTS; i++) {
        must(g->place.holds[i].segment == 0);
    }
    g->place.ref = g->copy.ref;
    memcpy(g->place.fragments, g->copy.fragments, sizeof(g->place.fragments));
    place_hold(s, &g->place, g->place.ref);
    for (unsigned i = 0; i < g->fragment_count; i++) {
        place_hold(s, &g->place, g->place.fragments[i].ref);
    }
    place_release(s, &g->copy);
}

static void message_decided(struct model *m, struct model_message *g, uint64_t after, uint64_t upto,
                            bool durable)
{
    struct spool *s = m->spools[g->worker];
    if (g->told == MODEL_NOTHING && in_range(g->lsn, after, upto)) {
        g->told = durable ? MODEL_ACKED : MODEL_LOST;
        m->acked += durable ? 1 : 0;
        m->lost += durable ? 0 : 1;
        if (!durable) {
            place_release(s, &g->place);
        }
    }
    bool ended = true;
    for (unsigned i = 0; i < g->rcpt_count; i++) {
        struct model_rcpt *t = &g->rcpts[i];
        if (t->end == MODEL_DOUBT && in_range(t->lsn, after, upto)) {
            rcpt_decided(t, durable);
        }
        ended = ended && t->end == MODEL_ENDED;
    }
    if (g->copy_lsn && in_range(g->copy_lsn, after, upto)) {
        g->copy_lsn = 0;
        if (durable) {
            place_move(s, g);
        } else {
            place_release(s, &g->copy);
        }
    }
    if (ended && !g->gone && g->told == MODEL_ACKED && g->copy_lsn == 0) {
        g->gone = true;
        place_release(s, &g->place);
    }
}

static void on_committed(void *ctx, uint64_t upto, enum spool_commit_result result)
{
    struct model_worker *w = ctx;
    struct model *m = w->model;
    uint64_t after = m->decided[w->index];
    if (m->muted || fake_dead()) {
        return;
    }
    expect(upto > after, "a commit reported twice");
    m->decided[w->index] = upto;
    if (w->index == SPOOL_MEMO_WORKER) {
        model_memos_decided(m, upto, result == SPOOL_COMMITTED);
    }
    for (unsigned i = 0; i < m->count; i++) {
        if (m->messages[i].worker == w->index) {
            message_decided(m, &m->messages[i], after, upto, result == SPOOL_COMMITTED);
        }
    }
}

static void on_space(void *ctx)
{
    (void)ctx;
}

static void on_incident(void *ctx, enum spool_incident what, uint64_t segment, int error)
{
    struct model_worker *w = ctx;
    (void)what;
    (void)segment;
    (void)error;
    w->model->incidents++;
}

/* ---- recovery ---- */

static struct model_message *message_by_id(struct model *m, uint64_t id)
{
    for (unsigned i = 0; i < m->count; i++) {
        if (m->messages[i].id == id) {
            return &m->messages[i];
        }
    }
    return NULL;
}

static void rcpt_check(const struct model_rcpt *t, const struct spool_rcpt *r)
{
    bool queued = r->status == SPOOL_RCPT_QUEUED;
    if (t->end == MODEL_ENDED) {
        expect(!queued, "an ended recipient came back");
    }
    if (t->end == MODEL_OPEN || (t->end == MODEL_DOUBT && t->deferral)) {
        expect(queued, "an open recipient has ended");
        expect(r->attempts == t->attempts ||
                   (t->end == MODEL_DOUBT && r->attempts == t->attempts_doubt),
               "wrong attempts");
    }
}

static void on_message(void *ctx, unsigned worker, const struct spool_recovered *r)
{
    struct model *m = ctx;
    struct model_message *g = message_by_id(m, r->message.id);
    expect(g != NULL, "a message nobody sent");
    expect(!g->seen, "the same message twice");
    expect(g->told != MODEL_LOST || m->options.lost_may_return, "a lost message came back");
    expect(!r->damaged, "damaged without damage");
    expect(r->message.rcpt_count == g->rcpt_count, "wrong recipients");
    expect(r->message.fragment_count == g->fragment_count, "wrong fragments");
    expect(r->inline_bytes == g->inline_bytes, "wrong inline bytes");
    expect(r->message.arrival_us == g->id * 5, "wrong arrival");
    expect(slice_eq(r->message.sender, SLICE("from@example.test")), "wrong sender");
    expect(slice_eq(r->message.meta, SLICE("meta")), "wrong meta");
    for (unsigned i = 0; i < g->rcpt_count; i++) {
        const struct spool_rcpt *t = &r->message.rcpts[i];
        expect(slice_eq(t->address, SLICE("someone@example.test")) && t->notify == i,
               "wrong recipient");
        rcpt_check(&g->rcpts[i], t);
        bool ended = t->status != SPOOL_RCPT_QUEUED;
        /* The DSN of a bounce in doubt is checked when all are known. */
        g->rcpts[i].end = ended ? MODEL_ENDED : MODEL_OPEN;
        g->rcpts[i].attempts = ended ? g->rcpts[i].attempts : t->attempts;
    }
    g->seen = true;
    g->told = MODEL_ACKED;
    g->worker = worker;
    memset(&g->place, 0, sizeof(g->place));
    g->place.ref = r->ref;
    for (unsigned i = 0; i < g->fragment_count; i++) {
        g->place.fragments[i] = r->message.fragments[i];
    }
}

static void on_damage(void *ctx, const struct spool_damage_report *d)
{
    struct model *m = ctx;
    m->torn += d->kind == SPOOL_DAMAGE_TORN ? 1 : 0;
    m->damaged += d->kind == SPOOL_DAMAGE_TORN ? 0 : 1;
}

/* What was not recovered must not have been owed. */
static void message_check_absent(struct model_message *g)
{
    if (g->told == MODEL_NOTHING) {
        g->told = MODEL_LOST; /* nobody was told; it must not come later either */
    }
    bool open = false;
    for (unsigned i = 0; i < g->rcpt_count; i++) {
        const struct model_rcpt *t = &g->rcpts[i];
        open = open || t->end == MODEL_OPEN || (t->end == MODEL_DOUBT && t->deferral);
    }
    expect(g->told == MODEL_LOST || !open, "an acknowledged message is lost");
    for (unsigned i = 0; i < g->rcpt_count; i++) {
        g->rcpts[i].end = MODEL_ENDED;
    }
    g->gone = true;
}

/* A bounce that counts has its DSN, queued or ended; one that does not count has none. */
static void message_check_dsn(const struct model *m, struct model_message *g)
{
    for (unsigned i = 0; i < g->rcpt_count; i++) {
        struct model_rcpt *t = &g->rcpts[i];
        if (t->dsn == 0 || g->told != MODEL_ACKED) {
            continue;
        }
        const struct model_message *dsn = &m->messages[t->dsn - 1];
        bool exists = dsn->seen || (dsn->gone && dsn->told == MODEL_ACKED);
        expect((t->end == MODEL_ENDED) == exists, "bounce and DSN fell apart");
        if (!exists) {
            t->dsn = 0;
        }
    }
}

static void model_recover(struct model *m)
{
    for (unsigned i = 0; i < m->count; i++) {
        m->messages[i].seen = false;
        m->messages[i].copy_lsn = 0;
    }
    struct buf error;
    buf_init(&error, 512);
    const struct spool_recovery_events events = {on_message, on_damage, on_memo};
    ck_assert_msg(spool_recover(m->dir, &events, m, &m->recovery, &error), "%.*s", (int)error.len,
                  error.ptr);
    buf_deinit(&error);
    for (unsigned i = 0; i < m->count; i++) {
        if (!m->messages[i].seen) {
            message_check_absent(&m->messages[i]);
        }
    }
    for (unsigned i = 0; i < m->count; i++) {
        message_check_dsn(m, &m->messages[i]);
    }
    expect(m->recovery.id_max < m->id_next, "an id from nowhere");
    model_memos_check(m);
}

/* ---- life ---- */

void model_init(struct model *m, uint64_t seed)
{
    memset(m, 0, sizeof(*m));
    rng_init_seed(&m->rng, seed);
    m->id_next = 1;
    m->messages = malloc(MODEL_MESSAGES * sizeof(*m->messages)); /* message_new sets all of one */
    must(m->messages);
}

void model_deinit(struct model *m)
{
    free(m->messages);
}

static void model_adopt(struct model *m)
{
    for (unsigned i = 0; i < m->count; i++) {
        struct model_message *g = &m->messages[i];
        if (!g->seen) {
            continue;
        }
        place_hold(m->spools[g->worker], &g->place, g->place.ref);
        model_check_body(m, g->worker, g->place.ref, g->id, 0, g->inline_bytes);
        for (unsigned k = 0; k < g->fragment_count; k++) {
            struct spool_ref ref = g->place.fragments[k].ref;
            place_hold(m->spools[g->worker], &g->place, ref);
            model_check_body(m, g->worker, ref, g->id, k + 1, g->fragment_bytes[k]);
        }
    }
}

static bool model_open(struct model *m)
{
    struct buf error;
    buf_init(&error, 512);
    const struct spool_options options = {.segment_bytes = SPOOL_SEGMENT_BYTES_MIN,
                                          .workers = m->options.workers,
                                          .buffers = 4};
    m->dir = spool_dir_open("spool", &options, &error);
    ck_assert_msg(m->dir || fake_dead(), "%.*s", (int)error.len, error.ptr);
    buf_deinit(&error);
    return m->dir != NULL;
}

void model_start(struct model *m, const struct model_options *options)
{
    m->options = *options;
    m->muted = false;
    m->appended = 0;
    if (!model_open(m)) {
        return;
    }
    model_recover(m);
    const struct spool_events events = {on_committed, on_space, on_incident};
    for (unsigned w = 0; w < options->workers; w++) {
        m->contexts[w] = (struct model_worker){m, w};
        timer_wheel_init(&m->timers[w], fake_time());
        m->spools[w] = spool_open(m->dir, w, fake_io(w), &m->timers[w], &events, &m->contexts[w]);
        must(m->spools[w]);
        m->decided[w] = spool_decided_lsn(m->spools[w]);
    }
    model_adopt(m);
    for (unsigned w = 0; w < options->workers; w++) {
        spool_adopted(m->spools[w]);
    }
}

static void on_io(void *ctx, unsigned index, const struct io_event *ev)
{
    struct model *m = ctx;
    spool_on_io(m->spools[index], ev);
}

static void model_turn(struct model *m)
{
    for (unsigned w = 0; w < m->options.workers; w++) {
        timer_wheel_run(&m->timers[w], fake_time(), NULL);
        spool_commit(m->spools[w]);
    }
    uint64_t n = rng_below(&m->rng, 3);
    for (uint64_t i = 0; i < n && !fake_dead(); i++) {
        if (!fake_step(on_io, m)) {
            break;
        }
    }
    fake_time_set(fake_time() + 1 + rng_below(&m->rng, 3));
}

void model_run(struct model *m, unsigned turns)
{
    for (unsigned t = 0; t < turns && !fake_dead() && m->dir; t++) {
        uint64_t what = rng_below(&m->rng, 100);
        if (m->options.load && !m->options.no_memos && what % 11 == 0) {
            model_memo_put(m);
        }
        if (what < 40 && m->appended < m->options.load && m->count + 2 < MODEL_MESSAGES) {
            m->appended += model_append(m) ? 1 : 0;
        } else if (what < 80 && !m->options.no_results) {
            model_result(m);
        } else if (what < 84) {
            model_move(m, model_pick(m));
        } else if (what < 90) {
            model_compact(m, (unsigned)rng_below(&m->rng, m->options.workers));
        }
        model_turn(m);
    }
}

static bool model_idle(struct model *m)
{
    for (unsigned i = 0; i < m->count; i++) {
        const struct model_message *g = &m->messages[i];
        if ((g->told == MODEL_NOTHING && !g->gone) || message_in_doubt(g) || g->copy_lsn) {
            return false;
        }
    }
    return true;
}

void model_settle(struct model *m, unsigned turns)
{
    for (unsigned t = 0; t < turns && !fake_dead() && !model_idle(m); t++) {
        model_turn(m);
    }
    expect(fake_dead() || model_idle(m), "it does not come to rest");
}

unsigned model_live(const struct model *m)
{
    unsigned n = 0;
    for (unsigned i = 0; i < m->count; i++) {
        n += m->messages[i].told == MODEL_ACKED && !m->messages[i].gone ? 1 : 0;
    }
    return n;
}

void model_stop(struct model *m)
{
    m->muted = fake_dead();
    if (!m->dir) {
        return;
    }
    for (unsigned w = 0; w < m->options.workers; w++) {
        for (unsigned t = 0; !spool_stop(m->spools[w]); t++) {
            must(t < 10000);
            model_turn(m);
            (void)fake_step(on_io, m);
        }
    }
    for (unsigned i = 0; i < m->count; i++) {
        memset(m->messages[i].place.holds, 0, sizeof(m->messages[i].place.holds));
        memset(&m->messages[i].copy, 0, sizeof(m->messages[i].copy));
    }
    for (unsigned w = 0; w < m->options.workers; w++) {
        spool_close(&m->spools[w]);
    }
    spool_dir_close(&m->dir);
}
