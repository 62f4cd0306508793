/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What the running engine says of a destination. It is asked twice: which sites a domain means (each worker knows
 * what it has routed), then for those sites (each has one owner, which knows the rest).
 */
#include "core/app/cli_explain_live.h"
#include "core/admin/client.h"
#include "core/app/cli_text.h"

#include <json-c/json.h>

enum { LIVE_SITES_MAX = 64, LIVE_LINE_BYTES = 8192 };

struct live_answer {
    struct json_object *lines; /* array */
    bool broken;
};

static void live_on_line(void *ctx, struct slice json)
{
    struct live_answer *a = ctx;
    struct json_tokener *tok = json_tokener_new();
    struct json_object *o = tok ? json_tokener_parse_ex(tok, json.ptr, (int)json.len) : NULL;
    if (tok) {
        json_tokener_free(tok);
    }
    a->broken = a->broken || !o || !json_object_is_type(o, json_type_object);
    if (o) {
        json_object_array_add(a->lines, o);
    }
}

/* False: `error` says why. */
static bool live_ask(struct slice socket, const struct admin_request *req, struct live_answer *a,
                     struct buf *error)
{
    struct admin_client_sink sink = {.line = live_on_line, .ctx = a};
    if (admin_client_call(socket, req, ADMIN_CLIENT_TIMEOUT_MS, &sink, error) != ADMIN_CLIENT_OK) {
        return false;
    }
    if (a->broken) {
        buf_add(error, SLICE("the engine sent a line that this version cannot read"));
    }
    return !a->broken;
}

static uint64_t live_u64(struct json_object *o, const char *key)
{
    return json_object_get_uint64(json_object_object_get(o, key));
}

/* Replies of the other workers' connections join the owner's. */
static struct json_object *live_merge(struct json_object *lines)
{
    struct json_object *owner = NULL, *replies = json_object_new_array();
    for (size_t i = 0; i < json_object_array_length(lines); i++) {
        struct json_object *line = json_object_array_get_idx(lines, i);
        struct json_object *some = json_object_object_get(line, "replies");
        for (size_t k = 0; some && k < json_object_array_length(some); k++) {
            json_object_array_add(replies, json_object_get(json_object_array_get_idx(some, k)));
        }
        if (json_object_get_boolean(json_object_object_get(line, "owner"))) {
            owner = line;
        }
    }
    if (owner) {
        json_object_object_add(json_object_get(owner), "replies", replies);
        json_object_object_del(owner, "site_id");
        json_object_object_del(owner, "owner");
    } else {
        json_object_put(replies);
    }
    return owner;
}

/* Each site once. */
static size_t live_ids(struct json_object *lines, uint64_t ids[LIVE_SITES_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < json_object_array_length(lines) && count < LIVE_SITES_MAX; i++) {
        uint64_t id = live_u64(json_object_array_get_idx(lines, i), "site_id");
        size_t at = 0;
        while (at < count && ids[at] != id) {
            at++;
        }
        if (id && at == count) {
            ids[count++] = id;
        }
    }
    return count;
}

struct json_object *cli_explain_live(struct slice socket, struct slice word, struct buf *error)
{
    struct admin_request req = {.verb = ADMIN_EXPLAIN};
    struct live_answer first = {.lines = json_object_new_array()};
    struct json_object *sites = json_object_new_array();
    uint64_t ids[LIVE_SITES_MAX];
    bool ok = slice_to_cstr(word, req.select.domain, sizeof(req.select.domain)) && word.len;
    ok = ok && live_ask(socket, &req, &first, error);
    size_t count = ok ? live_ids(first.lines, ids) : 0;
    for (size_t i = 0; i < count && ok; i++) {
        struct live_answer a = {.lines = json_object_new_array()};
        struct admin_request at = {.verb = ADMIN_EXPLAIN, .site_id = ids[i]};
        ok = live_ask(socket, &at, &a, error);
        struct json_object *site = ok ? live_merge(a.lines) : NULL;
        json_object_put(a.lines);
        if (site) {
            json_object_array_add(sites, site);
        }
    }
    for (size_t i = 0; ok && i < json_object_array_length(first.lines); i++) {
        struct json_object *line = json_object_array_get_idx(first.lines, i);
        bool alone = json_object_object_get(line, "refusal") &&
                     json_object_array_length(sites) == 0;
        if (alone || json_object_object_get(line, "suspension")) {
            json_object_array_add(sites, json_object_get(line));
        }
    }
    json_object_put(first.lines);
    if (!ok) {
        json_object_put(sites);
        return NULL;
    }
    return sites;
}

/* ---- text ---- */

static void live_add_text(struct buf *out, struct json_object *o, const char *key)
{
    struct json_object *text = json_object_object_get(o, key);
    if (text) {
        cli_text_add(out, slice_of(json_object_get_string(text),
                                   (size_t)json_object_get_string_len(text)));
    }
}

