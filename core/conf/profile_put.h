/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * profile_put - what the profiles' tables and code are written with
 *
 * Purpose:   variables as they are set, conditions on them, values into the tree.
 * Owner:     texts are copied into the load's arena. Thread: the loader's.
 * Limits:    conf_profile_keep stops at CONF_PROFILE_BYTES_MAX: reported once, texts are empty then.
 * Errors:    reported; the tree keeps what it has.
 */
#ifndef RINGPOST_CONF_PROFILE_PUT_H
#define RINGPOST_CONF_PROFILE_PUT_H

#include "core/conf/profile.h"

/* ---- variables: profile_vars.c ---- */

/* Empty: not set, or Kubernetes' own. Lives as long as the environment. */
struct slice conf_vars_get(const struct conf_profile_source *source, struct slice name);
/* Is it set, by itself or (secrets) as NAME_FILE? */
bool conf_vars_is_set(const struct conf_profile_load *p, struct slice name);
/* The value, or what NAME_FILE holds without the line end behind it; empty: not set, or reported. */
struct slice conf_vars_read(struct conf_profile_load *p, const struct conf_variable *v);
bool conf_vars_meet(const struct conf_profile_load *p, const char *needs);
/* The row of a name, else the first prefix row that fits, else NULL. */
const struct conf_variable *conf_vars_row(const struct conf_profile *profile, struct slice name);
/* Required ones that are not set, secrets that are given twice, names nobody knows. */
void conf_vars_check(struct conf_profile_load *p);

/* ---- texts and places: profile_put.c ---- */

struct slice conf_profile_keep(struct conf_profile_load *p, struct slice text);
/* root + path, with a NUL behind it. */
struct slice conf_profile_path(struct conf_profile_load *p, struct slice path);
/* A place in one of the profile's files; name must outlive the tree. */
struct conf_origin conf_profile_place(struct slice name, uint32_t line);
struct conf_origin conf_profile_variable(struct conf_profile_load *p, struct slice name);

/* keys: as in a row. A list's value is split at commas, a path's is not. */
void conf_profile_put(struct conf_profile_load *p, const struct conf_origin *from, const char *keys,
                      struct slice value);
/* Adds a user, or gives the one of that name another password. allowed_from: NULL or items. */
struct conf_profile_user {
    struct slice name;
    struct slice password; /* in clear */
    struct slice realm;    /* may log in as name@realm too; empty: no */
    const struct slice *allowed_from;
    size_t allowed_count;
};
void conf_profile_put_user(struct conf_profile_load *p, const struct conf_origin *from,
                           const struct conf_profile_user *user);
/* The domain's place in `domains`, made when it is not there. False: reported. */
bool conf_profile_put_domain(struct conf_profile_load *p, const struct conf_origin *from,
                             struct slice name, size_t *index);
/* "domains[3].dkim_key_file" and the like: one key of an item. */
void conf_profile_put_item(struct conf_profile_load *p, const struct conf_origin *from,
                           const char *group, size_t index, const char *leaf, struct slice value);

/* Credentials may go out in clear: says so, unless TLS is asked for. */
void conf_profile_warn_clear_relay(struct conf_profile_load *p);

/* ---- rows: profile_row.c ---- */

/* name: how messages call it when `from` is a file. */
void conf_variable_apply(struct conf_profile_load *p, const struct conf_variable *v,
                         const struct conf_origin *from, struct slice value);
/* The rows of a table for one name of a file; false: there is none. */
bool conf_variables_apply(struct conf_profile_load *p, const struct conf_variable *rows,
                          size_t count, const struct conf_origin *from, struct slice name,
                          struct slice value);

/* ---- values: profile_value.c ---- */

/* Takes the next item of a list off *rest; separators: any of them, repeated ones are one. */
bool conf_list_next(struct slice *rest, const char *separators, struct slice *item);
/* Exim's lists; state: the text without what chooses the separator. */
struct slice conf_exim_list(struct slice text, char *separator);
bool conf_exim_list_next(struct slice *rest, char separator, struct slice *item);
/* "10.0.0.0/8:fd00::/8": one network off a list whose separator may stand inside the items. */
bool conf_exim_net_next(struct slice *rest, char separator, struct slice *item);
/* A network with its host bits cleared; Postfix' "[::1]/128" is understood. */
bool conf_net_add(struct buf *out, struct slice text);
/* relayhost as ours: "[host:25]" is "[host]:25", services become ports. */
void conf_relay_add(struct buf *out, struct slice text);
/* "4000s", "5d", "300" (in `unit`) as ours; false: it is none. */
bool conf_postfix_time_add(struct buf *out, struct slice text, char unit);
/* ${NAME}, ${NAME:-default} out of the environment. */
void conf_template_add(struct buf *out, const struct conf_profile_source *source, const char *text);

#endif
