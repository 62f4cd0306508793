/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Compared is what would be printed: one comparison for every type, and a key that is only written
 * differently ("60s", "1m") has not changed.
 */
#include "core/base/must.h"
#include "core/conf/conf.h"
#include "core/conf/print.h"

enum { VALUE_BYTES_MAX = 256 * 1024 };

struct item_list {
    const char *items;
    size_t count;
};

/* All items of a list group for one of its keys: "25, 587". */
static void values_add(struct buf *out, const struct conf_key *key, const struct conf_group *g,
                       const struct conf *c)
{
    struct item_list list;
    if (!g || !conf_group_is_list(g)) {
        conf_key_value_add(out, key, c);
        return;
    }
    memcpy(&list, (const char *)c + g->offset, sizeof(list));
    for (size_t i = 0; i < list.count; i++) {
        buf_add(out, i ? SLICE(", ") : SLICE(""));
        conf_key_value_add(out, key, list.items + i * g->item_size);
    }
}

size_t conf_reload_diff(const struct conf *old, const struct conf *new, struct buf *refused)
{
    size_t count = 0;
    struct buf a, b;
    must(old != NULL && new != NULL);
    buf_init(&a, VALUE_BYTES_MAX);
    buf_init(&b, VALUE_BYTES_MAX);
    for (size_t i = 0; i < conf_table.key_count; i++) {
        const struct conf_key *key = &conf_table.keys[i];
        const struct conf_group *g = conf_key_group(&conf_table, key);
        if (key->flags & CONF_RELOAD) {
            continue;
        }
        buf_clear(&a);
        buf_clear(&b);
        values_add(&a, key, g, old);
        values_add(&b, key, g, new);
        must(!a.overflow && !b.overflow);
        if (!slice_eq(buf_slice(&a), buf_slice(&b))) {
            buf_addf(refused, "%.*s: needs a restart (%.*s is in effect, %.*s is asked for)\n",
                     SLICE_ARG(key->path), SLICE_ARG(buf_slice(&a)), SLICE_ARG(buf_slice(&b)));
            count++;
        }
    }
    buf_deinit(&a);
    buf_deinit(&b);
    return count;
}
