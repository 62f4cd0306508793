/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Sources whose address is not on this machine: found by the connection whose bind() fails, told to all workers
 * by way of the control thread, and looked for by it until they are back.
 */
#include "core/app/engine_private.h"
#include "core/io/net.h"

enum { ENGINE_SOURCES_MS = 5000 };

static void engine_tell_sources(struct engine *e)
{
    uint64_t news = egress_news(e->settings->egress);
    if (news == e->source_news) {
        return;
    }
    e->source_news = news;
    for (unsigned i = 0; i < e->worker_count; i++) {
        engine_tell(e, i, worker_mail_new(WORKER_MAIL_SOURCES));
    }
}

static void engine_source_back(struct engine *e, const struct egress_source *s,
                               const struct ip_addr *address)
{
    char text[IP_TEXT_MAX];
    if (egress_set_gone(s, (enum egress_family)egress_family_of(address), false) &&
        engine_event(e, OBS_SOURCE_RESUMED)) {
        obs_str(&e->log, OBS_F_SOURCE, s->name);
        obs_str(&e->log, OBS_F_ADDRESS, slice_str(ip_addr_text(address, text)));
        engine_event_end(e);
    }
}

/* True: one is still gone. */
static bool engine_look_for_sources(struct engine *e)
{
    const struct egress_table *t = e->settings->egress;
    bool missing = false;
    for (size_t i = 0; i < egress_count(t); i++) {
        const struct egress_source *s = egress_at(t, i);
        const struct ip_addr *const addresses[] = {&s->address4, &s->address6};
        unsigned gone = s->families & ~egress_families_now(s);
        for (size_t k = 0; gone && k < ARRAY_COUNT(addresses); k++) {
            const struct ip_addr *a = addresses[k];
            if (a->family != IP_NONE && (gone & egress_family_of(a)) && net_has_address(a)) {
                engine_source_back(e, s, a);
            }
        }
        missing = missing || egress_families_now(s) != s->families;
    }
    return missing;
}

void engine_on_sources(struct timer *t, void *ctx)
{
    (void)ctx;
    struct engine *e = container_of(t, struct engine, sources);
    bool missing = engine_look_for_sources(e);
    engine_tell_sources(e);
    if (missing && e->stop_signals == 0) {
        timer_start(&e->timers, &e->sources, io_now(e->io)->mono_ms + ENGINE_SOURCES_MS);
    }
}

void engine_sources_news(struct engine *e)
{
    engine_tell_sources(e);
    if (!timer_armed(&e->sources) && e->stop_signals == 0) {
        timer_start(&e->timers, &e->sources, io_now(e->io)->mono_ms + ENGINE_SOURCES_MS);
    }
}
