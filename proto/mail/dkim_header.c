/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The header is kept as text until it is complete and read once then: which of several equal fields
 * is signed first is decided from the bottom (RFC 6376 5.4.2), so nothing can be hashed before.
 */
#include "proto/mail/dkim_header.h"

#include "core/base/must.h"

#include <stdlib.h>

enum { DKIM_ROW_NONE = UINT8_MAX, ROW_FROM = 0, FIELDS_FIRST = 32 };

enum oversign { OVERSIGN_NO, OVERSIGN_PRESENT, OVERSIGN_ALWAYS };

/* In the order of h=. RFC 6376 5.4.1; Feedback-ID and CFBL-* only count when they are signed (Google's
 * feedback loop, RFC 9477 3.1). */
static const struct row {
    struct slice name;
    enum oversign oversign;
} rows[] = {
    [ROW_FROM] = {SLICE_INIT("From"), OVERSIGN_ALWAYS},
    {SLICE_INIT("To"), OVERSIGN_ALWAYS},
    {SLICE_INIT("Cc"), OVERSIGN_ALWAYS},
    {SLICE_INIT("Subject"), OVERSIGN_ALWAYS},
    {SLICE_INIT("Date"), OVERSIGN_ALWAYS},
    {SLICE_INIT("Reply-To"), OVERSIGN_ALWAYS},
    {SLICE_INIT("Content-Type"), OVERSIGN_ALWAYS},
    {SLICE_INIT("List-Unsubscribe"), OVERSIGN_PRESENT},
    {SLICE_INIT("List-Unsubscribe-Post"), OVERSIGN_PRESENT},
    {SLICE_INIT("Message-ID"), OVERSIGN_NO},
    {SLICE_INIT("In-Reply-To"), OVERSIGN_NO},
    {SLICE_INIT("References"), OVERSIGN_NO},
    {SLICE_INIT("Sender"), OVERSIGN_NO},
    {SLICE_INIT("MIME-Version"), OVERSIGN_NO},
    {SLICE_INIT("Content-Transfer-Encoding"), OVERSIGN_NO},
    {SLICE_INIT("Content-ID"), OVERSIGN_NO},
    {SLICE_INIT("Content-Description"), OVERSIGN_NO},
    {SLICE_INIT("Resent-Date"), OVERSIGN_NO},
    {SLICE_INIT("Resent-From"), OVERSIGN_NO},
    {SLICE_INIT("Resent-Sender"), OVERSIGN_NO},
    {SLICE_INIT("Resent-To"), OVERSIGN_NO},
    {SLICE_INIT("Resent-Cc"), OVERSIGN_NO},
    {SLICE_INIT("Resent-Message-ID"), OVERSIGN_NO},
    {SLICE_INIT("List-Id"), OVERSIGN_NO},
    {SLICE_INIT("List-Help"), OVERSIGN_NO},
    {SLICE_INIT("List-Subscribe"), OVERSIGN_NO},
    {SLICE_INIT("List-Post"), OVERSIGN_NO},
    {SLICE_INIT("List-Owner"), OVERSIGN_NO},
    {SLICE_INIT("List-Archive"), OVERSIGN_NO},
    {SLICE_INIT("Feedback-ID"), OVERSIGN_NO},
    {SLICE_INIT("CFBL-Address"), OVERSIGN_NO},
    {SLICE_INIT("CFBL-Feedback-ID"), OVERSIGN_NO},
};

must_static(ARRAY_COUNT(rows) < DKIM_ROW_NONE, "a row fits its byte");

const char *dkim_skip_name(enum dkim_skip skip)
{
    static const char *const names[DKIM_SKIP_COUNT] = {
        [DKIM_SKIP_NOT] = "signed",
        [DKIM_SKIP_NO_KEY] = "no_key",
        [DKIM_SKIP_NO_FROM] = "no_from",
        [DKIM_SKIP_FROM_FIELDS] = "several_from_fields",
        [DKIM_SKIP_FROM_DOMAINS] = "several_author_domains",
        [DKIM_SKIP_FROM_SYNTAX] = "from_syntax",
        [DKIM_SKIP_HEADER] = "header_syntax",
        [DKIM_SKIP_MEMORY] = "no_memory",
    };
    must((unsigned)skip < DKIM_SKIP_COUNT);
    return names[skip];
}

void dkim_header_init(struct dkim_header *h, size_t bytes_max)
{
    must(bytes_max < UINT32_MAX);
    *h = (struct dkim_header){0};
    buf_init(&h->text, bytes_max);
}

void dkim_header_deinit(struct dkim_header *h)
{
    buf_deinit(&h->text);
    free(h->fields);
    h->fields = NULL;
    h->field_count = h->field_cap = 0;
}

void dkim_header_add(struct dkim_header *h, struct slice text)
{
    must(h->fields == NULL);
    h->too_long = h->too_long || text.len > h->text.cap_max - h->text.len;
    if (!h->too_long) {
        buf_add(&h->text, text);
    }
}

