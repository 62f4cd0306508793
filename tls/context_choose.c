/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Of the certificates for the name asked for: one the client can verify, ECDSA before RSA (a fifth of
 * the work). When there is none, one for another name is better than no encryption: most clients on
 * port 25 look at no name at all, and those that do will say so.
 */
#include "tls/context_private.h"
#include "tls/name.h"

#include "core/base/must.h"

static bool is_for(const struct tls_context_entry *e, struct slice name)
{
    struct slice rest = buf_slice(&e->names);
    while (rest.len > 0) {
        if (tls_name_match(slice_cut(&rest, '\n'), name) == TLS_NAME_MATCHES) {
            return true;
        }
    }
    return false;
}

/* Shares the first name of the default certificate, which may be a pattern. */
static bool is_default(const struct tls_context *c, const struct tls_context_entry *e)
{
    struct slice first = buf_slice(&c->entries[0].names), rest = buf_slice(&e->names);
    first = slice_cut(&first, '\n');
    if (e == &c->entries[0]) {
        return true;
    }
    while (first.len > 0 && rest.len > 0) {
        if (slice_eq_nocase(slice_cut(&rest, '\n'), first)) {
            return true;
        }
    }
    return false;
}

enum group { GROUP_NAME, GROUP_DEFAULT, GROUP_ANY };

static bool is_in(const struct tls_context *c, const struct tls_context_entry *e, enum group group,
                  struct slice name)
{
    switch (group) {
    case GROUP_NAME:
        return name.len > 0 && is_for(e, name);
    case GROUP_DEFAULT:
        return is_default(c, e);
    case GROUP_ANY:
        return true;
    }
    must(false);
}

const struct tls_context_entry *tls_context_choose(const struct tls_context *c,
                                                   const struct tls_hello *hello)
{
    struct slice name = slice_of(hello->server_name, hello->server_name_len);
    bool tls13 = hello->version_max >= 0x0304 && c->versions != TLS_VERSIONS_ONLY_12;
    unsigned usable = tls13 ? hello->keys_tls13 : hello->keys_tls12;
    must(c->is_server && c->count > 0);
    for (enum group group = GROUP_NAME; group <= GROUP_ANY; group++) {
        const struct tls_context_entry *best = NULL;
        for (size_t i = 0; i < c->count; i++) {
            const struct tls_context_entry *e = &c->entries[i];
            bool better = !best || (best->key == TLS_KEY_RSA && e->key != TLS_KEY_RSA);
            if (better && (usable & (1U << e->key)) && is_in(c, e, group, name)) {
                best = e;
            }
        }
        if (best) {
            return best;
        }
    }
    return NULL;
}
