/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/app/cli_table.h"
#include "core/app/cli_text.h"
#include "core/base/must.h"

#include <json-c/json.h>
#include <time.h>

enum { TABLE_JSON_DEPTH_MAX = 16, TABLE_NEST_MAX = 4 };

/* One JSON object and nothing behind it; NULL otherwise. */
static struct json_object *table_parse(struct slice json)
{
    if (json.len == 0 || json.len > INT32_MAX) {
        return NULL;
    }
    struct json_tokener *tok = json_tokener_new_ex(TABLE_JSON_DEPTH_MAX);
    if (!tok) {
        return NULL;
    }
    json_tokener_set_flags(tok, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    struct json_object *o = json_tokener_parse_ex(tok, json.ptr, (int)json.len);
    bool whole = json_tokener_get_error(tok) == json_tokener_success &&
                 json_tokener_get_parse_end(tok) == json.len;
    json_tokener_free(tok);
    if (o && (!whole || !json_object_is_type(o, json_type_object))) {
        json_object_put(o);
        o = NULL;
    }
    return o;
}

static struct slice table_text(struct json_object *o, const char *key)
{
    struct json_object *v = NULL;
    if (!json_object_object_get_ex(o, key, &v) || !json_object_is_type(v, json_type_string)) {
        return SLICE("");
    }
    return slice_of(json_object_get_string(v), (size_t)json_object_get_string_len(v));
}

static uint64_t table_number(struct json_object *o, const char *key)
{
    struct json_object *v = NULL;
    if (!json_object_object_get_ex(o, key, &v) || !json_object_is_type(v, json_type_int)) {
        return 0;
    }
    return json_object_get_uint64(v); /* negative: 0 */
}

static struct json_object *table_list(struct json_object *o, const char *key)
{
    struct json_object *v = NULL;
    return json_object_object_get_ex(o, key, &v) && json_object_is_type(v, json_type_array) ? v
                                                                                            : NULL;
}

/* Fills up to a column that began at `from`. */
static void table_pad(struct buf *out, size_t from, size_t width)
{
    do {
        buf_add_byte(out, ' ');
    } while (out->len < from + width && !out->overflow);
}

/* "2026-11-21T11:25:00.123456Z" to seconds; false when it is not one. */
static bool table_time(struct slice text, uint64_t *seconds)
{
    char copy[40];
    struct tm tm = {0};
    if (!slice_to_cstr(text, copy, sizeof(copy)) || !strptime(copy, "%Y-%m-%dT%H:%M:%S", &tm)) {
        return false;
    }
    time_t t = timegm(&tm);
    if (t < 0) {
        return false;
    }
    *seconds = (uint64_t)t;
    return true;
}

static void table_add_rcpt(struct buf *out, struct json_object *r, uint64_t now_s)
{
    uint64_t attempts = table_number(r, "attempts"), next;
    struct slice at = table_text(r, "next_attempt"), last = table_text(r, "last");
    buf_add(out, SLICE("    <"));
    cli_text_add(out, table_text(r, "to"));
    buf_add(out, SLICE(">  "));
    cli_text_add(out, table_text(r, "state"));
    if (attempts) {
        buf_add(out, SLICE(", attempts "));
        buf_add_u64(out, attempts);
    }
    if (table_text(r, "route").len) {
        buf_add(out, SLICE(", by "));
        cli_text_add(out, table_text(r, "route"));
    }
    if (at.len && table_time(at, &next)) {
        buf_add(out, next > now_s ? SLICE(", next in ") : SLICE(", next now"));
        if (next > now_s) {
            cli_text_add_age(out, next - now_s);
        }
    }
    buf_add_byte(out, '\n');
    if (last.len) {
        buf_add(out, SLICE("        "));
        cli_text_add(out, last);
        buf_add_byte(out, '\n');
    }
}

static void table_add_rcpts(struct buf *out, struct json_object *o, uint64_t now_s)
{
    struct json_object *list = table_list(o, "recipients");
    size_t count = list ? json_object_array_length(list) : 0;
    for (size_t i = 0; i < count; i++) {
        table_add_rcpt(out, json_object_array_get_idx(list, i), now_s);
    }
    uint64_t all = table_number(o, "recipient_count");
    if (all > count) {
        buf_add(out, SLICE("    and "));
        buf_add_u64(out, all - count);
        buf_add(out, SLICE(" more\n"));
    }
}

static void table_add_sender(struct buf *out, struct json_object *o)
{
    buf_add_byte(out, '<');
    cli_text_add(out, table_text(o, "from"));
    buf_add_byte(out, '>');
}

void cli_table_add_ls_head(struct buf *out)
{
    buf_addf(out, "%-18s %-8s %-10s %s\n", "ID", "AGE", "SIZE", "FROM, RECIPIENTS");
}

bool cli_table_add_ls(struct buf *out, struct slice json, uint64_t now_s)
{
    struct json_object *o = table_parse(json);
    if (!o) {
        return false;
    }
    size_t from = out->len;
    cli_text_add(out, table_text(o, "id"));
    table_pad(out, from, 19);
    from = out->len;
    cli_text_add_age(out, table_number(o, "age_seconds"));
    table_pad(out, from, 9);
    from = out->len;
    cli_text_add_size(out, table_number(o, "size"));
    table_pad(out, from, 11);
    table_add_sender(out, o);
    buf_add_byte(out, '\n');
    table_add_rcpts(out, o, now_s);
    json_object_put(o);
    return true;
}

/* Those of the message's attributes that it has. */
static void table_add_attributes(struct buf *out, struct json_object *o)
{
    static const struct {
        const char *key;
        struct slice head;
    } rows[] = {
        {"priority", SLICE_INIT("\npriority    ")}, {"tenant", SLICE_INIT("\ntenant      ")},
        {"campaign", SLICE_INIT("\ncampaign    ")}, {"send_at", SLICE_INIT("\nsend at     ")},
        {"expires", SLICE_INIT("\nexpires     ")},  {"deliver_by", SLICE_INIT("\ndeliver by  ")},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct slice value = table_text(o, rows[i].key);
        if (value.len) {
            buf_add(out, rows[i].head);
            cli_text_add(out, value);
        }
    }
}

bool cli_table_add_show(struct buf *out, struct slice json, uint64_t now_s)
{
    struct json_object *o = table_parse(json);
    if (!o) {
        return false;
    }
    buf_add(out, SLICE("id          "));
    cli_text_add(out, table_text(o, "id"));
    buf_add(out, SLICE("\nfrom        "));
    table_add_sender(out, o);
    buf_add(out, SLICE("\narrived     "));
    cli_text_add(out, table_text(o, "arrived"));
    buf_add(out, SLICE(" ("));
    cli_text_add_age(out, table_number(o, "age_seconds"));
    buf_add(out, SLICE(" ago)\nsize        "));
    cli_text_add_size(out, table_number(o, "size"));
    table_add_attributes(out, o);
    buf_add(out, SLICE("\nrecipients\n"));
    table_add_rcpts(out, o, now_s);
    json_object_put(o);
    return true;
}

/* ---- statistics ---- */

static void table_add_value(struct buf *out, const char *key, struct json_object *v)
{
    bool whole = json_object_is_type(v, json_type_int) && json_object_get_int64(v) >= 0;
    if (whole && slice_ends_nocase(slice_str(key), SLICE("bytes"))) {
        cli_text_add_size(out, json_object_get_uint64(v));
    } else if (whole && slice_ends_nocase(slice_str(key), SLICE("_seconds"))) {
        cli_text_add_age(out, json_object_get_uint64(v));
    } else {
        cli_text_add(out, slice_str(json_object_get_string(v)));
    }
}

/* NOLINTNEXTLINE(misc-no-recursion): TABLE_NEST_MAX */
static void table_add_object(struct buf *out, struct json_object *o, size_t indent)
{
    json_object_object_foreach(o, key, v)
    {
        bool deeper = json_object_is_type(v, json_type_object) && indent < 2 * TABLE_NEST_MAX;
        for (size_t i = 0; i < indent; i++) {
            buf_add_byte(out, ' ');
        }
        size_t from = out->len - indent;
        cli_text_add(out, slice_str(key));
        if (!deeper) {
            table_pad(out, from, 24);
            table_add_value(out, key, v);
        }
        buf_add_byte(out, '\n');
        if (deeper) {
            table_add_object(out, v, indent + 2);
        }
    }
}

/* Promise P2 as the operator may check it: every accepted recipient is in exactly one place. */
static void table_add_balance(struct buf *out, struct json_object *o)
{
    static const char *const parts[] = {"delivered", "bounced", "expired", "cancelled", "queued"};
    struct json_object *v;
    uint64_t sum = 0;
    for (size_t i = 0; i < ARRAY_COUNT(parts); i++) {
        if (!json_object_object_get_ex(o, parts[i], &v)) {
            return;
        }
        sum += table_number(o, parts[i]);
    }
    if (!json_object_object_get_ex(o, "accepted", &v)) {
        return;
    }
    uint64_t accepted = table_number(o, "accepted");
    buf_add(out, SLICE("\naccepted = delivered + bounced + expired + cancelled + queued: "));
    if (sum == accepted) {
        buf_add(out, SLICE("exact\n"));
    } else {
        buf_addf(out, "WRONG BY %lld\n", (long long)(accepted - sum));
    }
}

bool cli_table_add_stats(struct buf *out, struct slice json)
{
    struct json_object *o = table_parse(json);
    if (!o) {
        return false;
    }
    table_add_object(out, o, 0);
    table_add_balance(out, o);
    json_object_put(o);
    return true;
}

/* ---- orders and suspensions ---- */

bool cli_table_add_order(struct buf *out, struct slice json)
{
    struct json_object *o = table_parse(json), *dry = NULL;
    if (!o) {
        return false;
    }
    bool would = json_object_object_get_ex(o, "dry_run", &dry) && json_object_get_boolean(dry);
    uint64_t messages = table_number(o, "messages"), rcpts = table_number(o, "recipients");
    struct slice verb = table_text(o, "verb");
    cli_text_add(out, verb);
    /* A suspension counts for what waits, too, and for what comes: said is what it has changed at once. */
    if (slice_eq(verb, SLICE("suspend"))) {
        buf_add(out, SLICE("ed; taken back"));
    } else if (slice_eq(verb, SLICE("resume"))) {
        buf_add(out, SLICE("d; attempted now"));
    }
    buf_addf(out, "%s: %llu recipient%s of %llu message%s\n", would ? " would concern" : "",
             (unsigned long long)rcpts, rcpts == 1 ? "" : "s", (unsigned long long)messages,
             messages == 1 ? "" : "s");
    uint64_t sending = table_number(o, "sending");
    if (sending) {
        buf_addf(out, "%llu of them in transactions now: their outcome comes first\n",
                 (unsigned long long)sending);
    }
    json_object_put(o);
    return true;
}

/* ---- what was learned of servers ---- */

void cli_table_add_peer_head(struct buf *out)
{
    buf_addf(out, "%-32s %-16s %-34s %-8s %-8s %s\n", "PEER", "ADDRESS", "LEARNED", "SINCE", "LEFT",
             "BY");
}

static void table_add_learned(struct buf *out, struct json_object *o)
{
    struct slice topic = table_text(o, "topic");
    uint64_t value = table_number(o, "learned");
    if (slice_eq(topic, SLICE("messages_per_connection"))) {
        buf_addf(out, "%llu message%s on a connection", (unsigned long long)value,
                 value == 1 ? "" : "s");
    } else if (slice_eq(topic, SLICE("idle_milliseconds"))) {
        buf_addf(out, "idle no longer than %llu ms", (unsigned long long)value);
    } else {
        cli_text_add(out, table_text(o, "learned"));
    }
}

bool cli_table_add_peer(struct buf *out, struct slice json, uint64_t now_s)
{
    struct json_object *o = table_parse(json);
    if (!o) {
        return false;
    }
    uint64_t since = now_s, until = now_s;
    size_t from = out->len;
    struct slice reply = table_text(o, "reply"), reason = table_text(o, "reason");
    cli_text_add(out, table_text(o, "peer"));
    table_pad(out, from, 33);
    from = out->len;
    cli_text_add(out, table_text(o, "address"));
    table_pad(out, from, 17);
    from = out->len;
    table_add_learned(out, o);
    table_pad(out, from, 35);
    from = out->len;
    (void)table_time(table_text(o, "since"), &since);
    cli_text_add_age(out, now_s > since ? now_s - since : 0);
    table_pad(out, from, 9);
    from = out->len;
    (void)table_time(table_text(o, "until"), &until);
    cli_text_add_age(out, until > now_s ? until - now_s : 0);
    table_pad(out, from, 9);
    cli_text_add(out, reason);
    buf_add(out, reason.len && reply.len ? SLICE(": ") : SLICE(""));
    cli_text_add(out, reply);
    buf_add_byte(out, '\n');
    json_object_put(o);
    return true;
}

bool cli_table_add_forgotten(struct buf *out, struct slice json)
{
    struct json_object *o = table_parse(json);
    if (!o) {
        return false;
    }
    uint64_t peers = table_number(o, "peers");
    buf_addf(out, "forgotten: %llu server%s\n", (unsigned long long)peers, peers == 1 ? "" : "s");
    json_object_put(o);
    return true;
}

void cli_table_add_suspension_head(struct buf *out)
{
    buf_addf(out, "%-40s %-10s %-10s %s\n", "SUSPENDED", "SINCE", "LEFT", "REASON");
}

bool cli_table_add_suspension(struct buf *out, struct slice json, uint64_t now_s)
{
    struct json_object *o = table_parse(json);
    if (!o) {
        return false;
    }
    uint64_t since = now_s, until = 0;
    size_t from = out->len;
    cli_text_add(out, table_text(o, "suspended"));
    table_pad(out, from, 41);
    from = out->len;
    (void)table_time(table_text(o, "since"), &since);
    cli_text_add_age(out, now_s > since ? now_s - since : 0);
    table_pad(out, from, 11);
    from = out->len;
    if (table_time(table_text(o, "until"), &until)) {
        cli_text_add_age(out, until > now_s ? until - now_s : 0);
    } else {
        buf_add_byte(out, '-');
    }
    table_pad(out, from, 11);
    cli_text_add(out, table_text(o, "reason"));
    buf_add_byte(out, '\n');
    json_object_put(o);
    return true;
}
