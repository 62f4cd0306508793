/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Text → domain name or address literal. What is accepted is stable, in bounds, and never both.
 */
#include "core/base/must.h"
#include "dns/name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_of(data, size);
    struct dns_name name, again;
    struct ip_addr addr;
    bool is_name = dns_name_to_ascii(text, &name);
    bool is_literal = dns_name_is_literal(text, &addr);
    must(!(is_name && is_literal));
    if (is_name) {
        must(name.len > 0 && name.len <= DNS_NAME_MAX && name.text[name.len] == '\0');
        must(memchr(name.text, 0, name.len) == NULL && name.text[name.len - 1] != '.');
        must(dns_name_to_ascii(dns_name_slice(&name), &again));
        must(slice_eq(dns_name_slice(&name), dns_name_slice(&again)));
    }
    if (is_literal) {
        must(addr.family == IP_V4 || addr.family == IP_V6);
    }
    return 0;
}
