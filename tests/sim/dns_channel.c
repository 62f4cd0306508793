/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The twin of dns/channel.c (c-ares opens sockets of its own, past core/io): questions are answered after a
 * while with the packet a server would send, which the real parser reads. What fails is silence, another code or
 * half a packet. A lie (FEATURE_LIES) is a packet that says what is not so: no such domain, no mail here, another's
 * hosts, addresses that nobody may send to, another question, flipped bits.
 *
 * The zone: d<i>.sim.org has MX hosts mx0.d<i>.sim.org (and mx1… when i is odd) at 5.0.<i>.1 (5.0.<i>.2).
 */
#include "dns/channel.h"
#include "core/base/must.h"
#include "dns/dns.h"
#include "tests/sim/dns.h"
#include "tests/sim/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    DNS_LIE_PPM = 150000,
    DNS_DOMAINS = 16,
    PACKET_BYTES = 512,
    RCODE_OK = 0,
    RCODE_SERVFAIL = 2,
    RCODE_NXDOMAIN = 3
};

struct dns_channel {
    struct timer_wheel *timers;
    struct io *io;
    struct list asked;
    struct list answered;
    struct dns_channel_counters counters;
    struct timer tick;
    bool stopped;
};

struct packet {
    uint8_t bytes[PACKET_BYTES];
    size_t len;
};

static void packet_u16(struct packet *p, unsigned v)
{
    must(p->len + 2 <= PACKET_BYTES);
    p->bytes[p->len++] = (uint8_t)(v >> 8);
    p->bytes[p->len++] = (uint8_t)v;
}

static void packet_name(struct packet *p, struct slice name)
{
    while (name.len) {
        struct slice label = slice_cut(&name, '.');
        must(p->len + label.len + 2 <= PACKET_BYTES && label.len < 64);
        p->bytes[p->len++] = (uint8_t)label.len;
        memcpy(p->bytes + p->len, label.ptr, label.len);
        p->len += label.len;
    }
    p->bytes[p->len++] = 0;
}

static void packet_head(struct packet *p, const struct dns_ask *ask, unsigned rcode, unsigned count)
{
    packet_u16(p, 1);
    packet_u16(p, 0x8180 | rcode);
    packet_u16(p, 1);
    packet_u16(p, count);
    packet_u16(p, 0);
    packet_u16(p, 0);
    packet_name(p, ask->name);
    packet_u16(p, dns_type_code(ask->type));
    packet_u16(p, 1);
}

static void packet_record(struct packet *p, const struct dns_ask *ask, const uint8_t *data,
                          size_t len)
{
    packet_name(p, ask->name);
    packet_u16(p, dns_type_code(ask->type));
    packet_u16(p, 1);
    packet_u16(p, 0);
    packet_u16(p, (unsigned)sim_between(1, 600));
    packet_u16(p, (unsigned)len);
    memcpy(p->bytes + p->len, data, len);
    p->len += len;
}

/* hosts: of that domain. */
static void answer_mx(struct packet *p, const struct dns_ask *ask, unsigned domain)
{
    unsigned count = 1 + domain % 2;
    packet_head(p, ask, RCODE_OK, count);
    for (unsigned i = 0; i < count; i++) {
        char name[64];
        int n = snprintf(name, sizeof(name), "mx%u.d%u.sim.org", i, domain);
        struct packet data = {.len = 0};
        packet_u16(&data, 10 * (1 + i)); /* the same each time: it is part of what a site is */
        packet_name(&data, slice_of(name, (size_t)n));
        packet_record(p, ask, data.bytes, data.len);
    }
}

static void packet_answer(struct packet *p, const struct dns_ask *ask)
{
    unsigned domain, host;
    char name[256];
    must(slice_to_cstr(ask->name, name, sizeof(name)));
    if (sscanf(name, "d%u.sim.org", &domain) == 1 && ask->type == DNS_TYPE_MX) {
        answer_mx(p, ask, domain);
    } else if (sscanf(name, "mx%u.d%u.sim.org", &host, &domain) == 2 && ask->type == DNS_TYPE_A) {
        uint8_t address[4] = {5, 0, (uint8_t)domain, (uint8_t)(host + 1)};
        packet_head(p, ask, RCODE_OK, 1);
        packet_record(p, ask, address, sizeof(address));
    } else {
        packet_head(p, ask, RCODE_NXDOMAIN, 0);
    }
}

/* ---- lies ---- */

static bool lies[DNS_DOMAINS];

void dns_forget_lies(void)
{
    memset(lies, 0, sizeof(lies));
}

bool dns_has_lied(unsigned domain)
{
    return domain < DNS_DOMAINS && lies[domain];
}

static bool lie_about(const struct dns_ask *ask)
{
    unsigned domain, host;
    char name[256];
    bool known = slice_to_cstr(ask->name, name, sizeof(name)) &&
                 (sscanf(name, "d%u.sim.org", &domain) == 1 ||
                  sscanf(name, "mx%u.d%u.sim.org", &host, &domain) == 2) &&
                 domain < DNS_DOMAINS;
    if (known) {
        sim_trace("DNS lies about %s", name);
        lies[domain] = true;
    }
    return known;
}

