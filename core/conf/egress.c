/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/conf/egress.h"
#include "core/conf/value_names.h"

static bool refuse(struct slice text, const char *what, struct buf *why)
{
    conf_value_show(why, text);
    buf_add_byte(why, ' ');
    buf_add(why, slice_str(what));
    return false;
}

bool conf_weight_parse(const struct conf_key *key, struct slice text, union conf_value *out,
                       struct buf *why)
{
    struct slice share = text;
    struct slice name = slice_cut(&share, ':');
    uint64_t weight = 1;
    if (!conf_label_valid(name)) {
        return refuse(text, "is not a name with its share, like ip1:3", why);
    }
    if (name.len < text.len && !slice_to_u64(share, &weight)) {
        return refuse(text, "has no whole number behind the colon, like ip1:3", why);
    }
    if (weight < key->min || weight > key->max) {
        buf_addf(why, "%.*s: the share ", SLICE_ARG(name));
        conf_value_show(why, share);
        buf_addf(why, " is out of range (%llu–%llu); leave the name out instead of a share of 0",
                 (unsigned long long)key->min, (unsigned long long)key->max);
        return false;
    }
    out->weight = (struct conf_weight){name, (uint32_t)weight};
    return true;
}

void conf_weight_print(const struct conf_key *key, const union conf_value *v, struct buf *out)
{
    (void)key;
    buf_addf(out, "%.*s:%u", SLICE_ARG(v->weight.name), v->weight.weight);
}

/* ---- proxies ---- */

static const struct {
    struct slice scheme;
    enum conf_egress_proxy_kind kind;
} schemes[] = {
    {SLICE_INIT("socks5://"), CONF_EGRESS_SOCKS5},
    {SLICE_INIT("haproxy://"), CONF_EGRESS_PROXY_V2},
};

bool conf_egress_proxy_parse(const struct conf_key *key, struct slice text, union conf_value *out,
                             struct buf *why)
{
    struct conf_egress_proxy proxy = {CONF_EGRESS_DIRECT, {{0}, 0}};
    struct slice rest = text;
    (void)key;
    for (size_t i = 0; i < ARRAY_COUNT(schemes); i++) {
        if (slice_starts_nocase(text, schemes[i].scheme)) {
            proxy.kind = schemes[i].kind;
            rest = slice_skip(text, schemes[i].scheme.len);
        }
    }
    if (proxy.kind != CONF_EGRESS_DIRECT && slice_find_byte(rest, '@') >= 0) {
        /* Not shown: it may hold a password. */
        buf_add(why, SLICE("holds an '@': a login goes to proxy_user and proxy_password"));
        return false;
    }
    if (proxy.kind == CONF_EGRESS_DIRECT || !ip_endpoint_parse(rest, 0, &proxy.at) ||
        proxy.at.port == 0 || ip_addr_is_any(&proxy.at.addr)) {
        return refuse(text,
                      "is not a proxy, like socks5://192.0.2.1:1080 or haproxy://192.0.2.1:2525",
                      why);
    }
    out->proxy = proxy;
    return true;
}

void conf_egress_proxy_print(const struct conf_key *key, const union conf_value *v, struct buf *out)
{
    (void)key;
    for (size_t i = 0; i < ARRAY_COUNT(schemes); i++) {
        if (schemes[i].kind == v->proxy.kind) {
            buf_add(out, schemes[i].scheme);
            ip_endpoint_add(out, &v->proxy.at);
        }
    }
}

void conf_egress_derive(struct conf *c)
{
    struct conf_egress_source *sources = (struct conf_egress_source *)(uintptr_t)c->sources.items;
    for (size_t i = 0; i < c->sources.count; i++) {
        if (sources[i].ehlo.len == 0) {
            sources[i].ehlo = c->delivery.helo_name;
        }
    }
}
