/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/sim/pace.h"
#include "tests/sim/sim.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PACE_DOMAINS = 256, PACE_WINDOW_MAX = 8 };

struct pace_bucket {
    uint64_t begun_us; /* of the count: the engine's start, or new settings */
    uint64_t last_us;
    uint64_t count;
    double level;
};

static struct {
    struct pace_bucket buckets[PACE_DOMAINS][PACE_SOURCES];
    uint64_t life_us;
    unsigned connections; /* the highest limit of this life */
    unsigned rate, burst; /* the same; 0: there was none once */
    int fd;               /* of the file */
} pace;

static void pace_take_limits(bool first)
{
    unsigned c = sim.opt.connections_per_site, r = sim.opt.rate, b = sim.opt.burst;
    bool free = !r || (!first && !pace.rate);
    pace.connections = first || c > pace.connections ? c : pace.connections;
    pace.rate = free ? 0 : first || r > pace.rate ? r : pace.rate;
    pace.burst = first || b > pace.burst ? b : pace.burst;
}

void pace_reset(void)
{
    if (pace.fd > 0) {
        close(pace.fd);
    }
    memset(&pace, 0, sizeof(pace));
    pace_take_limits(true);
}

void pace_changed(void)
{
    pace_take_limits(false);
}

void pace_life_begins(void)
{
    memset(pace.buckets, 0, sizeof(pace.buckets));
    pace.life_us = sim.now_us;
    pace_take_limits(true);
}

/* ---- the file ---- */

bool pace_file(char path[PACE_PATH])
{
    char text[1024];
    size_t n = 0;
    if (!feature_on(FEATURE_SOURCES)) {
        return false;
    }
    if (pace.fd > 0) {
        close(pace.fd);
    }
    n += (size_t)snprintf(text + n, sizeof(text) - n, "shaping:\n  builtin: false\n");
    if (sim.opt.rate) {
        n += (size_t)snprintf(text + n, sizeof(text) - n,
                              "  default: {message_rate: {limit: %u/min, burst: %u}}\n",
                              sim.opt.rate, sim.opt.burst);
    }
    for (unsigned i = 1; i <= sim.opt.sources; i++) {
        n += (size_t)snprintf(text + n, sizeof(text) - n,
                              "%s  - {name: ip%u, addresses: 192.0.2.%u, ehlo: mta%u.sim.org}\n",
                              i == 1 ? "sources:\n" : "", i, i, i);
    }
    for (unsigned i = 1; i <= sim.opt.sources; i++) {
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%sip%u: %u%s",
                              i == 1 ? "source_pools:\n  - {name: any, sources: {" : ", ", i, i,
                              i == sim.opt.sources ? "}}\nsource_rules:\n  - {pool: any}\n" : "");
    }
    pace.fd = memfd_create("ringpost.yaml", MFD_CLOEXEC);
    must(n < sizeof(text) && pace.fd > 0 && write(pace.fd, text, n) == (ssize_t)n);
    snprintf(path, PACE_PATH, "/proc/self/fd/%d", pace.fd);
    return true;
}

/* ---- what servers see ---- */

/* With a host whose address is not found this time, two hosts are another site; without memory a site may have two
 * owners (core/queue/group.h). */
static bool is_one_site(unsigned domain)
{
    bool steady = sim.opt.smarthost || domain % 2 == 0 || !sim.opt.dns_lie_ppm;
    return steady && !sim.opt.oom_ppm && (sim.opt.smarthost || !feature_on(FEATURE_LIES));
}

void pace_on_connect(unsigned domain, unsigned source, unsigned open)
{
    if (open > pace.connections && is_one_site(domain)) {
        sim_fail("%u connections to the site of domain %u from source %u, the limit is %u", open,
                 domain, source, pace.connections);
    }
}

void pace_on_mail(unsigned domain, unsigned source)
{
    must(domain < PACE_DOMAINS && source < PACE_SOURCES);
    struct pace_bucket *b = &pace.buckets[domain][source];
    double rate = (double)pace.rate / (double)SIM_MINUTE;
    uint64_t since = sim.now_us - pace.life_us;
    double drained = (double)(sim.now_us - b->last_us) * rate;
    b->level = b->level > drained ? b->level - drained + 1 : 1;
    b->last_us = sim.now_us;
    b->count++;
    if (!pace.rate || !is_one_site(domain)) {
        return;
    }
    double most = pace.burst + (double)since * rate + 1;
    double held = pace.burst + (double)(pace.connections * PACE_WINDOW_MAX) + 1;
    if ((double)b->count > most || b->level > held) {
        sim_fail(
            "%llu messages to domain %u from source %u in %llu s, %.0f above what drained: the "
            "rate is %u a minute, burst %u",
            (unsigned long long)b->count, domain, source, (unsigned long long)(since / SIM_SECOND),
            b->level, pace.rate, pace.burst);
    }
}
