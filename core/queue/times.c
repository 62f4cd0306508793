/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/queue/times.h"

/* RFC 3463 X.4.7, RFC 2852 4 */
static const struct enhanced over = {5, 4, 7};

uint64_t queue_message_start_ms(const struct queue_message *m)
{
    uint64_t arrival_ms = m->arrival_us / 1000;
    uint64_t not_before_ms = (uint64_t)m->not_before_s * 1000;
    return not_before_ms > arrival_ms ? not_before_ms : arrival_ms;
}

uint64_t queue_message_end_ms(const struct queue_message *m, const struct conf_queue *c)
{
    uint64_t end_ms = queue_message_start_ms(m) + c->max_age_ms;
    uint64_t expire_ms = (uint64_t)m->expire_s * 1000;
    return expire_ms && expire_ms < end_ms ? expire_ms : end_ms;
}

uint64_t queue_message_late_ms(const struct queue_message *m, const struct conf_dsn *c)
{
    uint64_t late_ms = c->delay_after_ms ? queue_message_start_ms(m) + c->delay_after_ms
                                         : UINT64_MAX;
    uint64_t notify_ms = (uint64_t)m->notify_s * 1000;
    return notify_ms && notify_ms < late_ms ? notify_ms : late_ms;
}

struct outcome queue_outcome_over(void)
{
    return outcome_local(OUTCOME_TEMPORARY, OUTCOME_MESSAGE, OUTCOME_STAGE_ROUTE, over,
                         SLICE("delivery time expired"));
}

bool queue_outcome_is_over(const struct outcome *o)
{
    return o->kind == OUTCOME_TEMPORARY && !o->remote && o->enhanced.cls == over.cls &&
           o->enhanced.subject == over.subject && o->enhanced.detail == over.detail;
}
