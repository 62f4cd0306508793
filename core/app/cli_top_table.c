/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/app/cli_top_table.h"
#include "core/app/cli_text.h"

#include <json-c/json.h>
#include <stdio.h>

static struct json_object *top_parse(struct slice json)
{
    struct json_tokener *tok = json.len && json.len <= INT32_MAX ? json_tokener_new_ex(8) : NULL;
    struct json_object *o = tok ? json_tokener_parse_ex(tok, json.ptr, (int)json.len) : NULL;
    if (tok) {
        json_tokener_free(tok);
    }
    if (o && !json_object_is_type(o, json_type_object)) {
        json_object_put(o);
        o = NULL;
    }
    return o;
}

static uint64_t top_number(struct json_object *o, const char *key)
{
    return json_object_get_uint64(json_object_object_get(o, key));
}

static struct slice top_text(struct json_object *o, const char *key)
{
    struct json_object *v = json_object_object_get(o, key);
    if (!json_object_is_type(v, json_type_string)) {
        return SLICE("");
    }
    return slice_of(json_object_get_string(v), (size_t)json_object_get_string_len(v));
}

bool cli_top_read_totals(struct slice json, struct cli_top_totals *out)
{
    struct json_object *line = top_parse(json);
    struct json_object *o = line ? json_object_object_get(line, "totals") : NULL;
    bool ok = json_object_is_type(o, json_type_object);
    if (ok) {
        *out = (struct cli_top_totals){
            .known = true,
            .at_ms = top_number(o, "at_ms"),
            .accepted = top_number(o, "accepted"),
            .delivered = top_number(o, "delivered"),
            .deferrals = top_number(o, "deferrals"),
            .queued = top_number(o, "queued"),
            .inflight = top_number(o, "inflight"),
            .sites = top_number(o, "sites"),
            .sessions = top_number(o, "sessions"),
            .connections = top_number(o, "connections"),
            .memory_bytes = top_number(o, "memory_bytes"),
        };
    }
    json_object_put(line);
    return ok;
}

static void head_add_rate(struct buf *out, const char *name, uint64_t now, uint64_t before,
                          uint64_t ms)
{
    if (ms && now >= before) {
        buf_addf(out, "  %s %.1f/s", name, (double)(now - before) * 1000 / (double)ms);
    } else {
        buf_addf(out, "  %s -", name);
    }
}

void cli_top_add_head(struct buf *out, const struct cli_top_totals *now,
                      const struct cli_top_totals *before)
{
    uint64_t ms = before->known && now->at_ms > before->at_ms ? now->at_ms - before->at_ms : 0;
    buf_add(out, SLICE("recipients:"));
    head_add_rate(out, "accepted", now->accepted, before->accepted, ms);
    head_add_rate(out, "delivered", now->delivered, before->delivered, ms);
    head_add_rate(out, "deferred", now->deferrals, before->deferrals, ms);
    buf_addf(out, "  queue %llu  in flight %llu\n", (unsigned long long)now->queued,
             (unsigned long long)now->inflight);
    buf_addf(out, "sites %llu  connections %llu  sessions %llu  memory ",
             (unsigned long long)now->sites, (unsigned long long)now->connections,
             (unsigned long long)now->sessions);
    cli_text_add_size(out, now->memory_bytes);
    buf_add(out, SLICE("\n\n"));
}

void cli_top_add_columns(struct buf *out)
{
    buf_addf(out, "%9s %6s %5s %8s %8s %8s  %-18s %-36s %s\n", "WAITING", "FLIGHT", "CONN", "IN/S",
             "DELIV/S", "DEFER/S", "HELD UP BY", "SITE", "LAST REPLY");
}

static void site_add_padded(struct buf *out, struct slice text, size_t width)
{
    size_t from = out->len, shown = 0;
    cli_text_add(out, text);
    for (size_t i = from; i < out->len; i++) {
        shown += ((unsigned char)out->ptr[i] & 0xc0) != 0x80 ? 1 : 0;
    }
    for (; shown < width && !out->overflow; shown++) {
        buf_add_byte(out, ' ');
    }
    buf_add_byte(out, ' ');
}

static void site_add_reply(struct buf *out, struct json_object *last)
{
    if (!last) {
        return;
    }
    uint64_t code = top_number(last, "code");
    if (code) {
        buf_addf(out, "%llu ", (unsigned long long)code);
    }
    cli_text_add(out, top_text(last, "text"));
}

static double site_rate(struct json_object *o, const char *key)
{
    return json_object_get_double(json_object_object_get(o, key));
}

bool cli_top_add_site(struct buf *out, struct slice json)
{
    struct json_object *o = top_parse(json);
    if (!o || !json_object_object_get(o, "waiting")) {
        json_object_put(o);
        return false;
    }
    buf_addf(out, "%9llu %6llu %5llu %8.1f %8.1f %8.1f  ",
             (unsigned long long)top_number(o, "waiting"),
             (unsigned long long)top_number(o, "in_flight"),
             (unsigned long long)top_number(o, "connections"), site_rate(o, "in_per_s"),
             site_rate(o, "delivered_per_s"), site_rate(o, "deferred_per_s"));
    site_add_padded(out, top_text(o, "binding"), 18);
    site_add_padded(out, top_text(o, "site"), 36);
    site_add_reply(out, json_object_object_get(o, "last"));
    buf_add_byte(out, '\n');
    json_object_put(o);
    return true;
}

void cli_top_add_cut(struct buf *out, struct slice text, size_t width)
{
    size_t shown = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        bool begins = (c & 0xc0) != 0x80;
        if (c == '\n') {
            shown = 0;
        } else if (begins && width) {
            shown++;
        }
        if (c == '\n' || !width || shown <= width) {
            buf_add_byte(out, text.ptr[i]);
        }
    }
}
