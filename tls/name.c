/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tls/name.h"

enum { NAME_BYTES_MAX = 253, LABEL_BYTES_MAX = 63 };

static bool is_label_byte(char c)
{
    return ascii_is_alpha(c) || ascii_is_digit(c) || c == '-' || c == '_';
}

bool tls_name_is_host(struct slice name)
{
    size_t label = 0;
    if (name.len == 0 || name.len > NAME_BYTES_MAX) {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] == '.') {
            if (label == 0) {
                return false;
            }
            label = 0;
        } else if (!is_label_byte(name.ptr[i]) || ++label > LABEL_BYTES_MAX) {
            return false;
        }
    }
    return label > 0;
}

enum tls_name_match tls_name_match(struct slice pattern, struct slice host)
{
    if (!tls_name_is_host(host)) {
        return TLS_NAME_OTHER;
    }
    if (slice_eq_nocase(pattern, host)) {
        return TLS_NAME_MATCHES;
    }
    if (!slice_starts_nocase(pattern, SLICE("*."))) {
        return TLS_NAME_OTHER;
    }
    struct slice base = slice_skip(pattern, 2);
    /* "*.com" would stand for every name in it. */
    if (!tls_name_is_host(base) || slice_find_byte(base, '.') < 0) {
        return TLS_NAME_OTHER;
    }
    if (slice_eq_nocase(host, base)) {
        return TLS_NAME_DEPTH;
    }
    if (!slice_ends_nocase(host, slice_skip(pattern, 1))) {
        return TLS_NAME_OTHER;
    }
    struct slice first = slice_first(host, host.len - base.len - 1);
    return slice_find_byte(first, '.') < 0 ? TLS_NAME_MATCHES : TLS_NAME_DEPTH;
}
