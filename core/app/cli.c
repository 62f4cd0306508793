/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/app/cli.h"
#include "core/app/cli_command.h"
#include "core/base/must.h"

#include <stdio.h>

struct cli_command {
    const char *verb;
    const char *sub;   /* NULL: a verb alone */
    const char *words; /* in the synopsis */
    uint8_t words_min;
    uint8_t words_max;
    unsigned options;
    const char *help;
    const char *more; /* further text for --help, or NULL */
    int (*run)(struct cli *cli, const struct cli_args *args);
};

enum {
    CLI_OPTS_CONF = CLI_OPT_CONFIG | CLI_OPT_SET | CLI_OPT_ROOT,
    CLI_OPTS_QUEUE = CLI_OPT_JSON | CLI_OPT_SOCKET | CLI_OPTS_CONF,
    CLI_OPTS_SELECT = CLI_OPTS_QUEUE | CLI_OPT_SELECT | CLI_OPT_DOMAIN,
    CLI_OPTS_ORDER = CLI_OPTS_SELECT | CLI_OPT_ORDER,
};

static const struct cli_command commands[] = {
    {"serve", NULL, "", 0, 0, CLI_OPTS_CONF, "run the engine in the foreground",
     "No file is read unless -c names one. SIGHUP reloads, SIGTERM stops after open transactions,\n"
     "a second SIGTERM stops at once.\n",
     cli_serve},
    {"check", NULL, "", 0, 0, CLI_OPTS_CONF, "check a configuration, all errors at once",
     "Exit status 0 when it is valid, 78 when not. Nothing is opened or changed.\n", cli_check},
    {"config", NULL, "", 0, 0, CLI_OPTS_CONF | CLI_OPT_PRINT, "print the effective configuration",
     NULL, cli_config},
    {"explain", NULL, "DOMAIN [MXHOST]…", 1, CLI_WORDS_MAX, CLI_OPTS_QUEUE | CLI_OPT_SOURCE,
     "the limits for a destination, the line that set each, what holds it up now",
     "Without MXHOST the domain's MX hosts are looked up. The limits are those of the configuration as\n"
     "it is on disk; the last part is what the running engine says, if it answers. A mail host in place\n"
     "of DOMAIN means its sites.\n",
     cli_explain},
    {"queue", "ls", "", 0, 0, CLI_OPTS_SELECT | CLI_OPT_LIMIT | CLI_OPT_AFTER,
     "list messages in the queue of the running engine",
     "In the order of their ids, the oldest first; the next page: --after the last ID.\n",
     cli_queue_ls},
    {"queue", "show", "ID", 1, 1, CLI_OPTS_QUEUE, "one message with its recipients", NULL,
     cli_queue_show},
    {"queue", "stats", "", 0, 0, CLI_OPTS_SELECT, "what became of the mail so far",
     "With a selection: how much of what is in the queue it means.\n", cli_queue_stats},
    {"queue", "retry", "", 0, 0, CLI_OPTS_ORDER, "attempt deferred mail now", NULL,
     cli_queue_retry},
    {"queue", "hold", "", 0, 0, CLI_OPTS_ORDER, "attempt nothing until `queue release`",
     "What is accepted later is not held; see `ringpost suspend`.\n", cli_queue_hold},
    {"queue", "release", "", 0, 0, CLI_OPTS_ORDER, "attempt held mail again, now", NULL,
     cli_queue_release},
    {"queue", "bounce", "", 0, 0, CLI_OPTS_ORDER | CLI_OPT_NO_REPORT,
     "end it as undeliverable; the senders get reports", NULL, cli_queue_bounce},
    {"queue", "delete", "", 0, 0, CLI_OPTS_ORDER, "end it; nobody gets a report", NULL,
     cli_queue_delete},
    {"queue", "route", "", 0, 0, CLI_OPTS_ORDER | CLI_OPT_TO,
     "send it by another host than its domain's, now and until it has ended",
     "HOST is connected to as it is named; mx:DOMAIN means that domain's MX hosts. A host that is not\n"
     "relay.host of the configuration is never logged in to. --to default takes a route back.\n",
     cli_queue_route},
    {"suspend", "ls", "", 0, 0, CLI_OPTS_QUEUE, "list what is suspended", NULL, cli_suspend_ls},
    {"suspend", NULL, "DOMAIN|site:HOST|tenant:NAME|campaign:NAME|all", 1, 1,
     CLI_OPTS_QUEUE | CLI_OPT_SUSPEND, "accept its mail, but attempt nothing",
     "It counts for what is queued and for what comes, also after a restart.\n", cli_suspend},
    {"resume", NULL, "DOMAIN|site:HOST|tenant:NAME|campaign:NAME|all", 1, 1, CLI_OPTS_QUEUE,
     "end a suspension: what waited is attempted now", NULL, cli_resume},
    {"overrides", "ls", "", 0, 0, CLI_OPTS_QUEUE, "list what replies have made the engine do",
     "Each with its scope, what holds now, the rule and the reply behind it, and when it ends.\n",
     cli_overrides_ls},
    {"overrides", "cancel", "[ID]", 0, 1, CLI_OPTS_QUEUE | CLI_OPT_ALL,
     "end an override, or --all of them", "Its mail goes on at once.\n", cli_overrides_cancel},
    {"overrides", "add", "SCOPE ACTION", 2, 2, CLI_OPTS_QUEUE | CLI_OPT_SUSPEND | CLI_OPT_OVERRIDE,
     "make one by hand",
     "SCOPE and ACTION as in a rule of `automation:` (site suspend; tenant@provider rate).\n"
     "Without --for it lasts until it is cancelled.\n",
     cli_overrides_add},
    {"top", NULL, "", 0, 0, CLI_OPTS_QUEUE | CLI_OPT_LIMIT | CLI_OPT_TOP,
     "the busiest destinations, once a second; q ends it",
     "Where standard output is no terminal the tables are plain text, one after the other. Rates are of the\n"
     "last seconds; counts of destinations are messages on their way there, not those that wait for a retry.\n",
     cli_top},
    {"peers", "ls", "", 0, 0, CLI_OPTS_QUEUE, "list what was learned of servers",
     "Who is spoken to more carefully and why, how many messages a server takes on a connection and\n"
     "how long it keeps idle ones. Lasts three days at most; then it is tried again.\n",
     cli_peers_ls},
    {"peers", "forget", "[HOST]", 0, 1, CLI_OPTS_QUEUE | CLI_OPT_ALL,
     "forget what was learned of a server, or of --all",
     "HOST as `ringpost peers ls` names it, with or without its port.\n", cli_peers_forget},
    {"warmup", "ls", "", 0, 0, CLI_OPTS_QUEUE, "list how far new sources are with their plans",
     "For each provider: the day of the plan, what was sent of the day's allowance, how much was deferred.\n",
     cli_warmup_ls},
    {"warmup", "set", "SOURCE PROVIDER DAY", 3, 3, CLI_OPTS_QUEUE,
     "go on with this day of the plan",
     "PROVIDER as `ringpost warmup ls` names it. What was sent today stays counted.\n",
     cli_warmup_set},
    {"trace", NULL, "DOMAIN|HOST|ADDRESS|NETWORK", 1, 1, CLI_OPTS_QUEUE,
     "what is said on its connections, as it is said",
     "An address or network (192.0.2.0/24) means clients, and servers that have it. C: is the connection's\n"
     "client, S: its server. Passwords and contents are not shown. What is more than the engine tells in a\n"
     "second is lost, and counted.\n",
     cli_trace},
    {"spool", "ls", "DIR", 1, 1, CLI_OPT_JSON, "list what a spool directory holds, offline", NULL,
     cli_spool_ls},
    {"spool", "cat", "DIR ID", 2, 2, 0, "print one message of a spool directory, offline", NULL,
     cli_spool_cat},
    {"spool", "verify", "DIR", 1, 1, 0, "check every record of a spool directory, offline",
     "Exit status 0: sound, 1: damage was found, 2: unreadable.\n", cli_spool_verify},
    {"dkim", "keygen", "DOMAIN SELECTOR", 2, 2, CLI_OPT_KEY_TYPE | CLI_OPT_OUT,
     "make a key, print its DNS record",
     "The key is written to a new file (mode 0600), never over an old one.\n", cli_dkim_keygen},
    {"dkim", "print", "DOMAIN SELECTOR KEYFILE", 3, 3, 0, "print the DNS record of a key", NULL,
     cli_dkim_print},
    {"dkim", "check", "[DOMAIN SELECTOR KEYFILE]", 0, 3, CLI_OPTS_CONF,
     "compare DNS with a key, or with every key of the configuration",
     "Exit status 0: all match, 1: not all, 78: no such key.\n", cli_dkim_check},
    {"dkim", "sign", "[DOMAIN SELECTOR KEYFILE [SELECTOR KEYFILE]]", 0, 5,
     CLI_OPTS_CONF | CLI_OPT_CANON, "sign the message on standard input",
     "Without words: as the configuration says. LF line ends become CRLF. Exit status 1 when it\n"
     "is not signed; standard error tells why.\n",
     cli_dkim_sign},
    {"doctor", NULL, "", 0, 0, CLI_OPTS_CONF | CLI_OPT_JSON,
     "what this machine lacks, and what to change", "Exit status 0 when nothing fails.\n",
     cli_doctor},
    {"version", NULL, "", 0, 0, CLI_OPT_JSON, "versions of Ringpost and its libraries", NULL,
     cli_version},
    {"help", NULL, "[COMMAND]", 0, 2, 0, "this list, or the help of one command", NULL, cli_help},
};

