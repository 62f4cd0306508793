/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * `ringpost overrides …`: what replies have made the running engine do. --json passes its lines on as they are.
 */
#include "core/app/cli_ask.h"
#include "core/app/cli_text.h"

#include <json-c/json.h>

struct overrides_view {
    struct cli *cli;
    bool json;
    bool ls;
    bool unreadable;
    uint64_t lines;
    struct buf text; /* one rendered line at a time */
};

static struct slice member_text(struct json_object *o, const char *key)
{
    struct json_object *text = json_object_object_get(o, key);
    return text ? slice_of(json_object_get_string(text), (size_t)json_object_get_string_len(text))
                : slice_of("", 0);
}

static uint64_t member_number(struct json_object *o, const char *key)
{
    return json_object_get_uint64(json_object_object_get(o, key));
}

static void member_add(struct buf *out, const char *before, struct json_object *o, const char *key,
                       const char *after)
{
    struct slice text = member_text(o, key);
    if (text.len) {
        buf_addf(out, "%s", before);
        cli_text_add(out, text);
        buf_addf(out, "%s", after);
    }
}

/* "rate 50% (1200 of 2400 messages a day)" */
static void action_add(struct buf *out, struct json_object *o)
{
    static const char *const limits[][2] = {
        {"messages_per_day", "messages a day"},
        {"connections", "connections"},
        {"messages_per_connection", "messages on a connection"},
    };
    struct slice action = member_text(o, "action");
    cli_text_add(out, action);
    bool suspended = slice_eq(action, SLICE("suspend"));
    double percent = json_object_get_double(json_object_object_get(o, "percent"));
    if (json_object_object_get(o, "percent") && !(suspended && percent == 0)) {
        buf_addf(out, suspended ? " is over: %.4g%%" : " %.4g%%", percent);
    }
    for (size_t i = 0; i < ARRAY_COUNT(limits); i++) {
        if (json_object_object_get(o, limits[i][0])) {
            buf_addf(out, " (%llu", (unsigned long long)member_number(o, limits[i][0]));
            if (json_object_object_get(o, "of")) {
                buf_addf(out, " of %llu", (unsigned long long)member_number(o, "of"));
            }
            buf_addf(out, " %s)", limits[i][1]);
        }
    }
    member_add(out, " to ", o, "source", "");
}

static void override_render(struct buf *out, struct json_object *o)
{
    buf_addf(out, "%llu  ", (unsigned long long)member_number(o, "id"));
    action_add(out, o);
    buf_add(out, SLICE("  for "));
    cli_text_add(out, member_text(o, "scope"));
    member_add(out, " ", o, "who", "");
    member_add(out, " at ", o, "where", "");
    buf_add(out, SLICE("\n    "));
    if (member_text(o, "rule").len) {
        member_add(out, "rule ", o, "rule", "");
        buf_addf(out, ", %llu replies, %llu relapses",
                 (unsigned long long)member_number(o, "replies"),
                 (unsigned long long)member_number(o, "relapses"));
    } else {
        buf_add(out, SLICE("by hand"));
    }
    member_add(out, "; since ", o, "since", "");
    member_add(out, ", until ", o, "until", "");
    member_add(out, ", over ", o, "ends", "");
    buf_add_byte(out, '\n');
    member_add(out, "    ", o, "sample", "\n");
    member_add(out, "    ", o, "reason", "\n");
}

static void view_line(void *ctx, struct slice json)
{
    struct overrides_view *v = ctx;
    buf_clear(&v->text);
    if (v->json) {
        buf_add(&v->text, json);
        buf_add_byte(&v->text, '\n');
    } else {
        struct json_tokener *tok = json_tokener_new();
        struct json_object *o = tok ? json_tokener_parse_ex(tok, json.ptr, (int)json.len) : NULL;
        if (tok) {
            json_tokener_free(tok);
        }
        if (!o || !json_object_is_type(o, json_type_object)) {
            v->unreadable = true;
        } else if (json_object_object_get(o, "cancelled")) {
            uint64_t n = member_number(o, "cancelled");
            buf_addf(&v->text, "cancelled: %llu override%s\n", (unsigned long long)n,
                     n == 1 ? "" : "s");
        } else {
            override_render(&v->text, o);
        }
        json_object_put(o);
    }
    fwrite(v->text.ptr, 1, v->text.len, v->cli->out);
    v->lines++;
}

static int overrides_finish(void *ctx)
{
    const struct overrides_view *v = ctx;
    if (v->unreadable || v->text.overflow) {
        return cli_ask_unreadable(v->cli);
    }
    if (v->ls && v->lines == 0 && !v->json) {
        fprintf(v->cli->out, "no overrides\n");
    }
    return CLI_OK;
}

static void line_add(struct buf *line, const char *key, const char *value)
{
    if (value) {
        buf_addf(line, " %s=", key);
        admin_text_add(line, slice_str(value));
    }
}

/* Frees the line. */
static int overrides_run(struct cli *cli, const struct cli_args *args, bool ls, struct buf *line)
{
    struct overrides_view view = {.cli = cli, .json = args->json, .ls = ls};
    const struct cli_ask ask = {cli, args, view_line, overrides_finish, &view};
    buf_init(&view.text, 2 * ADMIN_CLIENT_LINE_MAX);
    int status = cli_ask(&ask, line);
    buf_deinit(&view.text);
    buf_deinit(line);
    return status;
}

int cli_overrides_ls(struct cli *cli, const struct cli_args *args)
{
    struct buf line;
    buf_init(&line, ADMIN_REQUEST_BYTES_MAX - 1);
    buf_add(&line, SLICE("overrides ls"));
    return overrides_run(cli, args, true, &line);
}

int cli_overrides_cancel(struct cli *cli, const struct cli_args *args)
{
    struct buf line;
    buf_init(&line, ADMIN_REQUEST_BYTES_MAX - 1);
    buf_add(&line, SLICE("overrides cancel"));
    line_add(&line, "override", args->word_count ? args->words[0] : NULL);
    buf_add(&line, args->all ? SLICE(" all=1") : SLICE(""));
    return overrides_run(cli, args, false, &line);
}

int cli_overrides_add(struct cli *cli, const struct cli_args *args)
{
    struct buf line;
    buf_init(&line, ADMIN_REQUEST_BYTES_MAX - 1);
    buf_add(&line, SLICE("overrides add"));
    line_add(&line, "of", args->words[0]);
    line_add(&line, "action", args->words[1]);
    line_add(&line, "value", args->value);
    line_add(&line, "who", args->who);
    line_add(&line, "where", args->where);
    line_add(&line, "reason", args->reason);
    if (args->for_ms) {
        buf_addf(&line, " for=%llu", (unsigned long long)(args->for_ms / 1000));
    }
    return overrides_run(cli, args, false, &line);
}
