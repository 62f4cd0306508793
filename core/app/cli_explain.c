/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * explain: the shaping of one destination, where each value was written, and what the engine makes of it now.
 */
#include "core/app/cli_command.h"
#include "core/app/cli_explain_live.h"
#include "core/app/lookup.h"
#include "core/conf/shaping_option.h"
#include "core/policy/shaping.h"

#include <json-c/json.h>

enum { EXPLAIN_HOSTS_MAX = 64, EXPLAIN_TEXT_BYTES_MAX = 4096 };

struct explain {
    struct shaping_host hosts[EXPLAIN_HOSTS_MAX];
    struct shaping_query query;
    const struct dns_plan *plan; /* owns the names, or NULL */
    struct shaping_settings settings;
};

/* ---- the hosts ----------------------------------------------------------------------------- */

static void host_put(struct explain *e, struct slice name, uint16_t preference)
{
    if (e->query.host_count < EXPLAIN_HOSTS_MAX) {
        e->hosts[e->query.host_count++] = (struct shaping_host){name, preference};
    }
}

static bool hosts_find(struct cli *cli, const struct cli_args *args, const struct conf *conf,
                       struct explain *e)
{
    struct buf why;
    e->query.domain = slice_str(args->words[0]);
    e->query.source = slice_str(args->source);
    e->query.hosts = e->hosts;
    if (conf->relay.host.count && args->word_count == 1) {
        /* Everything goes there, whatever its domain. */
        e->query.relay = true;
        e->query.domain = (struct slice){NULL, 0};
        for (size_t i = 0; i < conf->relay.host.count; i++) {
            host_put(e, conf->relay.host.items[i].name, 0);
        }
        return true;
    }
    for (size_t i = 1; i < args->word_count; i++) {
        host_put(e, slice_str(args->words[i]), 0);
    }
    if (e->query.host_count) {
        return true;
    }
    buf_init(&why, EXPLAIN_TEXT_BYTES_MAX);
    e->plan = lookup_hosts(conf, NULL, e->query.domain, true, &why);
    for (size_t i = 0; e->plan && i < e->plan->host_count; i++) {
        host_put(e, e->plan->hosts[i].name, e->plan->hosts[i].preference);
    }
    if (e->query.host_count == 0) {
        struct slice text = e->plan && e->plan->text.len ? e->plan->text : buf_slice(&why);
        fprintf(cli->err,
                "ringpost: the MX hosts of %s are not known (%.*s), so neither is the provider; "
                "name them behind the domain\n",
                args->words[0], SLICE_ARG(text));
    }
    buf_deinit(&why);
    return e->query.host_count > 0;
}

/* ---- values -------------------------------------------------------------------------------- */

static void value_add(struct buf *out, enum conf_shaping_option o, const struct shaping_value *v)
{
    if (conf_shaping_is_rate(o)) {
        if (v->v.rate.count == 0) {
            buf_add(out, SLICE("no limit"));
            return;
        }
        conf_rate_add(out, o, &v->v.rate);
        buf_add(out, SLICE(", burst "));
        conf_rate_burst_add(out, o, &v->v.rate);
        return;
    }
    struct conf_shaping_value plain = {.state = CONF_SHAPING_SET, .number = v->v.number};
    conf_shaping_value_add(out, o, &plain);
}

static void origin_add(struct buf *out, const struct shaping_value *v)
{
    if (v->at) {
        buf_addf(out, "%.*s:%u", SLICE_ARG(v->at->name), v->at->line);
        buf_add(out, v->v.state == CONF_SHAPING_UNSET ? SLICE(" (unset)") : SLICE(""));
    } else if (v->key) {
        buf_add(out, slice_str(v->key));
    } else {
        buf_add(out, SLICE("default"));
    }
}

static bool applies(enum conf_shaping_option o)
{
    return (conf_shaping_rows[o].scopes & 1u << CONF_SHAPING_DEFAULT) != 0;
}

/* ---- text ---------------------------------------------------------------------------------- */

static void line_add(struct buf *out, const char *name, enum conf_shaping_option o,
                     const struct shaping_value *v)
{
    char text[EXPLAIN_TEXT_BYTES_MAX];
    struct buf value;
    buf_init(&value, sizeof(text));
    value_add(&value, o, v);
    buf_addf(out, "%-27s %-22.*s ", name, SLICE_ARG(buf_slice(&value)));
    origin_add(out, v);
    buf_add_byte(out, '\n');
    buf_deinit(&value);
}

static void head_add(struct buf *out, const struct explain *e, const char *domain)
{
    buf_addf(out, e->query.relay ? "%s goes to relay.host:" : "%s goes to", domain);
    for (size_t i = 0; i < e->query.host_count; i++) {
        buf_addf(out, "%s %.*s", i ? "," : "", SLICE_ARG(e->query.hosts[i].name));
    }
    buf_addf(out, "\nprovider: ");
    if (e->settings.provider) {
        buf_addf(out, "%.*s (%.*s:%u)\n", SLICE_ARG(e->settings.provider->name),
                 SLICE_ARG(e->settings.provider->at.name), e->settings.provider->at.line);
    } else {
        buf_add(out, SLICE("none\n"));
    }
    if (e->settings.domain) {
        buf_addf(out, "rule of the domain: %.*s:%u; it shares connections with no other domain\n",
                 SLICE_ARG(e->settings.domain->at.name), e->settings.domain->at.line);
    }
    buf_add_byte(out, '\n');
}

