/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/conf/profile.h"
#include "core/base/must.h"
#include "core/conf/env.h"
#include "core/conf/file.h"
#include "core/conf/profile_put.h"
#include "core/conf/profile_tables.h"

const struct conf_profile *const conf_profiles[] = {
    &conf_profile_000,
    &conf_profile_001,
    &conf_profile_003,
    &conf_profile_bokysan,
};
const size_t conf_profile_count = ARRAY_COUNT(conf_profiles);

/* ---- the choice ---------------------------------------------------------------------------- */

/* What speaks for a profile. */
struct vote {
    struct slice name; /* of a variable or a folder; empty: nothing */
    bool weak;
};

static void profiles_add(struct buf *out)
{
    buf_add(out, SLICE("native"));
    for (size_t i = 0; i < ARRAY_COUNT(conf_profiles); i++) {
        buf_addf(out, ", %s (%s)", conf_profiles[i]->name.ptr, conf_profiles[i]->alias.ptr);
    }
}

static bool choose_by_name(struct slice variable, struct slice value,
                           const struct conf_profile **chosen, struct buf *why)
{
    *chosen = NULL;
    if (slice_eq_nocase(value, SLICE("native"))) {
        return true;
    }
    for (size_t i = 0; i < ARRAY_COUNT(conf_profiles); i++) {
        if (slice_eq_nocase(value, conf_profiles[i]->name) ||
            slice_eq_nocase(value, conf_profiles[i]->alias)) {
            *chosen = conf_profiles[i];
            return true;
        }
    }
    buf_addf(why, "%s: \"", variable.ptr);
    conf_report_escape(why, value);
    buf_add(why, SLICE("\" is not one of: "));
    profiles_add(why);
    return false;
}

static void vote(struct vote *votes, struct slice name, struct slice value)
{
    for (size_t i = 0; i < ARRAY_COUNT(conf_profiles); i++) {
        const struct conf_variable *v = conf_vars_row(conf_profiles[i], name);
        unsigned flags = v ? v->flags : 0;
        bool empty = value.len == 0; /* required and forgotten: "SMTP_USERNAME=" */
        bool strong = !empty && (flags & CONF_VAR_SELECTS);
        bool weak = empty ? (flags & CONF_VAR_REQUIRED) != 0 : (flags & CONF_VAR_HINTS) != 0;
        if ((strong && (votes[i].weak || !votes[i].name.len)) || (weak && !votes[i].name.len)) {
            votes[i] = (struct vote){name, !strong};
        }
    }
}

static void votes_of_folders(struct vote *votes, const char *root)
{
    for (size_t i = 0; i < ARRAY_COUNT(conf_profiles); i++) {
        const char *folder = conf_profiles[i]->folder;
        if (folder && (!votes[i].name.len || votes[i].weak) && conf_folder_is_used(root, folder)) {
            votes[i] = (struct vote){slice_str(folder), false};
        }
    }
}

static bool choose_by_votes(const struct vote *votes, const struct conf_profile **chosen,
                            struct buf *why)
{
    size_t strong = 0, counted = 0;
    for (size_t i = 0; i < ARRAY_COUNT(conf_profiles); i++) {
        strong += votes[i].name.len && !votes[i].weak;
    }
    for (size_t i = 0; i < ARRAY_COUNT(conf_profiles); i++) {
        if (votes[i].name.len && (!votes[i].weak || strong == 0)) {
            *chosen = conf_profiles[i];
            buf_add(why, counted ? SLICE(", ") : SLICE(""));
            conf_report_escape(why, votes[i].name);
            buf_addf(why, " (%s)", conf_profiles[i]->name.ptr);
            counted++;
        }
    }
    if (counted <= 1) {
        buf_clear(why);
        return true;
    }
    buf_add(why, SLICE(": settings of several systems at once; remove one side, or set "
                       "RINGPOST_PROFILE to one of: "));
    profiles_add(why);
    return false;
}

static bool choose(const struct conf_profile_source *source, const struct conf_profile **chosen,
                   struct buf *why)
{
    struct vote votes[ARRAY_COUNT(conf_profiles)] = {0};
    struct slice own = conf_vars_get(source, SLICE("RINGPOST_PROFILE"));
    struct slice other = conf_vars_get(source, SLICE("MTA_PROFILE"));
    if (own.len || other.len) {
        const struct conf_profile *second = NULL;
        bool ok = choose_by_name(own.len ? SLICE("RINGPOST_PROFILE") : SLICE("MTA_PROFILE"),
                                 own.len ? own : other, chosen, why);
        if (ok && own.len && other.len) {
            ok = choose_by_name(SLICE("MTA_PROFILE"), other, &second, why);
            if (ok && second != *chosen) {
                buf_add(why, SLICE("RINGPOST_PROFILE and MTA_PROFILE name different profiles"));
                ok = false;
            }
        }
        return ok;
    }
    for (size_t i = 0; source->environment[i]; i++) {
        struct slice value = slice_str(source->environment[i]);
        struct slice name = slice_cut(&value, '=');
        if (!conf_env_is_kubernetes(name, value)) {
            vote(votes, name, value);
        }
    }
    votes_of_folders(votes, source->root);
    return choose_by_votes(votes, chosen, why);
}

bool conf_profile_choose(const struct conf_profile_source *source,
                         const struct conf_profile **chosen, struct buf *why)
{
    const struct conf_profile *found = NULL;
    bool clear = !source->environment || choose(source, &found, why);
    *chosen = clear ? found : NULL;
    return clear;
}

/* ---- the layers ---------------------------------------------------------------------------- */

void conf_profile_below(struct conf_profile_load *p)
{
    struct conf_origin from = {.kind = CONF_FROM_DEFAULT};
    must(p->profile != NULL && p->apply->conf == NULL);
    for (size_t i = 0; i < p->profile->preset_count; i++) {
        const struct conf_preset *preset = &p->profile->presets[i];
        conf_profile_put(p, &from, preset->path, slice_str(preset->value));
    }
    if (p->profile->below) {
        p->profile->below(p);
    }
}

/* Rows of a prefix: every variable that no other row knows. */
static void prefix_apply(struct conf_profile_load *p, struct slice name, struct slice value)
{
    const struct conf_variable *v = conf_vars_row(p->profile, name);
    if (v && (v->flags & CONF_VAR_PREFIX) && !conf_env_is_kubernetes(name, value)) {
        struct conf_origin from = {.kind = CONF_FROM_ENV, .name = name};
        conf_variable_apply(p, v, &from, value);
    }
}

void conf_profile_above(struct conf_profile_load *p)
{
    must(p->profile != NULL && p->apply->conf == NULL);
    conf_vars_check(p);
    for (size_t i = 0; i < p->profile->variable_count; i++) {
        const struct conf_variable *v = &p->profile->variables[i];
        if (!(v->flags & CONF_VAR_PREFIX)) {
            struct conf_origin from = {.kind = CONF_FROM_ENV, .name = v->name};
            conf_variable_apply(p, v, &from, conf_vars_read(p, v));
        }
    }
    for (size_t i = 0; p->source->environment && p->source->environment[i]; i++) {
        struct slice value = slice_str(p->source->environment[i]);
        struct slice name = slice_cut(&value, '=');
        prefix_apply(p, name, value);
    }
    if (p->profile->above) {
        p->profile->above(p);
    }
}
