/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * An override as bytes; little-endian. Its id is the key of the row and stands outside.
 *
 *   0  u8   format, 1            24 u64 until          80 u64 hash of who
 *   1  u8   action               32 u64 grow           88 u64 hash of where
 *   2  u8   who                  40 u64 since          96 u32 factor
 *   3  u8   where                48 u64 last          100 u32 step
 *   4  u8   manual               56 u64 fired         104 u32 replies
 *   5  3    zero                 64 u64 duration      108 u32 relapses
 *   8  u64  base                 72 u64 every         112 texts: u16 length, bytes; who, where, rule,
 *  16  u64  zero                                          source, sample
 *
 * What is read is judged like any input: a row that makes no sense is refused, never repaired.
 */
#include "core/policy/automation_private.h"

enum { FORMAT = 1, FIXED_BYTES = 112, TEXTS = 5 };

must_static(FIXED_BYTES + TEXTS * 2 + 2 * AUTOMATION_KEY_BYTES_MAX + 2 * AUTOMATION_NAME_BYTES_MAX +
                    REPLY_TEXT_BYTES <=
                AUTOMATION_RECORD_BYTES_MAX,
            "a record fits");

static void put_u64(char *p, uint64_t v)
{
    for (int i = 0; i < 8; i++) {
        p[i] = (char)(v >> (8 * i));
    }
}

static void put_u32(char *p, uint32_t v)
{
    for (int i = 0; i < 4; i++) {
        p[i] = (char)(v >> (8 * i));
    }
}

static uint64_t get_u64(const char *p)
{
    uint64_t v = 0;
    for (int i = 7; i >= 0; i--) {
        v = v << 8 | (uint8_t)p[i];
    }
    return v;
}

static uint32_t get_u32(const char *p)
{
    return (uint32_t)((uint8_t)p[0] | (uint32_t)(uint8_t)p[1] << 8 | (uint32_t)(uint8_t)p[2] << 16 |
                      (uint32_t)(uint8_t)p[3] << 24);
}

static void put_text(char *dst, size_t *len, struct slice text)
{
    must(*len + 2 + text.len <= AUTOMATION_RECORD_BYTES_MAX);
    dst[(*len)++] = (char)text.len;
    dst[(*len)++] = (char)(text.len >> 8);
    if (text.len) {
        memcpy(dst + *len, text.ptr, text.len);
        *len += text.len;
    }
}

static size_t encode(const struct automation_held *h, char dst[AUTOMATION_RECORD_BYTES_MAX])
{
    const struct automation_key *key = &h->seat->key;
    size_t len = FIXED_BYTES;
    memset(dst, 0, FIXED_BYTES);
    dst[0] = FORMAT;
    dst[1] = (char)h->action;
    dst[2] = (char)key->scope.who;
    dst[3] = (char)key->scope.where;
    dst[4] = h->manual;
    put_u64(dst + 8, h->base);
    put_u64(dst + 24, h->until_ms);
    put_u64(dst + 32, h->grow_ms);
    put_u64(dst + 40, h->since_ms);
    put_u64(dst + 48, h->last_ms);
    put_u64(dst + 56, h->fired_ms);
    put_u64(dst + 64, h->duration_ms);
    put_u64(dst + 72, h->every_ms);
    put_u64(dst + 80, key->who.hash);
    put_u64(dst + 88, key->where.hash);
    put_u32(dst + 96, h->factor);
    put_u32(dst + 100, h->step);
    put_u32(dst + 104, h->replies);
    put_u32(dst + 108, h->relapses);
    put_text(dst, &len, key->who.text);
    put_text(dst, &len, key->where.text);
    put_text(dst, &len, slice_of(h->rule, h->rule_bytes));
    put_text(dst, &len, slice_of(h->source, h->source_bytes));
    put_text(dst, &len, slice_of(h->sample, h->sample_bytes));
    return len;
}

/* ---- reading ---------------------------------------------------------------------------------------- */

struct record {
    struct automation_key key;
    struct automation_held held; /* numbers only */
    struct slice rule;
    struct slice source;
    struct slice sample;
};

