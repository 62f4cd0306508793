/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The authors' domain of a From field. What might be read in two ways (address.h) is not signed when the
 * readings could lead to two domains.
 */
#include "proto/mail/address.h"
#include "proto/mail/dkim_header.h"

struct author {
    struct dkim_domain domain;
    enum dkim_skip skip;
};

static bool author_take(void *ctx, const struct mail_address *a)
{
    struct author *author = ctx;
    struct dkim_domain *d = &author->domain;
    if (a->in_name) {
        return true;
    }
    if (d->len && !slice_eq_nocase(dkim_domain_slice(d), a->domain)) {
        author->skip = DKIM_SKIP_FROM_DOMAINS;
        return false;
    }
    d->len = (uint16_t)a->domain.len;
    memcpy(d->text, a->domain.ptr, a->domain.len);
    d->text[d->len] = '\0';
    return true;
}

enum dkim_skip dkim_from_domain(struct slice value, struct dkim_domain *out)
{
    struct author author = {.skip = DKIM_SKIP_NOT};
    const struct mail_address_sink to = {author_take, &author};
    enum mail_addresses read = mail_addresses_each(value, &to);
    if (read == MAIL_ADDRESSES_STOPPED) {
        return author.skip;
    }
    if (read == MAIL_ADDRESSES_SYNTAX || author.domain.len == 0) {
        return DKIM_SKIP_FROM_SYNTAX;
    }
    *out = author.domain;
    return DKIM_SKIP_NOT;
}
