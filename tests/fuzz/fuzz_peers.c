/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Rows of what was learned of servers: whatever the disk says, the table stays sound, and what it has taken it writes
 * down in a way that it takes again and finds nothing new in.
 */
#include "core/base/must.h"
#include "core/policy/peers.h"

#define NOW UINT64_C(1800000000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void count(void *ctx, const struct peers_fact *f)
{
    must(f->key.len > 0 && f->witness.reply.len <= PEERS_REPLY_BYTES);
    must(f->until_ms <= NOW + 2 * (uint64_t)PEERS_SURE_MS);
    (*(unsigned *)ctx)++;
}

/* Two rows: the first byte says how long the first one is. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct peers p;
    struct peers_entry *e;
    struct buf out;
    struct slice all = slice_of((const char *)data, size);
    size_t first = size ? data[0] : 0;
    all = slice_skip(all, size > 0);
    first = first < all.len ? first : all.len;
    const struct slice rows[] = {slice_first(all, first), slice_skip(all, first)};
    peers_init(&p, 1, 2);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        if (peers_restore(&p, rows[i], NOW, &e) == PEERS_REFUSED) {
            continue;
        }
        must(peers_holds(e, NOW));
        buf_init(&out, PEERS_ROW_BYTES);
        peers_encode(e, &out);
        must(!out.overflow);
        must(peers_restore(&p, buf_slice(&out), NOW, &e) == PEERS_KNOWN);
        buf_deinit(&out);
    }
    unsigned facts = 0;
    peers_each(&p, NOW, count, &facts);
    must((facts > 0) == (p.by_key.count > 0));
    peers_deinit(&p);
    return 0;
}
