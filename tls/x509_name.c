/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The names in a certificate. wolfSSL's own check of name constraints looks only at the next issuer,
 * and lets "badexample.com" pass for "example.com" (it compares from the end, without the dot), so
 * DNS names are checked here too.
 */
#include "tls/der.h"
#include "tls/name.h"
#include "tls/x509.h"

#include "core/base/must.h"

#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/asn.h>

enum { NAME_DNS = DER_CONTEXT | 2, NAME_ADDRESS = DER_CONTEXT | 7 }; /* RFC 5280 4.2.1.6 */

bool x509_next_dns_name(struct slice *rest, struct slice *name)
{
    uint8_t tag;
    while (der_next(rest, &tag, name)) {
        if (tag == NAME_DNS && name->len > 0) {
            return true;
        }
    }
    return false;
}

struct slice x509_common_name(const struct x509 *c)
{
    const DecodedCert *d = c->decoded;
    must(d != NULL);
    return d->subjectCN && d->subjectCNLen > 0 ? slice_of(d->subjectCN, (size_t)d->subjectCNLen)
                                               : (struct slice){0};
}

bool x509_extension(const struct x509 *c, struct slice oid, struct slice *value)
{
    struct slice der = c->der, cert, tbs, field, list, extension, id, skipped;
    uint8_t tag;
    if (!der_take(&der, DER_SEQUENCE, &cert) || !der_take(&cert, DER_SEQUENCE, &tbs)) {
        return false;
    }
    while (der_next(&tbs, &tag, &field)) {
        if (tag != (DER_CONTEXT_CONSTRUCTED | 3) || !der_take(&field, DER_SEQUENCE, &list)) {
            continue;
        }
        while (der_take(&list, DER_SEQUENCE, &extension)) {
            if (der_take(&extension, DER_OID, &id) && slice_eq(id, oid)) {
                (void)der_take(&extension, DER_BOOLEAN, &skipped);
                return der_take(&extension, DER_OCTET_STRING, value);
            }
        }
    }
    return false;
}

bool x509_has_address(const struct x509 *c, const struct ip_addr *addr)
{
    struct slice rest = c->alt_names, name;
    uint8_t tag;
    size_t len = addr->family == IP_V4 ? 4 : 16;
    while (der_next(&rest, &tag, &name)) {
        if (tag == NAME_ADDRESS && slice_eq(name, slice_of(addr->bytes, len))) {
            return true;
        }
    }
    return false;
}

/* RFC 5280 4.2.1.10: the base itself, or with labels added on the left. */
static bool is_within(struct slice name, struct slice base)
{
    if (base.len > 0 && base.ptr[0] == '.') {
        return name.len > base.len && slice_ends_nocase(name, base);
    }
    if (base.len == 0 || slice_eq_nocase(name, base)) {
        return true;
    }
    return name.len > base.len + 1 && slice_ends_nocase(name, base) &&
           name.ptr[name.len - base.len - 1] == '.';
}

/* A wildcard may come out under an excluded name, so it counts as within what it can reach. */
static bool reaches(struct slice name, struct slice base)
{
    if (!slice_starts_nocase(name, SLICE("*."))) {
        return is_within(name, base);
    }
    struct slice parent = slice_skip(name, 2);
    return is_within(parent, base) || is_within(base, parent);
}

bool x509_permits_dns(const struct x509 *ca, struct slice name)
{
    bool constrained = false, permitted = false;
    must(ca->decoded != NULL);
    for (const Base_entry *e = ca->decoded->excludedNames; e; e = e->next) {
        if (e->type == ASN_DNS_TYPE && reaches(name, slice_of(e->name, (size_t)e->nameSz))) {
            return false;
        }
    }
    for (const Base_entry *e = ca->decoded->permittedNames; e; e = e->next) {
        if (e->type == ASN_DNS_TYPE) {
            constrained = true;
            permitted = permitted || is_within(name, slice_of(e->name, (size_t)e->nameSz));
        }
    }
    return !constrained || permitted;
}

void x509_subject_text(const struct x509 *c, char *dst, size_t size)
{
    must(size > 0 && c->decoded != NULL);
    size_t n = 0;
    for (const char *p = c->decoded->subject; *p && n < size - 1; p++) {
        dst[n++] = *p >= 0x20 && *p < 0x7F ? *p : '?';
    }
    dst[n] = '\0';
}
