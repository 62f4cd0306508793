/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * `ringpost trace`: what is said on connections to a destination or from a client, as it is said. It ends with a
 * signal, or when nobody reads: the engine sees the socket close and stops to listen.
 */
#include "core/admin/client.h"
#include "core/app/cli_command.h"
#include "core/app/cli_text.h"

#include <json-c/json.h>

enum {
    TRACE_PATIENCE_MS = 24 * 3600 * 1000
}; /* without a byte: nobody may be connected for long */

struct trace_view {
    struct cli *cli;
    bool json;
    struct buf text;
};

static struct slice trace_text(struct json_object *o, const char *key)
{
    struct json_object *v = json_object_object_get(o, key);
    if (!json_object_is_type(v, json_type_string)) {
        return SLICE("");
    }
    return slice_of(json_object_get_string(v), (size_t)json_object_get_string_len(v));
}

static uint64_t trace_number(struct json_object *o, const char *key)
{
    return json_object_get_uint64(json_object_object_get(o, key));
}

/* "11:25:00.123456" of an RFC 3339 time. */
static struct slice trace_clock(struct slice at)
{
    return at.len >= 26 ? slice_of(at.ptr + 11, 15) : at;
}

static void trace_render(struct buf *out, struct json_object *o)
{
    if (json_object_object_get(o, "tracing")) {
        buf_add(out, SLICE("listening for "));
        cli_text_add(out, trace_text(o, "tracing"));
        buf_addf(out, ": at most %llu sessions, %llu lines a second\n",
                 (unsigned long long)trace_number(o, "sessions_max"),
                 (unsigned long long)trace_number(o, "lines_per_s"));
        return;
    }
    if (json_object_object_get(o, "lost")) {
        buf_addf(out, "%llu lines lost, %llu sessions not listened to\n",
                 (unsigned long long)trace_number(o, "lost"),
                 (unsigned long long)trace_number(o, "sessions_missed"));
        return;
    }
    struct slice side = trace_text(o, "side");
    cli_text_add(out, trace_clock(trace_text(o, "at")));
    buf_addf(out, " %llu ", (unsigned long long)trace_number(o, "session"));
    cli_text_add(out, side);
    buf_add(out, SLICE(": "));
    cli_text_add(out, trace_text(o, "text"));
    buf_add_byte(out, '\n');
}

static void trace_on_line(void *ctx, struct slice json)
{
    struct trace_view *v = ctx;
    struct json_tokener *tok = v->json ? NULL : json_tokener_new_ex(8);
    struct json_object *o = tok ? json_tokener_parse_ex(tok, json.ptr, (int)json.len) : NULL;
    buf_clear(&v->text);
    if (o && json_object_is_type(o, json_type_object)) {
        trace_render(&v->text, o);
    } else if (v->json) {
        buf_add(&v->text, json);
        buf_add_byte(&v->text, '\n');
    }
    fwrite(v->text.ptr, 1, v->text.len, v->cli->out);
    fflush(v->cli->out);
    json_object_put(o);
    if (tok) {
        json_tokener_free(tok);
    }
}

int cli_trace(struct cli *cli, const struct cli_args *args)
{
    struct trace_view view = {.cli = cli, .json = args->json};
    struct admin_client_sink sink = {.line = trace_on_line, .ctx = &view};
    struct admin_request req;
    struct buf line, path, error;
    buf_init(&line, ADMIN_REQUEST_BYTES_MAX);
    buf_init(&path, 8192);
    buf_init(&error, ADMIN_REQUEST_BYTES_MAX);
    buf_init(&view.text, ADMIN_CLIENT_LINE_MAX);
    int status = CLI_USAGE;
    buf_addf(&line, "%s target=%s", admin_verb_name(ADMIN_TRACE), args->words[0]);
    if (admin_request_parse(buf_slice(&line), &req, &error)) {
        status = cli_find_socket(cli, args, &path);
    }
    if (status == CLI_OK) {
        enum admin_client_result result = admin_client_call(buf_slice(&path), &req,
                                                            TRACE_PATIENCE_MS, &sink, &error);
        status = result == ADMIN_CLIENT_OK            ? CLI_OK
                 : result == ADMIN_CLIENT_UNREACHABLE ? CLI_UNREACHABLE
                                                      : CLI_FAILURE;
    }
    if (error.len) {
        fprintf(cli->err, "ringpost: %.*s\n", SLICE_ARG(buf_slice(&error)));
    }
    buf_deinit(&line);
    buf_deinit(&path);
    buf_deinit(&error);
    buf_deinit(&view.text);
    return status;
}
