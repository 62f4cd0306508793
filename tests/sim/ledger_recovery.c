/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What a recovery finds, compared with what was promised; after a flipped bit also with what the recovery before it
 * found: nothing else may have changed, and it must have been said.
 */
#include "tests/sim/ledger_private.h"

void ledger_engine_died(bool power)
{
    (void)power;
    ledger.flip = (struct ledger_flip){0}; /* on the way up: what was found is not known */
    ledger.deaths[sim.life % LEDGER_DEATHS] = sim.now_us;
}

bool ledger_has_rotten(void)
{
    return ledger.flips || ledger.flip.judged;
}

void ledger_recovery_begins(void)
{
    ledger.recovery++;
    ledger.reports_before = ledger.reports_found;
    ledger.reports_found = 0;
}

/* With a flip to be judged: r of m comes back, which the recovery before has not found. */
static void came_back(unsigned m, unsigned rcpt)
{
    const struct ledger_flip *f = &ledger.flip;
    if (f->judged && f->known && f->message != m) {
        sim_fail("P6: a flipped bit at %llu of segment %llu (message %d) brings back recipient %u "
                 "of message %u",
                 (unsigned long long)f->offset, (unsigned long long)f->segment, (int)f->message,
                 rcpt, m);
    }
}

void ledger_recovered(const struct spool_recovered *found)
{
    for (uint32_t i = 0; i < found->message.rcpt_count; i++) {
        const struct spool_rcpt *r = &found->message.rcpts[i];
        unsigned m, rcpt;
        bool is_sender;
        if (!ledger_parse(r->address, &m, &rcpt, &is_sender)) {
            sim_fail("recovery found a recipient that nobody named: %.*s", SLICE_ARG(r->address));
        }
        if (is_sender) {
            ledger.reports_found++;
            ledger.list[m].report_mark = ledger.recovery;
        }
        if (!is_sender && r->status == SPOOL_RCPT_QUEUED) {
            struct ledger_rcpt *known = &ledger.list[m].rcpts[rcpt];
            if (known->mark == ledger.recovery) {
                sim_fail("recovery found recipient %u of message %u twice", rcpt, m);
            }
            orders_recovered(m, rcpt, r->next_due_ms);
            if (known->mark + 1 != ledger.recovery) {
                came_back(m, rcpt);
            }
            known->mark = ledger.recovery;
        }
    }
}

void ledger_rotten(const struct ledger_flip *f)
{
    if (f && f->copy) {
        ledger.flip = *f;
        return;
    }
    ledger.flips++;
    if (!f) {
        ledger.flips_anywhere++;
        return;
    }
    if (f->known && f->message != LEDGER_NOBODY) {
        ledger.list[f->message].rotten = true;
    } else if (!f->known) {
        ledger.flips_anywhere++;
    }
    ledger.flip = *f;
}

/* Everything else is as it was, and it was said that this is not. */
static void judge_flip(void)
{
    const struct ledger_flip *f = &ledger.flip;
    bool changed = ledger.reports_found < ledger.reports_before;
    if (f->known && changed && !f->is_report) {
        sim_fail("P6: a flipped bit at %llu of segment %llu takes a report away",
                 (unsigned long long)f->offset, (unsigned long long)f->segment);
    }
    for (unsigned m = 0; m < ledger.count; m++) {
        for (unsigned i = 0; i < ledger.list[m].rcpt_count; i++) {
            bool lost = ledger.list[m].rcpts[i].mark + 1 == ledger.recovery;
            changed = changed || lost;
            if (lost && f->known && f->message != m) {
                sim_fail("P6: a flipped bit at %llu of segment %llu (message %d) takes recipient "
                         "%u of message %u along",
                         (unsigned long long)f->offset, (unsigned long long)f->segment,
                         (int)f->message, i, m);
            }
        }
    }
    if (!f->said && (changed || (f->known && f->message != LEDGER_NOBODY && !f->idle))) {
        sim_fail("P6: a flipped bit at %llu of segment %llu (message %d) is not reported",
                 (unsigned long long)f->offset, (unsigned long long)f->segment, (int)f->message);
    }
}

/* P6: each flip is confined to one record. */
bool ledger_lost_by_rot(unsigned m)
{
    if (!ledger.list[m].rotten) {
        if (ledger.lost == ledger.flips_anywhere) {
            return false;
        }
        ledger.lost++;
    }
    ledger.list[m].state = LEDGER_LOST;
    sim_trace("message %u was lost by a flipped bit", m);
    return true;
}

void ledger_spool_is_read_only(void)
{
    ledger.read_only_life = sim.life + 1;
}

void ledger_damaged(const struct spool_damage_report *report)
{
    struct ledger_flip *f = &ledger.flip;
    if (f->judged && report->segment == f->segment && f->offset >= report->offset &&
        f->offset < report->offset + report->bytes) {
        f->said = true;
    }
    if (ledger.flips || f->judged || report->kind == SPOOL_DAMAGE_TORN) {
        return;
    }
    if (report->kind == SPOOL_DAMAGE_UNREADABLE &&
        (sim.opt.disk_eio_ppm || sim.opt.disk_enospc_ppm)) {
        return; /* an fsync of recovery that failed */
    }
    sim_fail("recovery speaks of damage (%d) in %s at %llu, but no bit was flipped", report->kind,
             report->file, (unsigned long long)report->offset);
}

void ledger_recovery_ends(const char *what)
{
    struct ledger_flip flip = ledger.flip;
    if (flip.judged) {
        judge_flip();
        ledger.flip = (struct ledger_flip){0};
        if (!flip.known && flip.copy) {
            return; /* on a copy: it may have hit anything */
        }
    }
    for (unsigned m = 0; m < ledger.count; m++) {
        const struct ledger_message *msg = &ledger.list[m];
        for (unsigned i = 0; i < msg->rcpt_count; i++) {
            const struct ledger_rcpt *r = &msg->rcpts[i];
            bool found = r->mark == ledger.recovery;
            bool touched = r->copies.count || r->rejects.count || r->reports.count ||
                           ledger_may_end_quietly(msg, r) ||
                           (msg->report_mark == ledger.recovery && ledger_may_end_alone(msg, r));
            if (msg->state == LEDGER_ACKED && r->named && !touched && !found &&
                !(flip.judged && flip.message == m) && !ledger_lost_by_rot(m)) {
                sim_fail("P1: recipient %u of message %u is lost (%s), acknowledged %llu us ago", i,
                         m, what, (unsigned long long)(sim.now_us - msg->acked_us));
            }
            if (msg->state == LEDGER_REFUSED && found) {
                sim_fail("message %u was refused, but a crash brings it back (%s)", m, what);
            }
        }
    }
}
