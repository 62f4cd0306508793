/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * profile_tables - the profiles, and what several of them share
 *
 * Purpose:   one file per profile with its tables; main.cf's parameters, which two profiles know.
 * Owner:     constant data. Thread: the loader's. Errors: reported.
 */
#ifndef RINGPOST_CONF_PROFILE_TABLES_H
#define RINGPOST_CONF_PROFILE_TABLES_H

#include "core/conf/profile_put.h"

extern const struct conf_profile conf_profile_000;
extern const struct conf_profile conf_profile_001;
extern const struct conf_profile conf_profile_003;
extern const struct conf_profile conf_profile_bokysan;

/* ---- profile_postfix.c: parameters of main.cf ---- */

extern const struct conf_variable conf_postfix_parameters[];
extern const size_t conf_postfix_parameter_count;

/* Who may relay, as a truth table: bit (2 * in the networks + logged in). */
enum {
    CONF_POSTFIX_NETS = 0xc,
    CONF_POSTFIX_AUTH = 0xa,
    CONF_POSTFIX_ALL = 0xf,
};

/* Parameters that only mean something together are noted until conf_postfix_end. */
struct conf_postfix {
    struct conf_profile_load *p;
    unsigned relay, client, recipient;     /* restrictions: truth tables; 0: not given */
    struct conf_origin access_from;        /* of the last of them */
    uint64_t backoff_min_s, backoff_max_s; /* 0: not given */
    struct conf_origin backoff_from;
    bool sasl; /* smtpd_sasl_auth_enable */
};
void conf_postfix_set(struct conf_postfix *m, const struct conf_origin *from, struct slice name,
                      struct slice value);
void conf_postfix_end(struct conf_postfix *m);

/* ---- profile_postconf.c ---- */

/* A line of arguments of postconf: -e name=value, -M -e service/type=line. */
void conf_postconf_line(struct conf_postfix *m, const struct conf_origin *from, struct slice line);
/* Every line of the folder's *conf files that is neither empty nor a comment. */
void conf_postconf_folder(struct conf_postfix *m, const char *folder);

/* ---- profile_shell.c ---- */

/* The next word of a line as the shell would read it: quotes, backslashes, $NAME. 0: none is left,
 * 1: a word in out, -1: it would run a command, or is not finished. */
int conf_shell_word(struct slice *line, const struct conf_profile_source *source, struct buf *out);

/* ---- profile_users.c: users.d of profile 003 ---- */

void conf_profile_users_folder(struct conf_profile_load *p, const char *folder);

/* ---- profile_yaml.c: yaml.d of profile 003 ---- */

extern const struct conf_variable conf_yaml_names[];
extern const size_t conf_yaml_name_count;

/* All files together; the lists hold what every file brought, in order. */
struct conf_profile_yaml {
    struct conf_node *config; /* a map */
    struct conf_node *users;
    struct conf_node *domains;
};
void conf_profile_yaml_read(struct conf_profile_load *p, const char *folder,
                            struct conf_profile_yaml *y);
void conf_profile_yaml_config(struct conf_profile_load *p, const struct conf_profile_yaml *y,
                              struct conf_postfix *m);
void conf_profile_yaml_users(struct conf_profile_load *p, const struct conf_profile_yaml *y);
void conf_profile_yaml_domains(struct conf_profile_load *p, const struct conf_profile_yaml *y);

/* ---- profile_host.c ---- */

/* The networks of an interface's IPv4 addresses, with commas; false: there is no such interface. */
bool conf_interface_nets(struct slice name, struct buf *out);
bool conf_host_has_ipv6(void);

#endif
