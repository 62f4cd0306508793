/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * model - a small queue with a perfect memory
 *
 * Purpose:   drives one or more logs over fake_io with random mail, results, bounces, copies, and
 *            remembers what each client was told; after a crash it checks recovery against that:
 *            acknowledged and not ended => recovered; lost => not recovered; ended => not queued;
 *            bounce and its DSN both or neither; every body byte right (P1, P2, P6).
 * Use:       #include "tests/unit/spool/model.c" after fake_io.c.
 */
#ifndef RINGPOST_TESTS_SPOOL_MODEL_H
#define RINGPOST_TESTS_SPOOL_MODEL_H

#include "spool/spool.h"
#include "tests/unit/spool/fake_io.h"

enum {
    MODEL_MESSAGES = 4096,
    MODEL_RCPTS = 3,
    MODEL_FRAGMENTS = 2,
    MODEL_WORKERS = 3,
    MODEL_MEMOS = 12,
    MODEL_MEMO_DOUBTS = 32,
};

enum model_told { MODEL_NOTHING, MODEL_ACKED, MODEL_LOST };
enum model_end { MODEL_OPEN, MODEL_DOUBT, MODEL_ENDED };

struct model_rcpt {
    enum model_end end;
    uint64_t lsn;      /* of the row in doubt */
    bool deferral;     /* that row is only a deferral */
    uint16_t attempts; /* durable */
    uint16_t attempts_doubt;
    uint32_t dsn; /* message index + 1 of the DSN in the same frame; 0 none */
};

struct model_place {
    struct spool_ref ref;
    struct spool_fragment_ref fragments[MODEL_FRAGMENTS];
    struct spool_hold holds[1 + MODEL_FRAGMENTS];
};

struct model_message {
    uint64_t id;
    unsigned worker;
    enum model_told told;
    uint64_t lsn;
    unsigned rcpt_count;
    struct model_rcpt rcpts[MODEL_RCPTS];
    unsigned fragment_count;
    uint32_t fragment_bytes[MODEL_FRAGMENTS];
    uint32_t inline_bytes;
    struct model_place place;
    struct model_place copy; /* a move in doubt */
    uint64_t copy_lsn;       /* 0: none */
    bool dsn_of;             /* it came with a bounce */
    bool seen;               /* in this recovery */
    bool gone;               /* ended and released */
};

struct model_memo {
    unsigned serial; /* of the value that was acknowledged last; 0: none */
    unsigned found;
    unsigned doubts;
    struct model_memo_doubt {
        uint64_t lsn;
        unsigned serial;
    } doubt[MODEL_MEMO_DOUBTS];
};

struct model_options {
    unsigned workers;
    unsigned body_max;
    unsigned load;        /* messages to append in this run */
    bool lost_may_return; /* two faults: the seal may be missing */
    bool no_results;
    bool no_memos;
};

struct model {
    struct rng rng;
    struct model_options options;
    struct spool_dir *dir;
    struct spool *spools[MODEL_WORKERS];
    struct timer_wheel timers[MODEL_WORKERS];
    uint64_t decided[MODEL_WORKERS];
    struct model_worker {
        struct model *model;
        unsigned index;
    } contexts[MODEL_WORKERS];
    struct model_message *messages;
    unsigned count;
    unsigned appended; /* in this run */
    struct model_memo memos[MODEL_MEMOS];
    unsigned memo_serial;
    uint64_t id_next;
    unsigned incidents;
    unsigned refused_full;
    unsigned refused_failed;
    unsigned damaged;
    unsigned torn;
    unsigned lost;
    unsigned acked;
    struct spool_recovery recovery;
    bool muted; /* tear-down after a crash: nobody hears anything */
};

void model_init(struct model *m, uint64_t seed);
void model_deinit(struct model *m);
/* Opens the directory, recovers, checks, opens the logs. */
void model_start(struct model *m, const struct model_options *options);
/* Works until the load is in, or the power goes, or the budget of turns is used up. */
void model_run(struct model *m, unsigned turns);
/* Flushes and waits until nothing is left to do. */
void model_settle(struct model *m, unsigned turns);
/* After a crash or for an orderly end. */
void model_stop(struct model *m);
unsigned model_live(const struct model *m);

#endif
