/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * peers - what has been learned of the servers we send to
 *
 * Purpose:   how boldly we may speak to a peer, how many messages it takes on one connection, and how long
 *            it keeps an idle one. A peer that got something wrong is spoken to one step more carefully:
 *            OVERLAPPED → PIPELINED → STEPWISE. It is pure: no I/O, no clock, no configuration.
 * Peer:      "host:port" in any case, as the candidate of a route is named (peers_key).
 * Owner:     the queue of a worker (core/queue/peers.h): peers_init … peers_deinit. All its connections share it.
 * Thread:    the owner's.
 * Units:     wall-clock milliseconds (what is learned outlives a restart); counts of messages.
 * Limits:    PEERS_MAX peers; when full the one that was learned of longest ago is forgotten. Of each topic the
 *            address and PEERS_REPLY_BYTES of the reply that taught it.
 * How long:  a definite fault (PEERS_REPLIES, _BDAT, _PIPELINE) counts for PEERS_SURE_MS. A lost or silent
 *            connection may have other reasons: it counts for PEERS_DOUBT_MS, doubled each time it happens
 *            again within PEERS_SURE_MS; and if the peer had shown on that connection that it bears how
 *            we spoke, only when it happens twice within PEERS_DOUBT_MS. Afterwards it is tried again.
 *            Counts double every PEERS_DECAY_MS and are forgotten after PEERS_SURE_MS.
 * Errors:    without memory nothing is learned.
 * Persistence: peers_changed gives the entries that differ from what was last asked for; peers_encode makes
 *            a row of one (a peer has one row: a newer replaces it), peers_restore takes it back. A count that
 *            is what was known, more or less, is no change. Rows of several workers may be put together in any
 *            order: of each topic what is newer counts, of two levels that hold the more careful one.
 */
#ifndef RINGPOST_POLICY_PEERS_H
#define RINGPOST_POLICY_PEERS_H

#include "core/base/buf.h"
#include "core/base/ipaddr.h"
#include "core/base/list.h"
#include "core/base/map.h"

enum peers_level { PEERS_OVERLAPPED, PEERS_PIPELINED, PEERS_STEPWISE };

enum peers_reason {
    PEERS_NOTHING,
    PEERS_REPLIES,  /* its replies did not fit what was sent */
    PEERS_BDAT,     /* it offers CHUNKING and does not know BDAT */
    PEERS_PIPELINE, /* it says that we must not pipeline */
    PEERS_LOST,     /* the connection was lost */
    PEERS_SILENT,   /* a reply did not come */
};

enum peers_topic { PEERS_LEVEL, PEERS_MESSAGES, PEERS_IDLE, PEERS_TOPIC_COUNT };

enum {
    PEERS_MAX = 4096,
    PEERS_KEY_BYTES = 255 + 8,
    PEERS_REPLY_BYTES = 160,
    PEERS_ROW_BYTES = 47 + PEERS_TOPIC_COUNT * (2 + IP_TEXT_MAX + PEERS_REPLY_BYTES) +
                      PEERS_KEY_BYTES,
    PEERS_DOUBT_MS = 60 * 60 * 1000,
    PEERS_SURE_MS = 3 * 24 * 60 * 60 * 1000,
    PEERS_DECAY_MS = 6 * 60 * 60 * 1000,
    PEERS_MESSAGES_MAX = 1000000, /* a count above it is none */
    PEERS_IDLE_NOISE_MS = 100,
    PEERS_IDLE_MS_MAX = 60 * 60 * 1000,
};

/* How to speak to a peer now. */
struct peers_facts {
    enum peers_level level;
    bool bears_overlap;    /* it has shown that it does (not persistent) */
    uint32_t messages_max; /* on one connection; 0: nothing learned */
    uint32_t idle_max_ms;  /* close before; UINT32_MAX: nothing learned */
};

/* What was heard, and where; either may be empty. */
struct peers_witness {
    struct slice address;
    struct slice reply;
};

struct peers_note; /* a kept witness */

struct peers_entry {
    struct map_node by_key;
    struct list link;         /* peers.by_age: least recently changed first */
    struct list changed_link; /* peers.changed */
    bool kept;                /* the owner's: there is a row of it */
    enum peers_level level;
    enum peers_reason reason; /* of the level; NOTHING: it is the best one */
    uint64_t since_ms;        /* the level */
    uint64_t until_ms;        /* then it is the best one again */
    uint32_t doubts;          /* times it was stepped down in doubt, since it was last forgotten */
    uint64_t doubt_ms;        /* the last time a proven connection was lost; 0: none */
    uint32_t messages;        /* 0: none */
    uint64_t messages_ms;     /* when learned */
    uint32_t idle_ms;         /* UINT32_MAX: none */
    uint64_t idle_at_ms;
    uint64_t idle_seen_ms; /* the last time it closed an idle one */
    bool idle_seen;
    bool bears_overlap;
    struct peers_note *notes[PEERS_TOPIC_COUNT]; /* NULL: none */
    uint16_t key_len;
    char key[];
};

