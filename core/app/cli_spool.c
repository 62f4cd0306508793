/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The offline spool tools. Their own statuses (1 damage, 2 unreadable) are passed on.
 */
#include "core/app/cli_command.h"
#include "core/queue/message.h"
#include "spool/spool.h"

int cli_spool_ls(struct cli *cli, const struct cli_args *args)
{
    return spool_tool_ls(args->words[0], args->json, cli->out, cli->err);
}

int cli_spool_verify(struct cli *cli, const struct cli_args *args)
{
    return spool_tool_verify(args->words[0], cli->out, cli->err);
}

/* The queue id of the log and of `queue ls` (13 characters), or the number in hexadecimal (0x…). */
static bool spool_parse_id(struct slice text, uint64_t *id)
{
    uint64_t value = 0;
    if (queue_id_parse(text, id)) {
        return true;
    }
    if (!slice_starts_nocase(text, SLICE("0x")) || text.len < 3 || text.len > 18) {
        return false;
    }
    for (size_t i = 2; i < text.len; i++) {
        char c = ascii_lower(text.ptr[i]);
        if (!ascii_is_digit(c) && (c < 'a' || c > 'f')) {
            return false;
        }
        value = value << 4 | (uint64_t)(ascii_is_digit(c) ? c - '0' : c - 'a' + 10);
    }
    *id = value;
    return true;
}

int cli_spool_cat(struct cli *cli, const struct cli_args *args)
{
    uint64_t id;
    if (!spool_parse_id(slice_str(args->words[1]), &id)) {
        fprintf(cli->err, "ringpost: '%s' is not a message id; `ringpost spool ls` prints them\n",
                args->words[1]);
        return CLI_USAGE;
    }
    return spool_tool_cat(args->words[0], id, cli->out, cli->err);
}
