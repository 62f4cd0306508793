/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * env - environment variables and --set
 *
 * Purpose:   RINGPOST_<PATH> and --set path=value become values of the tree. A list takes a whole
 *            value with commas, or one item by its index (which may also be the next free one).
 * Owner:     the tree; names and texts are copied into the arena. Thread: the loader's.
 * Limits:    CONF_ENV_*; the nodes of a load are bounded by nodes_left.
 * Errors:    reported with the variable or the --set path; the tree then keeps its value. Unknown
 *            names with the prefix are warnings: other programs and Kubernetes set some.
 */
#ifndef RINGPOST_CONF_ENV_H
#define RINGPOST_CONF_ENV_H

#include "core/conf/apply.h"

enum {
    CONF_ENV_VARIABLES_MAX = 2000,
    CONF_ENV_BYTES_MAX = 1 << 20,      /* names and values together */
    CONF_SECRET_BYTES_MAX = 64 * 1024, /* one file */
    CONF_SECRETS_BYTES_MAX = 1 << 20,  /* all of them */
};

#define CONF_ENV_PREFIX "RINGPOST_"

/* Which value a name means. */
struct conf_target {
    const struct conf_key *key;
    bool has_index; /* the key stands in a list group */
    bool has_item;  /* one item of the key's own list */
    bool from_file; /* ..._FILE of a secret */
    uint64_t index;
    uint64_t item;
};

/* "RINGPOST_LISTENERS_0_PORT"; false: no key has this name. */
bool conf_env_match(const struct conf_table *t, struct slice name, struct conf_target *out);
/* "listeners[0].port", "listeners.0.port". */
bool conf_set_match(const struct conf_table *t, struct slice path, struct conf_target *out);
/* The variable's name, "<n>" for indexes: RINGPOST_LISTENERS_<n>_PORT. */
void conf_env_name_add(struct buf *out, const struct conf_key *key);
/* Names with the prefix that belong to our tools, not to a key. */
bool conf_env_reserved(struct slice name);

/* A variable that Kubernetes sets for a Service of that name: X_SERVICE_HOST, X_PORT=tcp://… */
bool conf_env_is_kubernetes(struct slice name, struct slice value);

/* One value that neither file nor variable brought by itself: profiles. */
struct conf_put {
    const struct conf_origin *from;
    struct slice path; /* as for --set; must be a key's */
    struct slice value;
};
/* Judges it and puts it into the tree; the value and the origin's name must outlive that. False:
 * reported. */
bool conf_put(struct conf_apply *a, struct conf_node *root, const struct conf_put *put,
              size_t *nodes_left);

/* a->conf must be NULL. */
void conf_env_apply(struct conf_apply *a, struct conf_node *root, char *const *environment,
                    size_t *nodes_left);
void conf_set_apply(struct conf_apply *a, struct conf_node *root, const char *const *set,
                    size_t set_count, size_t *nodes_left);

#endif
