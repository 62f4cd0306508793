/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * `ringpost peers …`: what the running engine has learned of servers. --json passes its lines on as they are.
 */
#include "core/admin/client.h"
#include "core/app/cli_command.h"
#include "core/app/cli_table.h"
#include "core/base/clock.h"

struct peers_view {
    struct cli *cli;
    bool json;
    bool ls;
    bool unreadable;
    uint64_t lines;
    uint64_t now_s;
    struct buf text; /* one rendered line at a time */
};

static void view_line(void *ctx, struct slice json)
{
    struct peers_view *v = ctx;
    buf_clear(&v->text);
    if (v->json) {
        buf_add(&v->text, json);
        buf_add_byte(&v->text, '\n');
    } else if (v->ls) {
        if (v->lines == 0) {
            cli_table_add_peer_head(&v->text);
        }
        v->unreadable = !cli_table_add_peer(&v->text, json, v->now_s) || v->unreadable;
    } else {
        v->unreadable = !cli_table_add_forgotten(&v->text, json) || v->unreadable;
    }
    fprintf(v->cli->out, "%.*s", SLICE_ARG(buf_slice(&v->text)));
    v->lines++;
}

static int peers_finish(const struct peers_view *v)
{
    if (v->unreadable || v->text.overflow) {
        fprintf(v->cli->err, "ringpost: the engine sent a line that this version cannot read; "
                             "--json shows it\n");
        return CLI_FAILURE;
    }
    if (v->ls && v->lines == 0 && !v->json) {
        fprintf(v->cli->out, "nothing has been learned that holds now\n");
    }
    return CLI_OK;
}

static int peers_ask(struct cli *cli, const struct cli_args *args, const struct admin_request *req)
{
    struct peers_view view = {.cli = cli,
                              .json = args->json,
                              .ls = req->verb == ADMIN_PEERS_LS,
                              .now_s = clock_read().wall_us / 1000000};
    struct admin_client_sink sink = {.line = view_line, .ctx = &view};
    struct buf path, error;
    buf_init(&path, 8192);
    buf_init(&error, ADMIN_REQUEST_BYTES_MAX);
    buf_init(&view.text, 2 * ADMIN_CLIENT_LINE_MAX);
    int status = cli_find_socket(cli, args, &path);
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
        status = peers_finish(&view);
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

/* Through its text form, so that the same checks hold here and in the engine. */
static int peers_run(struct cli *cli, const struct cli_args *args, const struct buf *line)
{
    struct admin_request req;
    struct buf why;
    buf_init(&why, 8192);
    int status = CLI_USAGE;
    if (line->overflow) {
        buf_add(&why, SLICE("the arguments are too long"));
    }
    if (why.len == 0 && admin_request_parse(buf_slice(line), &req, &why)) {
        status = peers_ask(cli, args, &req);
    } else {
        fprintf(cli->err, "ringpost: %.*s\n", SLICE_ARG(buf_slice(&why)));
    }
    buf_deinit(&why);
    return status;
}

int cli_peers_ls(struct cli *cli, const struct cli_args *args)
{
    struct buf line;
    buf_init(&line, ADMIN_REQUEST_BYTES_MAX - 1);
    buf_add(&line, SLICE("peers ls"));
    int status = peers_run(cli, args, &line);
    buf_deinit(&line);
    return status;
}

int cli_peers_forget(struct cli *cli, const struct cli_args *args)
{
    if (args->all == (args->word_count > 0)) {
        fprintf(cli->err, "ringpost: peers forget needs a HOST, or --all\n");
        return CLI_USAGE;
    }
    struct buf line;
    buf_init(&line, ADMIN_REQUEST_BYTES_MAX - 1);
    buf_add(&line, SLICE("peers forget "));
    if (args->all) {
        buf_add(&line, SLICE("all=1"));
    } else {
        buf_add(&line, SLICE("host="));
        admin_text_add(&line, slice_str(args->words[0]));
    }
    int status = peers_run(cli, args, &line);
    buf_deinit(&line);
    return status;
}
