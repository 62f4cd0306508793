/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * One function per kind of row. Each turns the foreign text into our text and puts it; the key's own
 * parser judges it, so that there is one place for every range.
 */
#include "core/base/must.h"
#include "core/conf/profile_put.h"
#include "core/conf/value.h"

enum { VALUE_BYTES_MAX = 1 << 20 };

struct row_work {
    struct conf_profile_load *p;
    const struct conf_variable *v;
    const struct conf_origin *from;
    struct slice value;
};

static void put(const struct row_work *w, struct slice value)
{
    conf_profile_put(w->p, w->from, w->v->keys, value);
}

/* What a buf holds, kept; the buf is ended. */
static void put_buf(const struct row_work *w, struct buf *b)
{
    put(w, conf_profile_keep(w->p, buf_slice(b)));
    buf_deinit(b);
}

static void refuse(const struct row_work *w, const char *what)
{
    struct buf text;
    buf_init(&text, 1024);
    conf_value_show(&text, w->value);
    buf_addf(&text, " %s", what);
    conf_report_error(w->p->apply->report, w->from, w->v->name, "%.*s",
                      SLICE_ARG(buf_slice(&text)));
    buf_deinit(&text);
}

static void warn(const struct row_work *w, const char *what)
{
    conf_report_warning(w->p->apply->report, w->from, w->v->name, "%s", what);
}

/* ---- switches ------------------------------------------------------------------------------ */

static void true_apply(const struct row_work *w)
{
    if (slice_eq(w->value, SLICE("true"))) {
        put(w, slice_str(w->v->text));
    } else if (!slice_eq(w->value, SLICE("false"))) {
        warn(w, "only \"true\" switches this on; taken as false");
    }
}

static bool looks_false(struct slice value)
{
    return slice_eq_nocase(value, SLICE("false")) || slice_eq_nocase(value, SLICE("no")) ||
           slice_eq_nocase(value, SLICE("off")) || slice_eq(value, SLICE("0"));
}

static void switch_apply(const struct row_work *w)
{
    if (looks_false(w->value)) {
        warn(w, "taken as false; the original takes any text as true");
    } else {
        put(w, slice_str(w->v->text));
    }
}

static void yes_no_apply(const struct row_work *w)
{
    bool yes = slice_eq_nocase(w->value, SLICE("yes"));
    if (yes || slice_eq_nocase(w->value, SLICE("no"))) {
        put(w, yes ? SLICE("true") : SLICE("false"));
    } else {
        refuse(w, "is not yes or no");
    }
}

/* Words of a list are compared as if they were separated by one comma: "a, b" is "a,b". */
static bool words_equal(struct slice a, struct slice b)
{
    struct slice x, y;
    bool more_a, more_b;
    do {
        more_a = conf_list_next(&a, ", \t", &x);
        more_b = conf_list_next(&b, ", \t", &y);
        if (more_a && more_b && !slice_eq_nocase(x, y)) {
            return false;
        }
    } while (more_a && more_b);
    return more_a == more_b;
}

static void words_apply(const struct row_work *w)
{
    struct slice rest = slice_str(w->v->text);
    struct buf known;
    buf_init(&known, 1024);
    buf_add(&known, SLICE("is not one of: "));
    for (bool first = true; rest.len; first = false) {
        struct slice value = slice_cut(&rest, '|');
        struct slice word = slice_cut(&value, '=');
        if (words_equal(word, w->value)) {
            put(w, value);
            buf_deinit(&known);
            return;
        }
        buf_addf(&known, first ? "%.*s" : ", %.*s", SLICE_ARG(word));
    }
    buf_add_byte(&known, '\0');
    if (!(w->v->flags & CONF_VAR_QUIET)) {
        refuse(w, known.ptr);
    }
    buf_deinit(&known);
}

/* ---- lists --------------------------------------------------------------------------------- */

static void item_add(struct buf *out, struct slice item)
{
    buf_add(out, out->len ? SLICE(",") : SLICE(""));
    buf_add(out, item);
}

