/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A write is a new entry that waits in `pending` for its commit and then takes the place of the old one:
 * there is never a value in the table that a crash could take back. Moving is writing the same value again,
 * and only while nothing is pending: a value that is about to be replaced must not come behind its
 * successor.
 */
#include "spool/memo.h"
#include "spool/log.h"

#include <stdlib.h>

enum { MEMO_MOVE_ROWS = 128 };

struct spool_memo_entry {
    struct map_node node; /* in map … */
    struct list link;     /* … or in pending */
    struct spool_hold hold;
    struct spool_ref ref;
    uint64_t lsn;
    uint64_t sequence;
    struct spool_memo memo; /* its text stands behind the struct */
};

must_static(MEMO_MOVE_ROWS *(SPOOL_ROW_HEADER_BYTES + SPOOL_STATE_FIXED_BYTES +
                             SPOOL_MEMO_KEY_BYTES_MAX + SPOOL_MEMO_VALUE_BYTES_MAX) <=
                SPOOL_FRAME_BYTES_MAX,
            "what is moved at a time fits a frame");

static bool memo_equal(const struct map_node *node, const void *key)
{
    const struct spool_memo *a = &container_of(node, struct spool_memo_entry, node)->memo;
    const struct spool_memo *b = key;
    return a->kind == b->kind && slice_eq(a->key, b->key);
}

static uint64_t memo_hash(const struct spool_memos *memos, const struct spool_memo *memo)
{
    return map_hash(&memos->map, memo->key) + memo->kind;
}

static struct spool_memo_entry *memo_find(const struct spool_memos *memos,
                                          const struct spool_memo *memo)
{
    struct map_node *n = map_find(&memos->map, memo_hash(memos, memo), memo_equal, memo);
    return n ? container_of(n, struct spool_memo_entry, node) : NULL;
}

static struct spool_memo_entry *memo_new(const struct spool_memo *memo, uint64_t sequence)
{
    struct spool_memo_entry *e = calloc(1, sizeof(*e) + memo->key.len + memo->value.len);
    if (e) {
        char *text = (char *)(e + 1);
        memcpy(text, memo->key.ptr, memo->key.len);
        if (memo->value.len) {
            memcpy(text + memo->key.len, memo->value.ptr, memo->value.len);
        }
        e->memo = (struct spool_memo){.kind = memo->kind,
                                      .key = slice_of(text, memo->key.len),
                                      .value = slice_of(text + memo->key.len, memo->value.len)};
        e->sequence = sequence;
        e->hold.memo = true;
        e->hold.pinned = true;
    }
    return e;
}

void spool_memos_init(struct spool_memos *memos, uint64_t seed)
{
    *memos = (struct spool_memos){0};
    map_init(&memos->map, seed);
    list_init(&memos->pending);
}

void spool_memos_deinit(struct spool_memos *memos)
{
    size_t bucket = 0;
    struct map_node *n = map_next(&memos->map, &bucket, NULL);
    while (n) {
        struct map_node *after = map_next(&memos->map, &bucket, n);
        free(container_of(n, struct spool_memo_entry, node));
        n = after;
    }
    map_deinit(&memos->map);
    struct list *node;
    while ((node = list_pop_front(&memos->pending))) {
        free(LIST_ENTRY(node, struct spool_memo_entry, link));
    }
}

/* ---- recovery ---- */

bool spool_memos_found(struct spool_memos *memos, const struct spool_memo *memo, uint64_t sequence,
                       struct spool_ref ref)
{
    struct spool_memo_entry *old = memo_find(memos, memo);
    memos->sequence_last = sequence > memos->sequence_last ? sequence : memos->sequence_last;
    if (old && old->sequence > sequence) {
        return true;
    }
    struct spool_memo_entry *e = memo_new(memo, sequence);
    if (!e) {
        return false;
    }
    e->ref = ref;
    if (old) {
        map_remove(&memos->map, &old->node);
        free(old);
    }
    if (!map_insert(&memos->map, &e->node, memo_hash(memos, memo))) {
        free(e);
        return false;
    }
    return true;
}

uint64_t spool_memos_tell(struct spool_memos *memos,
                          void (*tell)(void *ctx, const struct spool_memo *memo), void *ctx)
{
    size_t bucket = 0;
    struct map_node *n = map_next(&memos->map, &bucket, NULL);
    while (n) {
        struct map_node *after = map_next(&memos->map, &bucket, n);
        struct spool_memo_entry *e = container_of(n, struct spool_memo_entry, node);
        if (e->memo.value.len == 0) {
            map_remove(&memos->map, &e->node);
            free(e);
        } else if (tell) {
            tell(ctx, &e->memo);
        }
        n = after;
    }
    return memos->map.count;
}

static void memo_wait(struct spool_memos *memos, struct spool_memo_entry *e)
{
    list_push_back(&memos->pending, &e->link);
    memos->pending_count++;
}

/* Of a memo in a frame with others only its row counts as live. */
static void memo_hold(struct spool *spool, struct spool_memo_entry *e, struct spool_ref ref)
{
    ref.bytes = (uint32_t)spool_memo_bytes(&e->memo);
    e->ref = ref;
    spool_hold(spool, &e->hold, ref);
}

