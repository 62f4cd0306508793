/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * How Postfix and Exim write lists, networks, hosts and times, as ours. What cannot be read is handed
 * on as it is: the key's own parser then says what is wrong with it.
 */
#include "core/base/ipaddr.h"
#include "core/base/must.h"
#include "core/conf/profile_put.h"

enum { LONGEST_NET = 64 };

/* ---- lists --------------------------------------------------------------------------------- */

static bool is_one_of(char c, const char *set)
{
    return slice_find_byte(slice_str(set), c) >= 0;
}

bool conf_list_next(struct slice *rest, const char *separators, struct slice *item)
{
    size_t n = 0;
    while (rest->len && is_one_of(rest->ptr[0], separators)) {
        *rest = slice_skip(*rest, 1);
    }
    while (n < rest->len && !is_one_of(rest->ptr[n], separators)) {
        n++;
    }
    *item = slice_first(*rest, n);
    *rest = slice_skip(*rest, n);
    return n > 0;
}

/* Exim: "<; a ; b" names the separator. A semicolon without that is taken for one as well: hosts,
 * domains and networks have none. */
struct slice conf_exim_list(struct slice text, char *separator)
{
    text = slice_trim(text);
    *separator = slice_find_byte(text, ';') >= 0 ? ';' : ':';
    if (text.len >= 2 && text.ptr[0] == '<' && text.ptr[1] != ' ') {
        *separator = text.ptr[1];
        text = slice_skip(text, 2);
    }
    return text;
}

bool conf_exim_list_next(struct slice *rest, char separator, struct slice *item)
{
    while (rest->len) {
        *item = slice_trim(slice_cut(rest, separator));
        if (item->len) {
            return true;
        }
    }
    return false;
}

static bool is_net(struct slice text)
{
    struct ip_net net;
    return ip_net_parse_masked(slice_trim(text), &net);
}

/* Exim doubles a colon inside an item: "2001::db8::::/32" for 2001:db8::/32. */
static bool is_doubled_net(struct slice text)
{
    char single[LONGEST_NET];
    size_t n = 0;
    for (size_t i = 0; i < text.len && n < sizeof(single); i++) {
        single[n++] = text.ptr[i];
        i += text.ptr[i] == ':' && i + 1 < text.len && text.ptr[i + 1] == ':';
    }
    return n < sizeof(single) && is_net(slice_of(single, n));
}

/* An item between colons. Of what begins with colons only ::1 is one: a list that was meant otherwise
 * must not become a wide network like ::/8. */
static bool is_item(struct slice text)
{
    static const struct slice loopback[] = {
        SLICE_INIT("::1"),
        SLICE_INIT("::1/128"),
        SLICE_INIT("::::1"),
        SLICE_INIT("::::1/128"),
    };
    for (size_t i = 0; i < ARRAY_COUNT(loopback); i++) {
        if (slice_eq(text, loopback[i])) {
            return true;
        }
    }
    return text.len && text.ptr[0] != ':' && (is_net(text) || is_doubled_net(text));
}

/* With colons between the items and inside of them, the longest piece that is a network is one. */
bool conf_exim_net_next(struct slice *rest, char separator, struct slice *item)
{
    if (separator != ':') {
        return conf_exim_list_next(rest, separator, item);
    }
    for (*rest = slice_trim(*rest); rest->len; *rest = slice_trim(slice_skip(*rest, 1))) {
        size_t longest = rest->len < LONGEST_NET ? rest->len : LONGEST_NET;
        for (size_t n = longest; n > 0; n--) {
            bool ends = n == rest->len || rest->ptr[n] == ':';
            *item = slice_trim(slice_first(*rest, n));
            if (ends && is_item(*item)) {
                *rest = slice_skip(*rest, n);
                return true;
            }
        }
        if (rest->ptr[0] != ':') {
            break;
        }
    }
    return conf_exim_list_next(rest, ':', item);
}

/* ---- networks, hosts ----------------------------------------------------------------------- */