/* ---- help ---- */

static void command_add_name(struct buf *out, const struct cli_command *c)
{
    buf_addf(out, "%s%s%s", c->verb, c->sub ? " " : "", c->sub ? c->sub : "");
}

static void command_add_synopsis(struct buf *out, const struct cli_command *c)
{
    buf_add(out, SLICE("usage: ringpost "));
    command_add_name(out, c);
    if (c->words[0]) {
        buf_addf(out, " %s", c->words);
    }
    cli_args_add_synopsis(out, c->options);
    buf_add_byte(out, '\n');
}

static void command_print_help(FILE *to, const struct cli_command *c)
{
    struct buf text;
    buf_init(&text, 16 * 1024);
    command_add_synopsis(&text, c);
    buf_addf(&text, "\n%s\n\n", c->help);
    cli_args_add_help(&text, c->options);
    if (c->more) {
        buf_addf(&text, "\n%s", c->more);
    }
    fprintf(to, "%.*s", SLICE_ARG(buf_slice(&text)));
    buf_deinit(&text);
}

/* What is too long for the column stands on a line of its own. */
static void command_add_line(struct buf *out, const struct cli_command *c)
{
    enum { COLUMN = 23 };
    size_t start = out->len;
    buf_add(out, SLICE("  "));
    command_add_name(out, c);
    buf_addf(out, "%s%s", c->words[0] ? " " : "", c->words);
    if (out->len - start >= COLUMN) {
        buf_add_byte(out, '\n');
        start = out->len;
    }
    while (out->len - start < COLUMN && !out->overflow) {
        buf_add_byte(out, ' ');
    }
    buf_addf(out, "%s\n", c->help);
}

