/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Purpose: what recovery finds in memos, and what an operator writes for a scope, a target, an id: suspensions, warmup
 *          tracks, targets. What makes sense is written to be read again; what does not is refused.
 * Input:   the key, a NUL, the value; also a word each.
 */
#include "core/base/must.h"
#include "core/policy/warmup_table.h"
#include "core/queue/message.h"
#include "core/queue/suspend.h"
#include "core/queue/target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_suspension(struct slice value)
{
    struct queue_suspension s, again;
    struct buf out;
    if (!queue_suspension_decode(value, &s)) {
        return;
    }
    must(s.reason.len <= QUEUE_SUSPEND_REASON_BYTES);
    buf_init(&out, 4096);
    queue_suspension_encode(&s, &out);
    must(queue_suspension_decode(buf_slice(&out), &again));
    must(again.since_ms == s.since_ms && again.until_ms == s.until_ms &&
         slice_eq(again.reason, s.reason));
    buf_deinit(&out);
}

static void check_scope(struct slice word)
{
    char key[QUEUE_SCOPE_KEY_BYTES + 1], again[QUEUE_SCOPE_KEY_BYTES + 1];
    struct queue_select select;
    if (queue_scope_parse(word, key)) {
        must(queue_scope_select(slice_str(key), &select));
        must(queue_scope_parse(slice_str(key), again) && strcmp(key, again) == 0);
    }
    (void)queue_scope_select(word, &select);
}

static void check_target(struct slice word)
{
    char text[QUEUE_TARGET_BYTES + 1], again[QUEUE_TARGET_BYTES + 1];
    struct queue_target t;
    if (queue_target_parse(word, text)) {
        must(slice_eq(slice_str(text), SLICE("default")) || queue_target_read(slice_str(text), &t));
        must(queue_target_parse(slice_str(text), again) && strcmp(text, again) == 0);
    }
    if (queue_target_read(word, &t)) {
        must(t.mx || t.port > 0);
        must(t.name.len > 0 || t.addr.family != IP_NONE);
    }
}

static void check_id(struct slice word)
{
    char text[QUEUE_ID_TEXT_BYTES + 1];
    uint64_t id, again;
    if (queue_id_parse(word, &id)) {
        must(queue_id_parse(queue_id_text(id, text), &again) && again == id);
    }
}

static void count(void *ctx, struct warmup_track *k)
{
    struct warmup_view v;
    warmup_track_view(k, 1000, &v);
    must(v.name.source.len > 0);
    ++*(unsigned *)ctx;
}

static void check_warmup(struct slice key, struct slice value)
{
    unsigned tracks = 0;
    struct warmup_table *t = warmup_table_open(7);
    must(t != NULL);
    bool good = warmup_restore(t, key, value);
    must(!good || warmup_restore(t, key, value));
    warmup_table_walk(t, count, &tracks);
    must(tracks == (good ? 1U : 0U));
    warmup_table_close(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice value = slice_of(data, size);
    if (size == 0) {
        return 0;
    }
    struct slice key = slice_cut(&value, '\0');
    check_suspension(value);
    check_suspension(slice_of(data, size));
    check_scope(key);
    check_target(key);
    check_id(key);
    check_warmup(key, value);
    return 0;
}