bool conf_net_add(struct buf *out, struct slice text)
{
    struct ip_net net;
    char plain[LONGEST_NET];
    size_t n = 0;
    for (size_t i = 0; i < text.len && n < sizeof(plain); i++) {
        bool doubled = text.ptr[i] == ':' && i + 1 < text.len && text.ptr[i + 1] == ':' &&
                       !is_net(text) && is_doubled_net(text);
        if (text.ptr[i] != '[' && text.ptr[i] != ']') {
            plain[n++] = text.ptr[i];
        }
        i += doubled;
    }
    if (n == sizeof(plain) || !ip_net_parse_masked(slice_of(plain, n), &net)) {
        return false;
    }
    ip_net_add(out, &net);
    return true;
}

static struct slice service_port(struct slice service)
{
    static const struct {
        struct slice name;
        struct slice port;
    } services[] = {
        {SLICE_INIT("smtp"), SLICE_INIT("25")},
        {SLICE_INIT("submission"), SLICE_INIT("587")},
        {SLICE_INIT("submissions"), SLICE_INIT("465")},
        {SLICE_INIT("smtps"), SLICE_INIT("465")},
    };
    for (size_t i = 0; i < ARRAY_COUNT(services); i++) {
        if (slice_eq_nocase(services[i].name, service)) {
            return services[i].port;
        }
    }
    return service;
}

/* "[IPv6:2001:db8::1]", as an address literal of mail has it and Postfix takes it. */
static struct slice literal_plain(struct slice host)
{
    struct ip_addr addr;
    struct slice bare = slice_skip(host, sizeof("IPv6:") - 1);
    bool tagged = slice_starts_nocase(host, SLICE("IPv6:"));
    return tagged && ip_addr_parse(bare, &addr) && addr.family == IP_V6 ? bare : host;
}

/* "[mailhog:1025]": the port inside the brackets stands in a compose file of the original. */
void conf_relay_add(struct buf *out, struct slice text)
{
    struct slice host, port = {"", 0}, rest = text;
    struct ip_addr addr;
    bool bracketed = text.len > 1 && text.ptr[0] == '[';
    int close = bracketed ? slice_find_byte(text, ']') : -1;
    if (close > 0) {
        host = literal_plain(slice_first(slice_skip(text, 1), (size_t)close - 1));
        rest = slice_skip(text, (size_t)close + 1);
        if (rest.len == 0 && !ip_addr_parse(host, &addr)) {
            port = host;
            host = slice_cut(&port, ':');
        } else if (rest.len && rest.ptr[0] == ':') {
            port = slice_skip(rest, 1);
        } else {
            port = rest;
        }
        buf_addf(out, "[%.*s]", SLICE_ARG(host));
    } else {
        host = slice_cut(&rest, ':');
        bool one_colon = host.len < text.len && slice_find_byte(rest, ':') < 0;
        port = one_colon ? rest : port;
        buf_add(out, one_colon ? host : text);
    }
    if (port.len) {
        buf_addf(out, ":%.*s", SLICE_ARG(service_port(port)));
    }
}

/* ---- times, templates ---------------------------------------------------------------------- */

bool conf_postfix_time_add(struct buf *out, struct slice text, char unit)
{
    uint64_t n;
    char last = text.len ? text.ptr[text.len - 1] : '0';
    if (!ascii_is_digit(last)) {
        unit = last;
        text.len--;
    }
    bool known = is_one_of(unit, "smhdw");
    if (!known || !slice_to_u64(text, &n) || n > 1000000000) {
        return false;
    }
    buf_add_u64(out, unit == 'w' ? 7 * n : n);
    if (n > 0) {
        buf_add_byte(out, unit == 'w' ? 'd' : unit);
    }
    return true;
}

void conf_template_add(struct buf *out, const struct conf_profile_source *source, const char *text)
{
    struct slice rest = slice_str(text);
    while (rest.len) {
        buf_add(out, slice_cut(&rest, '$'));
        if (rest.len == 0) {
            break;
        }
        must(rest.ptr[0] == '{'); /* templates are ours */
        struct slice inner = slice_cut(&rest, '}');
        struct slice name = slice_skip(inner, 1);
        struct slice otherwise = name;
        name = slice_cut(&otherwise, ':');
        struct slice value = conf_vars_get(source, name);
        buf_add(out, value.len ? value : slice_skip(otherwise, 1)); /* behind the '-' */
    }
}