/* verb: only its commands; NULL: all. */
static void commands_print(FILE *to, const char *verb)
{
    struct buf text;
    buf_init(&text, 16 * 1024);
    buf_addf(&text, "usage: ringpost %s%sCOMMAND [options]\n\n", verb ? verb : "", verb ? " " : "");
    for (size_t i = 0; i < ARRAY_COUNT(commands); i++) {
        const struct cli_command *c = &commands[i];
        if (verb && !slice_eq(slice_str(c->verb), slice_str(verb))) {
            continue;
        }
        command_add_line(&text, c);
    }
    buf_add(&text, SLICE("\n`ringpost COMMAND --help` tells the options. Exit status: 0 fine, "
                         "1 failure, 64 usage,\n69 no engine answers, 78 configuration.\n"));
    fprintf(to, "%.*s", SLICE_ARG(buf_slice(&text)));
    buf_deinit(&text);
}

/* ---- finding ---- */

static bool is_verb(const char *word)
{
    for (size_t i = 0; i < ARRAY_COUNT(commands); i++) {
        if (slice_eq(slice_str(commands[i].verb), slice_str(word))) {
            return true;
        }
    }
    return false;
}

/* *used: how many of the words name it. */
static const struct cli_command *command_find(const char *verb, const char *sub, int *used)
{
    for (size_t i = 0; i < ARRAY_COUNT(commands); i++) {
        const struct cli_command *c = &commands[i];
        if (!slice_eq(slice_str(c->verb), slice_str(verb))) {
            continue;
        }
        if (!c->sub || (sub && slice_eq(slice_str(c->sub), slice_str(sub)))) {
            *used = c->sub ? 2 : 1;
            return c;
        }
    }
    return NULL;
}

