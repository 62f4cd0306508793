/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/app/cli_ask.h"

static int ask_status(const struct cli_ask *a, enum admin_client_result result)
{
    switch (result) {
    case ADMIN_CLIENT_OK:
        return a->finish(a->ctx);
    case ADMIN_CLIENT_UNREACHABLE:
        return CLI_UNREACHABLE;
    case ADMIN_CLIENT_REFUSED:
    case ADMIN_CLIENT_BROKEN:
        break;
    }
    return CLI_FAILURE;
}

static int ask_engine(const struct cli_ask *a, const struct admin_request *req)
{
    struct admin_client_sink sink = {.line = a->line, .ctx = a->ctx};
    struct buf path, error;
    buf_init(&path, 8192);
    buf_init(&error, ADMIN_REQUEST_BYTES_MAX);
    int status = cli_find_socket(a->cli, a->args, &path);
    if (status == CLI_OK) {
        enum admin_client_result result = admin_client_call(buf_slice(&path), req,
                                                            ADMIN_CLIENT_TIMEOUT_MS, &sink, &error);
        if (error.len) {
            fprintf(a->cli->err, "ringpost: %.*s\n", SLICE_ARG(buf_slice(&error)));
        }
        status = ask_status(a, result);
    }
    buf_deinit(&path);
    buf_deinit(&error);
    return status;
}

int cli_ask(const struct cli_ask *a, const struct buf *request)
{
    struct admin_request req;
    struct buf why;
    buf_init(&why, 8192);
    int status = CLI_USAGE;
    if (request->overflow) {
        buf_add(&why, SLICE("the arguments are too long"));
    }
    if (why.len == 0 && admin_request_parse(buf_slice(request), &req, &why)) {
        status = ask_engine(a, &req);
    } else {
        fprintf(a->cli->err, "ringpost: %.*s\n", SLICE_ARG(buf_slice(&why)));
    }
    buf_deinit(&why);
    return status;
}

int cli_ask_unreadable(const struct cli *cli)
{
    fprintf(cli->err, "ringpost: the engine sent a line that this version cannot read; "
                      "--json shows it\n");
    return CLI_FAILURE;
}