static bool get_text(struct slice *rest, size_t max, struct slice *out)
{
    if (rest->len < 2) {
        return false;
    }
    size_t len = (size_t)(uint8_t)rest->ptr[0] | (size_t)(uint8_t)rest->ptr[1] << 8;
    *rest = slice_skip(*rest, 2);
    if (len > max || len > rest->len) {
        return false;
    }
    *out = slice_first(*rest, len);
    *rest = slice_skip(*rest, len);
    return true;
}

static bool texts_read(struct slice rest, struct record *r)
{
    return get_text(&rest, AUTOMATION_KEY_BYTES_MAX, &r->key.who.text) &&
           get_text(&rest, AUTOMATION_KEY_BYTES_MAX, &r->key.where.text) &&
           get_text(&rest, AUTOMATION_NAME_BYTES_MAX, &r->rule) &&
           get_text(&rest, AUTOMATION_NAME_BYTES_MAX, &r->source) &&
           get_text(&rest, REPLY_TEXT_BYTES, &r->sample) && rest.len == 0;
}

static bool numbers_good(const struct automation_held *h)
{
    bool timed = h->duration_ms >= 1 &&
                 (h->duration_ms <= AUTOMATION_DURATION_MS_MAX || h->manual) && h->every_ms >= 1 &&
                 h->every_ms <= AUTOMATION_DURATION_MS_MAX;
    return timed && h->factor >= 1 && h->factor < AUTOMATION_ONE && h->step >= 1 &&
           h->step < AUTOMATION_ONE;
}

static bool key_good(const struct automation_key *key)
{
    bool everybody = key->scope.who == AUTOMATION_EVERYBODY;
    bool anywhere = key->scope.where == AUTOMATION_ANYWHERE;
    bool named = key->who.text.len > 0; /* mail without a named source is a source of its own */
    return !(everybody && anywhere) && !(everybody && named) &&
           (everybody || named || key->scope.who == AUTOMATION_SOURCE) &&
           anywhere == (key->where.text.len == 0);
}

static bool decode(struct slice bytes, struct record *r)
{
    const char *p = bytes.ptr;
    struct automation_held *h = &r->held;
    *r = (struct record){.rule = {NULL, 0}};
    if (bytes.len < FIXED_BYTES || p[0] != FORMAT || (uint8_t)p[1] >= AUTOMATION_LASTING ||
        (uint8_t)p[2] >= AUTOMATION_WHOS || (uint8_t)p[3] >= AUTOMATION_WHERES ||
        (uint8_t)p[4] > 1) {
        return false;
    }
    h->action = (enum automation_action)p[1];
    r->key.scope.who = (enum automation_who)p[2];
    r->key.scope.where = (enum automation_where)p[3];
    h->manual = p[4];
    h->base = get_u64(p + 8);
    h->until_ms = get_u64(p + 24);
    h->grow_ms = get_u64(p + 32);
    h->since_ms = get_u64(p + 40);
    h->last_ms = get_u64(p + 48);
    h->fired_ms = get_u64(p + 56);
    h->duration_ms = get_u64(p + 64);
    h->every_ms = get_u64(p + 72);
    r->key.who.hash = get_u64(p + 80);
    r->key.where.hash = get_u64(p + 88);
    h->factor = get_u32(p + 96);
    h->step = get_u32(p + 100);
    h->replies = get_u32(p + 104);
    h->relapses = get_u32(p + 108);
    return texts_read(slice_skip(bytes, FIXED_BYTES), r) && key_good(&r->key) && numbers_good(h);
}

static uint16_t text_copy(char *dst, struct slice text)
{
    if (text.len) {
        memcpy(dst, text.ptr, text.len);
    }
    return (uint16_t)text.len;
}

static void numbers_copy(struct automation_held *h, const struct automation_held *from)
{
    h->base = from->base;
    h->until_ms = from->until_ms;
    h->grow_ms = h->written_grow_ms = from->grow_ms;
    h->since_ms = from->since_ms;
    h->last_ms = from->last_ms;
    h->fired_ms = from->fired_ms;
    h->duration_ms = from->duration_ms;
    h->every_ms = from->every_ms;
    h->factor = from->factor;
    h->step = from->step;
    h->replies = from->replies;
    h->relapses = from->relapses;
}

