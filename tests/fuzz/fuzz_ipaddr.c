/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Purpose: addresses, networks and endpoints as text: an address is one exactly when inet_pton says so, and the same
 *          one; what was read is written in a form that is read to the same; classes never disagree with each other.
 * Input:   the text.
 */
#include "core/base/ipaddr.h"
#include "core/base/must.h"

#include <arpa/inet.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_class(const struct ip_addr *a)
{
    struct ip_addr inner;
    enum ip_class class = ip_addr_class(a);
    must(ip_addr_is_loopback(a) == (class == IP_CLASS_LOOPBACK));
    must(!ip_addr_is_any(a) || class != IP_CLASS_GLOBAL);
    must(ip_addr_is_private(a) || class == IP_CLASS_GLOBAL || class == IP_CLASS_NAT64);
    if (ip_addr_embedded_v4(a, &inner)) {
        must(inner.family == IP_V4 && (!ip_addr_is_private(&inner) || ip_addr_is_private(a)));
    }
}

static void check_addr(struct slice text)
{
    char z[64], again[IP_TEXT_MAX];
    unsigned char want[16];
    struct ip_addr a, b;
    bool v4 = false, v6 = false;
    if (slice_to_cstr(text, z, sizeof(z))) {
        v4 = inet_pton(AF_INET, z, want) == 1;
        v6 = !v4 && inet_pton(AF_INET6, z, want) == 1;
    }
    must(ip_addr_parse(text, &a) == (v4 || v6));
    if (v4 || v6) {
        b = ip_addr_from_bytes(want, v4 ? 4 : 16);
        must(ip_addr_eq(&a, &b));
        must(ip_addr_parse(slice_str(ip_addr_text(&a, again)), &b) && ip_addr_eq(&a, &b));
        check_class(&a);
    }
}

static void check_net(struct slice text)
{
    struct ip_net strict, masked, again;
    struct buf out;
    buf_init(&out, 256);
    bool reads = ip_net_parse_masked(text, &masked);
    if (ip_net_parse(text, &strict)) {
        must(reads && ip_net_eq(&strict, &masked) && ip_net_contains(&strict, &strict.base));
    }
    if (reads) {
        ip_net_add(&out, &masked);
        must(ip_net_parse(buf_slice(&out), &again) && ip_net_eq(&again, &masked));
    }
    buf_deinit(&out);
}

static void check_endpoint(struct slice text)
{
    char again[IP_ENDPOINT_TEXT_MAX];
    struct ip_endpoint e, f;
    struct sockaddr_storage sa;
    if (!ip_endpoint_parse(text, 25, &e)) {
        return;
    }
    must(e.port > 0);
    must(ip_endpoint_parse(slice_str(ip_endpoint_text(&e, again)), 1, &f) &&
         ip_endpoint_eq(&e, &f));
    socklen_t len = ip_endpoint_to_sockaddr(&e, &sa);
    must(ip_endpoint_from_sockaddr((const struct sockaddr *)&sa, len, &f) &&
         ip_endpoint_eq(&e, &f));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_of(data, size);
    check_addr(text);
    check_net(text);
    check_endpoint(text);
    return 0;
}
