/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * doctor - what this machine lacks for Ringpost, and what to change
 *
 * Purpose:   `ringpost doctor`: a table of checks (doctor.c); each says what it found and, unless all
 *            is well, what to change. Reads and measures; what it creates (an unnamed file in the
 *            spool's folder, sockets) is gone when it returns.
 * Owner:     the caller. Thread: the process's first; blocks some seconds at most per check.
 * Units:     in the names.
 * Errors:    a check that cannot be made is a warning. DOCTOR_FAIL only for what keeps the engine from
 *            starting or from taking mail.
 */
#ifndef RINGPOST_APP_DOCTOR_H
#define RINGPOST_APP_DOCTOR_H

#include "core/conf/conf.h"

#include <stdio.h>

enum doctor_status { DOCTOR_PASS, DOCTOR_WARN, DOCTOR_FAIL };

struct doctor {
    const struct conf *conf;
    FILE *out;
    bool json;
    bool running;          /* an engine answers on admin.socket */
    struct slice unusable; /* what is wrong with certificates, keys and users, a line each */
    struct slice unwise;   /* what the start would warn of */
    unsigned counts[DOCTOR_FAIL + 1];
};

/* One result. change: what to do about it, "" when nothing. */
void doctor_say(struct doctor *d, enum doctor_status status, const char *name, const char *change,
                const char *found_fmt, ...) __attribute__((format(printf, 5, 6)));

/* Runs every check; true when none failed. */
bool doctor_run(struct doctor *d);

#endif