static struct automation_held *record_take(struct automation *a, uint64_t id,
                                           const struct record *r)
{
    struct automation_seat *seat = automation_seat_find(a, &r->key);
    if (seat && seat->held[r->held.action]) {
        return NULL; /* two rows for one: the first stays */
    }
    struct automation_held *h = automation_held_new(a, &r->key, r->held.action, id, r->held.manual);
    if (!h) {
        return NULL;
    }
    numbers_copy(h, &r->held);
    h->rule_bytes = text_copy(h->rule, r->rule);
    h->source_bytes = text_copy(h->source, r->source);
    h->sample_bytes = (uint16_t)outcome_text_clean(h->sample, sizeof(h->sample), r->sample);
    h->written = true;
    return h;
}

static struct automation_held *held_of_id(const struct automation *a, uint64_t id)
{
    for (struct list *it = a->by_id.next; it != &a->by_id; it = it->next) {
        if (LIST_ENTRY(it, struct automation_held, by_id)->id == id) {
            return LIST_ENTRY(it, struct automation_held, by_id);
        }
    }
    return NULL;
}

bool automation_restore(struct automation *a, uint64_t id, struct slice bytes, uint64_t now_ms)
{
    struct record r;
    if (id == 0 || id == UINT64_MAX || !decode(bytes, &r)) {
        return false;
    }
    pthread_mutex_lock(&a->mutex);
    automation_sweep(a, now_ms);
    struct automation_held *h = held_of_id(a, id) ? NULL : record_take(a, id, &r);
    if (h) {
        a->next_id = id >= a->next_id ? id + 1 : a->next_id;
        if (automation_held_clamp(h, now_ms)) {
            automation_held_changed(a, h);
        }
        uint64_t end = automation_held_end_ms(h);
        a->next_end_ms = end < a->next_end_ms ? end : a->next_end_ms;
        atomic_fetch_add_explicit(&a->generation, 1, memory_order_release);
        automation_sweep(a, now_ms);
    }
    pthread_mutex_unlock(&a->mutex);
    return h != NULL;
}

/* ---- what is to be written ---------------------------------------------------------------------------- */

bool automation_next_change(struct automation *a, uint64_t now_ms, struct automation_change *out)
{
    struct list *it;
    bool found = true;
    pthread_mutex_lock(&a->mutex);
    automation_sweep(a, now_ms);
    if ((it = list_first(&a->gone)) != NULL) {
        struct automation_held *h = LIST_ENTRY(it, struct automation_held, by_id);
        out->id = h->id;
        out->len = 0;
        automation_gone_free(a, h);
    } else if ((it = list_pop_front(&a->dirty)) != NULL) {
        struct automation_held *h = LIST_ENTRY(it, struct automation_held, dirty);
        h->written = true;
        h->written_grow_ms = h->grow_ms;
        out->id = h->id;
        out->len = encode(h, out->bytes);
    } else {
        found = false;
        atomic_store_explicit(&a->unwritten, false, memory_order_release);
    }
    pthread_mutex_unlock(&a->mutex);
    return found;
}

bool automation_encode(struct automation *a, uint64_t id, struct automation_change *out)
{
    pthread_mutex_lock(&a->mutex);
    struct automation_held *h = held_of_id(a, id);
    if (h) {
        h->written = true;
        out->id = id;
        out->len = encode(h, out->bytes);
    }
    pthread_mutex_unlock(&a->mutex);
    return h != NULL;
}

bool automation_has_changes(const struct automation *a)
{
    return atomic_load_explicit(&a->unwritten, memory_order_acquire);
}

void automation_mark_all(struct automation *a)
{
    pthread_mutex_lock(&a->mutex);
    for (struct list *it = a->by_id.next; it != &a->by_id; it = it->next) {
        struct automation_held *h = LIST_ENTRY(it, struct automation_held, by_id);
        if (!list_linked(&h->dirty)) {
            list_push_back(&a->dirty, &h->dirty);
        }
        atomic_store_explicit(&a->unwritten, true, memory_order_release);
    }
    pthread_mutex_unlock(&a->mutex);
}
