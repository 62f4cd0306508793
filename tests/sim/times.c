/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/sim/times.h"
#include "core/base/clock.h"
#include "core/base/buf.h"
#include "tests/sim/sim.h"

#include <stdio.h>
#include <string.h>

enum {
    TIMES_JUMPS = 1024,
    TIMES_SLACK_S = 2,              /* the header knows seconds */
    TIMES_TRANSACTION_MINUTES = 40, /* a part may wait so long in a connection's hands */
};

static struct {
    struct {
        uint64_t at_us;
        int64_t shift_us;
    } jumps[TIMES_JUMPS]; /* the first: since ever */
    unsigned count;
} clocks;

void times_reset(void)
{
    clocks.count = 1;
    clocks.jumps[0].at_us = 0;
    clocks.jumps[0].shift_us = 0;
}

static int64_t times_at(uint64_t at_us, int64_t shift_us)
{
    return (int64_t)(at_us + SIM_EPOCH_US) + shift_us;
}

int64_t times_wall(void)
{
    return times_at(sim.now_us, sim.wall_shift_us);
}

void times_jump(int64_t shift_us)
{
    must(clocks.count < TIMES_JUMPS);
    sim.wall_shift_us = shift_us;
    clocks.jumps[clocks.count].at_us = sim.now_us;
    clocks.jumps[clocks.count++].shift_us = shift_us;
    sim_trace("the wall clock is off by %lld s", (long long)(shift_us / SIM_SECOND));
}

/* Between two jumps the least is at the beginning and the most at the end. */
static int64_t times_extreme(uint64_t from_us, uint64_t to_us, bool most)
{
    int64_t found = most ? INT64_MIN : INT64_MAX;
    for (unsigned i = 0; i < clocks.count; i++) {
        uint64_t from = clocks.jumps[i].at_us;
        uint64_t to = i + 1 < clocks.count ? clocks.jumps[i + 1].at_us : sim.now_us;
        from = from < from_us ? from_us : from;
        to = to > to_us ? to_us : to;
        if (from > to) {
            continue;
        }
        int64_t wall = times_at(most ? to : from, clocks.jumps[i].shift_us);
        found = (most ? wall > found : wall < found) ? wall : found;
    }
    return found;
}

int64_t times_wall_min(uint64_t from_us, uint64_t to_us)
{
    return times_extreme(from_us, to_us, false);
}

int64_t times_wall_max(uint64_t from_us, uint64_t to_us)
{
    return times_extreme(from_us, to_us, true);
}

/* ---- messages ---- */

static size_t field_time(char *out, size_t room, const char *name, uint64_t in_s, bool relative)
{
    if (relative) {
        return (size_t)snprintf(out, room, "X-Ringpost-%s: +%llu\r\n", name,
                                (unsigned long long)in_s);
    }
    struct buf text;
    buf_init(&text, 64);
    clock_add_rfc3339(&text, (uint64_t)times_wall() / SIM_SECOND * SIM_SECOND + in_s * SIM_SECOND);
    size_t n = (size_t)snprintf(out, room, "X-Ringpost-%s: %.*s\r\n", name,
                                SLICE_ARG(buf_slice(&text)));
    buf_deinit(&text);
    return n;
}

static int64_t field_value(uint64_t in_s, bool relative)
{
    return (relative ? 0 : times_wall() / SIM_SECOND * SIM_SECOND) + (int64_t)(in_s * SIM_SECOND);
}

static uint64_t times_span(void)
{
    static const uint64_t most[] = {60, 600, 3600, 3 * 3600};
    return 1 + feature_below(FEATURE_TIMES, most[feature_below(FEATURE_TIMES, 4)]);
}

