/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * automation_private - what the files of automation share
 *
 * Purpose:   the tables, and the arithmetic of one override. Included by core/policy/automation*.c alone.
 * Owner:     struct automation. Thread: whoever holds its mutex.
 * Units:     wall milliseconds; factors in parts of AUTOMATION_ONE.
 *
 *   automation_seat   one scope and key, with at most one override per action: what a lookup finds
 *   automation_held   an override
 *   automation_count  the moments at which a rule matched for a key, as many as its trigger asks for
 */
#ifndef RINGPOST_POLICY_AUTOMATION_PRIVATE_H
#define RINGPOST_POLICY_AUTOMATION_PRIVATE_H

#include "core/base/list.h"
#include "core/base/map.h"
#include "core/policy/automation.h"

#include <pthread.h>

/* Actions that make overrides: those before. */
#define AUTOMATION_LASTING AUTOMATION_FAIL

/* A key's text, and its hash, which is kept on disk and so has no secret seed. */
struct automation_name {
    struct slice text; /* cut to AUTOMATION_KEY_BYTES_MAX */
    uint64_t hash;
};

struct automation_key {
    struct automation_scope scope;
    struct automation_name who;
    struct automation_name where;
};

struct automation_held;

struct automation_seat {
    struct map_node node;
    struct automation_key key; /* its texts: in `bytes` */
    struct automation_held *held[AUTOMATION_LASTING];
    char bytes[2 * AUTOMATION_KEY_BYTES_MAX];
};

struct automation_held {
    struct automation_seat *seat;
    struct list by_id;  /* ascending; in `gone`: over, its row is still to be taken away */
    struct list by_age; /* the longest without a match first; manual ones are in none */
    struct list dirty;
    uint64_t id;
    enum automation_action action;
    bool manual;
    bool written; /* there is a row */
    uint64_t since_ms;
    uint64_t last_ms;
    uint64_t fired_ms;
    uint64_t until_ms; /* SUSPEND, BOUNCE, REROUTE */
    uint64_t grow_ms;  /* reductions and SUSPEND: the first step */
    uint64_t written_grow_ms;
    uint64_t duration_ms;
    uint64_t every_ms;
    uint32_t factor; /* until grow_ms */
    uint32_t step;
    uint64_t base;
    uint32_t replies;
    uint32_t relapses;
    uint16_t rule_bytes;
    uint16_t sample_bytes;
    uint16_t source_bytes;
    char rule[AUTOMATION_NAME_BYTES_MAX];
    char source[AUTOMATION_NAME_BYTES_MAX];
    char sample[REPLY_TEXT_BYTES];
};

struct automation_count {
    struct map_node node;
    struct list by_age;
    uint64_t rule; /* hash of its name */
    uint64_t who;
    uint64_t where;
    uint32_t capacity;
    uint32_t used;
    uint32_t next; /* the place of the oldest when full */
    uint64_t times_ms[];
};

struct automation {
    pthread_mutex_t mutex;
    _Atomic uint64_t generation;
    _Atomic uint32_t active; /* overrides; 0: an effect needs no lock */
    _Atomic uint32_t whos;   /* 1 << who of those there are */
    _Atomic bool unwritten;  /* `dirty` or `gone` has something */
    struct map seats;
    struct map counts;
    struct list by_id;
    struct list by_age;
    struct list dirty;
    struct list gone;
    struct list counts_by_age;
    uint32_t gone_count;
    uint32_t per_scope[AUTOMATION_SCOPES]; /* overrides: which lookups an effect needs */
    uint64_t next_id;
    uint64_t next_end_ms; /* nothing is over before */
    uint64_t fired;
    uint64_t forgotten_overrides;
    uint64_t forgotten_counters;
};

/* ---- automation_key.c --------------------------------------------------------------------------- */

/* False: the keys have nothing for this scope. The texts point into keys or into `scratch`. */
struct automation_key_scratch {
    char campaign[AUTOMATION_KEY_BYTES_MAX];
};
bool automation_key_make(const struct automation_keys *keys, struct automation_scope scope,
                         struct automation_key_scratch *scratch, struct automation_key *out);
struct automation_seat *automation_seat_find(const struct automation *a,
                                             const struct automation_key *key);
/* Made when there is none; NULL without memory. */
struct automation_seat *automation_seat_get(struct automation *a, const struct automation_key *key);
/* Freed when nothing sits there. */
void automation_seat_put(struct automation *a, struct automation_seat *seat);

/* The rule has matched once more for this key: true when that makes its trigger. Then counting begins anew. */
bool automation_count_hit(struct automation *a, const struct automation_rule *rule,
                          const struct automation_key *key, uint64_t now_ms);
void automation_counts_clear(struct automation *a);

/* ---- automation_held.c --------------------------------------------------------------------------- */

static inline uint64_t automation_add_ms(uint64_t a, uint64_t b)
{
    return a > AUTOMATION_FOREVER - b ? AUTOMATION_FOREVER : a + b;
}

static inline bool automation_is_reduction(enum automation_action action)
{
    return action == AUTOMATION_RATE || action == AUTOMATION_CONNECTIONS ||
           action == AUTOMATION_PER_CONNECTION;
}

bool automation_held_is_suspended(const struct automation_held *h, uint64_t now_ms);
/* Of a reduction or a suspension that has ended; AUTOMATION_ONE: it is over. */
uint32_t automation_held_factor(const struct automation_held *h, uint64_t now_ms);
/* When it changes next by itself. */
uint64_t automation_held_next_ms(const struct automation_held *h, uint64_t now_ms);
uint64_t automation_held_end_ms(const struct automation_held *h);
/* The clock was set back: nothing lasts longer than its duration from now on. True: that changed it. */
bool automation_held_clamp(struct automation_held *h, uint64_t now_ms);
/* value * factor / AUTOMATION_ONE without overflow. */
uint64_t automation_share(uint64_t value, uint32_t factor);

/* A new one in its seat, with an id if it is 0; NULL without memory or when only manual ones are left. */
struct automation_held *automation_held_new(struct automation *a, const struct automation_key *key,
                                            enum automation_action action, uint64_t id,
                                            bool manual);
/* Out of everything; its row, if there is one, is to be taken away. */
void automation_held_end(struct automation *a, struct automation_held *h);
/* It has changed: effects are stale, and its row. */
void automation_held_changed(struct automation *a, struct automation_held *h);
/* It matched: the last to be forgotten. */
void automation_held_touch(struct automation *a, struct automation_held *h);
/* Ends what is over. */
void automation_sweep(struct automation *a, uint64_t now_ms);
/* A tombstone whose row is gone. */
void automation_gone_free(struct automation *a, struct automation_held *h);

#endif