/* ---- reading ---- */

/* Name up to the colon, without white space before it; false: no field (RFC 5322 2.2, 4.5). */
static bool field_name(struct slice line, struct slice *name)
{
    size_t n = 0;
    while (n < line.len && line.ptr[n] > ' ' && line.ptr[n] < 0x7F && line.ptr[n] != ':') {
        n++;
    }
    *name = slice_first(line, n);
    while (n < line.len && (line.ptr[n] == ' ' || line.ptr[n] == '\t')) {
        n++;
    }
    return name->len > 0 && n < line.len && line.ptr[n] == ':';
}

/* Length of the field at the front with its folded lines; 0 when the last line has no end. */
static size_t field_len(struct slice text)
{
    size_t n = 0;
    do {
        const char *lf = memchr(text.ptr + n, '\n', text.len - n);
        if (!lf) {
            return 0;
        }
        n = (size_t)(lf - text.ptr) + 1;
    } while (n < text.len && (text.ptr[n] == ' ' || text.ptr[n] == '\t'));
    return n;
}

static uint8_t row_of(struct slice name)
{
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        if (slice_eq_nocase(name, rows[i].name)) {
            return (uint8_t)i;
        }
    }
    return DKIM_ROW_NONE;
}

static bool header_grow(struct dkim_header *h)
{
    size_t cap = h->field_cap ? 2 * h->field_cap : FIELDS_FIRST;
    struct dkim_field *fields = realloc(h->fields, cap * sizeof(*fields));
    if (!fields) {
        return false;
    }
    h->fields = fields;
    h->field_cap = cap;
    return true;
}

/* The field that begins at h->text[at]. */
static enum dkim_skip header_take(struct dkim_header *h, size_t at)
{
    struct slice rest = slice_skip(buf_slice(&h->text), at);
    struct slice name;
    size_t len = field_len(rest);
    if (len == 0 || !field_name(rest, &name) || h->field_count == LIMIT_HEADER_FIELDS) {
        return DKIM_SKIP_HEADER;
    }
    if (h->field_count == h->field_cap && !header_grow(h)) {
        return DKIM_SKIP_MEMORY;
    }
    h->fields[h->field_count++] = (struct dkim_field){
        .at = (uint32_t)at,
        .len = (uint32_t)len,
        .row = row_of(name),
    };
    return DKIM_SKIP_NOT;
}

enum dkim_skip dkim_header_end(struct dkim_header *h)
{
    must(h->fields == NULL);
    if (h->too_long || h->text.overflow) {
        return h->too_long ? DKIM_SKIP_HEADER : DKIM_SKIP_MEMORY;
    }
    for (size_t at = 0; at < h->text.len;) {
        enum dkim_skip skip = header_take(h, at);
        if (skip != DKIM_SKIP_NOT) {
            return skip;
        }
        at += h->fields[h->field_count - 1].len;
    }
    return DKIM_SKIP_NOT;
}

static struct slice field_text(const struct dkim_header *h, const struct dkim_field *f)
{
    must((size_t)f->at + f->len <= h->text.len);
    return slice_of(h->text.ptr + f->at, f->len);
}

enum dkim_skip dkim_header_author(const struct dkim_header *h, struct dkim_domain *out)
{
    const struct dkim_field *from = NULL;
    for (size_t i = 0; i < h->field_count; i++) {
        if (h->fields[i].row == ROW_FROM) {
            if (from) {
                return DKIM_SKIP_FROM_FIELDS;
            }
            from = &h->fields[i];
        }
    }
    if (!from) {
        return DKIM_SKIP_NO_FROM;
    }
    struct slice value = field_text(h, from);
    slice_cut(&value, ':');
    return dkim_from_domain(value, out);
}

/* ---- choosing ---- */

void dkim_header_add_names(const struct dkim_header *h, struct buf *out)
{
    size_t start = out->len;
    for (size_t row = 0; row < ARRAY_COUNT(rows); row++) {
        size_t count = 0;
        for (size_t i = 0; i < h->field_count; i++) {
            count += h->fields[i].row == row;
        }
        bool present = count > 0;
        count += rows[row].oversign == OVERSIGN_ALWAYS ||
                 (rows[row].oversign == OVERSIGN_PRESENT && present);
        for (; count > 0; count--) {
            if (out->len > start) {
                buf_add_byte(out, ':');
            }
            buf_add(out, rows[row].name);
        }
    }
}

void dkim_header_canon(const struct dkim_header *h, enum dkim_canon c, const struct dkim_sink *to)
{
    for (size_t row = 0; row < ARRAY_COUNT(rows); row++) {
        for (size_t i = h->field_count; i > 0; i--) {
            if (h->fields[i - 1].row == row) {
                dkim_canon_field(c, field_text(h, &h->fields[i - 1]), to);
            }
        }
    }
}