void times_draw(struct times *t)
{
    static const char *const priorities[] = {"urgent", "normal", "bulk"};
    *t = (struct times){.began_us = sim.now_us};
    if (!feature_on(FEATURE_TIMES)) {
        return;
    }
    size_t n = 0;
    if (feature_below(FEATURE_TIMES, 3) == 0) {
        uint64_t in_s = times_span();
        t->send_relative = feature_below(FEATURE_TIMES, 2);
        t->send_at = field_value(in_s, t->send_relative);
        n += field_time(t->fields + n, TIMES_FIELDS - n, "Send-At", in_s, t->send_relative);
    }
    if (feature_below(FEATURE_TIMES, 3) == 0) {
        uint64_t in_s = 30 + times_span() * 2;
        t->expire_relative = feature_below(FEATURE_TIMES, 2);
        t->expire = field_value(in_s, t->expire_relative);
        n += field_time(t->fields + n, TIMES_FIELDS - n, "Expire", in_s, t->expire_relative);
    }
    if (feature_below(FEATURE_TIMES, 3) == 0) {
        n += (size_t)snprintf(t->fields + n, TIMES_FIELDS - n, "X-Ringpost-Priority: %s\r\n",
                              priorities[feature_below(FEATURE_TIMES, 3)]);
    }
    if (feature_below(FEATURE_TIMES, 3) == 0) {
        n += (size_t)snprintf(t->fields + n, TIMES_FIELDS - n,
                              "X-Ringpost-Tenant: t%u\r\nX-Ringpost-Campaign: c%u\r\n",
                              (unsigned)feature_below(FEATURE_TIMES, 3),
                              (unsigned)feature_below(FEATURE_TIMES, 3));
    }
}

/* The least and the most that the engine may take a time for. */
static int64_t times_low(const struct times *t, int64_t value, bool relative)
{
    uint64_t until = t->told_us ? t->told_us : sim.now_us;
    return (relative ? times_wall_min(t->began_us, until) : 0) + value;
}

static int64_t times_high(const struct times *t, int64_t value, bool relative)
{
    uint64_t until = t->told_us ? t->told_us : sim.now_us;
    return (relative ? times_wall_max(t->began_us, until) : 0) + value;
}

void times_jump_to(const struct times *t)
{
    int64_t to = t->expire && (!t->send_at || feature_below(FEATURE_TIMES, 2)) ? t->expire
                                                                               : t->send_at;
    bool relative = to == t->expire ? t->expire_relative : t->send_relative;
    if (to) {
        to = times_low(t, to, relative) - 2 * SIM_SECOND +
             (int64_t)feature_below(FEATURE_TIMES, 4 * SIM_SECOND);
        times_jump(to - times_at(sim.now_us, 0));
    }
}

void times_may_be_sent(const struct times *t, unsigned m)
{
    int64_t slack = TIMES_SLACK_S * SIM_SECOND;
    int64_t low = t->send_at ? times_low(t, t->send_at, t->send_relative) : 0;
    if (low && times_wall_max(t->began_us, sim.now_us) + slack < low) {
        sim_fail("message %u is sent, but its time comes in %lld s", m,
                 (long long)((low - times_wall()) / SIM_SECOND));
    }
    uint64_t window = TIMES_TRANSACTION_MINUTES * SIM_MINUTE;
    uint64_t since = sim.now_us > window ? sim.now_us - window : 0;
    if (t->expire && since > t->began_us && (t->told_us || !t->expire_relative) &&
        times_wall_min(since, sim.now_us) > times_high(t, t->expire, t->expire_relative) + slack) {
        sim_fail("message %u is sent, but its time has been over for %lld s", m,
                 (long long)((times_wall() - times_high(t, t->expire, t->expire_relative)) /
                             SIM_SECOND));
    }
}

bool times_may_be_over(const struct times *t)
{
    int64_t slack = TIMES_SLACK_S * SIM_SECOND;
    int64_t age = (int64_t)sim.opt.max_age_s * SIM_SECOND;
    int64_t latest = times_wall_max(t->began_us, sim.now_us) + slack;
    bool old = age && latest >= times_low(t, age, true);
    return old || (t->expire && latest >= times_low(t, t->expire, t->expire_relative));
}
