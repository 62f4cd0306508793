/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/policy/warmup.h"

#include "core/base/must.h"

uint64_t warmup_allowance(const struct warmup_rule *r, const struct warmup_state *s)
{
    must(s->day > 0);
    return warmup_is_warm(r, s) ? WARMUP_NO_LIMIT : r->days[s->day - 1];
}

/* deferred / answered ≥ percent / 100, without division. */
static bool reaches(const struct warmup_state *s, uint32_t percent)
{
    return s->answered > 0 &&
           (unsigned __int128)s->deferred * 100 >= (unsigned __int128)s->answered * percent;
}

enum warmup_verdict warmup_judge(const struct warmup_rule *r, const struct warmup_state *s)
{
    uint64_t allowance = warmup_allowance(r, s);
    if (allowance == WARMUP_NO_LIMIT) {
        return WARMUP_NOT_COUNTED;
    }
    if (reaches(s, r->back_percent)) {
        return WARMUP_STEPPED_BACK;
    }
    if (reaches(s, r->hold_percent)) {
        return WARMUP_HELD;
    }
    bool sent = (unsigned __int128)s->sent * 100 >=
                (unsigned __int128)allowance * WARMUP_SHARE_PERCENT;
    return sent ? WARMUP_ADVANCED : WARMUP_NOT_COUNTED;
}

bool warmup_turn(const struct warmup_rule *r, struct warmup_state *s, uint64_t wall_ms,
                 enum warmup_verdict *verdict)
{
    uint64_t date = warmup_date(r, wall_ms);
    if (date <= s->date) {
        return false;
    }
    *verdict = warmup_judge(r, s);
    switch (*verdict) {
    case WARMUP_ADVANCED:
        s->day++;
        break;
    case WARMUP_STEPPED_BACK:
        s->day -= s->day > 1 ? 1 : 0;
        break;
    case WARMUP_NOT_COUNTED:
    case WARMUP_HELD:
        break;
    }
    *s = (struct warmup_state){.day = s->day, .date = date};
    return true;
}

unsigned warmup_deferred_permille(const struct warmup_state *s)
{
    must(s->deferred <= s->answered);
    return s->answered ? (unsigned)((unsigned __int128)s->deferred * 1000 / s->answered) : 0;
}

uint64_t warmup_chunk(uint64_t allowance)
{
    uint64_t chunk = allowance / WARMUP_CHUNK_DIVISOR;
    return chunk ? chunk : 1;
}
