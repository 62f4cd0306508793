/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * dialogue - what is said on a connection, for `ringpost trace`
 *
 * Purpose:   a *dialogue* is one operator's question: whose connections, for whom. A *tap* is one session that is
 *            listened to for it: it cuts the bytes of both sides into lines and makes a JSON object of each.
 * Owner:     the control thread and every worker hold references to a dialogue; a session owns its taps.
 * Thread:    a dialogue does not change but for its counts, which are atomic. A tap: its session's.
 * Limits:    of a dialogue DIALOGUE_SESSIONS_MAX sessions at a time and DIALOGUE_LINES_PER_S lines a second, all
 *            workers together; DIALOGUE_WAITING_BYTES that the control thread has not taken. What is more is
 *            lost and counted. A line is cut after DIALOGUE_LINE_BYTES.
 * Errors:    without memory a session is not listened to, or a line is lost: counted too.
 * Secrets:   passwords and contents never get into a tap. Of what a client says only lines that begin with a
 *            verb of SMTP are shown, of AUTH only the mechanism; until AUTH is answered nothing of either side but
 *            codes. Contents are said to the tap as a number of bytes.
 *
 * Lines: {"session":N,"at":TIME,"side":"C"|"S"|"*","text":…}; C is the client of the connection, "*" is ours.
 */
#ifndef RINGPOST_RELAY_DIALOGUE_H
#define RINGPOST_RELAY_DIALOGUE_H

#include "core/base/buf.h"
#include "core/base/clock.h"
#include "core/base/ipaddr.h"
#include "core/base/limits.h"

enum {
    DIALOGUES_MAX = 4, /* in the engine */
    DIALOGUE_SESSIONS_MAX = 16,
    DIALOGUE_LINES_PER_S = 500,
    DIALOGUE_LINE_BYTES = 1000,
    DIALOGUE_WAITING_BYTES = 256 * 1024,
};

struct dialogue {
    _Atomic uint32_t refs;
    uint32_t token; /* whose it is: core/admin/server.h */
    char target[LIMIT_DOMAIN_BYTES + 1];
    bool is_net; /* target is an address or a network */
    struct ip_net net;
    _Atomic uint32_t sessions;
    _Atomic uint64_t window;  /* second << DIALOGUE_WINDOW_SHIFT | lines in it */
    _Atomic uint64_t waiting; /* bytes on their way to the control thread */
    _Atomic uint64_t lost;    /* lines */
    _Atomic uint64_t missed;  /* sessions */
};

/* NULL: no memory. One reference. */
struct dialogue *dialogue_new(struct slice target, uint32_t token);
struct dialogue *dialogue_ref(struct dialogue *d);
void dialogue_put(struct dialogue **d);
/* The control thread has taken so many bytes. */
void dialogue_taken(struct dialogue *d, size_t bytes);

enum dialogue_side { DIALOGUE_CLIENT, DIALOGUE_SERVER, DIALOGUE_SIDES };

struct dialogue_line {
    struct buf text; /* the beginning of a line whose end has not come */
    bool cut;
};

struct dialogue_tap {
    struct dialogue_tap *next; /* of the same session, for another dialogue */
    struct dialogue *dialogue; /* one reference */
    struct buf *out;           /* of the worker: where lines go */
    uint64_t session;
    bool auth; /* an AUTH is not answered yet */
    uint64_t body_bytes;
    struct dialogue_line lines[DIALOGUE_SIDES];
};

/* NULL: there are enough sessions, or no memory. */
struct dialogue_tap *dialogue_tap_new(struct dialogue *d, uint64_t session, struct buf *out);
void dialogue_tap_free(struct dialogue_tap **tap);

/* These for all taps of a list, which may be empty. */
void dialogue_say(struct dialogue_tap *taps, enum dialogue_side side, struct slice bytes,
                  const struct clock_now *now);
/* Content: only its length. It is told when something else is said, or at the end. */
void dialogue_body(struct dialogue_tap *taps, uint64_t bytes);
void dialogue_note(struct dialogue_tap *taps, struct slice text, const struct clock_now *now);

#endif
