/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/conf/mailbox.h"
#include "core/base/must.h"

static const struct {
    struct slice text;
    enum mailbox_piece piece;
} placeholders[] = {
    {SLICE_INIT("{domain}"), MAILBOX_DOMAIN},
    {SLICE_INIT("{local}"), MAILBOX_LOCAL},
};

static bool starts(struct slice s, struct slice prefix)
{
    return slice_eq(slice_first(s, prefix.len), prefix);
}

enum mailbox_piece mailbox_name_piece(struct slice *name, struct slice *text)
{
    if (name->len == 0) {
        return MAILBOX_END;
    }
    for (size_t i = 0; i < ARRAY_COUNT(placeholders); i++) {
        if (starts(*name, placeholders[i].text)) {
            *name = slice_skip(*name, placeholders[i].text.len);
            return placeholders[i].piece;
        }
    }
    int brace = slice_find_byte(slice_skip(*name, 1), '{');
    *text = slice_first(*name, brace < 0 ? name->len : (size_t)brace + 1);
    *name = slice_skip(*name, text->len);
    return MAILBOX_TEXT;
}

bool mailbox_pattern_name(struct slice *rest, struct slice *name)
{
    while (rest->len && rest->ptr[0] == '/') {
        *rest = slice_skip(*rest, 1);
    }
    *name = slice_cut(rest, '/');
    return name->len > 0;
}

static bool name_has_placeholder(struct slice name)
{
    struct slice text;
    enum mailbox_piece piece;
    while ((piece = mailbox_name_piece(&name, &text)) != MAILBOX_END) {
        if (piece != MAILBOX_TEXT) {
            return true;
        }
    }
    return false;
}

bool mailbox_pattern_is_per_user(struct slice pattern)
{
    struct slice name;
    while (mailbox_pattern_name(&pattern, &name)) {
        if (name_has_placeholder(name)) {
            return true;
        }
    }
    return false;
}

struct slice mailbox_pattern_base(struct slice pattern, struct slice *rest)
{
    struct slice left = pattern, name, before = pattern;
    bool per_user = mailbox_pattern_is_per_user(pattern);
    while (mailbox_pattern_name(&left, &name)) {
        before = slice_first(pattern, (size_t)(name.ptr - pattern.ptr));
        struct slice behind = left, next;
        if (per_user ? name_has_placeholder(name) : !mailbox_pattern_name(&behind, &next)) {
            break;
        }
    }
    *rest = slice_skip(pattern, before.len);
    while (before.len && before.ptr[before.len - 1] == '/') {
        before.len--;
    }
    return before;
}

static const char *name_fault(struct slice name)
{
    if (slice_eq(name, SLICE(".")) || slice_eq(name, SLICE(".."))) {
        return "`.` and `..` are not allowed in it";
    }
    if (name.len > 200) {
        return "a name in it has more than 200 bytes";
    }
    struct slice text;
    enum mailbox_piece piece;
    while ((piece = mailbox_name_piece(&name, &text)) != MAILBOX_END) {
        if (piece == MAILBOX_TEXT &&
            (slice_find_byte(text, '{') >= 0 || slice_find_byte(text, '}') >= 0)) {
            return "the placeholders are {domain} and {local}";
        }
    }
    return NULL;
}

bool mailbox_pattern_valid(struct slice pattern, const char **why)
{
    if (pattern.len == 0 || pattern.ptr[0] != '/') {
        *why = "must begin with `/`";
        return false;
    }
    struct slice rest = pattern, name;
    size_t names = 0;
    while (mailbox_pattern_name(&rest, &name)) {
        *why = name_fault(name);
        if (*why) {
            return false;
        }
        names++;
    }
    struct slice base = names ? mailbox_pattern_base(pattern, &rest) : slice_of("", 0);
    if (base.len == 0) {
        *why = "needs a folder before the mailboxes";
        return false;
    }
    return true;
}