static void list_apply(const struct row_work *w)
{
    struct slice rest = w->value, item;
    struct buf items;
    buf_init(&items, VALUE_BYTES_MAX);
    while (conf_list_next(&rest, w->v->text, &item)) {
        if ((item = slice_trim(item)).len) {
            item_add(&items, item);
        }
    }
    put_buf(w, &items);
}

static void exim_list_apply(const struct row_work *w)
{
    char separator;
    struct slice rest = conf_exim_list(w->value, &separator), item;
    struct buf items;
    buf_init(&items, VALUE_BYTES_MAX);
    while (conf_exim_list_next(&rest, separator, &item)) {
        item_add(&items, item);
    }
    put_buf(w, &items);
}

static void nets_apply(const struct row_work *w)
{
    struct slice rest = w->value, item;
    struct buf items;
    buf_init(&items, VALUE_BYTES_MAX);
    while (conf_list_next(&rest, w->v->text, &item)) {
        item_add(&items, SLICE(""));
        if (!conf_net_add(&items, item)) {
            buf_add(&items, item);
        }
    }
    put_buf(w, &items);
}

/* ---- numbers ------------------------------------------------------------------------------- */

static const struct conf_key *first_key(const struct row_work *w)
{
    struct slice rest = slice_str(w->v->keys);
    const struct conf_key *key = conf_table_key(w->p->apply->table, slice_cut(&rest, ' '));
    must(key != NULL);
    return key;
}

/* More than we can take is as good as what we can: nothing larger comes through either way. */
static void put_size(const struct row_work *w, uint64_t bytes)
{
    const struct conf_key *key = first_key(w);
    struct buf text;
    if (bytes > key->max) {
        warn(w, "is more than Ringpost takes; the most it takes is used");
    }
    buf_init(&text, 32);
    buf_add_u64(&text, bytes == 0 || bytes > key->max ? key->max : bytes);
    put_buf(w, &text);
}

static void bytes_apply(const struct row_work *w)
{
    uint64_t bytes;
    if (slice_to_u64(w->value, &bytes)) {
        put_size(w, bytes);
    } else {
        refuse(w, "is not a number of bytes");
    }
}

static void exim_size_apply(const struct row_work *w)
{
    struct slice digits = w->value;
    char unit = digits.len ? ascii_lower(digits.ptr[digits.len - 1]) : '0';
    unsigned shift = unit == 'k' ? 10 : unit == 'm' ? 20 : unit == 'g' ? 30 : 0;
    uint64_t n;
    digits.len -= shift > 0;
    if (slice_to_u64(digits, &n) && n < UINT64_C(1) << 32) {
        put_size(w, n << shift);
    } else {
        refuse(w, "is not a size");
    }
}

static void postfix_time_apply(const struct row_work *w)
{
    struct buf text;
    buf_init(&text, 64);
    if (conf_postfix_time_add(&text, w->value, w->v->text[0])) {
        put_buf(w, &text);
    } else {
        refuse(w, "is not a time, write for example 300s, 4h, 5d");
        buf_deinit(&text);
    }
}

/* ---- hosts, paths -------------------------------------------------------------------------- */

static void relay_apply(const struct row_work *w)
{
    struct slice rest = w->value, item;
    struct buf items;
    buf_init(&items, VALUE_BYTES_MAX);
    while (conf_list_next(&rest, ", \t\r\n", &item)) {
        item_add(&items, SLICE(""));
        conf_relay_add(&items, item);
    }
    put_buf(w, &items);
}

static void template_apply(const struct row_work *w)
{
    struct buf text;
    buf_init(&text, VALUE_BYTES_MAX);
    conf_template_add(&text, w->p->source, w->v->text);
    put_buf(w, &text);
}

static void path_apply(const struct row_work *w)
{
    struct slice base = slice_str(w->v->text);
    struct buf path;
    buf_init(&path, VALUE_BYTES_MAX + base.len);
    if (base.len && w->value.ptr[0] != '/') {
        buf_add(&path, base);
        buf_add_byte(&path, '/');
    }
    buf_add(&path, w->value);
    put_buf(w, &path);
}

/* ---- users --------------------------------------------------------------------------------- */

