/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 *   LINE ──white space──► VALUE (of the field before)
 *    ▲ └──► NAME ──white space──► COLON ──':'──► VALUE
 *    │        └─────────':'───────────────────────►│
 *    └──────────────────── LF ─────────────────────┘
 *
 * What is no field (the filter before us ends the header there) is passed over like a field of another
 * name.
 */
#include "proto/mail/authors.h"
#include "core/base/must.h"

enum { LINE, NAME, COLON, VALUE };

void mail_authors_init(struct mail_authors *a, size_t bytes_max)
{
    *a = (struct mail_authors){.state = LINE};
    buf_init(&a->text, bytes_max);
}

void mail_authors_deinit(struct mail_authors *a)
{
    buf_deinit(&a->text);
}

static void name_done(struct mail_authors *a)
{
    struct slice name = slice_of(a->name, a->name_len);
    bool from = slice_eq_nocase(name, SLICE("From"));
    a->keeping = from || slice_eq_nocase(name, SLICE("Sender"));
    a->from_fields += from;
    if (a->keeping) {
        buf_add(&a->text, name);
        buf_add_byte(&a->text, ':');
    }
    a->state = VALUE;
}

static void name_add(struct mail_authors *a, char c)
{
    if (c == ':') {
        name_done(a);
    } else if (c == ' ' || c == '\t') {
        a->state = COLON;
    } else if (c == '\n') {
        a->state = LINE;
    } else if (a->state == COLON || a->name_len == sizeof(a->name)) {
        a->state = VALUE; /* no name we look for */
    } else {
        a->name[a->name_len++] = c;
    }
}

void mail_authors_add(struct mail_authors *a, struct slice header)
{
    while (header.len) {
        size_t n = 1;
        char c = header.ptr[0];
        if (a->state == LINE && c != ' ' && c != '\t') {
            a->keeping = false;
            a->name_len = 0;
            a->state = NAME;
        }
        if (a->state == NAME || a->state == COLON) {
            name_add(a, c);
        } else {
            const char *lf = memchr(header.ptr, '\n', header.len);
            n = lf ? (size_t)(lf - header.ptr) + 1 : header.len;
            a->state = lf ? LINE : VALUE;
            if (a->keeping) {
                buf_add(&a->text, slice_first(header, n));
            }
        }
        header = slice_skip(header, n);
    }
}

/* The first field of *text, with its continuation lines. */
static struct slice field_cut(struct slice *text)
{
    size_t n = 0;
    do {
        const char *lf = memchr(text->ptr + n, '\n', text->len - n);
        n = lf ? (size_t)(lf - text->ptr) + 1 : text->len;
    } while (n < text->len && (text->ptr[n] == ' ' || text->ptr[n] == '\t'));
    struct slice field = slice_first(*text, n);
    *text = slice_skip(*text, n);
    return field;
}

struct counter {
    const struct mail_address_sink *to;
    size_t count;
};

static bool counter_take(void *ctx, const struct mail_address *a)
{
    struct counter *c = ctx;
    c->count += !a->in_name;
    return c->to->take(c->to->ctx, a);
}

enum mail_authors_result mail_authors_each(const struct mail_authors *a,
                                           const struct mail_address_sink *to)
{
    struct slice rest = buf_slice(&a->text);
    must(!a->text.overflow);
    if (a->from_fields == 0) {
        return MAIL_AUTHORS_MISSING;
    }
    while (rest.len) {
        struct counter counter = {to, 0};
        const struct mail_address_sink counted = {counter_take, &counter};
        struct slice value = field_cut(&rest);
        slice_cut(&value, ':');
        switch (mail_addresses_each(value, &counted)) {
        case MAIL_ADDRESSES_READ:
            break;
        case MAIL_ADDRESSES_SYNTAX:
            return MAIL_AUTHORS_SYNTAX;
        case MAIL_ADDRESSES_STOPPED:
            return MAIL_AUTHORS_STOPPED;
        }
        if (counter.count == 0) {
            return MAIL_AUTHORS_SYNTAX;
        }
    }
    return MAIL_AUTHORS_READ;
}
