/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * rig_mail - messages for a rig: small ones in memory, big ones in pieces
 *
 * Purpose:   what core/relay/body_in.c hands to the queue, without a client.
 * Owner:     queue_submit takes the message over; big content is a pattern that can be computed again.
 * Thread:    the test's.
 */
#ifndef RINGPOST_TESTS_QUEUE_RIG_MAIL_H
#define RINGPOST_TESTS_QUEUE_RIG_MAIL_H

#include "tests/unit/core/queue/rig.h"

#define RIG_HEADERS "Subject: hello\r\nFrom: a@sender.test\r\n\r\n"
#define RIG_BODY RIG_HEADERS ".a dot\r\nthe body\r\n"

enum { RIG_PIECE_BYTES = 100 * 1024, RIG_LINE_BYTES = 64 };

struct rig_mail {
    const char *sender;
    const char *const *rcpts;
    uint32_t count;
    uint8_t notify;
    uint64_t age_ms;
};

/* Without content. */
static inline struct queue_message *rig_envelope(struct rig *r, const struct rig_mail *mail)
{
    uint64_t wall_us = io_now(r->io)->wall_us;
    struct queue_message_init init = {
        .id = queue_next_id(&r->queue, wall_us),
        .arrival_us = wall_us - mail->age_ms * 1000,
        .sender = slice_str(mail->sender),
        .envid = SLICE("env-1"),
        .ret = MAIL_RET_FULL,
        .flags = QUEUE_MSG_LEADING_DOT,
        .rcpt_count = mail->count,
    };
    for (uint32_t i = 0; i < mail->count; i++) {
        init.rcpt_bytes += slice_str(mail->rcpts[i]).len;
    }
    struct queue_message *m = queue_message_new(&r->queue, &init);
    ck_assert_ptr_nonnull(m);
    for (uint32_t i = 0; i < mail->count; i++) {
        queue_message_add_rcpt(m, slice_str(mail->rcpts[i]), (struct slice){NULL, 0}, mail->notify);
    }
    m->header_bytes = SLICE(RIG_HEADERS).len;
    m->submitter = (struct handle){77, 1};
    return m;
}

static inline void rig_give(struct rig *r, struct queue_message *m, struct slice content)
{
    char *copy = malloc(content.len);
    memcpy(copy, content.ptr, content.len);
    m->body_bytes = content.len;
    queue_message_give_body(&r->queue, m, copy);
}

static inline struct queue_message *rig_message(struct rig *r, const struct rig_mail *mail)
{
    struct queue_message *m = rig_envelope(r, mail);
    rig_give(r, m, SLICE(RIG_BODY));
    return m;
}

/* Submits and waits for the commit; returns the id. */
static inline uint64_t rig_submit_message(struct rig *r, struct queue_message *m, struct slice rest)
{
    unsigned before = r->accepted_ok;
    uint64_t id = m->id;
    enum spool_append result;
    while ((result = queue_submit(&r->queue, m, rest)) == SPOOL_WAIT) {
        rig_turn(r);
    }
    ck_assert_int_eq(result, SPOOL_APPENDED);
    ck_assert_uint_eq(r->accepted_ok, before); /* never inside the call */
    RIG_UNTIL(r, r->accepted_ok > before);
    ck_assert_uint_eq(r->accepted_id, id);
    return id;
}

static inline uint64_t rig_submit(struct rig *r, const struct rig_mail *mail)
{
    return rig_submit_message(r, rig_message(r, mail), (struct slice){NULL, 0});
}

static inline uint64_t rig_submit_one(struct rig *r, const char *sender, const char *rcpt)
{
    struct rig_mail mail = {sender, &rcpt, 1, 0, 0};
    return rig_submit(r, &mail);
}

/* ---- big content: the headers, then numbered lines ---- */

static inline void rig_fill(char *dst, size_t at, size_t len)
{
    static const char headers[] = RIG_HEADERS;
    size_t first = sizeof(headers) - 1;
    char line[RIG_LINE_BYTES + 1];
    for (size_t i = 0; i < len; i++, at++) {
        if (at < first) {
            dst[i] = headers[at];
            continue;
        }
        if (i == 0 || (at - first) % RIG_LINE_BYTES == 0) {
            snprintf(line, sizeof(line), "%062zu\r\n", (at - first) / RIG_LINE_BYTES);
        }
        dst[i] = line[(at - first) % RIG_LINE_BYTES];
    }
}

static inline void rig_append_piece(struct rig *r, struct queue_message *m)
{
    static char piece[RIG_PIECE_BYTES];
    uint32_t index = m->fragment_count;
    rig_fill(piece, (size_t)index * sizeof(piece), sizeof(piece));
    while (spool_frame_begin(r->spool, SPOOL_CLASS_MAIL, spool_fragment_bytes(sizeof(piece))) ==
           SPOOL_WAIT) {
        rig_turn(r);
    }
    uint64_t lsn;
    struct spool_fragment_ref *f = &m->fragments[index];
    spool_add_fragment(r->spool, m->id, index, slice_of(piece, sizeof(piece)));
    spool_frame_end(r->spool, SPOOL_LAZY, &lsn, &f->ref);
    f->body_bytes = sizeof(piece);
    m->fragment_holds[index].message = m;
    m->fragment_holds[index].hold.pinned = true;
    ck_assert(spool_hold(r->spool, &m->fragment_holds[index].hold, f->ref));
    m->fragment_count++;
}

/* `pieces` fragments of RIG_PIECE_BYTES, then `tail` bytes with the record. */
static inline uint64_t rig_submit_big(struct rig *r, const struct rig_mail *mail, uint32_t pieces,
                                      size_t tail)
{
    struct queue_message *m = rig_envelope(r, mail);
    char *rest = malloc(tail + 1);
    m->body_bytes = (uint64_t)pieces * RIG_PIECE_BYTES + tail;
    m->fragments = calloc(pieces + 1, sizeof(*m->fragments));
    m->fragment_holds = calloc(pieces + 1, sizeof(*m->fragment_holds));
    for (uint32_t i = 0; i < pieces; i++) {
        rig_append_piece(r, m);
    }
    for (uint32_t i = 0; i < pieces; i++) {
        m->fragment_holds[i].hold.pinned = false;
    }
    rig_fill(rest, (size_t)pieces * RIG_PIECE_BYTES, tail);
    uint64_t id = rig_submit_message(r, m, slice_of(rest, tail));
    free(rest);
    return id;
}

static inline bool rig_is_content(struct slice got, size_t at)
{
    char *want = malloc(got.len + 1);
    rig_fill(want, at, got.len);
    bool same = memcmp(want, got.ptr, got.len) == 0;
    free(want);
    return same;
}

#endif
