/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Sources whose address is not on this machine: found by the connection whose bind() fails, or here, every five
 * seconds (connections that are open already do not notice). All workers are told; here it is found out, too, when
 * an address is back. Costs a socket and a bind per address. A source whose proxy failed pauses for a while.
 */
#include "core/app/engine_private.h"
#include "core/io/net.h"

enum { ENGINE_SOURCES_MS = 5000 };

static void engine_note_source(struct engine *e, const struct egress_source *s,
                               const struct ip_addr *address, bool gone)
{
    if (!egress_set_gone(s, (enum egress_family)egress_family_of(address), gone) ||
        !engine_event(e, gone ? OBS_SOURCE_PAUSED : OBS_SOURCE_RESUMED)) {
        return;
    }
    char text[IP_TEXT_MAX];
    obs_str(&e->log, OBS_F_SOURCE, s->name);
    obs_str(&e->log, OBS_F_ADDRESS, slice_str(ip_addr_text(address, text)));
    if (gone) {
        obs_str(&e->log, OBS_F_REASON, EGRESS_TEXT_GONE);
    }
    engine_event_end(e);
}

/* Whether a proxy works again is found out by mail. */
static void engine_retry_proxy(struct engine *e, const struct egress_source *s)
{
    char text[IP_ENDPOINT_TEXT_MAX];
    if (egress_proxy_retry(s, io_now(e->io)->mono_ms) && engine_event(e, OBS_SOURCE_RESUMED)) {
        obs_str(&e->log, OBS_F_SOURCE, s->name);
        obs_str(&e->log, OBS_F_ADDRESS, slice_str(ip_endpoint_text(&s->proxy.at, text)));
        engine_event_end(e);
    }
}

static void engine_look_for_sources(struct engine *e)
{
    const struct egress_table *t = e->settings->egress;
    for (size_t i = 0; i < egress_count(t); i++) {
        const struct egress_source *s = egress_at(t, i);
        const struct ip_addr *const addresses[] = {&s->address4, &s->address6};
        bool direct = s->proxy.kind == CONF_EGRESS_DIRECT;
        if (!direct) {
            engine_retry_proxy(e, s);
        }
        for (size_t k = 0; direct && k < ARRAY_COUNT(addresses); k++) {
            if (addresses[k]->family != IP_NONE) {
                engine_note_source(e, s, addresses[k], !net_has_address(addresses[k]));
            }
        }
    }
}

void engine_sources_news(struct engine *e)
{
    uint64_t news = egress_news(e->settings->egress);
    if (news == e->source_news || e->stop_signals) {
        return;
    }
    e->source_news = news;
    for (unsigned i = 0; i < e->worker_count; i++) {
        engine_tell(e, i, worker_mail_new(WORKER_MAIL_SOURCES));
    }
}

void engine_on_sources(struct timer *t, void *ctx)
{
    (void)ctx;
    struct engine *e = container_of(t, struct engine, sources);
    if (e->stop_signals || egress_count(e->settings->egress) == 0) {
        return;
    }
    engine_look_for_sources(e);
    engine_sources_news(e);
    timer_start(&e->timers, &e->sources, io_now(e->io)->mono_ms + ENGINE_SOURCES_MS);
}