/* What `ringpost overrides ls` says of it at length. */
static void live_add_override(struct buf *out, struct json_object *o)
{
    if (!o) {
        return;
    }
    buf_addf(out, "\n  override     %llu, ", (unsigned long long)live_u64(o, "id"));
    live_add_text(out, o, "action");
    buf_add(out, SLICE(" for "));
    live_add_text(out, o, "scope");
    buf_add(out, json_object_object_get(o, "rule") ? SLICE(", rule ") : SLICE(", by hand"));
    live_add_text(out, o, "rule");
    buf_add(out, SLICE(", until "));
    live_add_text(out, o, "until");
    buf_add(out, SLICE(", over "));
    live_add_text(out, o, "ends");
    bool sample = json_object_object_get(o, "sample") != NULL;
    if (sample || json_object_object_get(o, "reason")) {
        buf_add(out, SLICE("\n  because of   "));
        live_add_text(out, o, sample ? "sample" : "reason");
    }
}

static void live_add_binding(struct buf *out, struct json_object *site)
{
    buf_add(out, SLICE("  held up by   "));
    live_add_text(out, site, "binding");
    if (json_object_object_get(site, "binding_for_ms")) {
        uint64_t ms = live_u64(site, "binding_for_ms");
        buf_add(out, SLICE(", for "));
        if (ms < 1000) {
            buf_addf(out, "%llu ms", (unsigned long long)ms);
        } else {
            cli_text_add_age(out, ms / 1000);
        }
    }
    if (json_object_object_get(site, "because")) {
        buf_add(out, SLICE(", because \""));
        live_add_text(out, site, "because");
        buf_add_byte(out, '"');
    }
    live_add_override(out, json_object_object_get(site, "override"));
    buf_add(out, SLICE("\n  drained in   "));
    if (json_object_object_get(site, "drain_s")) {
        cli_text_add_age(out, live_u64(site, "drain_s"));
    } else {
        buf_add(out, SLICE("unknown"));
    }
    buf_add_byte(out, '\n');
}

static void live_add_replies(struct buf *out, struct json_object *site)
{
    struct json_object *replies = json_object_object_get(site, "replies");
    for (size_t i = 0; replies && i < json_object_array_length(replies); i++) {
        struct json_object *r = json_object_array_get_idx(replies, i);
        buf_add(out, SLICE("  reply        "));
        if (live_u64(r, "code")) {
            buf_addf(out, "%llu ", (unsigned long long)live_u64(r, "code"));
        }
        live_add_text(out, r, "text");
        buf_add(out, SLICE(" ("));
        cli_text_add_age(out, live_u64(r, "ago_s"));
        buf_add(out, SLICE(" ago)\n"));
    }
}

static void live_add_suspension(struct buf *out, struct json_object *o)
{
    buf_add(out, SLICE("\nsuspended: "));
    live_add_text(out, o, "suspension");
    if (json_object_object_get(o, "until")) {
        buf_add(out, SLICE(", until "));
        live_add_text(out, o, "until");
    }
    if (json_object_get_string_len(json_object_object_get(o, "reason"))) {
        buf_add(out, SLICE(" ("));
        live_add_text(out, o, "reason");
        buf_add_byte(out, ')');
    }
    buf_add_byte(out, '\n');
}

static void live_add_site(struct buf *out, struct json_object *site)
{
    struct json_object *c = json_object_object_get(site, "connections");
    struct json_object *r = json_object_object_get(site, "ready");
    if (json_object_object_get(site, "suspension")) {
        live_add_suspension(out, site);
        return;
    }
    if (!c || !r) {
        buf_add(out, SLICE("\nno site: "));
        live_add_text(out, site, "refusal");
        buf_add_byte(out, '\n');
        return;
    }
    buf_add(out, SLICE("\nnow, at site "));
    live_add_text(out, site, "site");
    buf_addf(out, " (worker %llu)\n", (unsigned long long)live_u64(site, "worker"));
    if (json_object_object_get(site, "source")) {
        buf_add(out, SLICE("  source       "));
        live_add_text(out, site, "source");
        buf_add(out, json_object_object_get(site, "source_paused")
                         ? SLICE(" (paused: its address is not on this machine)\n")
                         : SLICE("\n"));
    }
    buf_addf(out, "  connections  %llu of %llu, %llu working\n",
             (unsigned long long)live_u64(c, "granted"), (unsigned long long)live_u64(c, "limit"),
             (unsigned long long)live_u64(c, "working"));
    buf_addf(out, "  ready        %llu urgent, %llu normal, %llu bulk; %llu held, %llu assigned\n",
             (unsigned long long)live_u64(r, "urgent"), (unsigned long long)live_u64(r, "normal"),
             (unsigned long long)live_u64(r, "bulk"), (unsigned long long)live_u64(r, "held"),
             (unsigned long long)live_u64(r, "assigned"));
    buf_addf(out, "  sent         %.1f messages/s lately\n",
             json_object_get_double(json_object_object_get(site, "sent_per_s")));
    live_add_binding(out, site);
    live_add_replies(out, site);
}

void cli_explain_live_add(struct buf *out, struct json_object *sites)
{
    if (json_object_array_length(sites) == 0) {
        buf_add(out, SLICE("\nnow: nothing has gone there lately\n"));
    }
    for (size_t i = 0; i < json_object_array_length(sites); i++) {
        live_add_site(out, json_object_array_get_idx(sites, i));
    }
}
