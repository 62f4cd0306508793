/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Purpose: any header. In single bytes, in pieces and whole the same authors are found. Of each address list:
 * an address that is not odd reads as itself when it stands alone, with brackets and without; what DKIM
 * makes of the field follows from its addresses.
 */
#include "core/base/must.h"
#include "core/base/rng.h"
#include "proto/mail/authors.h"
#include "proto/mail/dkim_header.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool take_one(void *ctx, const struct mail_address *a)
{
    struct buf *out = ctx;
    buf_add(out, a->in_name ? SLICE("n") : SLICE("-"));
    buf_add(out, a->odd ? SLICE("o") : SLICE("-"));
    buf_add(out, a->text);
    buf_add_byte(out, '\n');
    return true;
}

static void check_alone(struct slice address, const char *before, const char *behind)
{
    struct buf value, out, want;
    buf_init(&value, 4096);
    buf_init(&out, 4096);
    buf_init(&want, 4096);
    buf_add(&value, slice_str(before));
    buf_add(&value, address);
    buf_add(&value, slice_str(behind));
    buf_add(&want, SLICE("--"));
    buf_add(&want, address);
    buf_add_byte(&want, '\n');
    const struct mail_address_sink to = {take_one, &out};
    must(mail_addresses_each(buf_slice(&value), &to) == MAIL_ADDRESSES_READ);
    must(slice_eq(buf_slice(&out), buf_slice(&want)));
    buf_deinit(&value);
    buf_deinit(&out);
    buf_deinit(&want);
}

struct field {
    unsigned count;
    bool one_domain;
    struct buf domain;
};

static bool take(void *ctx, const struct mail_address *a)
{
    struct field *f = ctx;
    must(a->text.ptr == a->local.ptr && a->text.len == a->local.len + 1 + a->domain.len);
    must(a->text.ptr[a->local.len] == '@');
    if (!a->odd) {
        must(a->local.len > 0 && a->domain.len > 0);
        check_alone(a->text, "", "");
        check_alone(a->text, "x <", ">\r\n");
    }
    if (!a->in_name) {
        must(a->domain.len > 0 && a->domain.len <= LIMIT_DOMAIN_BYTES);
        f->one_domain = f->one_domain &&
                        (f->count == 0 || slice_eq_nocase(buf_slice(&f->domain), a->domain));
        buf_clear(&f->domain);
        buf_add(&f->domain, a->domain);
        f->count++;
    }
    return true;
}

static void check_field(struct slice value)
{
    struct field f = {.one_domain = true};
    struct dkim_domain d;
    const struct mail_address_sink to = {take, &f};
    buf_init(&f.domain, 1024);
    enum mail_addresses read = mail_addresses_each(value, &to);
    enum dkim_skip skip = dkim_from_domain(value, &d);
    must(read != MAIL_ADDRESSES_STOPPED);
    if (read == MAIL_ADDRESSES_READ && f.count && f.one_domain) {
        must(skip == DKIM_SKIP_NOT && slice_eq(dkim_domain_slice(&d), buf_slice(&f.domain)));
    } else {
        must(skip == (f.one_domain ? DKIM_SKIP_FROM_SYNTAX : DKIM_SKIP_FROM_DOMAINS));
    }
    buf_deinit(&f.domain);
}

static enum mail_authors_result authors(struct slice header, size_t piece_max, struct buf *out)
{
    struct mail_authors a;
    struct rng rng;
    rng_init_seed(&rng, header.len);
    mail_authors_init(&a, 1 << 20);
    while (header.len) {
        size_t n = piece_max ? 1 + (size_t)rng_below(&rng, piece_max) : header.len;
        struct slice piece = slice_first(header, n);
        char *copy = malloc(piece.len); /* ASan sees a look behind it */
        must(copy != NULL);
        memcpy(copy, piece.ptr, piece.len);
        mail_authors_add(&a, slice_of(copy, piece.len));
        free(copy);
        header = slice_skip(header, piece.len);
    }
    const struct mail_address_sink to = {take_one, out};
    must(!a.text.overflow);
    enum mail_authors_result result = mail_authors_each(&a, &to);
    mail_authors_deinit(&a);
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_of((const char *)data, size);
    struct buf whole, pieces;
    buf_init(&whole, 1 << 20);
    buf_init(&pieces, 1 << 20);
    enum mail_authors_result result = authors(text, 0, &whole);
    for (size_t piece_max = 1; piece_max < 12; piece_max += 5) {
        buf_clear(&pieces);
        must(authors(text, piece_max, &pieces) == result);
        must(slice_eq(buf_slice(&whole), buf_slice(&pieces)));
    }
    buf_deinit(&whole);
    buf_deinit(&pieces);
    check_field(text);
    while (text.len) {
        struct slice line = slice_cut(&text, '\n');
        slice_cut(&line, ':');
        check_field(line);
    }
    return 0;
}
