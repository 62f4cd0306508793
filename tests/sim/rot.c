/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/sim/rot.h"
#include "spool/format.h"
#include "tests/sim/disk.h"
#include "tests/sim/sim.h"

enum { ROT_TRIES = 64, ROT_PAYLOAD_AT = 12 };

struct rot_place {
    unsigned message;
    bool is_report;
    struct spool_ref ref;
};

static struct {
    struct rot_place list[ROT_PLACES];
    unsigned count;
} places;

void rot_look(void)
{
    places.count = 0;
}

static void rot_add(unsigned m, bool is_report, struct spool_ref ref)
{
    if (places.count < ROT_PLACES) {
        places.list[places.count++] = (struct rot_place){m, is_report, ref};
    }
}

void rot_note(const struct spool_recovered *found)
{
    unsigned m, rcpt;
    bool is_sender;
    const struct spool_message *msg = &found->message;
    if (!msg->rcpt_count || !ledger_parse(msg->rcpts[0].address, &m, &rcpt, &is_sender)) {
        return;
    }
    rot_add(m, is_sender, found->ref);
    for (uint32_t i = 0; i < msg->fragment_count; i++) {
        rot_add(m, is_sender, msg->fragments[i].ref);
    }
}

static uint32_t rot_payload(const struct rot_place *p)
{
    uint8_t b[4] = {0};
    (void)disk_peek(p->ref.segment, p->ref.offset + ROT_PAYLOAD_AT, b, sizeof(b));
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

/* Where a header is short and decides much, as often as in the rest. */
static bool rot_place(struct ledger_flip *out)
{
    const struct rot_place *p = &places.list[feature_below(FEATURE_ROT, places.count)];
    uint32_t span = feature_below(FEATURE_ROT, 3) ? p->ref.bytes : SPOOL_FRAME_HEADER_BYTES;
    uint64_t in = feature_below(FEATURE_ROT, span);
    *out = (struct ledger_flip){.segment = p->ref.segment,
                                .offset = p->ref.offset + in,
                                .known = true,
                                .message = p->message,
                                .is_report = p->is_report,
                                .idle = in >= SPOOL_FRAME_HEADER_BYTES + rot_payload(p)};
    return disk_flip(out->segment, out->offset, (unsigned)feature_below(FEATURE_ROT, 8));
}

/* In a segment that has something alive in it. */
static bool rot_anywhere(struct ledger_flip *out)
{
    const struct rot_place *p = &places.list[feature_below(FEATURE_ROT, places.count)];
    for (unsigned i = 0; i < ROT_TRIES; i++) {
        uint8_t b = 0;
        uint64_t offset = feature_below(FEATURE_ROT, SPOOL_SEGMENT_BYTES_MIN);
        if (disk_peek(p->ref.segment, offset, &b, 1) && b) {
            *out = (struct ledger_flip){.segment = p->ref.segment,
                                        .offset = offset,
                                        .message = LEDGER_NOBODY};
            return disk_flip(out->segment, offset, (unsigned)feature_below(FEATURE_ROT, 8));
        }
    }
    return false;
}

bool rot_flip(struct ledger_flip *out)
{
    if (places.count == 0) {
        return false;
    }
    bool hit = feature_below(FEATURE_ROT, 8) ? rot_place(out) : rot_anywhere(out);
    if (hit) {
        sim_trace("a bit at %llu of segment %llu flips (message %d%s)",
                  (unsigned long long)out->offset, (unsigned long long)out->segment,
                  (int)out->message, out->is_report ? ", a report" : "");
    }
    return hit;
}
