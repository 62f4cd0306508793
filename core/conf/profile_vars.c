/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The environment is searched anew for every name: some forty rows against some hundred variables is
 * less work than any index, and there is nothing to keep up to date.
 */
#include "core/base/must.h"
#include "core/base/secret.h"
#include "core/conf/env.h"
#include "core/conf/file.h"
#include "core/conf/profile_put.h"

#include <sys/stat.h>

enum { NAME_BYTES_MAX = 256, PATH_BYTES_MAX = 4096 };

struct slice conf_vars_get(const struct conf_profile_source *source, struct slice name)
{
    struct slice none = {"", 0};
    for (size_t i = 0; source->environment && source->environment[i]; i++) {
        struct slice value = slice_str(source->environment[i]);
        if (slice_eq(slice_cut(&value, '='), name)) {
            return conf_env_is_kubernetes(name, value) ? none : value;
        }
    }
    return none;
}

static struct slice file_variable(const struct conf_profile_load *p, struct slice name)
{
    char text[NAME_BYTES_MAX];
    struct buf b;
    struct slice value = {"", 0};
    buf_init(&b, sizeof(text));
    buf_addf(&b, "%.*s_FILE", SLICE_ARG(name));
    if (!b.overflow) {
        value = conf_vars_get(p->source, buf_slice(&b));
    }
    buf_deinit(&b);
    return value;
}

static const struct conf_variable *exact_row(const struct conf_profile *profile, struct slice name)
{
    for (size_t i = 0; i < profile->variable_count; i++) {
        const struct conf_variable *v = &profile->variables[i];
        if (!(v->flags & CONF_VAR_PREFIX) && slice_eq(v->name, name)) {
            return v;
        }
    }
    return NULL;
}

static bool starts(struct slice s, struct slice prefix)
{
    return s.len > prefix.len && slice_eq(slice_first(s, prefix.len), prefix);
}

static bool prefix_fits(const struct conf_variable *v, struct slice name)
{
    if (!(v->flags & CONF_VAR_PREFIX) || !starts(name, v->name)) {
        return false;
    }
    char first = name.ptr[v->name.len];
    return !(v->flags & CONF_VAR_LOWER) || (ascii_is_alpha(first) && first == ascii_lower(first));
}

const struct conf_variable *conf_vars_row(const struct conf_profile *profile, struct slice name)
{
    const struct conf_variable *found = exact_row(profile, name);
    if (!found && name.len > 5 && slice_ends_nocase(name, SLICE("_FILE"))) {
        found = exact_row(profile, slice_first(name, name.len - 5));
        found = found && (found->flags & CONF_VAR_SECRET) ? found : NULL;
    }
    for (size_t i = 0; i < profile->variable_count && !found; i++) {
        found = prefix_fits(&profile->variables[i], name) ? &profile->variables[i] : NULL;
    }
    return found;
}

bool conf_vars_is_set(const struct conf_profile_load *p, struct slice name)
{
    const struct conf_variable *v = exact_row(p->profile, name);
    return conf_vars_get(p->source, name).len > 0 ||
           (v && (v->flags & CONF_VAR_SECRET) && file_variable(p, name).len > 0);
}

/* ---- conditions ---------------------------------------------------------------------------- */

static bool names_full_file(const struct conf_profile_load *p, struct slice name)
{
    char path[PATH_BYTES_MAX];
    struct stat st;
    struct buf b;
    struct slice value = conf_vars_get(p->source, name);
    buf_init(&b, sizeof(path));
    buf_add(&b, slice_str(p->source->root));
    buf_add(&b, value);
    bool ok = value.len && !b.overflow && slice_to_cstr(buf_slice(&b), path, sizeof(path)) &&
              stat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0;
    buf_deinit(&b);
    return ok;
}

static bool meets_one(const struct conf_profile_load *p, struct slice word)
{
    if (word.ptr[0] == '!') {
        return !conf_vars_is_set(p, slice_skip(word, 1));
    }
    if (word.ptr[0] == '@') {
        return names_full_file(p, slice_skip(word, 1));
    }
    return conf_vars_is_set(p, word);
}

bool conf_vars_meet(const struct conf_profile_load *p, const char *needs)
{
    struct slice rest = slice_str(needs);
    while (rest.len) {
        struct slice words = slice_cut(&rest, ' ');
        bool met = false;
        while (words.len && !met) {
            met = meets_one(p, slice_cut(&words, '|'));
        }
        if (!met) {
            return false;
        }
    }
    return true;
}

/* ---- values -------------------------------------------------------------------------------- */

