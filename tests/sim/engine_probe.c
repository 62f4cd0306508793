/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Recovery alone, on a copy of the disk as a crash would leave it.
 */
#include "tests/sim/engine_private.h"
#include "tests/sim/heap.h"
#include "tests/sim/ledger.h"
#include "tests/sim/ring.h"
#include "tests/sim/rot.h"

enum { PROBE_ROT_PPM = 300000 };

static void probe_on_recovered(void *ctx, unsigned worker, const struct spool_recovered *found)
{
    (void)ctx;
    (void)worker;
    ledger_recovered(found);
    rot_note(found);
}

/* On the disk in use, which is a copy. */
static void probe_recover(const char *what)
{
    struct spool_options options = {.segment_bytes = SPOOL_SEGMENT_BYTES_MIN,
                                    .workers = sim.opt.workers};
    struct buf why;
    buf_init(&why, ENGINE_TEXT);
    struct spool_dir *dir = spool_dir_open("spool", &options, &why);
    struct spool_recovery summary;
    struct spool_recovery_events events = {probe_on_recovered, engine_on_damage, NULL};
    rot_look();
    ledger_recovery_begins();
    if (!dir || !spool_recover(dir, &events, NULL, &summary, &why)) {
        sim_fail("a crash here leaves a spool that cannot be opened: %.*s",
                 SLICE_ARG(buf_slice(&why)));
    }
    ledger_recovery_ends(what);
    spool_dir_close(&dir);
    buf_deinit(&why);
    sim.counts.probes++;
}

/* The copy that was judged just now, with a bit flipped, and judged again. */
static void probe_rot(void)
{
    struct ledger_flip flip;
    if (rot_flip(&flip)) {
        flip.judged = flip.copy = true;
        ledger_rotten(&flip);
        probe_recover("probe of a flipped bit");
        sim.counts.flips++;
    }
}

/* crash: how the copy is to die. */
static void probe_copy(bool crashes, bool rots)
{
    engine.probing = true;
    uint32_t failing = heap_set_failing(0);
    bool before = heap_enter();
    struct disk *copy = disk_fork();
    struct disk *live = disk_use(copy);
    if (crashes) {
        enum disk_crash how = (enum disk_crash)sim_below(3);
        ring_crash_writes(how);
        disk_crash(how);
    }
    probe_recover("probe");
    if (rots) {
        probe_rot();
    }
    disk_use(live);
    disk_free(&copy);
    heap_leave(before);
    heap_set_failing(failing);
    engine.probing = false;
}

void engine_probe(void)
{
    if (!engine.probing && !engine.starting && engine.life) {
        probe_copy(true, feature_chance(FEATURE_ROT, PROBE_ROT_PPM));
    }
}

bool engine_rot(void)
{
    struct ledger_flip flip;
    must(!engine.life);
    probe_copy(false, false);
    if (!rot_flip(&flip)) {
        return false;
    }
    sim.counts.flips++;
    flip.judged = true;
    ledger_rotten(&flip);
    return true;
}
