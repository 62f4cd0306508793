/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What no single line says: rules that can never apply. The most exact match decides (core/policy/
 * shaping.h), so a name of a provider is shadowed only by the same name of another one, never by a suffix.
 */
#include "core/base/must.h"
#include "core/conf/apply.h"
#include "core/conf/shaping_read.h"

static void path_of(struct buf *out, const struct conf_shaping_draft *d)
{
    buf_addf(out, "shaping.%.*s.", SLICE_ARG(conf_shaping_scope_names[d->scope]));
    conf_report_escape(out, d->name);
}

static bool has_match(const struct conf_shaping_draft *d)
{
    for (int kind = 0; kind < CONF_SHAPING_MATCHES; kind++) {
        if (d->match[kind]) {
            return true;
        }
    }
    return false;
}

static void no_match_report(struct conf_shaping_reader *r, const struct conf_shaping_draft *d)
{
    struct slice near = {NULL, 0};
    size_t best = 2 + d->name.len / 5;
    for (const struct conf_shaping_draft *p = r->by[CONF_SHAPING_PROVIDER]; p; p = p->next) {
        bool other = p != d && !p->removed && has_match(p);
        if (other && conf_suggest_nearer(d->name, p->name, &best)) {
            near = p->name;
        }
    }
    struct buf path;
    buf_init(&path, 1024);
    path_of(&path, d);
    conf_report_error(r->load->report, &d->at, buf_slice(&path),
                      "can never apply: it has no match%s%.*s%s",
                      near.len ? "; did you mean " : " (mx_suffix, mx_host, domain, domain_suffix)",
                      SLICE_ARG(near), near.len ? "?" : "");
    buf_deinit(&path);
}

static bool name_is(const struct map_node *node, const void *key)
{
    const struct conf_shaping_draft_name *n = container_of(node, struct conf_shaping_draft_name,
                                                           node);
    const struct conf_shaping_draft_name *k = key;
    return n->kind == k->kind && slice_eq(n->text, k->text);
}

static void twice_report(struct conf_shaping_reader *r, const struct conf_shaping_draft_name *n,
                         const struct conf_shaping_draft_name *other)
{
    struct buf path;
    buf_init(&path, 1024);
    path_of(&path, n->owner);
    buf_addf(&path, ".match.%.*s", SLICE_ARG(conf_shaping_match_names[n->kind]));
    if (other->owner == n->owner) {
        conf_report_error(r->load->report, &n->at, buf_slice(&path), "%.*s is given twice",
                          SLICE_ARG(n->text));
    } else {
        conf_report_error(r->load->report, &n->at, buf_slice(&path),
                          "%.*s can never apply here: provider %.*s has it (%.*s:%u); give it to "
                          "one of them, or unset the other",
                          SLICE_ARG(n->text), SLICE_ARG(other->owner->name),
                          SLICE_ARG(other->at.name), other->at.line);
    }
    buf_deinit(&path);
}

/* names: of the providers before this one. */
static void provider_check(struct conf_shaping_reader *r, struct map *names,
                           struct conf_shaping_draft *d)
{
    for (int kind = 0; kind < CONF_SHAPING_MATCHES; kind++) {
        for (struct conf_shaping_draft_name *n = d->match[kind]; n; n = n->next) {
            uint64_t hash = map_hash(names, n->text);
            struct map_node *found = map_find(names, hash, name_is, n);
            if (found) {
                twice_report(r, n, container_of(found, struct conf_shaping_draft_name, node));
            } else if (!map_insert(names, &n->node, hash)) {
                conf_report_error(r->load->report, &n->at, SLICE("shaping"), "out of memory");
                return;
            }
        }
    }
    if (!has_match(d)) {
        no_match_report(r, d);
    }
}

void conf_shaping_check(struct conf_shaping_reader *r)
{
    struct map names;
    map_init(&names, 0);
    for (struct conf_shaping_draft *d = r->by[CONF_SHAPING_PROVIDER]; d; d = d->next) {
        if (!d->removed) {
            provider_check(r, &names, d);
        }
    }
    map_deinit(&names);
}