void spool_memos_take(struct spool *spool)
{
    struct spool_memos *memos = &spool->memos;
    *memos = spool->dir->memos;
    list_init(&memos->pending);
    must(list_empty(&spool->dir->memos.pending));
    spool_memos_init(&spool->dir->memos, 0);
    size_t bucket = 0;
    for (struct map_node *n = map_next(&memos->map, &bucket, NULL); n;
         n = map_next(&memos->map, &bucket, n)) {
        struct spool_memo_entry *e = container_of(n, struct spool_memo_entry, node);
        memo_hold(spool, e, e->ref);
    }
}

/* ---- writing ---- */

/* The first table is the only memory that putting something into a map can lack: it is there before the
 * first commit, which must not fail. */
static bool memo_has_table(struct spool_memos *memos, struct spool_memo_entry *e)
{
    if (memos->map.buckets) {
        return true;
    }
    bool ok = map_insert(&memos->map, &e->node, memo_hash(memos, &e->memo));
    if (ok) {
        map_remove(&memos->map, &e->node);
    }
    return ok;
}

enum spool_append spool_memo_put(struct spool *spool, const struct spool_memo *memo, uint64_t *lsn)
{
    struct spool_memos *memos = &spool->memos;
    must(spool->worker == SPOOL_MEMO_WORKER);
    if (memo->value.len && memos->map.count + memos->pending_count >= SPOOL_MEMOS_MAX &&
        !memo_find(memos, memo)) {
        return SPOOL_FULL;
    }
    struct spool_memo_entry *e = memo_new(memo, memos->sequence_last + 1);
    if (!e || !memo_has_table(memos, e)) {
        free(e);
        return SPOOL_FAILED;
    }
    enum spool_append verdict = spool_frame_begin(spool, SPOOL_CLASS_RESULT,
                                                  spool_memo_bytes(memo));
    if (verdict != SPOOL_APPENDED) {
        free(e);
        return verdict;
    }
    struct spool_ref ref;
    memos->sequence_last++;
    spool_add_memo(spool, &e->memo, e->sequence);
    spool_frame_end(spool, SPOOL_URGENT, lsn, &ref);
    e->lsn = *lsn;
    memo_hold(spool, e, ref);
    memo_wait(memos, e);
    return SPOOL_APPENDED;
}

static void memo_drop(struct spool *spool, struct spool_memo_entry *e)
{
    spool_release(spool, &e->hold);
    free(e);
}

/* It takes the place of the one before. */
static void memo_adopt(struct spool *spool, struct spool_memo_entry *e)
{
    struct spool_memos *memos = &spool->memos;
    struct spool_memo_entry *old = memo_find(memos, &e->memo);
    uint64_t hash = memo_hash(memos, &e->memo);
    if (old) {
        map_remove(&memos->map, &old->node);
    }
    bool kept = e->memo.value.len > 0;
    if (kept) {
        bool in = map_insert(&memos->map, &e->node, hash);
        must(in); /* memo_has_table */
    }
    if (old) {
        memo_drop(spool, old);
    }
    if (!kept) {
        /* It needs no hold: it is in the same log as what it ends, and behind it. */
        memo_drop(spool, e);
    }
}

void spool_memos_decided(struct spool *spool, uint64_t lsn_upto, enum spool_commit_result result)
{
    struct list *node;
    while ((node = list_first(&spool->memos.pending))) {
        struct spool_memo_entry *e = LIST_ENTRY(node, struct spool_memo_entry, link);
        if (e->lsn > lsn_upto) {
            return;
        }
        list_remove(&e->link);
        spool->memos.pending_count--;
        if (result == SPOOL_COMMITTED) {
            memo_adopt(spool, e);
        } else {
            memo_drop(spool, e);
        }
    }
}

/* ---- moving ---- */

void spool_memos_move(struct spool *spool, struct spool_segment *segment)
{
    struct spool_memos *memos = &spool->memos;
    struct spool_memo_entry *moved[MEMO_MOVE_ROWS];
    size_t count = 0;
    size_t bytes = 0;
    if (!list_empty(&memos->pending)) {
        return;
    }
    struct list *holds = &segment->holds;
    for (struct list *n = holds->next; n != holds && count < MEMO_MOVE_ROWS; n = n->next) {
        struct spool_hold *hold = LIST_ENTRY(n, struct spool_hold, link);
        if (!hold->memo) {
            continue;
        }
        struct spool_memo_entry *e = container_of(hold, struct spool_memo_entry, hold);
        struct spool_memo_entry *copy = memo_new(&e->memo, memos->sequence_last + 1);
        if (!copy) {
            break;
        }
        memos->sequence_last++;
        bytes += spool_memo_bytes(&e->memo);
        moved[count++] = copy;
    }
    struct spool_ref ref;
    uint64_t lsn = 0;
    bool ok = count && spool_frame_begin(spool, SPOOL_CLASS_COMPACT, bytes) == SPOOL_APPENDED;
    for (size_t i = 0; ok && i < count; i++) {
        spool_add_memo(spool, &moved[i]->memo, moved[i]->sequence);
    }
    if (ok) {
        spool_frame_end(spool, SPOOL_LAZY, &lsn, &ref);
    }
    for (size_t i = 0; i < count; i++) {
        if (!ok) {
            free(moved[i]);
            continue;
        }
        moved[i]->lsn = lsn;
        memo_hold(spool, moved[i], ref);
        memo_wait(memos, moved[i]);
    }
}
