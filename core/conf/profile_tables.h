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

/* One parameter. Those that only mean something together are noted and applied by the end. */
struct conf_postfix {
    struct conf_profile_load *p;
    struct conf_origin access_from; /* of the last restriction */
    bool client_must_auth;          /* smtpd_client_restrictions */
    bool has_access;
    bool nets, auth; /* smtpd_relay_restrictions permits them */
    struct conf_origin backoff_from;
    uint64_t backoff_min_s, backoff_max_s; /* 0: not given */
    bool sasl;                             /* smtpd_sasl_auth_enable */
};
void conf_postfix_set(struct conf_postfix *m, const struct conf_origin *from, struct slice name,
                      struct slice value);
void conf_postfix_end(struct conf_postfix *m);

/* A line of arguments of postconf: -e name=value, -M -e service/type=line. */
void conf_postconf_line(struct conf_postfix *m, const struct conf_origin *from, struct slice line);

/* ---- profile_shell.c ---- */

/* The next word of a line as the shell would read it: quotes, backslashes, $NAME. 0: none is left,
 * 1: a word in out, -1: it would run a command, or is not finished. */
int conf_shell_word(struct slice *line, const struct conf_profile_source *source, struct buf *out);

/* ---- profile_users.c: users.d of profile 003 ---- */

void conf_profile_users_folder(struct conf_profile_load *p, const char *folder);

/* ---- profile_yaml.c: yaml.d of profile 003 ---- */

void conf_profile_yaml_folder(struct conf_profile_load *p, const char *folder,
                              struct conf_postfix *m);

/* ---- profile_host.c ---- */

/* The networks of an interface's IPv4 addresses, with commas; false: there is no such interface. */
bool conf_interface_nets(struct slice name, struct buf *out);
/* The name that reverse DNS gives one of this machine's public addresses, within two seconds.
 * False: there is no public address, or no name. */
bool conf_host_reverse_name(struct buf *out);
bool conf_host_has_ipv6(void);

/* Credentials may go out in clear: say so when that can happen. */
void conf_profile_warn_clear_relay(struct conf_profile_load *p, struct slice username);

#endif
