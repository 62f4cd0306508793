/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The lot beside a model that keeps everything in an array: ids, due times, order, memory.
 */
#include "core/base/rng.h"
#include "core/queue/lot.h"
#include "tests/unit/core/base/testing.h"

enum { ITEMS = 3000, STEPS = 20000 };

static struct lot_item *put(struct lot *l, uint64_t id, uint64_t due_ms)
{
    struct lot_item *item = lot_item_new(5);
    ck_assert_ptr_nonnull(item);
    item->id = id;
    item->due_ms = due_ms;
    item->segment = id % 7;
    item->held_bytes = 9;
    memcpy(item->data, "bytes", 5);
    ck_assert(lot_put(l, item));
    return item;
}

static void drop(struct lot *l, struct lot_item *item)
{
    ck_assert_mem_eq(item->data, "bytes", 5);
    lot_remove(l, item);
    free(item);
}

static void drop_all(struct lot *l)
{
    for (uint32_t slot = 0; slot < l->made; slot++) {
        struct lot_item *item = lot_at(l, slot);
        if (item) {
            drop(l, item);
        }
    }
    lot_deinit(l);
}

/* Never early, in the first run at or after its time, near or beyond the horizon. */
START_TEST(due_times)
{
    static const uint64_t waits[] = {0,       1,        63,      64,         65,
                                     4095,    4096,     262143,  262144,     16777216,
                                     3600000, 86400000, 1 << 30, 5ull << 30, 1ull << 40};
    for (uint64_t start = 1; start < 1u << 20; start = start * 7 + 3) {
        for (size_t i = 0; i < ARRAY_COUNT(waits); i++) {
            struct lot l;
            lot_init(&l, 1, start);
            uint64_t due_ms = start + waits[i];
            struct lot_item *item = put(&l, 5, due_ms);
            if (waits[i] > 0) {
                lot_run(&l, due_ms - 1);
                ck_assert_ptr_null(lot_due(&l));
                ck_assert_uint_eq(l.waiting, 1);
                ck_assert_uint_le(lot_next_ms(&l), due_ms);
                ck_assert_uint_gt(lot_next_ms(&l), due_ms - 1);
            }
            lot_run(&l, due_ms);
            ck_assert_ptr_eq(lot_due(&l), item);
            ck_assert_uint_eq(l.ready, 1);
            drop(&l, item);
            ck_assert_ptr_null(lot_due(&l));
            ck_assert_uint_eq(lot_next_ms(&l), UINT64_MAX);
            lot_deinit(&l);
        }
    }
}
END_TEST

/* Sleeping until lot_next_ms meets every due time exactly. */
START_TEST(no_time_is_missed)
{
    struct lot l;
    struct rng r;
    rng_init_seed(&r, 3);
    lot_init(&l, 2, 1000);
    for (uint64_t id = 1; id <= ITEMS; id++) {
        put(&l, id, 1000 + rng_u64(&r) % 500000);
    }
    uint64_t last_ms = 0;
    unsigned seen = 0;
    uint64_t next;
    while ((next = lot_next_ms(&l)) != UINT64_MAX) {
        lot_run(&l, next);
        struct lot_item *item = lot_due(&l);
        if (item) {
            testing_that(item->due_ms == (next > 1000 ? next : item->due_ms));
            testing_that(item->due_ms >= last_ms);
            last_ms = item->due_ms;
            seen++;
            drop(&l, item);
        }
    }
    ck_assert_uint_eq(seen, ITEMS);
    ck_assert_uint_eq(l.used, 0);
    lot_deinit(&l);
}
END_TEST

struct row {
    struct lot_item *item; /* NULL: not there */
    uint64_t due_ms;
};

static void compare(struct lot *l, const struct row *rows, uint64_t now_ms)
{
    uint32_t used = 0, due = 0;
    for (uint64_t id = 0; id < ITEMS; id++) {
        testing_that(lot_find(l, id * 1024) == rows[id].item);
        testing_that(!rows[id].item || lot_at(l, rows[id].item->slot) == rows[id].item);
        used += rows[id].item ? 1 : 0;
        due += rows[id].item && rows[id].due_ms <= now_ms ? 1 : 0;
    }
    testing_that(l->used == used);
    testing_that(l->ready == due && l->waiting == used - due);
}

/* Ids, slots and lists through a long random life. */
START_TEST(beside_a_model)
{
    static struct row rows[ITEMS];
    struct lot l;
    struct rng r;
    uint64_t now_ms = 77;
    rng_init_seed(&r, 4);
    lot_init(&l, 5, now_ms);
    for (unsigned step = 0; step < STEPS; step++) {
        uint64_t id = rng_u64(&r) % ITEMS;
        struct row *row = &rows[id];
        if (row->item && rng_u64(&r) % 2) {
            row->due_ms = now_ms + rng_u64(&r) % 100000;
            lot_delay(&l, row->item, row->due_ms);
        } else if (row->item) {
            drop(&l, row->item);
            row->item = NULL;
        } else {
            row->due_ms = now_ms + rng_u64(&r) % (1u << rng_u64(&r) % 24);
            row->item = put(&l, id * 1024, row->due_ms);
        }
        if (step % 16 == 0) {
            now_ms += rng_u64(&r) % 5000;
            lot_run(&l, now_ms);
        }
        if (step % 500 == 0) {
            compare(&l, rows, now_ms);
        }
    }
    compare(&l, rows, now_ms);
    ck_assert_ptr_null(lot_find(&l, 1));
    drop_all(&l);
}
END_TEST

/* What an item costs beside its bytes, at the worst moment of growing and with the room said before. */
START_TEST(memory)
{
    struct lot l;
    size_t own = offsetof(struct lot_item, data) + 5;
    lot_init(&l, 6, 1);
    ck_assert_uint_le(offsetof(struct lot_item, data), 48);
    for (uint64_t id = 1; id <= 100000; id++) {
        put(&l, id << 22, 1000 + id);
        testing_that(id < 1000 || lot_memory(&l) <= id * (own + 12 + 11) + 4096);
    }
    drop_all(&l);
    lot_init(&l, 6, 1);
    lot_reserve(&l, 100000);
    const void *items = l.items, *index = l.index;
    for (uint64_t id = 1; id <= 100000; id++) {
        put(&l, id << 22, 1000 + id);
    }
    ck_assert_ptr_eq(l.items, items);
    ck_assert_ptr_eq(l.index, index);
    ck_assert_uint_le(lot_memory(&l), 100000 * (own + 8 + 11));
    drop_all(&l);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {due_times, no_time_is_missed, beside_a_model, memory};
    return testing_run("core/queue/lot", tests, ARRAY_COUNT(tests));
}
