/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/conf/shaping_read.h"
#include "core/conf/value.h"
#include "core/conf/value_names.h"

bool conf_shaping_host_name(struct slice text, bool dots, struct conf_arena *arena,
                            struct slice *out, struct buf *why)
{
    struct slice s = text;
    if (dots && s.len && s.ptr[0] == '.') {
        s = slice_skip(s, 1);
    }
    if (s.len && s.ptr[s.len - 1] == '.') {
        s.len--;
    }
    if (!conf_domain_valid(s)) {
        conf_value_show(why, text);
        buf_add(why, dots
                         ? SLICE(" is not a host or domain name, like example.com")
                         : SLICE(" is not a domain name, like example.com; for all below one write "
                                 "a provider with domain_suffix"));
        return false;
    }
    char lower[CONF_SHAPING_HOST_BYTES_MAX];
    s = slice_first(s, sizeof(lower));
    for (size_t i = 0; i < s.len; i++) {
        lower[i] = ascii_lower(s.ptr[i]);
    }
    *out = conf_arena_copy(arena, slice_of(lower, s.len));
    return true;
}

bool conf_shaping_name(struct slice text, struct conf_arena *arena, struct slice *out,
                       struct buf *why)
{
    if (!conf_label_valid(text)) {
        conf_value_show(why, text);
        buf_addf(why, " is not a name (letters, digits, - _ . @ +, at most %d)",
                 CONF_SHAPING_NAME_BYTES_MAX);
        return false;
    }
    *out = conf_arena_copy(arena, text);
    return true;
}
