/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/base/map.h"
#include "core/base/rng.h"
#include "tests/unit/core/base/testing.h"

struct entry {
    struct map_node node;
    uint64_t key;
    bool in;
    unsigned seen;
};

static bool entry_equal(const struct map_node *node, const void *key)
{
    return container_of(node, struct entry, node)->key == *(const uint64_t *)key;
}

static struct entry *find(const struct map *m, uint64_t hash, uint64_t key)
{
    struct map_node *n = map_find(m, hash, entry_equal, &key);
    return n ? container_of(n, struct entry, node) : NULL;
}

START_TEST(empty)
{
    struct map m;
    size_t bucket = 0;
    map_init(&m, 1);
    ck_assert_ptr_null(find(&m, 7, 7));
    ck_assert_ptr_null(map_next(&m, &bucket, NULL));
    map_deinit(&m);
}
END_TEST

/* The caller's hash decides the bucket: all equal, all in one bucket with different hashes, spread. */
START_TEST(collisions_and_growth)
{
    enum { COUNT = 2000 };
    static struct entry entries[COUNT];
    for (int mode = 0; mode < 3; mode++) {
        struct map m;
        map_init(&m, 1);
        for (uint64_t i = 0; i < COUNT; i++) {
            entries[i] = (struct entry){.key = i};
            uint64_t hash = mode == 0 ? 5 : mode == 1 ? i << 32 : map_hash_u64(&m, i);
            testing_that(map_insert(&m, &entries[i].node, hash));
        }
        ck_assert_uint_eq(m.count, COUNT);
        ck_assert_uint_ge(m.bucket_count, COUNT); /* load factor <= 1 */
        ck_assert_uint_eq(m.bucket_count & (m.bucket_count - 1), 0);
        for (uint64_t i = 0; i < COUNT; i++) {
            testing_that(find(&m, entries[i].node.hash, i) == (&entries[i]));
        }
        ck_assert_ptr_null(find(&m, 5, COUNT));
        for (uint64_t i = 0; i < COUNT; i += 2) {
            map_remove(&m, &entries[i].node);
        }
        for (uint64_t i = 0; i < COUNT; i++) {
            struct entry *e = find(&m, entries[i].node.hash, i);
            testing_that(e == (i % 2 ? &entries[i] : NULL));
        }
        ck_assert_uint_eq(m.count, COUNT / 2);
        map_deinit(&m);
    }
}
END_TEST

START_TEST(against_a_model)
{
    enum { KEYS = 300 };
    static struct entry entries[KEYS];
    struct map m;
    struct rng r;
    size_t count = 0;
    rng_init_seed(&r, 9);
    map_init(&m, 9);
    for (int step = 0; step < 30000; step++) {
        uint64_t key = rng_below(&r, KEYS);
        struct entry *e = &entries[key];
        e->key = key;
        testing_that((find(&m, map_hash_u64(&m, key), key) == e) == e->in);
        if (e->in) {
            map_remove(&m, &e->node);
            count--;
        } else {
            testing_that(map_insert(&m, &e->node, map_hash_u64(&m, key)));
            count++;
        }
        e->in = !e->in;
        ck_assert_uint_eq(m.count, count);
    }
    size_t bucket = 0, walked = 0;
    for (struct map_node *n = map_next(&m, &bucket, NULL); n; n = map_next(&m, &bucket, n)) {
        struct entry *e = container_of(n, struct entry, node);
        testing_that(e->in && e->seen++ == 0);
        walked++;
    }
    ck_assert_uint_eq(walked, count);
    map_deinit(&m);
}
END_TEST

/* The way sweeps do it: fetch the next, then remove this one. */
START_TEST(removing_while_walking)
{
    static struct entry entries[500];
    struct map m;
    map_init(&m, 3);
    for (uint64_t i = 0; i < 500; i++) {
        entries[i] = (struct entry){.key = i};
        map_insert(&m, &entries[i].node, i % 50); /* chains of ten */
    }
    size_t bucket = 0, removed = 0;
    struct map_node *n = map_next(&m, &bucket, NULL);
    while (n) {
        struct entry *e = container_of(n, struct entry, node);
        n = map_next(&m, &bucket, n);
        ck_assert_uint_eq(e->seen++, 0);
        if (e->key % 3) {
            map_remove(&m, &e->node);
            removed++;
        }
    }
    ck_assert_uint_eq(m.count, 500 - removed);
    for (size_t i = 0; i < 500; i++) {
        ck_assert_uint_eq(entries[i].seen, 1);
    }
    map_deinit(&m);
}
END_TEST

START_TEST(hashes)
{
    struct map a, b;
    map_init(&a, 1);
    map_init(&b, 2);
    ck_assert_uint_ne(map_hash(&a, SLICE("key")), map_hash(&b, SLICE("key"))); /* seeded */
    ck_assert_uint_ne(map_hash_u64(&a, 1), map_hash_u64(&b, 1));
    ck_assert_uint_eq(map_hash_nocase(&a, SLICE("Example.ORG")),
                      map_hash_nocase(&a, SLICE("example.org")));
    ck_assert_uint_ne(map_hash(&a, SLICE("Example.ORG")), map_hash(&a, SLICE("example.org")));
    ck_assert_uint_ne(map_hash_nocase(&a, SLICE("example.org")),
                      map_hash_nocase(&a, SLICE("example.com")));
    ck_assert_uint_eq(map_hash(&a, (struct slice){NULL, 0}), map_hash(&a, SLICE("")));
    static char big[3000];
    memset(big, 'a', sizeof(big));
    ck_assert_uint_eq(map_hash_nocase(&a, slice_of(big, 3000)),
                      map_hash_nocase(&a, slice_of(big, 1024)));
    ck_assert_uint_ne(map_hash_nocase(&a, slice_of(big, 1023)),
                      map_hash_nocase(&a, slice_of(big, 1024)));
    map_deinit(&a);
    map_deinit(&b);
}
END_TEST

struct misuse {
    struct map m;
    struct entry in, out;
};

static void remove_stranger(void *ctx)
{
    struct misuse *u = ctx;
    map_remove(&u->m, &u->out.node);
}

START_TEST(removing_what_is_not_there_aborts)
{
    struct misuse u = {0};
    map_init(&u.m, 1);
    testing_must_abort(remove_stranger, &u, "m->bucket_count > 0");
    map_insert(&u.m, &u.in.node, 0);
    testing_must_abort(remove_stranger, &u, "*at != NULL");
    map_deinit(&u.m);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {empty,           collisions_and_growth,
                            against_a_model, removing_while_walking,
                            hashes,          removing_what_is_not_there_aborts};
    return testing_run("core/base/map", tests, ARRAY_COUNT(tests));
}
