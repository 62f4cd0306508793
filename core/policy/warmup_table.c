/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A track's day on the disk and in memory:
 *
 *     0 ─────── sent ───── reserved (durable) ─── asked (on its way) ──── allowance
 *                 │◄ two chunks at most ────────────────►│
 *
 * A clock of another worker may be a little behind: warmup_turn never goes back.
 */
#include "core/policy/warmup_table.h"

#include "core/base/map.h"
#include "core/base/must.h"

#include <pthread.h>
#include <stdlib.h>

struct warmup_track {
    struct map_node node;
    struct warmup_name name; /* behind the struct */
    pthread_mutex_t mutex;   /* of all that follows */
    struct warmup_rule rule; /* its list is ours */
    uint32_t *days;
    uint64_t serial;
    bool known; /* the state means something */
    bool writing;
    bool over; /* the last write */
    struct warmup_state state;
    enum warmup_verdict last;
    uint64_t reserved;
    uint64_t asked;    /* the most that any write of this date has in it */
    uint64_t retry_ms; /* after a write that failed */
};

struct warmup_table {
    pthread_mutex_t mutex;
    struct map tracks;
};

struct warmup_table *warmup_table_open(uint64_t seed)
{
    struct warmup_table *t = calloc(1, sizeof(*t));
    if (t) {
        pthread_mutex_init(&t->mutex, NULL);
        map_init(&t->tracks, seed);
    }
    return t;
}

void warmup_table_close(struct warmup_table **table)
{
    struct warmup_table *t = *table;
    size_t bucket = 0;
    struct map_node *n = t ? map_next(&t->tracks, &bucket, NULL) : NULL;
    while (n) {
        struct warmup_track *k = container_of(n, struct warmup_track, node);
        n = map_next(&t->tracks, &bucket, n);
        map_remove(&t->tracks, &k->node);
        pthread_mutex_destroy(&k->mutex);
        free(k->days);
        free(k);
    }
    if (t) {
        map_deinit(&t->tracks);
        pthread_mutex_destroy(&t->mutex);
        free(t);
    }
    *table = NULL;
}

/* ---- tracks ---- */

static bool track_equal(const struct map_node *node, const void *key)
{
    const struct warmup_track *k = container_of(node, struct warmup_track, node);
    const struct warmup_name *name = key;
    return slice_eq(k->name.source, name->source) && slice_eq(k->name.provider, name->provider);
}

static uint64_t track_hash(const struct warmup_table *t, const struct warmup_name *name)
{
    return map_hash(&t->tracks, name->source) ^ (map_hash(&t->tracks, name->provider) << 1);
}

static struct warmup_track *track_new(struct warmup_table *t, const struct warmup_name *name)
{
    size_t source = name->source.len, provider = name->provider.len;
    struct warmup_track *k = t->tracks.count < WARMUP_TRACKS_MAX
                                 ? calloc(1, sizeof(*k) + source + provider)
                                 : NULL;
    if (!k) {
        return NULL;
    }
    char *text = (char *)(k + 1);
    memcpy(text, name->source.ptr, source);
    if (provider) {
        memcpy(text + source, name->provider.ptr, provider);
    }
    k->name = (struct warmup_name){slice_of(text, source), slice_of(text + source, provider)};
    k->rule.day_ms = 1;
    pthread_mutex_init(&k->mutex, NULL);
    if (!map_insert(&t->tracks, &k->node, track_hash(t, name))) {
        pthread_mutex_destroy(&k->mutex);
        free(k);
        return NULL;
    }
    return k;
}

static struct warmup_track *track_find(struct warmup_table *t, const struct warmup_name *name)
{
    struct map_node *n = map_find(&t->tracks, track_hash(t, name), track_equal, name);
    return n ? container_of(n, struct warmup_track, node) : NULL;
}

/* Days of another length have other dates: what was counted counts for the day at hand. */
static void track_set_rule(struct warmup_track *k, const struct warmup_rule *rule)
{
    size_t bytes = rule->day_count * sizeof(*k->days);
    uint32_t *days = malloc(bytes);
    if (!days) {
        return; /* the one before holds */
    }
    memcpy(days, rule->days, bytes);
    free(k->days);
    if (k->known && k->rule.day_ms != rule->day_ms) {
        k->state.date = k->state.date * k->rule.day_ms / rule->day_ms;
        k->reserved = k->state.sent; /* a write that has the old date in it is not waited for */
    }
    k->days = days;
    k->rule = *rule;
    k->rule.days = days;
}

