/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Shaping rules from hostile YAML to the table. The text is a file of shaping.d's form: what loads is
 * printed, read back and must be the same; and every destination resolves to values inside their ranges.
 * A byte 0x01 cuts the text into several files that are merged.
 */
#include "core/base/must.h"
#include "core/conf/shaping_read.h"
#include "core/conf/yaml.h"
#include "core/policy/shaping.h"

enum { INPUT_MAX = 1 << 16, NODES_MAX = 20000, ARENA_BYTES = 16 << 20, TEXT_BYTES_MAX = 1 << 22 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct conf_arena *arena_new(void)
{
    struct conf_arena *arena = conf_arena_new(ARENA_BYTES);
    must(arena != NULL);
    return arena;
}

/* The rules of all parts; NULL when there was an error, which must have been said. */
static struct conf_shaping *rules_load(struct slice text, bool builtin)
{
    struct conf_arena *arena = arena_new();
    struct conf_origin at = {.kind = CONF_FROM_DEFAULT};
    struct conf_node *trees = conf_node_new(arena, CONF_NODE_LIST, &at);
    struct buf errors;
    buf_init(&errors, TEXT_BYTES_MAX);
    struct conf_report report = {.errors = &errors};
    size_t nodes = NODES_MAX;
    while (text.len) {
        struct slice part = slice_cut(&text, '\x01');
        struct conf_node *root = conf_yaml_read(part, SLICE("f.yaml"), arena, &report, &nodes);
        if (root) {
            conf_shaping_append(trees, root, &report);
        }
    }
    struct conf_shaping_load load = {trees, &report, builtin, false};
    struct conf_shaping *s = conf_shaping_load(&load);
    must(s != NULL);
    must((report.error_count > 0) == (errors.len > 0));
    must(errors.len == 0 || errors.ptr[errors.len - 1] == '\n');
    for (size_t i = 0; i < errors.len; i++) {
        unsigned char c = (unsigned char)errors.ptr[i];
        must(c == '\n' || (c >= 0x20 && c != 0x7f));
    }
    if (report.error_count) {
        conf_shaping_free(s);
        s = NULL;
    }
    buf_deinit(&errors);
    conf_arena_free(arena);
    return s;
}

static void value_check(enum conf_shaping_option o, const struct conf_shaping_value *v)
{
    if (conf_shaping_is_rate(o)) {
        if (v->rate.count) {
            struct rate_rule rule = shaping_rate_rule(&v->rate, 1 << 20);
            struct rate rate;
            rate_init(&rate, &rule, 1);
            must(rate_take(&rate, &rule, 1, 1));
        }
    } else if (v->state == CONF_SHAPING_SET) {
        struct conf_key key = conf_shaping_key(o);
        must(key.type == CONF_ENUM || (v->number >= key.min && v->number <= key.max));
    }
}

static void settings_check(const struct shaping_settings *s)
{
    for (int o = 0; o < CONF_SHAPING_OPTIONS; o++) {
        value_check((enum conf_shaping_option)o, &s->own[o].v);
        must(s->own[o].v.state == CONF_SHAPING_SILENT || s->own[o].at != NULL);
    }
    for (int o = 0; o < CONF_SHAPING_BUDGETS; o++) {
        must(!s->shared[o].rule || (s->provider && s->shared[o].v.shared));
        value_check((enum conf_shaping_option)o, &s->shared[o].v);
    }
}

static void names_try(const struct shaping_table *t, struct slice name)
{
    struct slice below = slice_skip(name, name.len ? 1 : 0);
    struct shaping_host hosts[3] = {{name, 1}, {below, 1}, {SLICE("mx.a.example"), 2}};
    struct shaping_query q = {.domain = name,
                              .source = below,
                              .hosts = hosts,
                              .host_count = ARRAY_COUNT(hosts)};
    struct shaping_settings s;
    shaping_resolve(t, &q, &s);
    settings_check(&s);
    for (int scope = CONF_SHAPING_SOURCE; scope < CONF_SHAPING_SCOPES; scope++) {
        shaping_resolve_total(t, (enum conf_shaping_scope)scope, name, &s);
        settings_check(&s);
    }
}

/* Every provider is reached by each of its own names, and every domain by its name. */
static void rules_reached(const struct shaping_table *t, const struct conf_shaping *s)
{
    const struct conf_shaping_rules *providers = &s->by[CONF_SHAPING_PROVIDER];
    struct shaping_settings out;
    for (size_t i = 0; i < providers->count; i++) {
        const struct conf_names *hosts = &providers->items[i].match[CONF_SHAPING_MX_HOST];
        for (size_t k = 0; k < hosts->count; k++) {
            struct shaping_host host = {hosts->items[k], 1};
            struct shaping_query q = {.hosts = &host, .host_count = 1};
            shaping_resolve(t, &q, &out);
            must(out.provider == &providers->items[i]);
        }
    }
    for (size_t i = 0; i < s->by[CONF_SHAPING_DOMAIN].count; i++) {
        struct shaping_query q = {.domain = s->by[CONF_SHAPING_DOMAIN].items[i].name};
        shaping_resolve(t, &q, &out);
        must(out.domain == &s->by[CONF_SHAPING_DOMAIN].items[i]);
        settings_check(&out);
    }
}

static void round_trip(const struct conf_shaping *s)
{
    struct buf once, twice;
    buf_init(&once, TEXT_BYTES_MAX);
    buf_init(&twice, TEXT_BYTES_MAX);
    buf_add(&once, SLICE("shaping:\n"));
    conf_shaping_print(s, &once);
    must(!once.overflow);
    if (once.len > slice_str("shaping:\n").len) {
        struct conf_shaping *back = rules_load(buf_slice(&once), true);
        must(back != NULL);
        buf_add(&twice, SLICE("shaping:\n"));
        conf_shaping_print(back, &twice);
        must(slice_eq(buf_slice(&once), buf_slice(&twice)));
        conf_shaping_free(back);
    }
    buf_deinit(&once);
    buf_deinit(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct conf_source none = {.file = NULL};
    struct buf errors;
    if (size > INPUT_MAX) {
        return 0;
    }
    struct conf_shaping *s = rules_load(slice_of(data, size), true);
    if (!s) {
        return 0;
    }
    buf_init(&errors, 1 << 16);
    struct conf *conf = conf_load(&none, &errors, NULL);
    must(conf != NULL);
    const struct conf_shaping *was = conf->shaping.rules;
    conf->shaping.rules = s;
    struct shaping_table *t = shaping_table_new(conf);
    must(t != NULL);
    struct slice rest = slice_of(data, size);
    for (int i = 0; i < 16 && rest.len; i++) {
        names_try(t, slice_trim(slice_cut(&rest, ':')));
    }
    rules_reached(t, s);
    round_trip(s);
    shaping_table_free(t);
    conf->shaping.rules = was;
    conf_free(conf);
    conf_shaping_free(s);
    buf_deinit(&errors);
    return 0;
}
