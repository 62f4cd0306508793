/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cli_ask - a command that is one request to the running engine
 *
 * Purpose:   finds the socket, sends the request, hands on each line of the answer.
 * Owner:     nothing is kept. Thread: the command line's.
 * Errors:    as exit statuses, and a sentence on cli->err: CLI_USAGE for a request that makes no sense,
 *            CLI_UNREACHABLE, CLI_FAILURE when the engine refuses.
 */
#ifndef RINGPOST_APP_CLI_ASK_H
#define RINGPOST_APP_CLI_ASK_H

#include "core/admin/client.h"
#include "core/app/cli_command.h"

struct cli_ask {
    struct cli *cli;
    const struct cli_args *args;
    void (*line)(void *ctx, struct slice json);
    int (*finish)(void *ctx); /* the answer is whole; its exit status is the command's */
    void *ctx;
};

/* request: its text form, so that the same checks hold here and in the engine. */
int cli_ask(const struct cli_ask *a, const struct buf *request);
/* For finish: a line was not what this version knows. */
int cli_ask_unreadable(const struct cli *cli);

#endif
