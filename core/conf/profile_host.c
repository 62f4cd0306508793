/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What the originals' start scripts ask the machine. The reverse lookup runs in a thread of its own:
 * getnameinfo takes as long as the resolver likes, and a start waits two seconds at most. A thread
 * that is still waiting then is left alone; it owns a reference to what it writes to.
 */
#include "core/base/ipaddr.h"
#include "core/base/must.h"
#include "core/conf/profile_tables.h"
#include "core/conf/value_names.h"

#include <ifaddrs.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { LOOKUP_SECONDS = 2 };

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

/* ---- reverse DNS --------------------------------------------------------------------------- */

struct lookup {
    pthread_mutex_t lock;
    pthread_cond_t ended;
    unsigned refs;
    bool done;
    struct sockaddr_storage addr;
    socklen_t len;
    char name[NI_MAXHOST];
};

static void lookup_put(struct lookup *l)
{
    bool last = --l->refs == 0;
    must(pthread_mutex_unlock(&l->lock) == 0);
    if (last) {
        pthread_cond_destroy(&l->ended);
        pthread_mutex_destroy(&l->lock);
        free(l);
    }
}

static void *lookup_run(void *arg)
{
    struct lookup *l = arg;
    char name[NI_MAXHOST] = "";
    int rc = getnameinfo((const struct sockaddr *)&l->addr, l->len, name, sizeof(name), NULL, 0,
                         NI_NAMEREQD);
    must(pthread_mutex_lock(&l->lock) == 0);
    if (rc == 0) {
        memcpy(l->name, name, sizeof(name));
    }
    l->done = true;
    pthread_cond_signal(&l->ended);
    lookup_put(l);
    return NULL;
}

static bool lookup_wait(struct lookup *l, struct buf *out)
{
    struct timespec until;
    pthread_t thread;
    pthread_attr_t detached;
    bool named = false;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    must(pthread_mutex_lock(&l->lock) == 0);
    l->refs = 2;
    if (pthread_create(&thread, &detached, lookup_run, l) != 0) {
        l->refs--;
        l->done = true;
    }
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += LOOKUP_SECONDS;
    while (!l->done && pthread_cond_timedwait(&l->ended, &l->lock, &until) == 0) {
    }
    if (l->done && conf_domain_valid(slice_str(l->name))) {
        buf_add(out, slice_str(l->name));
        named = true;
    }
    lookup_put(l);
    pthread_attr_destroy(&detached);
    return named;
}

bool conf_host_reverse_name(struct buf *out)
{
    struct ifaddrs *all = NULL;
    bool named = false, asked = false;
    if (getifaddrs(&all) != 0) {
        return false;
    }
    for (const struct ifaddrs *i = all; i && !asked; i = i->ifa_next) {
        struct ip_endpoint e = {.port = 0};
        if (!address_of(i, &e.addr) || ip_addr_is_private(&e.addr)) {
            continue;
        }
        struct lookup *l = calloc(1, sizeof(*l));
        asked = true; /* one public address is what the name belongs to */
        if (l) {
            pthread_mutex_init(&l->lock, NULL);
            pthread_cond_init(&l->ended, NULL);
            l->len = ip_endpoint_to_sockaddr(&e, &l->addr);
            named = lookup_wait(l, out);
        }
    }
    freeifaddrs(all);
    return named;
}
