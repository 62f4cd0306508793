/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cli_dkim - what the dkim commands share
 *
 * Purpose:   names from the command line, the configured table. Owner: see each. Thread: the process's
 *            first. Errors: false or NULL after a message on cli->err.
 */
#ifndef RINGPOST_APP_CLI_DKIM_H
#define RINGPOST_APP_CLI_DKIM_H

#include "core/app/cli.h"
#include "core/relay/dkim_keys.h"

bool cli_dkim_names(struct cli *cli, const char *domain, const char *selector,
                    struct dkim_domain *out);
/* The caller puts it. */
struct dkim_table *cli_dkim_table(struct cli *cli, const struct conf *conf);

#endif