struct warmup_track *warmup_track_get(struct warmup_table *t, const struct warmup_name *name,
                                      const struct warmup_rule *rule, uint32_t start_day,
                                      uint64_t serial)
{
    must(name->source.len > 0 && (!rule || rule->day_count > 0));
    pthread_mutex_lock(&t->mutex);
    struct warmup_track *k = track_find(t, name);
    if (!k && rule) {
        k = track_new(t, name);
    }
    pthread_mutex_unlock(&t->mutex);
    if (!k) {
        return NULL;
    }
    pthread_mutex_lock(&k->mutex);
    if (rule && (k->rule.day_count == 0 || serial > k->serial)) {
        track_set_rule(k, rule);
        k->serial = serial;
    } else if (!rule && serial > k->serial) {
        k->rule.day_count = 0;
        k->serial = serial;
    }
    if (!k->known) {
        k->state = (struct warmup_state){.day = start_day ? start_day : 1};
        k->known = true;
    }
    bool usable = k->rule.day_count > 0;
    pthread_mutex_unlock(&k->mutex);
    return usable ? k : NULL;
}

struct warmup_track *warmup_track_find(struct warmup_table *t, const struct warmup_name *name)
{
    pthread_mutex_lock(&t->mutex);
    struct warmup_track *k = track_find(t, name);
    pthread_mutex_unlock(&t->mutex);
    return k;
}

/* ---- counting; the track's mutex is held ---- */

static bool track_is_limited(const struct warmup_track *k)
{
    return k->rule.day_count > 0 && !warmup_is_warm(&k->rule, &k->state);
}

static void track_turn(struct warmup_track *k, uint64_t wall_ms)
{
    if (k->rule.day_count > 0 && warmup_turn(&k->rule, &k->state, wall_ms, &k->last)) {
        k->reserved = k->asked = 0;
    }
}

static enum warmup_answer track_ask(struct warmup_track *k, uint64_t wall_ms, uint64_t *until_ms)
{
    track_turn(k, wall_ms);
    if (!track_is_limited(k)) {
        return WARMUP_TAKEN;
    }
    if (k->state.sent >= warmup_allowance(&k->rule, &k->state)) {
        *until_ms = warmup_date_end_ms(&k->rule, k->state.date);
        return WARMUP_USED_UP;
    }
    if (k->state.sent >= k->reserved || k->over) {
        uint64_t soon_ms = wall_ms + WARMUP_SOON_MS;
        *until_ms = k->over ? wall_ms + WARMUP_FAILED_MS
                            : (k->retry_ms > soon_ms ? k->retry_ms : soon_ms);
        return WARMUP_NOT_YET;
    }
    return WARMUP_TAKEN;
}

enum warmup_answer warmup_check(struct warmup_track *k, uint64_t wall_ms, uint64_t *until_ms)
{
    pthread_mutex_lock(&k->mutex);
    enum warmup_answer answer = track_ask(k, wall_ms, until_ms);
    pthread_mutex_unlock(&k->mutex);
    return answer;
}

enum warmup_answer warmup_take(struct warmup_track *k, uint64_t wall_ms, uint64_t *date,
                               uint64_t *until_ms)
{
    pthread_mutex_lock(&k->mutex);
    enum warmup_answer answer = track_ask(k, wall_ms, until_ms);
    if (answer == WARMUP_TAKEN && track_is_limited(k)) {
        k->state.sent++;
    }
    *date = k->state.date;
    pthread_mutex_unlock(&k->mutex);
    return answer;
}

void warmup_give(struct warmup_track *k, uint64_t date)
{
    pthread_mutex_lock(&k->mutex);
    if (k->state.date == date && k->state.sent > 0 && !k->over) {
        k->state.sent--;
    }
    pthread_mutex_unlock(&k->mutex);
}

bool warmup_has_room(struct warmup_track *k, uint64_t wall_ms)
{
    uint64_t until_ms;
    return warmup_check(k, wall_ms, &until_ms) != WARMUP_USED_UP;
}

void warmup_answered(struct warmup_track *k, bool deferred, uint64_t wall_ms)
{
    pthread_mutex_lock(&k->mutex);
    track_turn(k, wall_ms);
    if (track_is_limited(k)) {
        k->state.answered++;
        k->state.deferred += deferred ? 1 : 0;
    }
    pthread_mutex_unlock(&k->mutex);
}

void warmup_set_day(struct warmup_track *k, uint32_t day, uint64_t wall_ms)
{
    must(day > 0);
    pthread_mutex_lock(&k->mutex);
    track_turn(k, wall_ms);
    k->state.day = day;
    k->state.answered = k->state.deferred = 0; /* they were another day's */
    k->last = WARMUP_NOT_COUNTED;
    if (k->rule.day_count > 0 && k->state.date > warmup_date(&k->rule, wall_ms)) {
        k->state.date = warmup_date(&k->rule, wall_ms);
        k->state.sent = k->reserved = k->asked = 0;
    }
    pthread_mutex_unlock(&k->mutex);
}

/* ---- durability ---- */

static uint64_t track_reservation(const struct warmup_track *k)
{
    if (!track_is_limited(k)) {
        return k->state.sent;
    }
    uint64_t allowance = warmup_allowance(&k->rule, &k->state);
    uint64_t ahead = k->state.sent + 2 * warmup_chunk(allowance);
    return ahead < allowance ? ahead : allowance;
}

