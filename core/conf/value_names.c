/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/conf/value_names.h"
#include "core/base/limits.h"

static bool refuse(struct slice text, const char *what, struct buf *why)
{
    conf_value_show(why, text);
    buf_add_byte(why, ' ');
    buf_add(why, slice_str(what));
    return false;
}

static bool length_ok(const struct conf_key *key, struct slice text, struct buf *why)
{
    if (text.len > key->max) {
        buf_addf(why, "is %zu bytes long, at most %zu are allowed", text.len, (size_t)key->max);
        return false;
    }
    return true;
}

static bool printable(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < 0x20 || text.ptr[i] > 0x7e) {
            return false;
        }
    }
    return true;
}

bool conf_text_parse(const struct conf_key *key, struct slice text, union conf_value *out,
                     struct buf *why)
{
    if (!length_ok(key, text, why)) {
        return false;
    }
    bool secret = (key->flags & CONF_SECRET) != 0; /* passwords and keys: any bytes but NUL */
    if (secret ? slice_find_byte(text, 0) >= 0 : !printable(text)) {
        return refuse(text, "holds more than printable ASCII characters", why);
    }
    out->text = text;
    return true;
}

void conf_text_print(const struct conf_key *key, const union conf_value *v, struct buf *out)
{
    (void)key;
    buf_add(out, v->text);
}

bool conf_path_parse(const struct conf_key *key, struct slice text, union conf_value *out,
                     struct buf *why)
{
    if (!length_ok(key, text, why)) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c < 0x20 || c == 0x7f) {
            return refuse(text, "is not a path: control characters are not allowed", why);
        }
    }
    out->text = text;
    return true;
}

/* ---- names --------------------------------------------------------------------------------- */

static bool label_valid(struct slice label)
{
    if (label.len == 0 || label.len > 63 || label.ptr[0] == '-' ||
        label.ptr[label.len - 1] == '-') {
        return false;
    }
    for (size_t i = 0; i < label.len; i++) {
        char c = label.ptr[i];
        if (!ascii_is_alpha(c) && !ascii_is_digit(c) && c != '-') {
            return false;
        }
    }
    return true;
}

bool conf_domain_valid(struct slice s)
{
    bool more = s.len > 0 && s.len <= 253;
    bool letter_in_last = false;
    if (!more || s.ptr[s.len - 1] == '.') {
        return false;
    }
    while (s.len) {
        struct slice label = slice_cut(&s, '.');
        if (!label_valid(label)) {
            return false;
        }
        letter_in_last = false;
        for (size_t i = 0; i < label.len; i++) {
            letter_in_last |= !ascii_is_digit(label.ptr[i]);
        }
    }
    return letter_in_last; /* "10.0.0.1" is an address, "10.0.0" nothing (RFC 1123 2.1) */
}

bool conf_domain_parse(const struct conf_key *key, struct slice text, union conf_value *out,
                       struct buf *why)
{
    (void)key;
    if (!conf_domain_valid(text)) {
        return refuse(text,
                      "is not a host name, like mail.example.org (letters, digits, hyphens; names "
                      "outside ASCII in their xn-- form)",
                      why);
    }
    out->text = text;
    return true;
}

bool conf_ehlo_name_parse(const struct conf_key *key, struct slice text, union conf_value *out,
                          struct buf *why)
{
    struct ip_addr addr;
    if (text.len && text.ptr[0] == '[') {
        struct slice inner = slice_first(slice_skip(text, 1), text.len - 2);
        bool closed = text.len > 2 && text.ptr[text.len - 1] == ']';
        bool v6 = slice_starts_nocase(inner, SLICE("IPv6:"));
        if (!closed || !ip_addr_parse(v6 ? slice_skip(inner, 5) : inner, &addr) ||
            (addr.family == IP_V6) != v6) {
            return refuse(text, "is not an address literal, like [192.0.2.1] or [IPv6:2001:db8::1]",
                          why);
        }
        out->text = text;
        return true;
    }
    return conf_domain_parse(key, text, out, why);
}

/* RFC 5322 2.2: printable ASCII except colon and space. */
bool conf_field_name_parse(const struct conf_key *key, struct slice text, union conf_value *out,
                           struct buf *why)
{
    if (!length_ok(key, text, why)) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] <= 0x20 || text.ptr[i] > 0x7e || text.ptr[i] == ':') {
            return refuse(text, "is not a header field name, like X-Mailer (no colon, no spaces)",
                          why);
        }
    }
    out->text = text;
    return true;
}

bool conf_label_valid(struct slice s)
{
    bool ok = s.len > 0 && s.len <= CONF_LABEL_BYTES_MAX;
    for (size_t i = 0; i < s.len && ok; i++) {
        char c = s.ptr[i];
        ok = ascii_is_alpha(c) || ascii_is_digit(c) || c == '-' || c == '_' || c == '.' ||
             c == '@' || c == '+';
    }
    return ok;
}

bool conf_label_parse(const struct conf_key *key, struct slice text, union conf_value *out,
                      struct buf *why)
{
    if (!length_ok(key, text, why)) {
        return false;
    }
    if (!conf_label_valid(text)) {
        return refuse(text, "is not a name (letters, digits, - _ . @ +)", why);
    }
    out->text = text;
    return true;
}

static bool dot_atom(struct slice s)
{
    if (s.len == 0) {
        return false;
    }
    char before = '.';
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        bool atext = ascii_is_alpha(c) || ascii_is_digit(c) ||
                     (c > 0x20 && c < 0x7f && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
        if (!atext && (c != '.' || before == '.')) {
            return false;
        }
        before = c;
    }
    return before != '.';
}

