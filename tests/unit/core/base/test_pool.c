/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/base/pool.h"
#include "core/base/rng.h"
#include "tests/unit/core/base/testing.h"

struct object {
    uint64_t id;
    char bytes[37]; /* an odd size: the stride must keep the alignment */
};

START_TEST(a_stale_handle_resolves_to_nothing)
{
    struct pool p;
    struct handle a, b;
    pool_init(&p, sizeof(struct object), 4);
    ck_assert_ptr_null(pool_resolve(&p, HANDLE_NONE)); /* before the first get: no memory yet */
    struct object *first = pool_get(&p, &a);
    ck_assert_ptr_nonnull(first);
    ck_assert_uint_ne(a.gen, 0);
    ck_assert_ptr_eq(pool_resolve(&p, a), first);
    ck_assert_ptr_null(pool_resolve(&p, HANDLE_NONE));
    ck_assert_ptr_null(pool_resolve(&p, (struct handle){1, 1}));
    ck_assert_ptr_null(pool_resolve(&p, (struct handle){POOL_SLOTS_MAX - 1, 1}));
    memset(first, 0xee, sizeof(*first));
    pool_put(&p, a);
    ck_assert_ptr_null(pool_resolve(&p, a));
    struct object *second = pool_get(&p, &b);
    ck_assert_ptr_eq(second, first); /* the slot is reused */
    ck_assert_uint_eq(b.slot, a.slot);
    ck_assert_uint_ne(b.gen, a.gen);
    ck_assert_ptr_null(pool_resolve(&p, a));
    ck_assert_ptr_eq(pool_resolve(&p, b), second);
    for (size_t i = 0; i < sizeof(*second); i++) {
        ck_assert_int_eq(((char *)second)[i], 0);
    }
    pool_put(&p, b);
    pool_deinit(&p);
}
END_TEST

START_TEST(exhaustion_is_not_a_crash)
{
    static const uint32_t capacities[] = {1, 2, 63, 64, 65, 200};
    for (size_t c = 0; c < ARRAY_COUNT(capacities); c++) {
        struct pool p;
        struct handle handles[200], extra = {7, 7};
        pool_init(&p, sizeof(struct object), capacities[c]);
        for (uint32_t i = 0; i < capacities[c]; i++) {
            ck_assert_ptr_nonnull(pool_get(&p, &handles[i]));
        }
        ck_assert_ptr_null(pool_get(&p, &extra));
        ck_assert(extra.slot == 7 && extra.gen == 7);
        ck_assert_uint_eq(p.used, capacities[c]);
        pool_put(&p, handles[0]);
        ck_assert_ptr_nonnull(pool_get(&p, &handles[0]));
        ck_assert_ptr_null(pool_get(&p, &extra));
        for (uint32_t i = 0; i < capacities[c]; i++) {
            pool_put(&p, handles[i]);
        }
        ck_assert_uint_eq(p.used, 0);
        pool_deinit(&p);
    }
}
END_TEST

/* Random gets and puts against a model: addresses never change, objects never overlap. */
START_TEST(against_a_model)
{
    enum { CAPACITY = 500, STEPS = 20000 };
    static struct handle handles[CAPACITY];
    static struct object *objects[CAPACITY];
    static struct handle stale[STEPS];
    size_t live = 0, stale_count = 0;
    struct pool p;
    struct rng r;
    rng_init_seed(&r, 4);
    pool_init(&p, sizeof(struct object), CAPACITY);
    for (int step = 0; step < STEPS; step++) {
        /* Phases of growth and of shrinking, so that growth happens with free slots around. */
        bool get = live == 0 || rng_below(&r, 100) < (step / 2000 % 2 ? 30u : 70u);
        if (get) {
            struct handle h;
            struct object *o = pool_get(&p, &h);
            testing_that(!o == (live == CAPACITY));
            if (o) {
                testing_that((uintptr_t)o % _Alignof(max_align_t) == 0);
                o->id = (uint64_t)h.slot << 32 | h.gen;
                memset(o->bytes, (int)(h.gen & 0x7f), sizeof(o->bytes));
                objects[live] = o;
                handles[live++] = h;
            }
        } else {
            size_t i = (size_t)rng_below(&r, live);
            struct object *o = pool_resolve(&p, handles[i]);
            testing_that(o == objects[i]);
            testing_that(o->id == ((uint64_t)handles[i].slot << 32 | handles[i].gen));
            testing_that(o->bytes[36] == (char)(handles[i].gen & 0x7f));
            pool_put(&p, handles[i]);
            stale[stale_count++] = handles[i];
            handles[i] = handles[--live];
            objects[i] = objects[live];
        }
        testing_that(p.used == live);
    }
    for (size_t i = 0; i < stale_count; i++) {
        testing_that(!pool_resolve(&p, stale[i]));
    }
    size_t walked = 0;
    for (uint32_t slot = 0; slot < p.made; slot++) {
        struct handle h;
        struct object *o = pool_at(&p, slot, &h);
        if (o) {
            walked++;
            testing_that(o->id == ((uint64_t)h.slot << 32 | h.gen));
        }
    }
    testing_that(walked == live);
    while (live) {
        pool_put(&p, handles[--live]);
    }
    pool_deinit(&p);
}
END_TEST

/* 2^32 reuses of one slot: the generation steps over 0. */
START_TEST(generation_skips_zero)
{
    struct pool p;
    struct handle h;
    pool_init(&p, sizeof(uint64_t), 1);
    uint64_t *o = pool_get(&p, &h);
    uint32_t *gen = NULL;
    for (uint32_t *w = (uint32_t *)(void *)p.chunks[0]; (void *)w < (void *)o; w++) {
        gen = *w == h.gen && !gen ? w : gen; /* the slot's first word is its generation */
    }
    ck_assert_ptr_nonnull(gen);
    *gen = h.gen = UINT32_MAX;
    ck_assert_ptr_eq(pool_resolve(&p, h), o);
    pool_put(&p, h);
    ck_assert_ptr_nonnull(pool_get(&p, &h));
    ck_assert_uint_eq(h.gen, 1);
    pool_put(&p, h);
    pool_deinit(&p);
}
END_TEST

struct misuse {
    struct pool p;
    struct handle h;
};

static void put_twice(void *ctx)
{
    struct misuse *m = ctx;
    pool_put(&m->p, m->h);
    pool_put(&m->p, m->h);
}

static void deinit_with_live(void *ctx)
{
    pool_deinit(&((struct misuse *)ctx)->p);
}

START_TEST(misuse_aborts)
{
    struct misuse m;
    pool_init(&m.p, 8, 2);
    pool_get(&m.p, &m.h);
    testing_must_abort(put_twice, &m, "s->live && s->gen == h.gen");
    testing_must_abort(deinit_with_live, &m, "p->used == 0");
    pool_put(&m.p, m.h);
    pool_deinit(&m.p);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {a_stale_handle_resolves_to_nothing, exhaustion_is_not_a_crash,
                            against_a_model, generation_skips_zero, misuse_aborts};
    return testing_run("core/base/pool", tests, ARRAY_COUNT(tests));
}
