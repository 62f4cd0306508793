/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Lines of postfix.d are given to a shell by the original (eval "postconf $line"). Here only words are
 * read; whatever would run something ends the line.
 */
#include "core/conf/profile_tables.h"

struct shell {
    struct slice *line;
    const struct conf_profile_source *source;
    struct buf *out;
};

static bool is_name(char c, bool first)
{
    return ascii_is_alpha(c) || c == '_' || (!first && ascii_is_digit(c));
}

static char next(struct shell *s)
{
    char c = s->line->ptr[0];
    *s->line = slice_skip(*s->line, 1);
    return c;
}

/* Behind the '$'. APP_CONF is what the original's image sets. */
static bool expand(struct shell *s)
{
    bool braces = s->line->len && s->line->ptr[0] == '{';
    size_t n = 0;
    if (braces) {
        next(s);
    }
    while (n < s->line->len && is_name(s->line->ptr[n], n == 0)) {
        n++;
    }
    struct slice name = slice_first(*s->line, n);
    *s->line = slice_skip(*s->line, n);
    if (n == 0) {
        bool command = braces || (s->line->len && s->line->ptr[0] == '(');
        buf_add_byte(s->out, '$');
        return !command;
    }
    if (braces && (s->line->len == 0 || next(s) != '}')) {
        return false; /* ${NAME:-…} and its like */
    }
    struct slice value = conf_vars_get(s->source, name);
    buf_add(s->out,
            value.len || !slice_eq(name, SLICE("APP_CONF")) ? value : SLICE("/etc/smarthost"));
    return true;
}

/* Inside double quotes a backslash is one, except before these. */
static void escape(struct shell *s, bool quoted)
{
    if (s->line->len == 0) {
        return;
    }
    char c = next(s);
    if (quoted && c != '"' && c != '\\' && c != '$' && c != '`') {
        buf_add_byte(s->out, '\\');
    }
    buf_add_byte(s->out, c);
}

/* False: unfinished, or a command. */
static bool quoted(struct shell *s, char quote)
{
    while (s->line->len) {
        char c = next(s);
        if (c == quote) {
            return true;
        }
        if (quote == '\'') {
            buf_add_byte(s->out, c);
        } else if (c == '\\') {
            escape(s, true);
        } else if (c == '`' || (c == '$' && !expand(s))) {
            return false;
        } else if (c != '$') {
            buf_add_byte(s->out, c);
        }
    }
    return false;
}

int conf_shell_word(struct slice *line, const struct conf_profile_source *source, struct buf *out)
{
    static const char ends[] = " \t\r\n", commands[] = "`;|&<>()";
    struct shell s = {line, source, out};
    *line = slice_trim(*line);
    if (line->len == 0 || line->ptr[0] == '#' || line->ptr[0] == '\r') {
        *line = slice_skip(*line, line->len);
        return 0;
    }
    while (line->len && slice_find_byte(slice_str(ends), line->ptr[0]) < 0) {
        char c = next(&s);
        bool ok = true;
        if (c == '\'' || c == '"') {
            ok = quoted(&s, c);
        } else if (c == '\\') {
            escape(&s, false);
        } else if (c == '$') {
            ok = expand(&s);
        } else if (slice_find_byte(slice_str(commands), c) >= 0) {
            ok = false;
        } else {
            buf_add_byte(out, c);
        }
        if (!ok) {
            return -1;
        }
    }
    return 1;
}
