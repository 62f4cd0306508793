/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * `ringpost queue …`, `suspend` and `resume`: questions and orders to the running engine. --json passes its lines
 * on as they are.
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
    case ADMIN_SUSPEND_LS:
        if (v->lines == 0) {
            cli_table_add_suspension_head(&v->text);
        }
        return cli_table_add_suspension(&v->text, json, v->now_s);
    case ADMIN_QUEUE_RETRY:
    case ADMIN_QUEUE_HOLD:
    case ADMIN_QUEUE_RELEASE:
    case ADMIN_QUEUE_BOUNCE:
    case ADMIN_QUEUE_DELETE:
    case ADMIN_QUEUE_ROUTE:
    case ADMIN_SUSPEND:
    case ADMIN_RESUME:
        return cli_table_add_order(&v->text, json);
    case ADMIN_EXPLAIN:
    case ADMIN_PEERS_LS:
    case ADMIN_PEERS_FORGET:
    case ADMIN_OVERRIDES_LS:
    case ADMIN_OVERRIDES_CANCEL:
    case ADMIN_OVERRIDES_ADD:
    case ADMIN_TOP:
    case ADMIN_TRACE:
    case ADMIN_WARMUP_LS:
    case ADMIN_WARMUP_SET:
    case ADMIN_VERB_COUNT:
        break;
    }
    must_never("a verb");
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
int cli_find_socket(struct cli *cli, const struct cli_args *args, struct buf *path)
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
    if (v->verb == ADMIN_SUSPEND_LS && v->lines == 0 && !v->json) {
        fprintf(v->cli->out, "nothing is suspended\n");
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
    int status = cli_find_socket(cli, args, &path);
    if (status != CLI_OK) {
        goto out;
    }
    uint64_t timeout_ms = ADMIN_CLIENT_TIMEOUT_MS +
                          (admin_verb_is_order(req->verb) ? ADMIN_CLIENT_ORDER_MS : 0);
    enum admin_client_result result = admin_client_call(buf_slice(&path), req, timeout_ms, &sink,
                                                        &error);
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

/* ---- requests ---- */

/* A word of the request: text is escaped, other values have no blanks in them. */
static void line_add(struct buf *line, struct buf *why, const char *key, const char *value,
                     bool text)
{
    if (!value) {
        return;
    }
    if (!text && slice_find_byte(slice_str(value), ' ') >= 0) {
        buf_addf(why, "'%s' has a blank in it", value);
    }
    buf_addf(line, " %s=", key);
    if (text && !slice_eq(slice_str(value), SLICE("<>"))) {
        admin_text_add(line, slice_str(value));
    } else {
        buf_add(line, slice_str(value));
    }
}

static void line_add_number(struct buf *line, const char *key, uint64_t n)
{
    if (n) {
        buf_addf(line, " %s=%llu", key, (unsigned long long)n);
    }
}

static void line_add_args(struct buf *line, struct buf *why, const struct cli_args *a)
{
    line_add(line, why, "id", a->id, false);
    line_add(line, why, "domain", a->domain, false);
    line_add(line, why, "site", a->site, false);
    line_add(line, why, "after", a->after, false);
    line_add(line, why, "to", a->to, false);
    line_add(line, why, "recipient", a->recipient, true);
    line_add(line, why, "sender", a->sender, true);
    line_add(line, why, "tenant", a->tenant, true);
    line_add(line, why, "campaign", a->campaign, true);
    line_add(line, why, "source", a->source, true);
    line_add(line, why, "last_reply", a->last_reply, true);
    line_add(line, why, "reason", a->reason, true);
    line_add_number(line, "older", a->older_ms / 1000);
    line_add_number(line, "for", a->for_ms / 1000);
    line_add_number(line, "limit", a->limit);
    line_add_number(line, "all", a->all);
    line_add_number(line, "dry_run", a->dry_run);
    line_add_number(line, "quiet", a->no_report);
}

/* Builds the request through its text form, so that the same checks hold here and in the engine. key: of the
 * command's word, or NULL. */
static int queue_run(struct cli *cli, const struct cli_args *args, enum admin_verb verb,
                     const char *key)
{
    struct admin_request req;
    struct buf line, why;
    buf_init(&line, ADMIN_REQUEST_BYTES_MAX - 1);
    buf_init(&why, 8192);
    int status = CLI_USAGE;
    buf_addf(&line, "%s", admin_verb_name(verb));
    line_add(&line, &why, key, key ? args->words[0] : NULL, false);
    line_add_args(&line, &why, args);
    if (line.overflow) {
        buf_add(&why, SLICE("the arguments are too long"));
    }
    bool all = admin_verb_is_order(verb) && !key;
    if (why.len == 0 && admin_request_parse(buf_slice(&line), &req, &why)) {
        status = queue_ask(cli, args, &req);
    } else {
        fprintf(cli->err, "ringpost: %.*s%s\n", SLICE_ARG(buf_slice(&why)),
                all && memmem(why.ptr, why.len, "all=1", 5) ? " (--all)" : "");
    }
    buf_deinit(&line);
    buf_deinit(&why);
    return status;
}

int cli_queue_stats(struct cli *cli, const struct cli_args *args)
{
    return queue_run(cli, args, ADMIN_QUEUE_STATS, NULL);
}

int cli_queue_ls(struct cli *cli, const struct cli_args *args)
{
    return queue_run(cli, args, ADMIN_QUEUE_LS, NULL);
}

int cli_queue_show(struct cli *cli, const struct cli_args *args)
{
    return queue_run(cli, args, ADMIN_QUEUE_SHOW, "id");
}

int cli_queue_retry(struct cli *cli, const struct cli_args *args)
{
    return queue_run(cli, args, ADMIN_QUEUE_RETRY, NULL);
}

int cli_queue_hold(struct cli *cli, const struct cli_args *args)
{
    return queue_run(cli, args, ADMIN_QUEUE_HOLD, NULL);
}

int cli_queue_release(struct cli *cli, const struct cli_args *args)
{
    return queue_run(cli, args, ADMIN_QUEUE_RELEASE, NULL);
}

int cli_queue_bounce(struct cli *cli, const struct cli_args *args)
{
    return queue_run(cli, args, ADMIN_QUEUE_BOUNCE, NULL);
}

int cli_queue_delete(struct cli *cli, const struct cli_args *args)
{
    return queue_run(cli, args, ADMIN_QUEUE_DELETE, NULL);
}

int cli_queue_route(struct cli *cli, const struct cli_args *args)
{
    return queue_run(cli, args, ADMIN_QUEUE_ROUTE, NULL);
}

int cli_suspend_ls(struct cli *cli, const struct cli_args *args)
{
    return queue_run(cli, args, ADMIN_SUSPEND_LS, NULL);
}

int cli_suspend(struct cli *cli, const struct cli_args *args)
{
    return queue_run(cli, args, ADMIN_SUSPEND, "scope");
}

int cli_resume(struct cli *cli, const struct cli_args *args)
{
    return queue_run(cli, args, ADMIN_RESUME, "scope");
}
