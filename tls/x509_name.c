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

/* ---- the subject as text ---- */

static const char *attribute_name(struct slice oid)
{
    static const struct {
        struct slice oid;
        const char *name;
    } known[] = {
        {SLICE_INIT("\x55\x04\x03"), "CN"},
        {SLICE_INIT("\x55\x04\x05"), "serialNumber"},
        {SLICE_INIT("\x55\x04\x06"), "C"},
        {SLICE_INIT("\x55\x04\x07"), "L"},
        {SLICE_INIT("\x55\x04\x08"), "ST"},
        {SLICE_INIT("\x55\x04\x0A"), "O"},
        {SLICE_INIT("\x55\x04\x0B"), "OU"},
        {SLICE_INIT("\x2A\x86\x48\x86\xF7\x0D\x01\x09\x01"), "emailAddress"},
        {SLICE_INIT("\x09\x92\x26\x89\x93\xF2\x2C\x64\x01\x01"), "UID"},
        {SLICE_INIT("\x09\x92\x26\x89\x93\xF2\x2C\x64\x01\x19"), "DC"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(known); i++) {
        if (slice_eq(oid, known[i].oid)) {
            return known[i].name;
        }
    }
    return NULL;
}

/* What separates here must not come from a name: an O of "x/CN=y" is not an O and a CN. */
static void add_escaped(struct buf *out, struct slice value)
{
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.ptr[i];
        if (c < 0x20 || c >= 0x7F || c == '/' || c == '+' || c == '\\') {
            buf_addf(out, "\\%02X", c);
        } else {
            buf_add_byte(out, (char)c);
        }
    }
}

static void add_attributes(struct buf *out, struct slice set)
{
    struct slice attribute, oid, value;
    char separator = '/';
    uint8_t tag;
    while (der_take(&set, DER_SEQUENCE, &attribute)) {
        if (der_take(&attribute, DER_OID, &oid) && der_next(&attribute, &tag, &value)) {
            const char *name = attribute_name(oid);
            buf_add_byte(out, separator);
            if (name) {
                buf_add(out, slice_str(name));
            } else {
                add_escaped(out, oid);
            }
            buf_add_byte(out, '=');
            add_escaped(out, value);
            separator = '+';
        }
    }
}

bool x509_subject_text(const struct x509 *c, struct buf *out)
{
    struct slice der = c->der, cert, tbs, skipped, subject, set;
    (void)(der_take(&der, DER_SEQUENCE, &cert) && der_take(&cert, DER_SEQUENCE, &tbs) &&
           der_take(&tbs, DER_CONTEXT_CONSTRUCTED, &skipped));
    bool found = der_take(&tbs, DER_INTEGER, &skipped) &&  /* serial number */
                 der_take(&tbs, DER_SEQUENCE, &skipped) && /* algorithm */
                 der_take(&tbs, DER_SEQUENCE, &skipped) && /* issuer */
                 der_take(&tbs, DER_SEQUENCE, &skipped) && /* dates */
                 der_take(&tbs, DER_SEQUENCE, &subject);
    while (found && der_take(&subject, DER_SET, &set)) {
        add_attributes(out, set);
    }
    return found && out->len > 0 && !out->overflow;
}
