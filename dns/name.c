/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Domain names. ASCII names never go through libidn2: it would refuse names that exist ("a--b", '_')
 * and cost a copy; what it makes of U-labels goes through the same check as everything else.
 */
#include "dns/name.h"

#include "core/base/must.h"

#include <idn2.h>

/* Labels of a dotted ASCII name, lower-cased into *out. */
static bool name_check_ascii(struct slice text, struct dns_name *out)
{
    if (text.len > 0 && text.ptr[text.len - 1] == '.') {
        text.len--;
    }
    if (text.len == 0 || text.len > DNS_NAME_MAX) {
        return false;
    }
    struct dns_name name = {.len = (uint8_t)text.len};
    size_t label = 0;
    bool digits_only = true; /* of the current label; at the end: the last one */
    for (size_t i = 0; i < text.len; i++) {
        char c = ascii_lower(text.ptr[i]);
        name.text[i] = c;
        if (c == '.') {
            if (label == 0) {
                return false;
            }
            label = 0;
            digits_only = true;
            continue;
        }
        if (!ascii_is_alpha(c) && !ascii_is_digit(c) && c != '-' && c != '_') {
            return false;
        }
        digits_only = digits_only && ascii_is_digit(c);
        if (++label > DNS_LABEL_MAX) {
            return false;
        }
    }
    if (label == 0 || digits_only) {
        return false;
    }
    *out = name;
    return true;
}

static bool name_is_ascii(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.ptr[i] >= 0x80) {
            return false;
        }
    }
    return true;
}

bool dns_name_to_ascii(struct slice text, struct dns_name *out)
{
    if (text.len == 0 || text.len > LIMIT_DOMAIN_BYTES) {
        return false;
    }
    if (name_is_ascii(text)) {
        return name_check_ascii(text, out);
    }
    char utf8[LIMIT_DOMAIN_BYTES + 1];
    if (!slice_to_cstr(text, utf8, sizeof(utf8))) {
        return false;
    }
    char *ascii = NULL;
    int rc = idn2_to_ascii_8z(utf8, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
    if (rc != IDN2_OK) {
        return false;
    }
    must(ascii != NULL);
    bool ok = name_check_ascii(slice_str(ascii), out);
    idn2_free(ascii);
    return ok;
}

bool dns_name_is_literal(struct slice text, struct ip_addr *out)
{
    if (text.len >= 2 && text.ptr[0] == '[' && text.ptr[text.len - 1] == ']') {
        text = (struct slice){text.ptr + 1, text.len - 2};
        if (slice_starts_nocase(text, SLICE("IPv6:"))) {
            struct ip_addr addr;
            /* RFC 5321 4.1.3: after the tag only an IPv6 address (its v4-mapped form included). */
            text = slice_skip(text, 5);
            if (slice_find_byte(text, ':') < 0 || !ip_addr_parse(text, &addr)) {
                return false;
            }
            *out = addr;
            return true;
        }
    }
    return ip_addr_parse(text, out);
}
