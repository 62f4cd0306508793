/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The reverse lookup runs in a thread of its own: getnameinfo takes as long as the resolver likes, and a
 * start waits two seconds at most. A thread that is still waiting then is left alone; it owns a reference
 * to what it writes to.
 */
#include "core/conf/machine.h"
#include "core/base/ipaddr.h"
#include "core/base/must.h"
#include "core/conf/value_names.h"

#include <ifaddrs.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { LOOKUP_SECONDS = 2 };

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

static void lookup_wait(struct lookup *l, struct conf_machine *m)
{
    struct timespec until;
    pthread_t thread;
    pthread_attr_t detached;
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
        (void)slice_to_cstr(slice_str(l->name), m->reverse, sizeof(m->reverse)); /* at most 253 */
    }
    lookup_put(l);
    pthread_attr_destroy(&detached);
}

/* One public address is what the name belongs to. */
static bool public_address(struct ip_endpoint *out)
{
    struct ifaddrs *all = NULL;
    bool found = false;
    if (getifaddrs(&all) != 0) {
        return false;
    }
    for (const struct ifaddrs *i = all; i && !found; i = i->ifa_next) {
        found = i->ifa_addr && i->ifa_addr->sa_family == AF_INET &&
                ip_endpoint_from_sockaddr(i->ifa_addr, sizeof(struct sockaddr_in), out) &&
                !ip_addr_is_private(&out->addr);
    }
    freeifaddrs(all);
    return found;
}

static void reverse_ask(struct conf_machine *m)
{
    struct ip_endpoint e;
    struct lookup *l = public_address(&e) ? calloc(1, sizeof(*l)) : NULL;
    if (l) {
        pthread_mutex_init(&l->lock, NULL);
        pthread_cond_init(&l->ended, NULL);
        e.port = 0;
        l->len = ip_endpoint_to_sockaddr(&e, &l->addr);
        lookup_wait(l, m);
    }
}

bool conf_machine_reverse_name(struct conf_machine *m, struct buf *out)
{
    if (!m->reverse_asked) {
        m->reverse_asked = true;
        reverse_ask(m);
    }
    buf_add(out, slice_str(m->reverse));
    return m->reverse[0] != '\0';
}

/* ---- its own ------------------------------------------------------------------------------- */

struct slice conf_machine_name(struct conf_machine *m)
{
    if (!m->name_asked) {
        m->name_asked = true;
        if (gethostname(m->name, sizeof(m->name) - 1) != 0) {
            m->name[0] = '\0';
        }
    }
    return slice_str(m->name);
}
