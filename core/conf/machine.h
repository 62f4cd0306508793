/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * machine - what this machine calls itself
 *
 * Purpose:   the names that stand for identity.hostname where nothing names it. Each is asked for once and
 *            kept: a running engine can ask no more (its sandbox has neither uname nor new threads), and a
 *            reload must not make another relay of it because a name server was silent.
 * Owner:     who loads a configuration more than once keeps a struct conf_machine, zeroed at first.
 * Thread:    one at a time. conf_machine_reverse_name takes up to two seconds, the first time.
 * Errors:    no name: empty, false.
 */
#ifndef RINGPOST_CONF_MACHINE_H
#define RINGPOST_CONF_MACHINE_H

#include "core/base/buf.h"

enum { CONF_MACHINE_NAME_BYTES = 256 }; /* RFC 1035 2.3.4, and a NUL */

struct conf_machine {
    bool name_asked;
    bool reverse_asked;
    char name[CONF_MACHINE_NAME_BYTES];    /* as gethostname has it; "": none */
    char reverse[CONF_MACHINE_NAME_BYTES]; /* a valid host name, or "" */
};

struct slice conf_machine_name(struct conf_machine *m);
/* The name that reverse DNS gives the first public address of this machine, added to out. */
bool conf_machine_reverse_name(struct conf_machine *m, struct buf *out);

#endif
