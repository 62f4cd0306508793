/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * `ringpost peers …`: what the running engine has learned of servers. --json passes its lines on as they are.
 */
#include "core/app/cli_ask.h"
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

static int peers_finish(void *ctx)
{
    const struct peers_view *v = ctx;
    if (v->unreadable || v->text.overflow) {
        return cli_ask_unreadable(v->cli);
    }
    if (v->ls && v->lines == 0 && !v->json) {
        fprintf(v->cli->out, "nothing has been learned that holds now\n");
    }
    return CLI_OK;
}

static int peers_run(struct cli *cli, const struct cli_args *args, bool ls, const struct buf *line)
{
    struct peers_view view = {.cli = cli,
                              .json = args->json,
                              .ls = ls,
                              .now_s = clock_read().wall_us / 1000000};
    const struct cli_ask ask = {cli, args, view_line, peers_finish, &view};
    buf_init(&view.text, 2 * ADMIN_CLIENT_LINE_MAX);
    int status = cli_ask(&ask, line);
    buf_deinit(&view.text);
    return status;
}

int cli_peers_ls(struct cli *cli, const struct cli_args *args)
{
    struct buf line;
    buf_init(&line, ADMIN_REQUEST_BYTES_MAX - 1);
    buf_add(&line, SLICE("peers ls"));
    int status = peers_run(cli, args, true, &line);
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
    int status = peers_run(cli, args, false, &line);
    buf_deinit(&line);
    return status;
}