static bool word_is(const char *word, const char *name)
{
    return slice_eq(slice_str(word), slice_str(name));
}

static int command_unknown(struct cli *cli, const char *verb, const char *sub)
{
    if (!is_verb(verb)) {
        fprintf(cli->err, "ringpost: unknown command '%s'; `ringpost help` lists them\n", verb);
        return CLI_USAGE;
    }
    if (sub && (word_is(sub, "--help") || word_is(sub, "-h"))) {
        commands_print(cli->out, verb);
        return CLI_OK;
    }
    if (sub) {
        fprintf(cli->err, "ringpost: unknown command '%s %s'\n", verb, sub);
    }
    commands_print(cli->err, verb);
    return CLI_USAGE;
}

static int command_run(struct cli *cli, const struct cli_command *c, int argc, char *const *argv)
{
    struct cli_args args;
    struct buf why;
    int status = CLI_USAGE;
    buf_init(&why, 8192);
    bool parsed = cli_args_parse(&args, c->options, argc, argv, &why);
    if (parsed && args.help) {
        command_print_help(cli->out, c);
        status = CLI_OK;
        goto out;
    }
    if (parsed && args.word_count < c->words_min) {
        buf_addf(&why, "%s is missing", c->words);
    } else if (parsed && args.word_count > c->words_max) {
        buf_addf(&why, "unexpected argument '%s'", args.words[c->words_max]);
    }
    if (!parsed || why.len) {
        buf_add_byte(&why, '\n');
        command_add_synopsis(&why, c);
        fprintf(cli->err, "ringpost: %.*s", SLICE_ARG(buf_slice(&why)));
        goto out;
    }
    status = c->run(cli, &args);
out:
    buf_deinit(&why);
    return status;
}

int cli_help(struct cli *cli, const struct cli_args *args)
{
    int used = 0;
    if (args->word_count == 0) {
        commands_print(cli->out, NULL);
        return CLI_OK;
    }
    const char *sub = args->word_count > 1 ? args->words[1] : NULL;
    const struct cli_command *c = command_find(args->words[0], sub, &used);
    if (c && (size_t)used == args->word_count) {
        command_print_help(cli->out, c);
        return CLI_OK;
    }
    if (!c && !sub && is_verb(args->words[0])) {
        commands_print(cli->out, args->words[0]);
        return CLI_OK;
    }
    return command_unknown(cli, args->words[0], sub);
}

int cli_main(struct cli *cli, int argc, char *const *argv)
{
    must(cli->out != NULL && cli->err != NULL);
    if (argc < 2) {
        commands_print(cli->err, NULL);
        return CLI_USAGE;
    }
    const char *verb = argv[1];
    if (word_is(verb, "--help") || word_is(verb, "-h")) {
        verb = "help";
    } else if (word_is(verb, "--version") || word_is(verb, "-V")) {
        verb = "version";
    }
    int used = 0;
    const char *sub = argc > 2 ? argv[2] : NULL;
    const struct cli_command *c = command_find(verb, sub, &used);
    if (!c) {
        return command_unknown(cli, verb, sub);
    }
    int status = command_run(cli, c, argc - 1 - used, argv + 1 + used);
    /* `ringpost config >/dev/full` has not worked. */
    if ((fflush(cli->out) != 0 || ferror(cli->out)) && status == CLI_OK) {
        fprintf(cli->err, "ringpost: the output could not be written\n");
        status = CLI_FAILURE;
    }
    return status;
}
