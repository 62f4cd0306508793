/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * c-ares on the ring.
 *
 *   waiting --channel_send--> c-ares --channel_on_answer--> answered --dns_channel_next--> owner
 *      ^                                    |
 *      +------ timed out, time is left -----+   (the other transport next)
 *
 * Two c-ares channels, because 0x20 and TCP-only are switches of a channel: UDP (with TCP for truncated
 * answers) and TCP only. ares_send_dnsrec with a record of our own instead of ares_query_dnsrec: the AD
 * bit in the question is how a stub asks a validating resolver to show its verdict (RFC 6840 5.7).
 *
 * c-ares shortens its time-outs to what a server usually takes (from 250 ms), right for lost packets
 * and wrong for a resolver that needs seconds for one domain: hence the second round here.
 */
#include "dns/channel.h"

#include "core/base/must.h"
#include "dns/dns.h"
#include "dns/guard.h"
#include "dns/watch.h"

#include <ares.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    CHANNEL_UDP,
    CHANNEL_TCP,
    CHANNEL_COUNT,

    CHANNEL_EDNS_BYTES = 1232, /* DNS flag day 2020: no fragments */
    /* A socket per question, as many that wait for their cancelled poll, probes of failed servers. */
    CHANNEL_WATCHES = DNS_IN_FLIGHT_MAX * 2 + 128,
    CHANNEL_TICK_MIN_MS = 10,
    CHANNEL_TICK_MAX_MS = 100,
    CHANNEL_SERVER_BYTES = 64,
    CHANNEL_REASON_BYTES = LIMIT_OUTCOME_TEXT_BYTES,
};

struct dns_channel {
    ares_channel_t *ares[CHANNEL_COUNT];
    struct channel_side {
        struct dns_channel *ch;
        unsigned index;
    } sides[CHANNEL_COUNT];
    struct io *io;
    struct timer_wheel *timers;
    struct timer tick;
    struct dns_watches watches;
    struct dns_guard guard;
    struct list waiting;
    struct list answered;
    struct dns_channel_counters counters;
    uint64_t total_ms; /* a question is not given up before */
    uint64_t tick_ms;
    bool stopped;
    bool dirty; /* c-ares has time-outs or sockets to look at */
    char last_server[CHANNEL_SERVER_BYTES];
};

/* ---- sockets ---- */

static void channel_on_socket(void *data, ares_socket_t fd, int readable, int writable)
{
    struct channel_side *side = data;
    struct dns_channel *ch = side->ch;
    unsigned want = (readable ? POLLIN : 0u) | (writable ? POLLOUT : 0u);
    dns_watches_update(&ch->watches, ch->ares[side->index], fd, want);
}

void dns_channel_on_io(struct dns_channel *ch, const struct io_event *ev)
{
    ch->dirty = dns_watches_on_io(&ch->watches, ev) || ch->dirty;
}

/* ---- answers ---- */

static void channel_on_server(const char *server, ares_bool_t success, int flags, void *data)
{
    (void)success;
    (void)flags;
    struct dns_channel *ch = data;
    snprintf(ch->last_server, sizeof(ch->last_server), "%s", server);
}