static void file_refuse(struct conf_profile_load *p, struct slice name, struct slice path,
                        struct slice why)
{
    struct conf_origin from = {.kind = CONF_FROM_ENV};
    struct buf shown, variable;
    buf_init(&shown, 512);
    buf_init(&variable, NAME_BYTES_MAX);
    buf_addf(&variable, "%.*s_FILE", SLICE_ARG(name));
    from.name = buf_slice(&variable);
    conf_report_escape(&shown, path);
    conf_report_error(p->apply->report, &from, SLICE(""), "%.*s: %.*s",
                      SLICE_ARG(buf_slice(&shown)), SLICE_ARG(why));
    buf_deinit(&shown);
    buf_deinit(&variable);
}

/* One line end is left out, no more: a password may end in a space. Rows that share a variable read it
 * again: what is wrong with the file is said for one of them, whose name is not empty. */
static struct slice file_read(struct conf_profile_load *p, struct slice name, struct slice path)
{
    struct slice value = {"", 0};
    struct slice full = conf_profile_path(p, path);
    struct buf text, why;
    buf_init(&text, CONF_SECRET_BYTES_MAX + 16384);
    buf_init(&why, 512);
    bool ok = full.len && slice_find_byte(full, '\0') < 0 &&
              conf_file_read(full.ptr, CONF_SECRET_BYTES_MAX, &text, &why);
    if (ok) {
        struct slice t = buf_slice(&text);
        t.len -= t.len && t.ptr[t.len - 1] == '\n';
        t.len -= t.len && t.ptr[t.len - 1] == '\r';
        value = conf_profile_keep(p, t);
    } else if (name.len) {
        file_refuse(p, name, path, buf_slice(&why));
    }
    secret_buf_release(&text);
    buf_deinit(&why);
    return value;
}

struct slice conf_vars_read(struct conf_profile_load *p, const struct conf_variable *v)
{
    struct slice value = conf_vars_get(p->source, v->name);
    struct slice path = {"", 0};
    if (value.len == 0 && (v->flags & CONF_VAR_SECRET)) {
        path = file_variable(p, v->name);
    }
    return path.len ? file_read(p, SLICE(""), path) : conf_profile_keep(p, value);
}

/* ---- what is wrong with the set of names --------------------------------------------------- */

static bool is_first(const struct conf_profile *profile, const struct conf_variable *v)
{
    return exact_row(profile, v->name) == v;
}

static const struct conf_profile *selected_elsewhere(const struct conf_profile *mine,
                                                     struct slice name)
{
    for (size_t i = 0; i < conf_profile_count; i++) {
        const struct conf_variable *v = conf_vars_row(conf_profiles[i], name);
        if (conf_profiles[i] != mine && v && (v->flags & (CONF_VAR_SELECTS | CONF_VAR_HINTS))) {
            return conf_profiles[i];
        }
    }
    return NULL;
}

static void foreign_check(struct conf_profile_load *p, struct slice name, struct slice value)
{
    struct conf_origin from = {.kind = CONF_FROM_ENV, .name = name};
    const struct conf_variable *mine = conf_vars_row(p->profile, name);
    const struct conf_profile *other = selected_elsewhere(p->profile, name);
    bool known = mine && mine->kind != CONF_VAR_UNKNOWN;
    if (value.len && other && !known && !conf_env_is_kubernetes(name, value)) {
        conf_report_warning(p->apply->report, &from, SLICE(""),
                            "belongs to profile %s; this is profile %s, ignored", other->name.ptr,
                            p->profile->name.ptr);
    }
}

void conf_vars_check(struct conf_profile_load *p)
{
    struct conf_origin whole = {.kind = CONF_FROM_DEFAULT};
    struct conf_report *report = p->apply->report;
    for (size_t i = 0; i < p->profile->variable_count; i++) {
        const struct conf_variable *v = &p->profile->variables[i];
        const char *name = v->name.ptr;
        if (!is_first(p->profile, v)) {
            continue;
        }
        if ((v->flags & CONF_VAR_REQUIRED) && !conf_vars_is_set(p, v->name)) {
            conf_report_error(report, &whole, SLICE(""), "Error: %s must be set", name);
        }
        struct slice path = (v->flags & CONF_VAR_SECRET) ? file_variable(p, v->name) : SLICE("");
        if (path.len && conf_vars_get(p->source, v->name).len) {
            conf_report_error(report, &whole, SLICE(""),
                              "error: both %s and %s_FILE are set (but are mutually exclusive)",
                              name, name);
        } else if (path.len) {
            file_read(p, v->name, path);
        }
    }
    for (size_t i = 0; p->source->environment && p->source->environment[i]; i++) {
        struct slice value = slice_str(p->source->environment[i]);
        struct slice name = slice_cut(&value, '=');
        foreign_check(p, name, value);
    }
}
