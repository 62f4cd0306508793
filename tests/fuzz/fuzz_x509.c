/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Purpose: a certificate of any bytes, as a peer sends it: what is read of it lies inside it, its names end, and questions
 *          about it have answers.
 * Input:   DER.
 */
#include "core/base/must.h"
#include "tls/x509.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_inside(struct slice part, struct slice whole)
{
    must(part.len == 0 || (part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len));
}

static void ask(const struct x509 *c, struct slice der)
{
    struct slice rest = c->alt_names, name, value;
    struct ip_addr addr = ip_addr_v4(0xC0000201);
    uint8_t print[TLS_FINGERPRINT_BYTES];
    unsigned names = 0;
    check_inside(c->alt_names, der);
    while (x509_next_dns_name(&rest, &name)) {
        check_inside(name, der);
        must(++names <= der.len);
        (void)x509_permits_dns(c, name);
    }
    must(c->has_dns_names == (names > 0));
    (void)x509_has_address(c, &addr);
    (void)x509_common_name(c);
    (void)x509_permits_dns(c, SLICE("a.b.test"));
    (void)x509_signed_by(c, c);
    if (x509_extension(c, SLICE("\x55\x1d\x11"), &value)) {
        check_inside(value, der);
    }
    x509_fingerprint(der, print);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct x509 c;
    struct slice der = slice_of(data, size);
    if (x509_parse(&c, der)) {
        ask(&c, der);
        x509_free(&c);
    }
    return 0;
}
