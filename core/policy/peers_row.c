/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A peer as a row that outlives a restart: version, level, reason, then numbers, least significant byte
 * first, then the key. A row is at most PEERS_ROW_BYTES.
 */
#include "core/base/must.h"
#include "core/policy/peers.h"

enum { ROW_VERSION = 1 };

static void add_number(struct buf *out, uint64_t n, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++) {
        buf_add_byte(out, (char)(n >> (8 * i) & 0xff));
    }
}

/* False: the row is too short. */
static bool take_number(struct slice *row, unsigned bytes, uint64_t *n)
{
    if (row->len < bytes) {
        return false;
    }
    *n = 0;
    for (unsigned i = 0; i < bytes; i++) {
        *n |= (uint64_t)(unsigned char)row->ptr[i] << (8 * i);
    }
    *row = slice_skip(*row, bytes);
    return true;
}

/* In the order of struct peers_entry, behind version, level and reason. */
enum field { SINCE, UNTIL, DOUBTS, MESSAGES, MESSAGES_AT, IDLE, IDLE_AT, FIELDS };

static const unsigned widths[FIELDS] = {8, 8, 4, 4, 8, 4, 8};

void peers_encode(const struct peers_entry *e, struct buf *out)
{
    const uint64_t values[FIELDS] = {e->since_ms,    e->until_ms, e->doubts,    e->messages,
                                     e->messages_ms, e->idle_ms,  e->idle_at_ms};
    add_number(out, ROW_VERSION, 1);
    add_number(out, e->level, 1);
    add_number(out, e->reason, 1);
    for (size_t i = 0; i < FIELDS; i++) {
        add_number(out, values[i], widths[i]);
    }
    buf_add(out, slice_of(e->key, e->key_len));
}

static bool key_ok(struct slice key)
{
    for (size_t i = 0; i < key.len; i++) {
        unsigned char c = (unsigned char)key.ptr[i];
        if (c <= ' ' || c >= 0x7f) {
            return false;
        }
    }
    return key.len > 0 && key.len <= PEERS_KEY_BYTES;
}

const struct peers_entry *peers_changed(struct peers *p)
{
    struct list *node = list_pop_front(&p->changed);
    return node ? LIST_ENTRY(node, struct peers_entry, changed_link) : NULL;
}

bool peers_restore(struct peers *p, struct slice row, uint64_t now_ms)
{
    uint64_t version, level, reason, values[FIELDS];
    if (!take_number(&row, 1, &version) || version != ROW_VERSION ||
        !take_number(&row, 1, &level) || level > PEERS_STEPWISE || !take_number(&row, 1, &reason) ||
        reason > PEERS_SILENT) {
        return false;
    }
    for (size_t i = 0; i < FIELDS; i++) {
        if (!take_number(&row, widths[i], &values[i])) {
            return false;
        }
    }
    if (!key_ok(row)) {
        return false;
    }
    struct peers_entry read = {.level = (enum peers_level)level,
                               .reason = (enum peers_reason)reason,
                               .since_ms = values[SINCE],
                               .until_ms = values[UNTIL],
                               .doubts = (uint32_t)values[DOUBTS],
                               .messages = (uint32_t)values[MESSAGES],
                               .messages_ms = values[MESSAGES_AT],
                               .idle_ms = (uint32_t)values[IDLE],
                               .idle_at_ms = values[IDLE_AT]};
    return peers_put(p, row, &read, now_ms);
}
