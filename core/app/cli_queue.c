/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * queue ls | show | stats: asks the running engine. --json passes its lines on as they are.
 */
#include "core/admin/client.h"
#include "core/app/cli_command.h"
#include "core/app/cli_table.h"
#include "core/base/clock.h"
#include "core/base/must.h"

struct queue_view {
    struct cli *cli;
    enum admin_verb verb;
    bool json;
    bool unreadable;
    uint64_t lines;
    uint64_t now_s;
    struct buf text; /* one rendered line at a time */
};

static bool view_render(struct queue_view *v, struct slice json)
{
    switch (v->verb) {
    case ADMIN_QUEUE_STATS:
        return cli_table_add_stats(&v->text, json);
    case ADMIN_QUEUE_SHOW:
        return cli_table_add_show(&v->text, json, v->now_s);
    case ADMIN_QUEUE_LS:
        if (v->lines == 0) {
            cli_table_add_ls_head(&v->text);
        }
        return cli_table_add_ls(&v->text, json, v->now_s);
    }
    must(!"a verb");
    return false;
}

static void view_line(void *ctx, struct slice json)
{
    struct queue_view *v = ctx;
    if (v->json) {
        fprintf(v->cli->out, "%.*s\n", SLICE_ARG(json));
        v->lines++;
        return;
    }
    buf_clear(&v->text);
    if (!view_render(v, json) || v->text.overflow) {
        v->unreadable = true;
        return;
    }
    fwrite(v->text.ptr, 1, v->text.len, v->cli->out);
    v->lines++;
}

/* --socket, or admin.socket of the configuration; `path` gets a copy. */
static int queue_find_socket(struct cli *cli, const struct cli_args *args, struct buf *path)
{
    if (args->socket) {
        buf_add(path, slice_str(args->socket));
        return CLI_OK;
    }
    struct conf_source src = cli_conf_source(cli, args);
    struct conf *conf = cli_conf_load(cli, &src);
    if (!conf) {
        return CLI_CONFIG;
    }
    buf_add(path, conf->admin.socket);
    conf_free(conf);
    return CLI_OK;
}

static int queue_finish(const struct queue_view *v, const struct admin_client_sink *sink)
{
    if (v->unreadable) {
        fprintf(v->cli->err, "ringpost: the engine sent a line that this version cannot read; "
                             "--json shows it\n");
        return CLI_FAILURE;
    }
    if (v->verb == ADMIN_QUEUE_LS && v->lines == 0 && !v->json) {
        fprintf(v->cli->out, "no messages\n");
    }
    if (sink->truncated) {
        fprintf(v->cli->err, "ringpost: there are more messages than --limit lists\n");
    }
    return CLI_OK;
}

static int queue_ask(struct cli *cli, const struct cli_args *args, const struct admin_request *req)
{
    struct queue_view view = {.cli = cli,
                              .verb = req->verb,
                              .json = args->json,
                              .now_s = clock_read().wall_us / 1000000};
    struct admin_client_sink sink = {.line = view_line, .ctx = &view};
    struct buf path, error;
    buf_init(&path, 8192);
    buf_init(&error, ADMIN_REQUEST_BYTES_MAX);
    buf_init(&view.text, 2 * ADMIN_CLIENT_LINE_MAX);
    int status = queue_find_socket(cli, args, &path);
    if (status != CLI_OK) {
        goto out;
    }
    enum admin_client_result result = admin_client_call(buf_slice(&path), req,
                                                        ADMIN_CLIENT_TIMEOUT_MS, &sink, &error);
    if (error.len) {
        fprintf(cli->err, "ringpost: %.*s\n", SLICE_ARG(buf_slice(&error)));
    }
    switch (result) {
    case ADMIN_CLIENT_OK:
        status = queue_finish(&view, &sink);
        break;
    case ADMIN_CLIENT_UNREACHABLE:
        status = CLI_UNREACHABLE;
        break;
    case ADMIN_CLIENT_REFUSED:
    case ADMIN_CLIENT_BROKEN:
        status = CLI_FAILURE;
        break;
    }
out:
    buf_deinit(&path);
    buf_deinit(&error);
    buf_deinit(&view.text);
    return status;
}

/* Builds the request through its text form, so that the same checks hold here and in the engine. */
static int queue_run(struct cli *cli, const struct cli_args *args, struct slice line)
{
    struct admin_request req;
    struct buf why;
    buf_init(&why, 1024);
    int status = CLI_USAGE;
    if (admin_request_parse(line, &req, &why)) {
        status = queue_ask(cli, args, &req);
    } else {
        fprintf(cli->err, "ringpost: %.*s\n", SLICE_ARG(buf_slice(&why)));
    }
    buf_deinit(&why);
    return status;
}

int cli_queue_stats(struct cli *cli, const struct cli_args *args)
{
    return queue_run(cli, args, SLICE("queue stats"));
}

int cli_queue_ls(struct cli *cli, const struct cli_args *args)
{
    struct buf line;
    buf_init(&line, ADMIN_REQUEST_BYTES_MAX);
    buf_addf(&line, "queue ls limit=%u", args->limit ? args->limit : ADMIN_LIMIT_DEFAULT);
    if (args->domain) {
        buf_addf(&line, " domain=%s", args->domain);
    }
    int status = CLI_USAGE;
    if (line.overflow) {
        fprintf(cli->err, "ringpost: --domain is too long\n");
    } else {
        status = queue_run(cli, args, buf_slice(&line));
    }
    buf_deinit(&line);
    return status;
}

int cli_queue_show(struct cli *cli, const struct cli_args *args)
{
    struct buf line;
    buf_init(&line, ADMIN_REQUEST_BYTES_MAX);
    buf_addf(&line, "queue show id=%s", args->words[0]);
    int status = CLI_USAGE;
    if (line.overflow) {
        fprintf(cli->err, "ringpost: the id is too long\n");
    } else {
        status = queue_run(cli, args, buf_slice(&line));
    }
    buf_deinit(&line);
    return status;
}
