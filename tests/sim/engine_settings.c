/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/relay/settings.h"
#include "tests/sim/engine.h"
#include "tests/sim/pace.h"
#include "tests/sim/sim.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

static struct {
    struct relay_settings *list[ENGINE_SETTINGS];
    unsigned count;
} made;

void engine_settings_drop(void)
{
    for (unsigned i = 0; i < made.count; i++) {
        atomic_store(&made.list[i]->refs, 1);
    }
}

void engine_settings_put(void)
{
    while (made.count) {
        relay_settings_put(&made.list[--made.count]);
    }
}

struct relay_settings *engine_settings(const struct relay_settings *old)
{
    static const char *const fixed[] = {
        "identity.hostname=relay.sim.org",
        "spool.segment_size=1MiB",
        "spool.min_free=0",
        "access.networks=0.0.0.0/0",
        "delivery.ipv6=false",
        "delivery.tls=none",
        "relay.tls=none",
        "dsn.delay_after=0",
        "log.level=debug",
        "dns.servers=127.0.0.1:53",
        "queue.recipients_max=100000",
    };
    enum { TEXTS = 8, TEXT = 96, FIXED = sizeof(fixed) / sizeof(fixed[0]) };
    char texts[TEXTS][TEXT];
    const char *sets[FIXED + TEXTS];
    size_t n = 0;
    memcpy(sets, fixed, sizeof(fixed));
#define ENGINE_SET(...) snprintf(texts[n++], TEXT, __VA_ARGS__)
    ENGINE_SET("workers=%u", sim.opt.workers);
    ENGINE_SET("delivery.connections_per_site=%u", sim.opt.connections_per_site);
    ENGINE_SET("delivery.recipients_per_transaction=%u", sim.opt.recipients_per_transaction);
    ENGINE_SET("delivery.chunking_window=%u", sim.opt.window);
    ENGINE_SET("queue.schedule=%us,%us", sim.opt.retry_first_s, sim.opt.retry_first_s * 4);
    ENGINE_SET("smtp.chunking=%s", sim.opt.chunking_in ? "true" : "false");
    if (sim.opt.max_age_s) {
        ENGINE_SET("queue.max_age=%us", sim.opt.max_age_s);
    }
    if (sim.opt.smarthost) {
        ENGINE_SET("relay.host=[5.0.200.1]:25");
    }
#undef ENGINE_SET
    for (size_t i = 0; i < n; i++) {
        sets[FIXED + i] = texts[i];
    }
    char path[PACE_PATH];
    struct conf_source source = {.set = sets, .set_count = FIXED + n};
    source.file = pace_file(path) ? path : NULL;
    struct buf errors;
    buf_init(&errors, 65536);
    struct conf *conf = conf_load(&source, &errors, NULL);
    struct relay_settings_messages to = {&errors, &errors};
    struct relay_settings *s = conf ? relay_settings_new(conf, old, &to) : NULL;
    if (!s) {
        sim_fail("the configuration is refused: %.*s", SLICE_ARG(buf_slice(&errors)));
    }
    buf_deinit(&errors);
    must(made.count < ENGINE_SETTINGS);
    made.list[made.count++] = s;
    return s;
}
