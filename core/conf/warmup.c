/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/conf/warmup.h"

#include "core/base/must.h"
#include "core/conf/shaping.h"
#include "core/conf/value_names.h"

#include <stdio.h>

/* ---- lists of days ---- */

bool conf_warmup_next(struct slice *days, uint32_t *out)
{
    uint64_t n;
    if (days->len == 0 || !slice_to_u64(slice_cut(days, ' '), &n) || n < 1 ||
        n > CONF_WARMUP_COUNT_MAX) {
        return false;
    }
    *out = (uint32_t)n;
    return true;
}

bool conf_warmup_days_parse(const struct conf_key *key, struct slice text, union conf_value *out,
                            struct buf *why)
{
    (void)key;
    struct slice days = text;
    struct slice name = slice_cut(&days, ':');
    struct slice rest = days;
    uint32_t n, count = 0;
    if (!conf_label_valid(name) || name.len > CONF_SHAPING_NAME_BYTES_MAX) {
        conf_value_show(why, text);
        buf_add(why, SLICE(" is not a provider with its days, like google: [20, 50, 100]"));
        return false;
    }
    bool ok = rest.len > 0;
    while (ok && rest.len) {
        ok = conf_warmup_next(&rest, &n) && ++count <= CONF_WARMUP_DAYS_MAX;
    }
    if (!ok) {
        buf_addf(why, "%.*s: ", SLICE_ARG(name));
        conf_value_show(why, days);
        buf_addf(why, " is not a list of 1–%d numbers of messages (1–%llu)", CONF_WARMUP_DAYS_MAX,
                 (unsigned long long)CONF_WARMUP_COUNT_MAX);
        return false;
    }
    out->warmup = (struct conf_warmup_list){name, days};
    return true;
}

void conf_warmup_days_print(const struct conf_key *key, const union conf_value *v, struct buf *out)
{
    (void)key;
    buf_addf(out, "%.*s:%.*s", SLICE_ARG(v->warmup.provider), SLICE_ARG(v->warmup.days));
}

/* What is no list of plain values is left to the messages of every list. */
static void flatten_one(struct conf_apply *a, struct conf_node *n)
{
    size_t len = n->key.len + 1 + (n->kind == CONF_NODE_SCALAR ? n->text.len : 0);
    for (const struct conf_node *d = n->first; d; d = d->next) {
        if (d->kind != CONF_NODE_SCALAR || n->kind != CONF_NODE_LIST) {
            return;
        }
        len += d->text.len + 1;
    }
    struct buf text;
    buf_init(&text, len);
    buf_add(&text, n->key);
    buf_add_byte(&text, ':');
    if (n->kind == CONF_NODE_SCALAR) {
        buf_add(&text, n->text);
    }
    for (const struct conf_node *d = n->first; d; d = d->next) {
        buf_add(&text, d->text);
        if (d->next) {
            buf_add_byte(&text, ' ');
        }
    }
    n->text = conf_arena_copy(a->arena, buf_slice(&text));
    n->first = NULL;
    n->kind = CONF_NODE_SCALAR;
    buf_deinit(&text);
}

void conf_warmup_flatten(struct conf_apply *a, struct conf_node *map)
{
    for (struct conf_node *n = map->first; n; n = n->next) {
        flatten_one(a, n);
    }
    map->kind = CONF_NODE_LIST;
}

const struct conf_warmup_plan *conf_warmup_plan(const struct conf *c, struct slice name)
{
    for (size_t i = 0; i < c->warmup_plans.count; i++) {
        if (slice_eq(c->warmup_plans.items[i].name, name)) {
            return &c->warmup_plans.items[i];
        }
    }
    return NULL;
}

/* ---- one against the other ---- */

struct warmup_check {
    struct conf_report *report;
    const struct conf_node *root;
    const struct conf *c;
};

/* "warmup_plans[2].days", and where it was written. */
struct warmup_place {
    struct conf_origin at;
    char text[64];
    struct slice path;
};

