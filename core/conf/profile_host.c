/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What the originals' start scripts ask the machine.
 */
#include "core/base/ipaddr.h"
#include "core/base/must.h"
#include "core/conf/profile_tables.h"

#include <ifaddrs.h>
#include <netinet/in.h>
#include <unistd.h>

static bool address_of(const struct ifaddrs *i, struct ip_addr *out)
{
    struct ip_endpoint e;
    if (!i->ifa_addr || i->ifa_addr->sa_family != AF_INET ||
        !ip_endpoint_from_sockaddr(i->ifa_addr, sizeof(struct sockaddr_in), &e)) {
        return false;
    }
    *out = e.addr;
    return true;
}

static unsigned prefix_of(const struct ifaddrs *i)
{
    struct ip_endpoint mask;
    unsigned bits = 0;
    if (!i->ifa_netmask || i->ifa_netmask->sa_family != AF_INET ||
        !ip_endpoint_from_sockaddr(i->ifa_netmask, sizeof(struct sockaddr_in), &mask)) {
        return 32;
    }
    for (unsigned n = 0; n < 4; n++) {
        bits += (unsigned)__builtin_popcount(mask.addr.bytes[n]);
    }
    return bits;
}

bool conf_interface_nets(struct slice name, struct buf *out)
{
    struct ifaddrs *all = NULL;
    bool found = false;
    if (getifaddrs(&all) != 0) {
        return false;
    }
    for (const struct ifaddrs *i = all; i; i = i->ifa_next) {
        struct ip_addr addr;
        struct buf text;
        if (!slice_eq(slice_str(i->ifa_name), name)) {
            continue;
        }
        found = true;
        if (!address_of(i, &addr)) {
            continue;
        }
        buf_init(&text, 64);
        ip_addr_add(&text, &addr);
        buf_addf(&text, "/%u", prefix_of(i));
        buf_add(out, out->len ? SLICE(",") : SLICE(""));
        must(conf_net_add(out, buf_slice(&text)));
        buf_deinit(&text);
    }
    freeifaddrs(all);
    return found;
}

bool conf_host_has_ipv6(void)
{
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        close(fd);
    }
    return fd >= 0;
}
