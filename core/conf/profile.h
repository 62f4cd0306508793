/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * profile - the variables and files of the systems that Ringpost replaces
 *
 * Purpose:   translates what another mail image is told into our keys, and nothing else: one table of
 *            variables and one of presets per profile, a function for its low-level files, a function
 *            for what no row can say. Sources, later wins:
 *
 *              presets < low-level files < ringpost.yaml, conf.d < variables < RINGPOST_* < --set
 *              `--------- below ---------'                        `- above -'
 *
 * Choice:    RINGPOST_PROFILE (or MTA_PROFILE); else by the names that are set, or by a folder that
 *            only one profile has. Names of two profiles: an error. Nothing: native, our keys alone.
 * Owner:     the texts live in the arena of the load. Thread: the loader's (blocks on files).
 * Limits:    CONF_PROFILE_BYTES_MAX of text from variables and files; nodes as every source.
 * Errors:    reported with the variable or FILE:LINE:COL in front. An empty variable is not set.
 */
#ifndef RINGPOST_CONF_PROFILE_H
#define RINGPOST_CONF_PROFILE_H

#include "core/conf/apply.h"

enum { CONF_PROFILE_BYTES_MAX = 4 << 20 };

/* How a value becomes the values of keys. */
enum conf_variable_kind {
    CONF_VAR_TEXT,          /* as it is */
    CONF_VAR_CONST,         /* `text`, whatever the value is */
    CONF_VAR_TRUE,          /* `text` when it is "true", else nothing */
    CONF_VAR_SWITCH,        /* `text` when it is anything but false, no, off, 0 */
    CONF_VAR_YES_NO,        /* yes → true, no → false, as Postfix writes it */
    CONF_VAR_WORDS,         /* one of "word=value|word=value"; others are errors */
    CONF_VAR_LIST,          /* items, separated by one of the characters in `text` */
    CONF_VAR_EXIM_LIST,     /* a : b, or "<; a ; b" */
    CONF_VAR_NETS,          /* networks, separated as a list; host bits are cleared */
    CONF_VAR_BYTES,         /* a plain number; 0: the most we take */
    CONF_VAR_EXIM_SIZE,     /* with K, M, G */
    CONF_VAR_POSTFIX_TIME,  /* with s, m, h, d, w; `text`: the unit when none is written */
    CONF_VAR_POSTFIX_RELAY, /* relayhost: [host]:port, host, host:service, several */
    CONF_VAR_TEMPLATE,      /* `text` with ${NAME} and ${NAME:-default} */
    CONF_VAR_PATH,          /* a path; relative ones below `text` */
    CONF_VAR_USER,          /* a login name; its password is in the variable named by `text` */
    CONF_VAR_USERS,         /* name:password, several separated by `text` */
    CONF_VAR_CODE,          /* the profile's finish() or files() reads it */
    CONF_VAR_NONE,          /* nothing corresponds: a warning gives `note` as the reason */
    CONF_VAR_UNKNOWN,       /* of a prefix: nobody knows this name */
    CONF_VAR_SILENT,        /* nothing corresponds and nothing is lost */
};

enum {
    CONF_VAR_REQUIRED = 1, /* not set: "Error: NAME must be set" */
    CONF_VAR_SELECTS = 2,  /* its presence chooses the profile */
    CONF_VAR_HINTS = 4,    /* so does it when nothing else chooses */
    CONF_VAR_SECRET = 8,   /* NAME_FILE names a file that holds it */
    CONF_VAR_PREFIX = 16,  /* every variable that begins with this name … */
    CONF_VAR_LOWER = 32,   /* … and a lower-case letter */
    CONF_VAR_QUIET = 64,   /* another row says what is wrong with the value */
};

/* One row: what one variable means for some keys. A variable may have several rows. */
struct conf_variable {
    struct slice name;
    enum conf_variable_kind kind;
    unsigned flags;
    const char *keys; /* paths separated by spaces; "listeners[*].tls": of every listener */
    const char *text; /* see kind */
    const char
        *needs; /* "A B|C !D @E": A, one of B and C, not D, E names a file that is not empty */
    const char *unmet;   /* the warning when that is not so; NULL: none */
    const char *initial; /* what holds when it is not set, for docs/PROFILES.md */
    const char *note;    /* what differs from the original, for docs/PROFILES.md; or NULL */
};

struct conf_preset {
    const char *path; /* as for --set */
    const char *value;
};

struct conf_profile_load;

struct conf_profile_more {
    const char *title;                /* NULL: none */
    const struct conf_variable *rows; /* NULL: Postfix' parameters */
    const size_t *count;
};

struct conf_profile {
    struct slice name;  /* "000" */
    struct slice alias; /* "messages" */
    const char *title;
    const char *about; /* Markdown: what is deliberately different */
    const struct conf_variable *variables;
    size_t variable_count;
    const struct conf_preset *presets;
    size_t preset_count;
    const char *folder;               /* files below it choose the profile; or NULL */
    struct slice realm;               /* users may log in as name@realm too; may be empty */
    struct conf_profile_more more[2]; /* tables of files, for docs/PROFILES.md */
    void (*below)(struct conf_profile_load *p); /* low-level files; or NULL */
    void (*above)(struct conf_profile_load *p); /* after the rows; or NULL */
};

/* In the order of the documentation. */
extern const struct conf_profile *const conf_profiles[];
extern const size_t conf_profile_count;

/* ---- one load -------------------------------------------------------------------------------- */

struct conf_profile_source {
    char *const *environment;
    const char *root; /* stands before every absolute path of a profile; NULL: none */
};

struct conf_profile_load {
    const struct conf_profile *profile; /* NULL: native */
    const struct conf_profile_source *source;
    struct conf_apply *apply;
    struct conf_node *root; /* the merged tree */
    size_t *nodes_left;
    size_t bytes; /* of CONF_PROFILE_BYTES_MAX */
    bool auth;    /* profile 003: clients have to log in */
};

/* By RINGPOST_PROFILE or presence. False: it is not clear; `why` says what clashes. */
bool conf_profile_choose(const struct conf_profile_source *source,
                         const struct conf_profile **chosen, struct buf *why);

/* The two layers of the chosen profile; p->profile must not be NULL. */
void conf_profile_below(struct conf_profile_load *p);
void conf_profile_above(struct conf_profile_load *p);

#endif
