/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * dkim_rig - keys that are names, for tests of who signs
 *
 * Purpose:   a dkim_table without cryptography: loading "rsa:x" or "ed:x" makes a key called x, "weak:x"
 *            a weak one, "bad…" fails; a path must begin with "/keys/". Keys alive are counted.
 */
#ifndef RINGPOST_TESTS_DKIM_RIG_H
#define RINGPOST_TESTS_DKIM_RIG_H

#include "core/base/must.h"
#include "core/policy/dkim.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

struct dkim_key {
    char name[64];
};

static int rig_alive;
static int rig_loads;

static struct dkim_key *rig_load(struct slice text, bool is_path, struct dkim_key_facts *facts,
                                 struct buf *why)
{
    rig_loads++;
    if (is_path && !slice_starts_nocase(text, SLICE("/keys/"))) {
        buf_addf(why, "cannot be read");
        return NULL;
    }
    text = slice_skip(text, is_path ? 6 : 0);
    struct slice kind = slice_cut(&text, ':');
    if (slice_starts_nocase(kind, SLICE("bad"))) {
        buf_addf(why, "it is bad");
        return NULL;
    }
    struct dkim_key *k = calloc(1, sizeof(*k));
    must(k != NULL && slice_to_cstr(text, k->name, sizeof(k->name)));
    facts->algorithm = slice_eq(kind, SLICE("ed")) ? DKIM_ED25519_SHA256 : DKIM_RSA_SHA256;
    facts->weak = slice_eq(kind, SLICE("weak"));
    facts->bits = facts->weak ? 1024 : 2048;
    rig_alive++;
    return k;
}

static void rig_release(struct dkim_key *k)
{
    rig_alive--;
    free(k);
}

static const struct dkim_key_ops rig_ops = {rig_load, rig_release};

/* "sel=key sel=key" of the rule for a domain, "-" when there is none. */
__attribute__((unused)) static const char *rig_find(const struct dkim_table *t, const char *domain,
                                                    char out[256])
{
    const struct dkim_rule *r = dkim_table_find(t, slice_str(domain));
    size_t used = 0;
    if (!r) {
        return "-";
    }
    for (size_t i = 0; i < r->count; i++) {
        const struct dkim_rule_key *k = &r->keys[i];
        used += (size_t)snprintf(out + used, 256 - used, "%s%.*s=%s@%.*s", i ? " " : "",
                                 SLICE_ARG(k->selector), k->key->name, SLICE_ARG(k->domain));
    }
    return out;
}

#endif