/* Records of the right type with wrong data. */
static void lie_data(struct packet *p, const struct dns_ask *ask)
{
    static const uint8_t nowhere[][4] = {{10, 0, 0, 1},  {127, 0, 0, 1},       {0, 0, 0, 0},
                                         {224, 0, 0, 1}, {255, 255, 255, 255}, {9, 0, 0, 1}};
    if (ask->type == DNS_TYPE_MX && feature_below(FEATURE_LIES, 2)) {
        struct packet none = {.len = 0};
        packet_u16(&none, 0);
        packet_name(&none, slice_of(NULL, 0)); /* RFC 7505: no mail here */
        packet_head(p, ask, RCODE_OK, 1);
        packet_record(p, ask, none.bytes, none.len);
    } else if (ask->type == DNS_TYPE_MX) {
        answer_mx(p, ask, (unsigned)feature_below(FEATURE_LIES, sim.opt.domains + 1));
    } else {
        packet_head(p, ask, RCODE_OK, 1);
        packet_record(p, ask, nowhere[feature_below(FEATURE_LIES, ARRAY_COUNT(nowhere))], 4);
    }
}

static void lie_packet(struct packet *p, const struct dns_ask *ask)
{
    switch (feature_below(FEATURE_LIES, 4)) {
    case 0:
        packet_head(p, ask, RCODE_NXDOMAIN, 0);
        return;
    case 1: {
        struct dns_ask other = *ask;
        other.name = SLICE("d1.sim.org");
        packet_answer(p, &other);
        return;
    }
    case 2:
        packet_answer(p, ask);
        for (uint64_t n = 1 + feature_below(FEATURE_LIES, 4); n > 0; n--) {
            p->bytes[feature_below(FEATURE_LIES, p->len)] ^=
                (uint8_t)(1u << feature_below(FEATURE_LIES, 8));
        }
        return;
    default:
        lie_data(p, ask);
        return;
    }
}

static struct dns_answer *channel_answer(struct dns_ask *ask)
{
    struct packet p = {.len = 0};
    if (sim_fault(sim.opt.dns_lie_ppm)) {
        switch (sim_below(3)) {
        case 0:
            return dns_answer_failed(SLICE("timeout"));
        case 1:
            packet_head(&p, ask, RCODE_SERVFAIL, 0);
            break;
        default:
            /* Cut anywhere. A lie may end in nothing, never in a definite no: that would be a bounce. */
            packet_answer(&p, ask);
            p.len = 12 + sim_below(p.len - 12);
            break;
        }
    } else if (feature_fault(FEATURE_LIES, DNS_LIE_PPM) && lie_about(ask)) {
        lie_packet(&p, ask);
    } else {
        packet_answer(&p, ask);
    }
    return dns_answer_from_wire(p.bytes, p.len, ask->name, ask->type);
}

static void channel_on_tick(struct timer *t, void *ctx)
{
    (void)ctx;
    struct dns_channel *ch = container_of(t, struct dns_channel, tick);
    struct list *node = list_pop_front(&ch->asked);
    if (node) {
        struct dns_ask *ask = LIST_ENTRY(node, struct dns_ask, link);
        ask->answer = channel_answer(ask);
        ch->counters.in_flight--;
        list_push_back(&ch->answered, &ask->link);
    }
    if (!list_empty(&ch->asked)) {
        timer_start(ch->timers, &ch->tick, io_now(ch->io)->mono_ms + sim_between(1, 40));
    }
}

struct dns_channel *dns_channel_open(const struct dns_config *cfg, struct io *io,
                                     struct timer_wheel *timers, struct rng *rng, struct buf *error)
{
    (void)cfg;
    (void)rng;
    struct dns_channel *ch = calloc(1, sizeof(*ch));
    if (!ch) {
        buf_addf(error, "dns: out of memory");
        return NULL;
    }
    ch->io = io;
    ch->timers = timers;
    ch->tick.fire = channel_on_tick;
    list_init(&ch->asked);
    list_init(&ch->answered);
    return ch;
}

void dns_channel_stop(struct dns_channel *ch)
{
    ch->stopped = true;
    timer_stop(ch->timers, &ch->tick);
    struct list *node;
    while ((node = list_pop_front(&ch->asked))) {
        struct dns_ask *ask = LIST_ENTRY(node, struct dns_ask, link);
        ask->answer = dns_answer_failed(SLICE("the resolver has ended"));
        ch->counters.in_flight--;
        list_push_back(&ch->answered, &ask->link);
    }
}

bool dns_channel_idle(const struct dns_channel *ch)
{
    (void)ch;
    return true;
}

void dns_channel_close(struct dns_channel *ch)
{
    must(ch->stopped && list_empty(&ch->answered));
    free(ch);
}

void dns_channel_ask(struct dns_channel *ch, struct dns_ask *ask)
{
    must(!ch->stopped);
    ask->channel = ch;
    ask->answer = NULL;
    ask->first_ms = io_now(ch->io)->mono_ms;
    ch->counters.asked++;
    ch->counters.in_flight++;
    list_push_back(&ch->asked, &ask->link);
    if (!timer_armed(&ch->tick)) {
        timer_start(ch->timers, &ch->tick, ask->first_ms + sim_between(1, 40));
    }
}

void dns_channel_run(struct dns_channel *ch)
{
    (void)ch;
}

bool dns_channel_pending(const struct dns_channel *ch)
{
    return !list_empty(&ch->answered);
}

struct dns_ask *dns_channel_next(struct dns_channel *ch)
{
    struct list *node = list_pop_front(&ch->answered);
    return node ? LIST_ENTRY(node, struct dns_ask, link) : NULL;
}

void dns_channel_on_io(struct dns_channel *ch, const struct io_event *ev)
{
    (void)ch;
    (void)ev;
    must_never("no resolver uses the ring in here");
}

const struct dns_channel_counters *dns_channel_counters(const struct dns_channel *ch)
{
    return &ch->counters;
}