static void user_apply(const struct row_work *w)
{
    const struct conf_variable *other = conf_vars_row(w->p->profile, slice_str(w->v->text));
    must(other != NULL);
    struct conf_profile_user user = {.name = w->value,
                                     .password = conf_vars_read(w->p, other),
                                     .realm = w->p->profile->realm};
    if (user.password.len) {
        conf_profile_put_user(w->p, w->from, &user);
    }
}

static void users_apply(const struct row_work *w)
{
    struct slice rest = w->value, item;
    while (rest.len) {
        item = w->v->text[0] ? slice_cut(&rest, w->v->text[0]) : rest;
        rest = w->v->text[0] ? rest : slice_skip(rest, rest.len);
        if (slice_trim(item).len == 0) {
            continue;
        }
        struct slice password = item;
        struct conf_profile_user user = {.name = slice_trim(slice_cut(&password, ':')),
                                         .realm = w->p->profile->realm};
        user.password = password; /* all of it: only the first colon separates */
        if (user.name.len && user.password.len) {
            conf_profile_put_user(w->p, w->from, &user);
        } else {
            conf_report_error(w->p->apply->report, w->from, w->v->name,
                              "is not of the form user:password");
        }
    }
}

/* ---- the table of kinds -------------------------------------------------------------------- */

static void text_apply(const struct row_work *w)
{
    put(w, w->value);
}

static void const_apply(const struct row_work *w)
{
    put(w, slice_str(w->v->text));
}

static void code_apply(const struct row_work *w)
{
    (void)w;
}

static void none_apply(const struct row_work *w)
{
    struct buf text;
    must(w->v->note != NULL); /* a warning without a reason helps nobody */
    buf_init(&text, 1024);
    buf_addf(&text, "has no effect: %s", w->v->note);
    buf_add_byte(&text, '\0');
    warn(w, text.ptr);
    buf_deinit(&text);
}

static void unknown_apply(const struct row_work *w)
{
    conf_report_warning(w->p->apply->report, w->from, w->v->name,
                        "profile %s has no variable of this name, ignored",
                        w->p->profile->name.ptr);
}

static void (*const kinds[])(const struct row_work *w) = {
    [CONF_VAR_TEXT] = text_apply,           [CONF_VAR_CONST] = const_apply,
    [CONF_VAR_TRUE] = true_apply,           [CONF_VAR_SWITCH] = switch_apply,
    [CONF_VAR_YES_NO] = yes_no_apply,       [CONF_VAR_WORDS] = words_apply,
    [CONF_VAR_LIST] = list_apply,           [CONF_VAR_EXIM_LIST] = exim_list_apply,
    [CONF_VAR_NETS] = nets_apply,           [CONF_VAR_BYTES] = bytes_apply,
    [CONF_VAR_EXIM_SIZE] = exim_size_apply, [CONF_VAR_POSTFIX_TIME] = postfix_time_apply,
    [CONF_VAR_POSTFIX_RELAY] = relay_apply, [CONF_VAR_TEMPLATE] = template_apply,
    [CONF_VAR_PATH] = path_apply,           [CONF_VAR_USER] = user_apply,
    [CONF_VAR_USERS] = users_apply,         [CONF_VAR_CODE] = code_apply,
    [CONF_VAR_NONE] = none_apply,           [CONF_VAR_UNKNOWN] = unknown_apply,
    [CONF_VAR_SILENT] = code_apply,
};

void conf_variable_apply(struct conf_profile_load *p, const struct conf_variable *v,
                         const struct conf_origin *from, struct slice value)
{
    const struct row_work w = {p, v, from, value};
    must((size_t)v->kind < ARRAY_COUNT(kinds));
    if (value.len == 0) {
        return; /* empty is not set */
    }
    if (conf_vars_meet(p, v->needs)) {
        kinds[v->kind](&w);
    } else if (v->unmet) {
        warn(&w, v->unmet);
    }
}

bool conf_variables_apply(struct conf_profile_load *p, const struct conf_variable *rows,
                          size_t count, const struct conf_origin *from, struct slice name,
                          struct slice value)
{
    bool found = false;
    for (size_t i = 0; i < count; i++) {
        if (slice_eq(rows[i].name, name)) {
            found = true;
            conf_variable_apply(p, &rows[i], from, value);
        }
    }
    return found;
}
