/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A peer as a row that outlives a restart: version, level, reason, then numbers, least significant byte
 * first, then for each topic the address and the reply that taught it, with a byte of length before either, then
 * the key. A row is at most PEERS_ROW_BYTES.
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

must_static(PEERS_REPLY_BYTES <= 255 && IP_TEXT_MAX <= 255, "a byte of length");

static void add_text(struct buf *out, struct slice text)
{
    add_number(out, text.len, 1);
    buf_add(out, text);
}

static bool take_text(struct slice *row, size_t max, struct slice *text)
{
    uint64_t n;
    if (!take_number(row, 1, &n) || n > max || n > row->len) {
        return false;
    }
    *text = slice_first(*row, (size_t)n);
    *row = slice_skip(*row, (size_t)n);
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
    for (unsigned i = 0; i < PEERS_TOPIC_COUNT; i++) {
        struct peers_witness w = peers_witness_of(e, (enum peers_topic)i);
        add_text(out, w.address);
        add_text(out, w.reply);
    }
    buf_add(out, peers_entry_key(e));
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

static bool take_witnesses(struct slice *row, struct peers_witness witness[PEERS_TOPIC_COUNT])
{
    for (unsigned i = 0; i < PEERS_TOPIC_COUNT; i++) {
        if (!take_text(row, IP_TEXT_MAX, &witness[i].address) ||
            !take_text(row, PEERS_REPLY_BYTES, &witness[i].reply)) {
            return false;
        }
    }
    return true;
}

enum peers_restored peers_restore(struct peers *p, struct slice row, uint64_t now_ms,
                                  struct peers_entry **entry)
{
    uint64_t version, level, reason, values[FIELDS];
    struct peers_read read = {0};
    if (!take_number(&row, 1, &version) || version != ROW_VERSION ||
        !take_number(&row, 1, &level) || level > PEERS_STEPWISE || !take_number(&row, 1, &reason) ||
        reason > PEERS_SILENT) {
        return PEERS_REFUSED;
    }
    for (size_t i = 0; i < FIELDS; i++) {
        if (!take_number(&row, widths[i], &values[i])) {
            return PEERS_REFUSED;
        }
    }
    if (!take_witnesses(&row, read.witness) || !key_ok(row)) {
        return PEERS_REFUSED;
    }
    read.key = row;
    const struct peers_entry what = {.level = (enum peers_level)level,
                                     .reason = (enum peers_reason)reason,
                                     .since_ms = values[SINCE],
                                     .until_ms = values[UNTIL],
                                     .doubts = (uint32_t)values[DOUBTS],
                                     .messages = (uint32_t)values[MESSAGES],
                                     .messages_ms = values[MESSAGES_AT],
                                     .idle_ms = (uint32_t)values[IDLE],
                                     .idle_at_ms = values[IDLE_AT]};
    read.what = &what;
    return peers_merge(p, &read, now_ms, entry);
}