static struct warmup_place place_of(const struct warmup_check *k, struct slice group, size_t index,
                                    const char *leaf)
{
    struct warmup_place p = {.at = {.kind = CONF_FROM_DEFAULT}};
    const struct conf_node *list = conf_node_find(k->root, group);
    const struct conf_node *item = list ? conf_node_at(list, index) : NULL;
    const struct conf_node *node = item ? conf_node_find(item, slice_str(leaf)) : NULL;
    if (item) {
        p.at = node ? node->origin : item->origin;
    }
    int n = snprintf(p.text, sizeof(p.text), "%.*s[%zu].%s", SLICE_ARG(group), index, leaf);
    must(n > 0 && (size_t)n < sizeof(p.text));
    return p;
}

static void check_providers(const struct warmup_check *k, size_t i)
{
    const struct conf_warmup_plan *plan = &k->c->warmup_plans.items[i];
    const struct conf_shaping_rules *known = &k->c->shaping.rules->by[CONF_SHAPING_PROVIDER];
    struct warmup_place p = place_of(k, SLICE("warmup_plans"), i, "providers");
    for (size_t n = 0; n < plan->providers.count; n++) {
        struct slice name = plan->providers.items[n].provider;
        bool found = false, twice = false;
        for (size_t r = 0; r < known->count && !found; r++) {
            found = slice_eq(known->items[r].name, name);
        }
        for (size_t j = 0; j < n && !twice; j++) {
            twice = slice_eq(plan->providers.items[j].provider, name);
        }
        if (!found) {
            conf_report_error(k->report, &p.at, slice_str(p.text),
                              "%.*s is no provider; `shaping.providers` says which there are",
                              SLICE_ARG(name));
        } else if (twice) {
            conf_report_error(k->report, &p.at, slice_str(p.text), "%.*s is there twice",
                              SLICE_ARG(name));
        }
    }
}

static void check_plan(const struct warmup_check *k, size_t i)
{
    const struct conf_warmup_plan *plan = &k->c->warmup_plans.items[i];
    struct warmup_place p = place_of(k, SLICE("warmup_plans"), i, "name");
    if (plan->name.len == 0) {
        conf_report_error(k->report, &p.at, slice_str(p.text), "must be given");
    } else if (conf_warmup_plan(k->c, plan->name) != plan) {
        conf_report_error(k->report, &p.at, slice_str(p.text), "%.*s is there twice",
                          SLICE_ARG(plan->name));
    }
    if (plan->days.count == 0) {
        p = place_of(k, SLICE("warmup_plans"), i, "days");
        conf_report_error(k->report, &p.at, slice_str(p.text),
                          "must be given: how many messages on the first day, on the second …");
    }
    if (plan->hold_at > plan->step_back_at) {
        p = place_of(k, SLICE("warmup_plans"), i, "step_back_at");
        conf_report_error(k->report, &p.at, slice_str(p.text),
                          "%u%% is less than hold_at (%u%%): no day would ever be held",
                          plan->step_back_at, plan->hold_at);
    }
}

static void check_source(const struct warmup_check *k, size_t i)
{
    const struct conf_egress_source *s = &k->c->sources.items[i];
    if (s->warmup.len && !conf_warmup_plan(k->c, s->warmup)) {
        struct warmup_place p = place_of(k, SLICE("sources"), i, "warmup");
        conf_report_error(k->report, &p.at, slice_str(p.text),
                          "%.*s is no plan; `warmup_plans` says which there are",
                          SLICE_ARG(s->warmup));
    }
}

void conf_warmup_check(struct conf_report *report, const struct conf_node *root,
                       const struct conf *c)
{
    const struct warmup_check k = {report, root, c};
    for (size_t i = 0; i < c->warmup_plans.count; i++) {
        check_plan(&k, i);
        check_providers(&k, i);
    }
    for (size_t i = 0; i < c->sources.count; i++) {
        check_source(&k, i);
    }
}