/* "SERVFAIL from 127.0.0.1:53 (MX example.com)" */
static struct dns_answer *channel_failed(const struct dns_ask *ask, const char *what,
                                         bool from_server)
{
    const struct dns_channel *ch = ask->channel;
    char text[CHANNEL_REASON_BYTES];
    const char *server = ch->last_server[0] ? ch->last_server : "the DNS server";
    int n = snprintf(text, sizeof(text), "%s%s%s (%s %.*s)", what, from_server ? " from " : "",
                     from_server ? server : "", dns_type_name(ask->type), SLICE_ARG(ask->name));
    must(n > 0);
    size_t len = (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1;
    return dns_answer_failed(slice_of(text, len));
}

static struct dns_answer *channel_failed_status(struct dns_ask *ask, ares_status_t status)
{
    switch ((int)status) {
    case ARES_ESERVFAIL:
        return channel_failed(ask, "SERVFAIL", true);
    case ARES_ENOTIMP:
        return channel_failed(ask, "NOTIMP", true);
    case ARES_EREFUSED:
        return channel_failed(ask, "REFUSED", true);
    case ARES_EBADRESP:
        return channel_failed(ask, "malformed answer", true);
    case ARES_ETIMEOUT:
        ask->timed_out = true;
        return channel_failed(ask, "no answer", true);
    case ARES_ECONNREFUSED:
        return channel_failed(ask, "connection refused, no answer", true);
    case ARES_ENOSERVER:
        return channel_failed(ask, "no DNS server is configured", false);
    case ARES_ECANCELLED:
    case ARES_EDESTRUCTION:
        return channel_failed(ask, "shutting down", false);
    default:
        return channel_failed(ask, ares_strerror((int)status), false);
    }
}

/* Over UDP without an answer: TCP next. TCP did not help either: UDP again, while there is time. */
static bool channel_again(struct dns_channel *ch, struct dns_ask *ask, ares_status_t status)
{
    bool silent = status == ARES_ETIMEOUT || (ask->tcp && status == ARES_ECONNREFUSED);
    bool late = io_now(ch->io)->mono_ms - ask->first_ms >= ch->total_ms;
    if (!silent || ch->stopped || (late && ask->tcp)) {
        return false;
    }
    ask->tcp = !ask->tcp;
    list_push_front(&ch->waiting, &ask->link);
    ch->counters.waiting++;
    return true;
}

static void channel_on_answer(void *arg, ares_status_t status, size_t timeouts,
                              const ares_dns_record_t *rec)
{
    (void)timeouts;
    struct dns_ask *ask = arg;
    must(ask != NULL);
    struct dns_channel *ch = ask->channel;
    must(ch->counters.in_flight > 0);
    ch->counters.in_flight--;
    if (channel_again(ch, ask, status)) {
        return;
    }
    if (status == ARES_SUCCESS) {
        struct dns_answer *a = dns_answer_from_record(rec, ask->name, ask->type);
        if (a && a->kind == DNS_ANSWER_FAILED) {
            struct dns_answer *with_place = channel_failed(ask, a->text.ptr, true);
            dns_answer_free(a);
            a = with_place;
        }
        ask->answer = a;
    } else {
        ask->answer = channel_failed_status(ask, status);
        ch->counters.timeouts += ask->timed_out;
    }
    list_push_back(&ch->answered, &ask->link);
}

/* ---- questions ---- */

static ares_status_t channel_question(const struct dns_ask *ask, ares_dns_record_t **out)
{
    ares_dns_record_t *rec = NULL;
    ares_dns_rr_t *opt = NULL;
    ares_status_t rc = ares_dns_record_create(&rec, 0, ARES_FLAG_RD | ARES_FLAG_AD,
                                              ARES_OPCODE_QUERY, ARES_RCODE_NOERROR);
    if (rc == ARES_SUCCESS) {
        rc = ares_dns_record_query_add(rec, ask->name.ptr,
                                       (ares_dns_rec_type_t)dns_type_code(ask->type),
                                       ARES_CLASS_IN);
    }
    if (rc == ARES_SUCCESS) {
        rc = ares_dns_record_rr_add(&opt, rec, ARES_SECTION_ADDITIONAL, "", ARES_REC_TYPE_OPT,
                                    ARES_CLASS_IN, 0);
    }
    if (rc == ARES_SUCCESS) {
        rc = ares_dns_rr_set_u16(opt, ARES_RR_OPT_UDP_SIZE, CHANNEL_EDNS_BYTES);
    }
    if (rc == ARES_SUCCESS) {
        rc = ares_dns_rr_set_u8(opt, ARES_RR_OPT_VERSION, 0);
    }
    if (rc == ARES_SUCCESS) {
        rc = ares_dns_rr_set_u16(opt, ARES_RR_OPT_FLAGS, 0);
    }
    if (rc != ARES_SUCCESS) {
        ares_dns_record_destroy(rec);
        return rc;
    }
    *out = rec;
    return ARES_SUCCESS;
}

static void channel_send(struct dns_channel *ch, struct dns_ask *ask)
{
    ch->counters.in_flight++;
    ch->counters.asked++;
    ares_dns_record_t *rec = NULL;
    ares_status_t rc = channel_question(ask, &rec);
    if (rc != ARES_SUCCESS) {
        channel_on_answer(ask, rc, 0, NULL);
        return;
    }
    /* Always calls back, at the latest from ares_destroy; maybe from here. */
    ares_send_dnsrec(ch->ares[ask->tcp ? CHANNEL_TCP : CHANNEL_UDP], rec, channel_on_answer, ask,
                     NULL);
    ares_dns_record_destroy(rec);
}

void dns_channel_ask(struct dns_channel *ch, struct dns_ask *ask)
{
    must(!ch->stopped);
    must(ask->name.len > 0 && ask->name.ptr[ask->name.len] == '\0' && !list_linked(&ask->link));
    ask->channel = ch;
    ask->answer = NULL;
    ask->first_ms = 0;
    ask->tcp = ask->timed_out = false;
    list_push_back(&ch->waiting, &ask->link);
    ch->counters.waiting++;
}

static bool channel_has_room(const struct dns_channel *ch)
{
    return !list_empty(&ch->waiting) && ch->counters.in_flight < DNS_IN_FLIGHT_MAX;
}

void dns_channel_run(struct dns_channel *ch)
{
    if (ch->stopped) {
        return;
    }
    if (ch->dirty) {
        ch->dirty = false;
        ares_process_fds(ch->ares[CHANNEL_UDP], NULL, 0, ARES_PROCESS_FLAG_NONE);
        ares_process_fds(ch->ares[CHANNEL_TCP], NULL, 0, ARES_PROCESS_FLAG_NONE);
    }
    while (channel_has_room(ch)) {
        struct list *first = list_pop_front(&ch->waiting);
        must(first != NULL);
        struct dns_ask *ask = LIST_ENTRY(first, struct dns_ask, link);
        ch->counters.waiting--;
        if (ask->first_ms == 0) {
            ask->first_ms = io_now(ch->io)->mono_ms;
        }
        channel_send(ch, ask);
    }
    if (ch->counters.in_flight > 0 && !timer_armed(&ch->tick)) {
        timer_start(ch->timers, &ch->tick, io_now(ch->io)->mono_ms + ch->tick_ms);
    }
}

/* Only while questions are on the wire: an idle channel sleeps. */
static void channel_on_tick(struct timer *t, void *ctx)
{
    (void)ctx;
    struct dns_channel *ch = container_of(t, struct dns_channel, tick);
    ch->dirty = true;
}

bool dns_channel_pending(const struct dns_channel *ch)
{
    return ch->dirty || !list_empty(&ch->answered) || (!ch->stopped && channel_has_room(ch));
}

struct dns_ask *dns_channel_next(struct dns_channel *ch)
{
    struct list *node = list_pop_front(&ch->answered);
    return node ? LIST_ENTRY(node, struct dns_ask, link) : NULL;
}

const struct dns_channel_counters *dns_channel_counters(const struct dns_channel *ch)
{
    return &ch->counters;
}

/* ---- open and close ---- */

static ares_status_t channel_set_servers(ares_channel_t *ares, const struct dns_config *cfg)
{
    char csv[DNS_SERVERS_MAX * (IP_ENDPOINT_TEXT_MAX + 1)];
    size_t used = 0;
    for (size_t i = 0; i < cfg->server_count; i++) {
        char text[IP_ENDPOINT_TEXT_MAX];
        int n = snprintf(csv + used, sizeof(csv) - used, "%s%s", i ? "," : "",
                         ip_endpoint_text(&cfg->servers[i], text));
        must(n > 0 && (size_t)n < sizeof(csv) - used);
        used += (size_t)n;
    }
    return (ares_status_t)ares_set_servers_ports_csv(ares, csv);
}

static ares_status_t channel_open_ares(struct dns_channel *ch, unsigned index,
                                       const struct dns_config *cfg)
{
    struct ares_options options = {
        .flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES |
                 (index == CHANNEL_TCP ? ARES_FLAG_USEVC : ARES_FLAG_DNS0x20),
        .timeout = (int)cfg->timeout_ms,
        .maxtimeout = (int)cfg->timeout_ms,
        .tries = index == CHANNEL_TCP ? 1 : (int)cfg->tries,
        .udp_max_queries = 1,
        .qcache_max_ttl = 0,
        .sock_state_cb = channel_on_socket,
        .sock_state_cb_data = &ch->sides[index],
    };
    int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_MAXTIMEOUTMS | ARES_OPT_TRIES |
               ARES_OPT_UDP_MAX_QUERIES | ARES_OPT_QUERY_CACHE | ARES_OPT_SOCK_STATE_CB;
    ares_status_t rc = (ares_status_t)ares_init_options(&ch->ares[index], &options, mask);
    if (rc != ARES_SUCCESS) {
        return rc;
    }
    ares_set_server_state_callback(ch->ares[index], channel_on_server, ch);
    rc = (ares_status_t)dns_guard_attach(&ch->guard, ch->ares[index]);
    if (rc != ARES_SUCCESS) {
        return rc;
    }
    return cfg->server_count > 0 ? channel_set_servers(ch->ares[index], cfg) : ARES_SUCCESS;
}

static uint64_t channel_tick_ms(const struct dns_config *cfg)
{
    uint64_t ms = cfg->timeout_ms / 8;
    return ms < CHANNEL_TICK_MIN_MS   ? CHANNEL_TICK_MIN_MS
           : ms > CHANNEL_TICK_MAX_MS ? CHANNEL_TICK_MAX_MS
                                      : ms;
}

struct dns_channel *dns_channel_open(const struct dns_config *cfg, struct io *io,
                                     struct timer_wheel *timers, struct rng *rng, struct buf *error)
{
    must(cfg->server_count <= DNS_SERVERS_MAX && cfg->timeout_ms <= INT32_MAX);
    struct dns_channel *ch = calloc(1, sizeof(*ch));
    if (!ch) {
        buf_addf(error, "dns: out of memory");
        return NULL;
    }
    ch->io = io;
    ch->timers = timers;
    ch->tick.fire = channel_on_tick;
    ch->tick_ms = channel_tick_ms(cfg);
    ch->total_ms = cfg->timeout_ms * cfg->tries;
    dns_watches_init(&ch->watches, io, CHANNEL_WATCHES, rng_u64(rng));
    list_init(&ch->waiting);
    list_init(&ch->answered);
    for (unsigned i = 0; i < CHANNEL_COUNT; i++) {
        ch->sides[i] = (struct channel_side){ch, i};
        ares_status_t rc = channel_open_ares(ch, i, cfg);
        if (rc != ARES_SUCCESS) {
            buf_addf(error, "dns: the resolver library cannot start: %s", ares_strerror((int)rc));
            dns_channel_stop(ch);
            dns_channel_close(ch);
            return NULL;
        }
    }
    return ch;
}

void dns_channel_stop(struct dns_channel *ch)
{
    if (ch->stopped) {
        return;
    }
    ch->stopped = true;
    ch->dirty = false;
    timer_stop(ch->timers, &ch->tick);
    for (unsigned i = 0; i < CHANNEL_COUNT; i++) {
        ares_destroy(
            ch->ares[i]); /* calls back for all questions, closes all sockets; takes NULL */
        ch->ares[i] = NULL;
    }
    must(ch->counters.in_flight == 0 && dns_watches_closed(&ch->watches));
    struct list *node;
    while ((node = list_pop_front(&ch->waiting)) != NULL) {
        struct dns_ask *ask = LIST_ENTRY(node, struct dns_ask, link);
        ask->answer = channel_failed_status(ask, ARES_EDESTRUCTION);
        list_push_back(&ch->answered, &ask->link);
    }
    ch->counters.waiting = 0;
}

bool dns_channel_idle(const struct dns_channel *ch)
{
    return dns_watches_idle(&ch->watches);
}

void dns_channel_close(struct dns_channel *ch)
{
    must(ch->stopped && dns_channel_idle(ch) && list_empty(&ch->answered));
    dns_watches_deinit(&ch->watches);
    free(ch);
}
