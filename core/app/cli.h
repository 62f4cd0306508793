/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cli - the command line of `ringpost`
 *
 * Purpose:   one row per command: name, arguments, options, help, handler. Parsing, --help and the
 *            usage errors come from the rows (cli.c) and from the option table (cli_args.c).
 * Owner:     main owns the struct cli. Thread: the process's first, before any other exists.
 * Errors:    the return value is the process's exit status (sysexits.h where it has one).
 */
#ifndef RINGPOST_APP_CLI_H
#define RINGPOST_APP_CLI_H

#include "core/app/cli_args.h"
#include "core/relay/settings.h"

#include <stdio.h>

enum cli_exit {
    CLI_OK = 0,
    CLI_FAILURE = 1,
    CLI_USAGE = 64,       /* EX_USAGE */
    CLI_UNREACHABLE = 69, /* EX_UNAVAILABLE: no engine answers */
    CLI_CONFIG = 78,      /* EX_CONFIG */
};

struct cli {
    FILE *out;
    FILE *err;
    char *const *environment;
    /* engine_run; set by main, so that the commands can be tested without an engine. */
    int (*serve)(const struct conf_source *src, struct relay_settings *settings);
};

/* argv[0] is the program. */
int cli_main(struct cli *cli, int argc, char *const *argv);

#endif
