/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/queue/memo.h"
#include "core/queue/far.h"
#include "core/queue/queue.h"

#include <stdlib.h>

struct memo_write {
    struct mail mail;
    struct list link;
    uint64_t lsn;
    queue_memo_done *done; /* NULL: nobody waits for it */
    void *ctx;
    struct spool_memo memo; /* its text is behind the struct */
};

static struct memo_write *memo_write_new(const struct spool_memo *memo)
{
    struct memo_write *w = calloc(1, sizeof(*w) + memo->key.len + memo->value.len);
    if (w) {
        char *text = (char *)(w + 1);
        memcpy(text, memo->key.ptr, memo->key.len);
        if (memo->value.len) {
            memcpy(text + memo->key.len, memo->value.ptr, memo->value.len);
        }
        w->memo = (struct spool_memo){.kind = memo->kind,
                                      .key = slice_of(text, memo->key.len),
                                      .value = slice_of(text + memo->key.len, memo->value.len)};
    }
    return w;
}

static void memo_over(struct memo_write *w, enum queue_memo_end end)
{
    if (w->done) {
        w->done(w->ctx, end);
    }
    free(w);
}

void queue_memo_open(struct queue *q)
{
    list_init(&q->memos.waiting);
    list_init(&q->memos.writing);
}

void queue_memo_close(struct queue *q)
{
    struct list *node;
    struct list *const lists[] = {&q->memos.waiting, &q->memos.writing};
    for (size_t i = 0; i < ARRAY_COUNT(lists); i++) {
        while ((node = list_pop_front(lists[i]))) {
            memo_over(LIST_ENTRY(node, struct memo_write, link), QUEUE_MEMO_FAILED);
        }
    }
}

/* False: it waits for room. */
static bool memo_try(struct queue *q, struct memo_write *w)
{
    enum spool_append verdict = spool_memo_put(q->spool, &w->memo, &w->lsn);
    if (verdict == SPOOL_APPENDED) {
        list_push_back(&q->memos.writing, &w->link);
        return true;
    }
    bool hopeless = verdict == SPOOL_FULL || verdict == SPOOL_FAILED;
    if (hopeless && (w->done || (verdict == SPOOL_FULL && w->memo.value.len))) {
        memo_over(w, verdict == SPOOL_FULL ? QUEUE_MEMO_NO_ROOM : QUEUE_MEMO_FAILED);
        return true;
    }
    list_push_front(&q->memos.waiting, &w->link);
    return false;
}

/* In the order they came: of two values of a key the second must be the last. */
static void memo_take(struct queue *q, struct memo_write *w)
{
    list_push_back(&q->memos.waiting, &w->link);
    queue_memo_run(q);
}

void queue_memo_run(struct queue *q)
{
    struct list *node;
    while ((node = list_pop_front(&q->memos.waiting))) {
        if (!memo_try(q, LIST_ENTRY(node, struct memo_write, link))) {
            return;
        }
    }
}

void queue_memo_put(struct queue *q, const struct spool_memo *memo)
{
    struct memo_write *w = memo_write_new(memo);
    if (!w) {
        return;
    }
    if (q->worker == SPOOL_MEMO_WORKER) {
        memo_take(q, w);
    } else {
        w->mail.type = QUEUE_MAIL_MEMO;
        mailbox_post(q->group->boxes[SPOOL_MEMO_WORKER], &w->mail, q->io);
    }
}

void queue_memo_tell(struct queue *q, const struct spool_memo *memo, queue_memo_done *done,
                     void *ctx)
{
    must(q->worker == SPOOL_MEMO_WORKER && done != NULL);
    struct memo_write *w = memo_write_new(memo);
    if (!w) {
        done(ctx, QUEUE_MEMO_FAILED);
        return;
    }
    w->done = done;
    w->ctx = ctx;
    memo_take(q, w);
}

void queue_memo_decided(struct queue *q, uint64_t lsn_upto, enum spool_commit_result result)
{
    struct list *node, again;
    list_init(&again);
    while ((node = list_first(&q->memos.writing))) {
        struct memo_write *w = LIST_ENTRY(node, struct memo_write, link);
        if (w->lsn > lsn_upto) {
            break;
        }
        list_remove(&w->link);
        if (result == SPOOL_COMMITTED) {
            memo_over(w, QUEUE_MEMO_KEPT);
        } else if (w->done) {
            memo_over(w, QUEUE_MEMO_FAILED);
        } else {
            list_push_back(&again, &w->link);
        }
    }
    list_splice_back(&again, &q->memos.waiting);
    list_splice_back(&q->memos.waiting, &again);
}

bool queue_memo_idle(struct queue *q, bool cut)
{
    if (!list_empty(&q->memos.waiting)) {
        queue_memo_run(q);
    }
    return list_empty(&q->memos.writing) && (cut || list_empty(&q->memos.waiting));
}

void queue_memo_on_mail(struct queue *q, struct mail *m)
{
    memo_take(q, container_of(m, struct memo_write, mail));
}

void queue_memo_drop_mail(struct mail *m)
{
    free(container_of(m, struct memo_write, mail));
}
