/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * postfix.d of profile 003: lines of arguments for postconf(1).
 */
#include "core/conf/file.h"
#include "core/conf/profile_tables.h"

#include <stdlib.h>

static void note(struct conf_postfix *m, const struct conf_origin *from, struct slice name,
                 const char *what)
{
    struct buf shown;
    buf_init(&shown, 512);
    conf_report_escape(&shown, name);
    conf_report_warning(m->p->apply->report, from, SLICE(""), "%.*s %s",
                        SLICE_ARG(buf_slice(&shown)), what);
    buf_deinit(&shown);
}

/* -M -e submission/inet="submission inet n - n - - smtpd -v" */
static void master_set(struct conf_postfix *m, const struct conf_origin *from, struct slice service,
                       struct slice entry)
{
    struct slice word;
    bool verbose = false, other = false, daemon = false;
    for (size_t i = 0; conf_list_next(&entry, " \t", &word); i++) {
        bool v = slice_eq(word, SLICE("-v")) || slice_eq(word, SLICE("-vv"));
        daemon |= i == 7 && slice_eq(word, SLICE("smtpd"));
        verbose |= i > 7 && v;
        other |= i > 7 && !v;
    }
    bool submission = slice_eq(service, SLICE("submission/inet")) ||
                      slice_eq(service, SLICE("587/inet"));
    if (!submission || !daemon || other) {
        note(m, from, service, "has no effect: of master.cf only submission's -v is read");
    } else if (verbose) {
        conf_profile_put(m->p, from, "log.level", SLICE("debug"));
    }
}

static void assignment_set(struct conf_postfix *m, const struct conf_origin *from, bool master,
                           struct slice word)
{
    struct slice value = word;
    struct slice name = slice_trim(slice_cut(&value, '='));
    if (name.len == word.len) {
        note(m, from, word, "has no effect: not of the form name=value");
    } else if (master) {
        master_set(m, from, name, value);
    } else {
        conf_postfix_set(m, from, name, value);
    }
}

void conf_postconf_line(struct conf_postfix *m, const struct conf_origin *from, struct slice line)
{
    bool master = false, skip = false;
    struct buf word;
    int got;
    buf_init(&word, CONF_PROFILE_BYTES_MAX);
    while ((got = conf_shell_word(&line, m->p->source, &word)) > 0) {
        struct slice w = conf_profile_keep(m->p, buf_slice(&word));
        if (slice_eq(w, SLICE("-M"))) {
            master = true;
        } else if (slice_eq(w, SLICE("-e"))) {
            skip = false;
        } else if (w.len && w.ptr[0] == '-') {
            skip = true; /* -#, -X, -P: take away what was set */
            note(m, from, w, "has no effect: of postconf's options only -e and -M are read");
        } else if (!skip) {
            assignment_set(m, from, master, w);
        }
        buf_clear(&word);
    }
    if (got < 0) {
        conf_report_warning(m->p->apply->report, from, SLICE(""),
                            "the rest of the line has no effect: commands are not run");
    }
    buf_deinit(&word);
}

static void postconf_file(struct conf_postfix *m, const char *path)
{
    struct conf_origin from = conf_profile_place(conf_profile_keep(m->p, slice_str(path)), 0);
    struct buf text, why;
    buf_init(&text, CONF_PROFILE_BYTES_MAX);
    buf_init(&why, 512);
    if (conf_file_read(path, CONF_PROFILE_BYTES_MAX / 2, &text, &why)) {
        struct slice rest = buf_slice(&text);
        for (from.line = 1; rest.len; from.line++) {
            conf_postconf_line(m, &from, slice_cut(&rest, '\n'));
        }
    } else {
        conf_report_error(m->p->apply->report, &from, SLICE(""), "%.*s",
                          SLICE_ARG(buf_slice(&why)));
    }
    buf_deinit(&text);
    buf_deinit(&why);
}

void conf_postconf_folder(struct conf_postfix *m, const char *folder)
{
    struct slice path = conf_profile_path(m->p, slice_str(folder));
    char **names = NULL;
    size_t count = 0;
    struct buf why;
    buf_init(&why, 512);
    if (!conf_folder_find(path.ptr, "conf", &names, &count, &why)) {
        struct conf_origin from = conf_profile_place(path, 0);
        conf_report_error(m->p->apply->report, &from, SLICE(""), "%.*s",
                          SLICE_ARG(buf_slice(&why)));
    }
    for (size_t i = 0; i < count; i++) {
        postconf_file(m, names[i]);
    }
    free(names);
    buf_deinit(&why);
}
