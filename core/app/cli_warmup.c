/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * `ringpost warmup …`: how far sources are that warm up. --json passes the engine's lines on as they are.
 */
#include "core/app/cli_ask.h"
#include "core/app/cli_text.h"

#include <json-c/json.h>

#define WARMUP_ROW "%-20s %-16s %-9s %-19s %-9s %s\n"

struct warmup_view {
    struct cli *cli;
    bool json;
    bool ls;
    bool unreadable;
    uint64_t lines;
};

static const char *field(struct json_object *o, const char *key)
{
    struct json_object *v = json_object_object_get(o, key);
    return v ? json_object_get_string(v) : "";
}

static void add_clean(struct buf *out, const char *text)
{
    buf_clear(out);
    cli_text_add(out, slice_str(text));
    buf_add_byte(out, '\0');
}

/* "412 of 500"; of a source that is warm there: "no limit". */
static void print_row(FILE *to, struct json_object *o)
{
    bool warm = json_object_object_get(o, "allowance") == NULL;
    const char *provider = field(o, "provider");
    char day[64], sent[64];
    struct buf source, name, state;
    struct buf *const texts[] = {&source, &name, &state};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        buf_init(texts[i], 1024);
    }
    add_clean(&source, field(o, "source"));
    add_clean(&name, provider[0] ? provider : "other");
    add_clean(&state, field(o, "state"));
    snprintf(day, sizeof(day), "%.16s of %.16s", field(o, "day"), field(o, "days"));
    snprintf(sent, sizeof(sent), "%.20s of %.20s", field(o, "sent"), field(o, "allowance"));
    fprintf(to, WARMUP_ROW, source.ptr, name.ptr, warm ? "-" : day, warm ? "no limit" : sent,
            warm ? "-" : field(o, "deferred_percent"), state.ptr);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        buf_deinit(texts[i]);
    }
}

static void view_line(void *ctx, struct slice json)
{
    struct warmup_view *v = ctx;
    if (v->json || !v->ls) {
        fprintf(v->cli->out, "%.*s\n", SLICE_ARG(json));
        v->lines++;
        return;
    }
    struct json_tokener *tok = json_tokener_new();
    struct json_object *o = tok ? json_tokener_parse_ex(tok, json.ptr, (int)json.len) : NULL;
    if (tok) {
        json_tokener_free(tok);
    }
    if (!o || !json_object_is_type(o, json_type_object)) {
        v->unreadable = true;
    } else {
        if (v->lines++ == 0) {
            fprintf(v->cli->out, WARMUP_ROW, "SOURCE", "PROVIDER", "DAY", "SENT", "DEFER %",
                    "STATE");
        }
        print_row(v->cli->out, o);
    }
    json_object_put(o);
}

static int warmup_finish(void *ctx)
{
    const struct warmup_view *v = ctx;
    if (v->unreadable) {
        return cli_ask_unreadable(v->cli);
    }
    if (v->ls && v->lines == 0 && !v->json) {
        fprintf(v->cli->out, "no source warms up, or none has sent anything yet\n");
    }
    return CLI_OK;
}

static int warmup_run(struct cli *cli, const struct cli_args *args, bool ls, const struct buf *line)
{
    struct warmup_view view = {.cli = cli, .json = args->json, .ls = ls};
    const struct cli_ask ask = {cli, args, view_line, warmup_finish, &view};
    return cli_ask(&ask, line);
}

int cli_warmup_ls(struct cli *cli, const struct cli_args *args)
{
    struct buf line;
    buf_init(&line, ADMIN_REQUEST_BYTES_MAX - 1);
    buf_add(&line, SLICE("warmup ls"));
    int status = warmup_run(cli, args, true, &line);
    buf_deinit(&line);
    return status;
}

int cli_warmup_set(struct cli *cli, const struct cli_args *args)
{
    static const struct slice keys[] = {SLICE_INIT(" who="), SLICE_INIT(" where="),
                                        SLICE_INIT(" day=")};
    struct buf line;
    buf_init(&line, ADMIN_REQUEST_BYTES_MAX - 1);
    buf_add(&line, SLICE("warmup set"));
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        buf_add(&line, keys[i]);
        admin_text_add(&line, slice_str(args->words[i]));
    }
    int status = warmup_run(cli, args, false, &line);
    buf_deinit(&line);
    return status;
}
