/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * report - collects what is wrong
 *
 * Purpose:   every error and warning as one line: "file:line:col: key: text", "RINGPOST_X: text",
 *            "--set key: text". Foreign text is quoted, shortened and never breaks the line.
 * Owner:     the loader; the buffers are its caller's. Thread: the loader's.
 * Limits:    200 lines are written, the rest is counted and summed up in one line.
 */
#ifndef RINGPOST_CONF_REPORT_H
#define RINGPOST_CONF_REPORT_H

#include "core/base/buf.h"
#include "core/conf/tree.h"

enum { CONF_REPORT_LINES_MAX = 200 };

struct conf_report {
    struct buf *errors;
    struct buf *warnings; /* or NULL */
    size_t error_count;
    size_t warning_count;
};

/* False: the next one will only be counted, so its text need not be made. */
static inline bool conf_report_shows_errors(const struct conf_report *r)
{
    return r->error_count < CONF_REPORT_LINES_MAX;
}
static inline bool conf_report_shows_warnings(const struct conf_report *r)
{
    return r->warnings && r->warning_count < CONF_REPORT_LINES_MAX;
}

/* path may be empty: the message is about the source itself. */
void conf_report_error(struct conf_report *r, const struct conf_origin *from, struct slice path,
                       const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void conf_report_warning(struct conf_report *r, const struct conf_origin *from, struct slice path,
                         const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Printable and at most some 60 characters: control characters and broken UTF-8 as \xNN. */
void conf_report_escape(struct buf *out, struct slice text);

#endif
