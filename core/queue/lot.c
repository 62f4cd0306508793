/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The wheel is that of core/base/timer.c with lists of slot numbers. An empty slot of `items` holds the
 * number of the next empty one, shifted and with its lowest bit set: no item has an odd address.
 */
#include "core/queue/lot.h"
#include "core/base/must.h"

#include <stdlib.h>
#include <string.h>

enum { LOT_LIST_DUE = LOT_LEVELS * LOT_SLOTS, LOT_FIRST = 64 };

must_static(sizeof(void *) >= sizeof(uint64_t), "a free slot's link fits a pointer");

/* ---- slots ---- */

static bool lot_is_free(const struct lot_item *item)
{
    return ((uintptr_t)item & 1) != 0;
}

struct lot_item *lot_at(const struct lot *l, uint32_t slot)
{
    must(slot < l->made);
    struct lot_item *item = l->items[slot];
    return lot_is_free(item) ? NULL : item;
}

static bool lot_grow_slots(struct lot *l, size_t capacity)
{
    if (capacity >= UINT32_MAX) {
        return false;
    }
    struct lot_item **items = realloc(l->items, capacity * sizeof(struct lot_item *));
    if (!items) {
        return false;
    }
    l->items = items;
    l->capacity = (uint32_t)capacity;
    return true;
}

static bool lot_take_slot(struct lot *l, struct lot_item *item)
{
    if (l->free_head) {
        item->slot = l->free_head - 1;
        l->free_head = (uint32_t)((uintptr_t)l->items[item->slot] >> 1);
    } else {
        if (l->made == l->capacity &&
            !lot_grow_slots(l, (size_t)l->capacity + l->capacity / 2 + LOT_FIRST)) {
            return false;
        }
        item->slot = l->made++;
    }
    l->items[item->slot] = item;
    l->used++;
    return true;
}

static void lot_give_slot(struct lot *l, const struct lot_item *item)
{
    must(l->used > 0 && l->items[item->slot] == item);
    l->items[item->slot] = (struct lot_item *)(((uintptr_t)l->free_head << 1) | 1);
    l->free_head = item->slot + 1;
    l->used--;
}

/* ---- ids ---- */

static size_t lot_hash(const struct lot *l, uint64_t id)
{
    uint64_t h = (id ^ l->seed) * UINT64_C(0x9E3779B97F4A7C15);
    return (size_t)((h ^ h >> 32) & (l->index_size - 1));
}

static void lot_index_add(const struct lot *l, uint32_t slot)
{
    size_t at = lot_hash(l, l->items[slot]->id);
    while (l->index[at]) {
        at = (at + 1) & (l->index_size - 1);
    }
    l->index[at] = slot + 1;
}

static bool lot_index_resize(struct lot *l, size_t size)
{
    uint32_t *index = calloc(size, sizeof(*index));
    if (!index) {
        return false;
    }
    uint32_t *old = l->index;
    size_t old_size = l->index_size;
    l->index = index;
    l->index_size = size;
    for (size_t i = 0; i < old_size; i++) {
        if (old[i]) {
            lot_index_add(l, old[i] - 1);
        }
    }
    free(old);
    return true;
}

/* At most three of four places are taken. */
static bool lot_index_room(struct lot *l, size_t items)
{
    size_t size = l->index_size ? l->index_size : LOT_FIRST;
    while (items * 4 > size * 3) {
        size *= 2;
    }
    return size == l->index_size || lot_index_resize(l, size);
}

static size_t lot_index_place(const struct lot *l, uint64_t id)
{
    size_t at = l->index_size ? lot_hash(l, id) : 0;
    while (l->index_size && l->index[at] && l->items[l->index[at] - 1]->id != id) {
        at = (at + 1) & (l->index_size - 1);
    }
    return at;
}

/* Those behind it close up, so that there are no marks of what was removed. */
static void lot_index_remove(struct lot *l, uint64_t id)
{
    size_t mask = l->index_size - 1;
    size_t hole = lot_index_place(l, id);
    must(l->index[hole] != 0);
    for (size_t at = (hole + 1) & mask; l->index[at]; at = (at + 1) & mask) {
        size_t home = lot_hash(l, l->items[l->index[at] - 1]->id);
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            l->index[hole] = l->index[at];
            hole = at;
        }
    }
    l->index[hole] = 0;
}

struct lot_item *lot_find(const struct lot *l, uint64_t id)
{
    size_t at = lot_index_place(l, id);
    return l->index_size && l->index[at] ? l->items[l->index[at] - 1] : NULL;
}

/* ---- lists ---- */

static void lot_list_push(struct lot *l, unsigned list, struct lot_item *item)
{
    struct lot_list *to = &l->lists[list];
    item->list = (uint16_t)list;
    item->next = 0;
    item->prev = to->last;
    if (to->last) {
        l->items[to->last - 1]->next = item->slot + 1;
    } else {
        to->first = item->slot + 1;
    }
    to->last = item->slot + 1;
    *(list == LOT_LIST_DUE ? &l->ready : &l->waiting) += 1;
}

static void lot_list_remove(struct lot *l, struct lot_item *item)
{
    struct lot_list *from = &l->lists[item->list];
    *(item->prev ? &l->items[item->prev - 1]->next : &from->first) = item->next;
    *(item->next ? &l->items[item->next - 1]->prev : &from->last) = item->prev;
    uint32_t *count = item->list == LOT_LIST_DUE ? &l->ready : &l->waiting;
    must(*count > 0);
    *count -= 1;
}