static void text_add(struct buf *out, const struct explain *e, const char *domain)
{
    head_add(out, e, domain);
    for (int i = 0; i < CONF_SHAPING_OPTIONS; i++) {
        enum conf_shaping_option o = (enum conf_shaping_option)i;
        if (!applies(o)) {
            continue;
        }
        line_add(out, conf_shaping_rows[o].name.ptr, o, &e->settings.own[o]);
        if (o < CONF_SHAPING_BUDGETS && e->settings.shared[o].rule) {
            line_add(out, "  all of the provider", o, &e->settings.shared[o]);
        }
    }
}

/* ---- JSON ---------------------------------------------------------------------------------- */

static struct json_object *json_text(struct slice s)
{
    return json_object_new_string_len(s.len ? s.ptr : "", (int)s.len);
}

static struct json_object *json_value(enum conf_shaping_option o, const struct shaping_value *v)
{
    struct json_object *json = json_object_new_object();
    struct buf text;
    buf_init(&text, EXPLAIN_TEXT_BYTES_MAX);
    if (conf_shaping_is_rate(o) && v->v.rate.count == 0) {
        json_object_object_add(json, "value", NULL);
    } else if (conf_shaping_is_rate(o)) {
        conf_rate_add(&text, o, &v->v.rate);
        json_object_object_add(json, "value", json_text(buf_slice(&text)));
        json_object_object_add(json, "burst", json_object_new_uint64(v->v.rate.burst));
    } else if (conf_shaping_rows[o].kind == CONF_SHAPING_COUNT) {
        json_object_object_add(json, "value", json_object_new_uint64(v->v.number));
    } else {
        value_add(&text, o, v);
        json_object_object_add(json, "value", json_text(buf_slice(&text)));
    }
    buf_clear(&text);
    origin_add(&text, v);
    json_object_object_add(json, "set_by", json_text(buf_slice(&text)));
    buf_deinit(&text);
    return json;
}

static struct json_object *json_options(const struct explain *e)
{
    struct json_object *options = json_object_new_object();
    for (int i = 0; i < CONF_SHAPING_OPTIONS; i++) {
        enum conf_shaping_option o = (enum conf_shaping_option)i;
        if (!applies(o)) {
            continue;
        }
        struct json_object *json = json_value(o, &e->settings.own[o]);
        if (o < CONF_SHAPING_BUDGETS && e->settings.shared[o].rule) {
            json_object_object_add(json, "provider", json_value(o, &e->settings.shared[o]));
        }
        json_object_object_add(options, conf_shaping_rows[o].name.ptr, json);
    }
    return options;
}

static void json_rules_add(struct json_object *all, const struct explain *e)
{
    struct json_object *hosts = json_object_new_array();
    for (size_t i = 0; i < e->query.host_count; i++) {
        json_object_array_add(hosts, json_text(e->query.hosts[i].name));
    }
    const struct conf_shaping_rule *provider = e->settings.provider;
    json_object_object_add(all, "relay", json_object_new_boolean(e->query.relay));
    json_object_object_add(all, "hosts", hosts);
    json_object_object_add(all, "provider", provider ? json_text(provider->name) : NULL);
    json_object_object_add(all, "own_site", json_object_new_boolean(e->settings.group != 0));
    json_object_object_add(all, "options", json_options(e));
}

/* e: NULL: a site's key, no rule is looked up. live: null: the engine was not reached. */
static void json_print(struct cli *cli, const struct explain *e, const char *word,
                       struct json_object *live)
{
    struct json_object *all = json_object_new_object();
    json_object_object_add(all, e ? "domain" : "site", json_object_new_string(word));
    if (e) {
        json_rules_add(all, e);
    }
    json_object_object_add(all, "live", json_object_get(live));
    fprintf(cli->out, "%s\n", json_object_to_json_string_ext(all, JSON_C_TO_STRING_PLAIN));
    json_object_put(all);
}

/* The key of a site, "10:mx.example.org:25", and no domain: nothing is looked up for it. */
static bool is_key(const char *word)
{
    return strchr(word, ':') && word[0] != '[';
}

static void answer_print(struct cli *cli, const struct cli_args *args, const struct explain *e,
                         const struct conf *conf)
{
    const char *word = args->words[0];
    struct buf why, out;
    buf_init(&why, EXPLAIN_TEXT_BYTES_MAX);
    buf_init(&out, 256 * 1024);
    struct slice socket = args->socket ? slice_str(args->socket) : conf->admin.socket;
    struct json_object *live = cli_explain_live(socket, slice_str(word), &why);
    if (args->json) {
        json_print(cli, is_key(word) ? NULL : e, word, live);
    } else {
        if (!is_key(word)) {
            text_add(&out, e, word);
        }
        if (live) {
            cli_explain_live_add(&out, live);
        } else {
            buf_addf(&out, "\nnow: not known, %.*s\n", SLICE_ARG(buf_slice(&why)));
        }
        fprintf(cli->out, "%.*s", SLICE_ARG(buf_slice(&out)));
    }
    json_object_put(live);
    buf_deinit(&out);
    buf_deinit(&why);
}

int cli_explain(struct cli *cli, const struct cli_args *args)
{
    struct conf_source src = cli_conf_source(cli, args);
    struct explain e = {.plan = NULL};
    struct shaping_table *table = NULL;
    int status = conf_failure_status(&src);
    struct conf *conf = cli_conf_load(cli, &src);
    if (!conf) {
        return status;
    }
    status = CLI_FAILURE;
    table = shaping_table_new(conf);
    if (!table) {
        fprintf(cli->err, "ringpost: out of memory\n");
        goto out;
    }
    if (!is_key(args->words[0])) {
        if (!hosts_find(cli, args, conf, &e)) {
            goto out;
        }
        shaping_resolve(table, &e.query, &e.settings);
    }
    answer_print(cli, args, &e, conf);
    status = CLI_OK;
out:
    dns_plan_put(&e.plan);
    shaping_table_free(table);
    conf_free(conf);
    return status;
}