bool conf_mailbox_parse(const struct conf_key *key, struct slice text, union conf_value *out,
                        struct buf *why)
{
    struct slice domain = text;
    struct slice local = slice_cut(&domain, '@');
    if (!length_ok(key, text, why)) {
        return false;
    }
    if (local.len > LIMIT_LOCAL_PART_BYTES || !dot_atom(local) || !conf_domain_valid(domain)) {
        return refuse(text, "is not a mail address, like mailer-daemon@example.org", why);
    }
    out->text = text;
    return true;
}

/* ---- addresses ----------------------------------------------------------------------------- */

bool conf_address_parse(const struct conf_key *key, struct slice text, union conf_value *out,
                        struct buf *why)
{
    struct ip_addr a;
    bool ok = ip_addr_parse(text, &a);
    if (key->type == CONF_ADDRESS4 && (!ok || a.family != IP_V4)) {
        return refuse(text, "is not an IPv4 address, like 192.0.2.1", why);
    }
    if (key->type == CONF_ADDRESS6 && (!ok || a.family != IP_V6)) {
        return refuse(text, "is not an IPv6 address, like 2001:db8::1", why);
    }
    if (!ok) {
        return refuse(text, "is not an IP address, like 192.0.2.1 or 2001:db8::1", why);
    }
    out->addr = a;
    return true;
}

void conf_address_print(const struct conf_key *key, const union conf_value *v, struct buf *out)
{
    (void)key;
    ip_addr_add(out, &v->addr);
}

bool conf_net_parse(const struct conf_key *key, struct slice text, union conf_value *out,
                    struct buf *why)
{
    struct ip_net masked;
    (void)key;
    if (ip_net_parse(text, &out->net)) {
        return true;
    }
    if (ip_net_parse_masked(text, &masked)) {
        conf_value_show(why, text);
        buf_add(why, SLICE(" has bits behind its prefix; the network is "));
        ip_net_add(why, &masked);
        return false;
    }
    return refuse(text, "is not a network, like 192.0.2.0/24 or 2001:db8::/32", why);
}

void conf_net_print(const struct conf_key *key, const union conf_value *v, struct buf *out)
{
    (void)key;
    ip_net_add(out, &v->net);
}

bool conf_endpoint_parse(const struct conf_key *key, struct slice text, union conf_value *out,
                         struct buf *why)
{
    struct ip_endpoint e;
    if (!ip_endpoint_parse(text, (uint16_t)key->min, &e)) {
        return refuse(text,
                      "is not an IP address with a port, like 192.0.2.1:53 or [2001:db8::1]:53",
                      why);
    }
    out->endpoint = e;
    return true;
}

void conf_endpoint_print(const struct conf_key *key, const union conf_value *v, struct buf *out)
{
    (void)key;
    ip_endpoint_add(out, &v->endpoint);
}

/* ---- relay hosts --------------------------------------------------------------------------- */

/* Splits "[name]:port", "name:port", "name", an IPv6 address without brackets. */
static bool relay_split(struct slice text, struct conf_relay_host *h, struct slice *port)
{
    *port = slice_of(NULL, 0);
    if (text.ptr[0] == '[') {
        int close = slice_find_byte(text, ']');
        if (close < 0) {
            return false;
        }
        h->bracketed = true;
        h->name = slice_first(slice_skip(text, 1), (size_t)close - 1);
        struct slice rest = slice_skip(text, (size_t)close + 1);
        h->has_port = rest.len > 0;
        *port = slice_skip(rest, 1);
        return rest.len == 0 || rest.ptr[0] == ':';
    }
    struct slice rest = text;
    struct slice first = slice_cut(&rest, ':');
    bool one_colon = first.len != text.len && slice_find_byte(rest, ':') < 0;
    h->name = one_colon ? first : text;
    h->has_port = one_colon;
    *port = one_colon ? rest : *port;
    return true;
}

/* Containers have names with '_' ("project_mail_1"), which a resolver finds all the same. */
static bool relay_name_valid(struct slice name)
{
    char plain[256];
    size_t n = 0;
    while (n < name.len && n < sizeof(plain)) {
        plain[n] = name.ptr[n] == '_' ? 'u' : name.ptr[n];
        n++;
    }
    return n == name.len && conf_domain_valid(slice_of(plain, n));
}

bool conf_relay_host_parse(const struct conf_key *key, struct slice text, union conf_value *out,
                           struct buf *why)
{
    struct conf_relay_host h = {0};
    struct slice port;
    uint64_t number = 0;
    (void)key;
    bool ok = relay_split(text, &h, &port);
    if (ok && h.has_port &&
        (port.len > 5 || !slice_to_u64(port, &number) || number == 0 || number > UINT16_MAX)) {
        conf_value_show(why, text);
        buf_add(why, SLICE(": "));
        conf_value_show(why, port);
        buf_add(why, SLICE(" is not a port (1–65535)"));
        return false;
    }
    if (!ok || (!ip_addr_parse(h.name, &h.addr) && !relay_name_valid(h.name))) {
        return refuse(text,
                      "is not a relay host, like smtp.example.org:587, [smtp.example.org]:587 or "
                      "[192.0.2.1]",
                      why);
    }
    h.port = (uint16_t)number;
    out->relay = h;
    return true;
}

void conf_relay_host_print(const struct conf_key *key, const union conf_value *v, struct buf *out)
{
    const struct conf_relay_host *h = &v->relay;
    (void)key;
    bool brackets = h->bracketed || h->addr.family == IP_V6;
    buf_addf(out, brackets ? "[%.*s]" : "%.*s", SLICE_ARG(h->name));
    if (h->has_port) {
        buf_addf(out, ":%u", (unsigned)h->port);
    }
}