/* ---- the wheel ---- */

static unsigned lot_shift(unsigned level)
{
    return level * 6;
}

static void lot_place(struct lot *l, struct lot_item *item)
{
    if (item->due_ms <= l->now_ms) {
        lot_list_push(l, LOT_LIST_DUE, item);
        return;
    }
    unsigned level = 0;
    while (level + 1 < LOT_LEVELS &&
           (item->due_ms >> lot_shift(level)) - (l->now_ms >> lot_shift(level)) >= LOT_SLOTS) {
        level++;
    }
    uint64_t unit = item->due_ms >> lot_shift(level);
    uint64_t unit_now = l->now_ms >> lot_shift(level);
    if (unit - unit_now >= LOT_SLOTS) {
        unit = unit_now + LOT_SLOTS - 1; /* beyond the horizon: looked at again then */
    }
    unsigned slot = (unsigned)(unit % LOT_SLOTS);
    lot_list_push(l, level * LOT_SLOTS + slot, item);
    l->occupied[level] |= UINT64_C(1) << slot;
}

/* The first moment after now at which an occupied slot of this level begins. */
static uint64_t lot_level_next(const struct lot *l, unsigned level)
{
    uint64_t bits = l->occupied[level];
    if (bits == 0) {
        return UINT64_MAX;
    }
    uint64_t unit_now = l->now_ms >> lot_shift(level);
    unsigned from = (unsigned)((unit_now + 1) % LOT_SLOTS);
    uint64_t turned = from ? (bits >> from) | (bits << (LOT_SLOTS - from)) : bits;
    return (unit_now + 1 + (uint64_t)__builtin_ctzll(turned)) << lot_shift(level);
}

static uint64_t lot_wheel_next(const struct lot *l)
{
    uint64_t next = UINT64_MAX;
    for (unsigned level = 0; l->waiting && level < LOT_LEVELS; level++) {
        uint64_t at = lot_level_next(l, level);
        next = at < next ? at : next;
    }
    return next;
}

uint64_t lot_next_ms(const struct lot *l)
{
    return l->ready ? l->now_ms : lot_wheel_next(l);
}

static void lot_open_slot(struct lot *l, unsigned level)
{
    unsigned slot = (unsigned)((l->now_ms >> lot_shift(level)) % LOT_SLOTS);
    struct lot_list *list = &l->lists[level * LOT_SLOTS + slot];
    uint32_t at = list->first;
    *list = (struct lot_list){0, 0};
    l->occupied[level] &= ~(UINT64_C(1) << slot);
    while (at) {
        struct lot_item *item = l->items[at - 1];
        at = item->next;
        l->waiting--;
        lot_place(l, item);
    }
}

void lot_run(struct lot *l, uint64_t now_ms)
{
    uint64_t next;
    while ((next = lot_wheel_next(l)) <= now_ms) {
        must(next > l->now_ms);
        l->now_ms = next;
        for (unsigned level = LOT_LEVELS; level-- > 0;) {
            if ((next & ((UINT64_C(1) << lot_shift(level)) - 1)) == 0) {
                lot_open_slot(l, level);
            }
        }
    }
    l->now_ms = now_ms > l->now_ms ? now_ms : l->now_ms;
}

/* ---- the whole ---- */

void lot_init(struct lot *l, uint64_t seed, uint64_t now_ms)
{
    *l = (struct lot){.seed = seed, .now_ms = now_ms};
}

void lot_deinit(struct lot *l)
{
    must(l->used == 0);
    free(l->items);
    free(l->index);
    *l = (struct lot){0};
}

void lot_reserve(struct lot *l, uint32_t more)
{
    size_t items = (size_t)l->used + more;
    if (items > l->capacity) {
        (void)lot_grow_slots(l, items);
    }
    (void)lot_index_room(l, items);
}

struct lot_item *lot_item_new(size_t data_bytes)
{
    must(data_bytes <= UINT32_MAX);
    struct lot_item *item = malloc(offsetof(struct lot_item, data) + data_bytes);
    if (item) {
        item->data_bytes = (uint32_t)data_bytes;
    }
    return item;
}

bool lot_put(struct lot *l, struct lot_item *item)
{
    if (!lot_index_room(l, (size_t)l->used + 1) || !lot_take_slot(l, item)) {
        return false;
    }
    lot_index_add(l, item->slot);
    lot_place(l, item);
    l->item_bytes += offsetof(struct lot_item, data) + item->data_bytes;
    return true;
}

void lot_remove(struct lot *l, struct lot_item *item)
{
    lot_list_remove(l, item);
    lot_index_remove(l, item->id);
    lot_give_slot(l, item);
    l->item_bytes -= offsetof(struct lot_item, data) + item->data_bytes;
}

void lot_delay(struct lot *l, struct lot_item *item, uint64_t due_ms)
{
    lot_list_remove(l, item);
    item->due_ms = due_ms;
    lot_place(l, item);
}

struct lot_item *lot_due(const struct lot *l)
{
    uint32_t first = l->lists[LOT_LIST_DUE].first;
    return first ? l->items[first - 1] : NULL;
}

size_t lot_memory(const struct lot *l)
{
    return l->item_bytes + l->capacity * sizeof(struct lot_item *) +
           l->index_size * sizeof(*l->index);
}