bool warmup_wants_write(struct warmup_track *k, uint64_t wall_ms)
{
    pthread_mutex_lock(&k->mutex);
    track_turn(k, wall_ms);
    bool wants = track_is_limited(k) && !k->writing && !k->over && k->retry_ms <= wall_ms;
    if (wants) {
        uint64_t allowance = warmup_allowance(&k->rule, &k->state);
        wants = k->reserved < allowance && k->state.sent + warmup_chunk(allowance) >= k->reserved;
    }
    k->writing = k->writing || wants;
    pthread_mutex_unlock(&k->mutex);
    return wants;
}

/* "1 DAY DAY_MS DATE COUNT ANSWERED DEFERRED" */
void warmup_write_begin(struct warmup_track *k, bool final, uint64_t wall_ms, struct buf *key,
                        struct buf *value, struct warmup_write *out)
{
    pthread_mutex_lock(&k->mutex);
    track_turn(k, wall_ms);
    k->writing = true;
    k->over = k->over || final;
    if (!final) {
        uint64_t reservation = track_reservation(k);
        k->asked = reservation > k->asked ? reservation : k->asked;
    }
    *out = (struct warmup_write){k->state.date, final ? k->state.sent : k->asked};
    buf_addf(key, "%.*s %.*s", SLICE_ARG(k->name.source), SLICE_ARG(k->name.provider));
    buf_addf(value, "1 %u %llu %llu %llu %llu %llu", k->state.day,
             (unsigned long long)k->rule.day_ms, (unsigned long long)out->date,
             (unsigned long long)out->reserved, (unsigned long long)k->state.answered,
             (unsigned long long)k->state.deferred);
    pthread_mutex_unlock(&k->mutex);
}

void warmup_write_done(struct warmup_track *k, bool ok, const struct warmup_write *w,
                       uint64_t wall_ms)
{
    pthread_mutex_lock(&k->mutex);
    k->writing = false;
    if (!ok) {
        k->retry_ms = wall_ms + WARMUP_FAILED_MS;
    } else if (w->date == k->state.date && w->reserved > k->reserved) {
        k->reserved = w->reserved;
    }
    pthread_mutex_unlock(&k->mutex);
}

struct warmup_value {
    struct warmup_state state;
    uint64_t day_ms;
};

static bool value_parse(struct slice text, struct warmup_value *out)
{
    uint64_t n[7], date_ms;
    for (size_t i = 0; i < ARRAY_COUNT(n); i++) {
        if (!slice_to_u64(slice_cut(&text, ' '), &n[i])) {
            return false;
        }
    }
    *out = (struct warmup_value){{(uint32_t)n[1], n[3], n[4], n[5], n[6]}, n[2]};
    return text.len == 0 && n[0] == 1 && n[1] > 0 && n[1] < UINT32_MAX && n[2] > 0 &&
           n[6] <= n[5] && !__builtin_mul_overflow(n[3], n[2], &date_ms);
}

bool warmup_restore(struct warmup_table *t, struct slice key, struct slice value)
{
    struct warmup_value v;
    struct slice provider = key;
    struct slice source = slice_cut(&provider, ' ');
    if (key.len > WARMUP_KEY_BYTES_MAX || source.len == 0 || source.len == key.len ||
        !value_parse(value, &v)) {
        return false;
    }
    const struct warmup_name name = {source, provider};
    pthread_mutex_lock(&t->mutex);
    struct warmup_track *k = track_find(t, &name);
    k = k ? k : track_new(t, &name);
    pthread_mutex_unlock(&t->mutex);
    if (!k) {
        return false;
    }
    pthread_mutex_lock(&k->mutex);
    k->state = v.state;
    k->rule.day_ms = v.day_ms;
    k->reserved = k->asked = v.state.sent;
    k->known = true;
    pthread_mutex_unlock(&k->mutex);
    return true;
}

/* ---- for people ---- */

void warmup_track_view(struct warmup_track *k, uint64_t wall_ms, struct warmup_view *out)
{
    pthread_mutex_lock(&k->mutex);
    track_turn(k, wall_ms);
    *out = (struct warmup_view){
        .name = k->name,
        .state = k->state,
        .allowance = track_is_limited(k) ? warmup_allowance(&k->rule, &k->state) : WARMUP_NO_LIMIT,
        .day_count = k->rule.day_count,
        .date_end_ms = warmup_date_end_ms(&k->rule, k->state.date),
        .last = k->last,
    };
    pthread_mutex_unlock(&k->mutex);
}

void warmup_table_walk(struct warmup_table *t, void (*each)(void *ctx, struct warmup_track *k),
                       void *ctx)
{
    pthread_mutex_lock(&t->mutex);
    size_t bucket = 0;
    for (struct map_node *n = map_next(&t->tracks, &bucket, NULL); n;
         n = map_next(&t->tracks, &bucket, n)) {
        each(ctx, container_of(n, struct warmup_track, node));
    }
    pthread_mutex_unlock(&t->mutex);
}