struct peers {
    struct map by_key;
    struct list by_age;
    struct list changed;
    uint32_t max;
    /* May be NULL. A peer with a row (`kept`) is about to be forgotten, or nothing of it holds any more. */
    void (*gone)(void *ctx, const struct peers_entry *e);
    void *ctx;
};

/* max: PEERS_MAX, or less. */
void peers_init(struct peers *p, uint64_t seed, uint32_t max);
void peers_deinit(struct peers *p);

/* "mx.example.test:25"; dst of PEERS_KEY_BYTES. */
struct slice peers_key(char *dst, struct slice host, uint16_t port);
/* The key is of this host, or of this "host:port". */
bool peers_key_is(struct slice key, struct slice host);

struct peers_facts peers_look(const struct peers *p, struct slice key, uint64_t now_ms);

/* How a connection ended. */
struct peers_fault {
    enum peers_level
        used; /* as which it was spoken to; never STEPWISE: below it there is nothing */
    enum peers_reason reason;
    bool proven; /* messages were taken on it in the way it was spoken to when it ended */
    struct peers_witness witness;
};

/* True: it is spoken to more carefully from now on. */
bool peers_blame(struct peers *p, struct slice key, const struct peers_fault *f, uint64_t now_ms);
/* Overlapped messages were taken. */
void peers_praise(struct peers *p, struct slice key);
/* It refused the message after so many (at least one) on one connection. */
void peers_learn_messages(struct peers *p, struct slice key, uint32_t count,
                          const struct peers_witness *witness, uint64_t now_ms);
/* It closed a connection that had been idle for so long. One may have other reasons: two that agree are believed
 * (true), and connections closed after three quarters of the time. */
bool peers_learn_idle(struct peers *p, struct slice key, uint64_t idle_ms,
                      const struct peers_witness *witness, uint64_t now_ms);

/* One thing that holds of one peer now. */
struct peers_fact {
    struct slice key;
    enum peers_topic topic;
    enum peers_level level;
    enum peers_reason reason; /* NOTHING: not of the level */
    uint32_t value;           /* messages, or milliseconds */
    uint64_t since_ms;
    uint64_t until_ms; /* at the latest */
    struct peers_witness witness;
};

/* For listings: calls each for everything that holds now. */
void peers_each(const struct peers *p, uint64_t now_ms,
                void (*each)(void *ctx, const struct peers_fact *f), void *ctx);
/* The next peer behind *at (NULL: the first) that peers_key_is, or any when host is empty; NULL: there are no more. */
struct peers_entry *peers_next(const struct peers *p, const struct peers_entry *at,
                               struct slice host);
/* Something of it holds now. */
bool peers_holds(const struct peers_entry *e, uint64_t now_ms);
/* Without a word to `gone`. */
void peers_forget(struct peers *p, struct peers_entry *e);
/* Of what nothing holds any more, those with a row are told to `gone`, and not again. False: no other has a row. */
bool peers_tidy(struct peers *p, uint64_t now_ms);
struct slice peers_entry_key(const struct peers_entry *e);
struct slice peers_reason_name(enum peers_reason reason);
struct slice peers_level_name(enum peers_level level);

/* The next entry that has changed since it was last given here; NULL: none. */
struct peers_entry *peers_changed(struct peers *p);
/* It is to be given there once more. */
void peers_tell(struct peers *p, struct peers_entry *e);
void peers_encode(const struct peers_entry *e, struct buf *out);

enum peers_restored {
    PEERS_REFUSED, /* the row is damaged, of another version or expired; nothing has changed */
    PEERS_KNOWN,   /* there was nothing new in it */
    PEERS_NEWS,
};
/* *entry: of that peer, unless REFUSED. */
enum peers_restored peers_restore(struct peers *p, struct slice row, uint64_t now_ms,
                                  struct peers_entry **entry);

/* For peers_row.c: what was read of this peer, with its notes as witnesses. */
struct peers_read {
    struct slice key;
    const struct peers_entry *what; /* its links, notes and key mean nothing */
    struct peers_witness witness[PEERS_TOPIC_COUNT];
};
enum peers_restored peers_merge(struct peers *p, const struct peers_read *read, uint64_t now_ms,
                                struct peers_entry **entry);
struct peers_witness peers_witness_of(const struct peers_entry *e, enum peers_topic topic);

#endif
