/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cli_command - the commands' handlers, and what they share
 *
 * Purpose:   the contract between the command table (cli.c) and the handlers (cli_*.c).
 * Owner:     none. Thread: the process's first. Errors: handlers return an exit status.
 */
#ifndef RINGPOST_APP_CLI_COMMAND_H
#define RINGPOST_APP_CLI_COMMAND_H

#include "core/app/cli.h"

int cli_serve(struct cli *cli, const struct cli_args *args);
int cli_check(struct cli *cli, const struct cli_args *args);
int cli_config(struct cli *cli, const struct cli_args *args);
int cli_explain(struct cli *cli, const struct cli_args *args);
int cli_queue_ls(struct cli *cli, const struct cli_args *args);
int cli_queue_show(struct cli *cli, const struct cli_args *args);
int cli_queue_stats(struct cli *cli, const struct cli_args *args);
int cli_queue_retry(struct cli *cli, const struct cli_args *args);
int cli_queue_hold(struct cli *cli, const struct cli_args *args);
int cli_queue_release(struct cli *cli, const struct cli_args *args);
int cli_queue_bounce(struct cli *cli, const struct cli_args *args);
int cli_queue_delete(struct cli *cli, const struct cli_args *args);
int cli_queue_route(struct cli *cli, const struct cli_args *args);
int cli_overrides_ls(struct cli *cli, const struct cli_args *args);
int cli_overrides_cancel(struct cli *cli, const struct cli_args *args);
int cli_overrides_add(struct cli *cli, const struct cli_args *args);
int cli_suspend_ls(struct cli *cli, const struct cli_args *args);
int cli_suspend(struct cli *cli, const struct cli_args *args);
int cli_resume(struct cli *cli, const struct cli_args *args);
int cli_top(struct cli *cli, const struct cli_args *args);
int cli_warmup_ls(struct cli *cli, const struct cli_args *args);
int cli_warmup_set(struct cli *cli, const struct cli_args *args);
int cli_peers_ls(struct cli *cli, const struct cli_args *args);
int cli_peers_forget(struct cli *cli, const struct cli_args *args);
int cli_trace(struct cli *cli, const struct cli_args *args);
int cli_spool_ls(struct cli *cli, const struct cli_args *args);
int cli_spool_cat(struct cli *cli, const struct cli_args *args);
int cli_spool_verify(struct cli *cli, const struct cli_args *args);
int cli_dkim_keygen(struct cli *cli, const struct cli_args *args);
int cli_dkim_print(struct cli *cli, const struct cli_args *args);
int cli_dkim_check(struct cli *cli, const struct cli_args *args);
int cli_dkim_sign(struct cli *cli, const struct cli_args *args);
int cli_doctor(struct cli *cli, const struct cli_args *args);
int cli_version(struct cli *cli, const struct cli_args *args);
int cli_help(struct cli *cli, const struct cli_args *args);

/* Where args say to read from; valid as long as args and cli are. */
struct conf_source cli_conf_source(const struct cli *cli, const struct cli_args *args);
/* Errors and warnings go to cli->err; NULL after errors: exit CLI_CONFIG. */
struct conf *cli_conf_load(struct cli *cli, const struct conf_source *src);

/* The admin socket: as args say, or as the configuration does. */
int cli_find_socket(struct cli *cli, const struct cli_args *args, struct buf *path);

#endif
