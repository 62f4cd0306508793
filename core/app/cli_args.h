/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cli_args - the options and words behind a command
 *
 * Purpose:   one row per option in cli_args.c; a command names the ones it takes by a mask.
 * Owner:     plain values that point into argv. Thread: any.
 * Limits:    CLI_SET_MAX times --set, CLI_WORDS_MAX words.
 * Errors:    cli_args_parse returns false and has written one line without LF to `why`.
 */
#ifndef RINGPOST_APP_CLI_ARGS_H
#define RINGPOST_APP_CLI_ARGS_H

#include "core/base/buf.h"

enum { CLI_SET_MAX = 64, CLI_WORDS_MAX = 5 };

enum cli_option_bit {
    CLI_OPT_CONFIG = 1,
    CLI_OPT_SET = 2,
    CLI_OPT_JSON = 4,
    CLI_OPT_SOCKET = 8,
    CLI_OPT_LIMIT = 16,
    CLI_OPT_DOMAIN = 32,
    CLI_OPT_PRINT = 64,
    CLI_OPT_KEY_TYPE = 128,
    CLI_OPT_OUT = 256,
    CLI_OPT_CANON = 512,
    CLI_OPT_ROOT = 1024,
    CLI_OPT_SOURCE = 2048,
    CLI_OPT_SELECT = 4096, /* --id, --recipient … */
    CLI_OPT_AFTER = 8192,
    CLI_OPT_ORDER = 16384, /* --all, --dry-run */
    CLI_OPT_NO_REPORT = 32768,
    CLI_OPT_SUSPEND = 65536, /* --for, --reason */
    CLI_OPT_ALL = 1 << 24,   /* --all without --dry-run */
    CLI_OPT_TO = 1 << 17,
    CLI_OPT_TOP = 1 << 18,      /* --once, -n */
    CLI_OPT_OVERRIDE = 1 << 25, /* --who, --where, --value */
};

enum cli_print {
    CLI_PRINT_EFFECTIVE,
    CLI_PRINT_DEFAULTS,
    CLI_PRINT_SCHEMA,
    CLI_PRINT_MARKDOWN,
    CLI_PRINT_PROFILES,
    CLI_PRINT_SHAPING,
    CLI_PRINT_AUTOMATION,
    CLI_PRINT_SYSCALLS,
};

struct cli_args {
    const char *file;
    const char *set[CLI_SET_MAX];
    size_t set_count;
    const char *socket;
    const char *domain;
    uint32_t limit; /* 0: not given */
    const char *key_type;
    const char *out;
    const char *canon;
    const char *root;
    const char *source;
    const char *id;
    const char *recipient;
    const char *sender;
    const char *site;
    const char *tenant;
    const char *campaign;
    const char *last_reply;
    const char *after;
    const char *to;
    const char *reason;
    const char *who;
    const char *where;
    const char *value;
    uint64_t older_ms; /* 0: not given */
    uint64_t for_ms;
    uint32_t number; /* 0: not given */
    bool plain;      /* --once */
    bool all;
    bool dry_run;
    bool no_report;
    bool json;
    bool help;
    enum cli_print print;
    const char *words[CLI_WORDS_MAX];
    size_t word_count;
};

/* argv: what stands behind the command. Every command takes --help. */
bool cli_args_parse(struct cli_args *args, unsigned options, int argc, char *const *argv,
                    struct buf *why);
/* " [-c FILE] [--json]", and a line of help for each. */
void cli_args_add_synopsis(struct buf *out, unsigned options);
void cli_args_add_help(struct buf *out, unsigned options);

#endif
