/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * client_private - the seams inside the client machine
 *
 * Purpose:   shared by client.c (life, driver's calls), client_send.c (commands out),
 *            client_answer.c (replies in), client_window.c (how much at once) and client_auth.c (STARTTLS, AUTH); for nobody else.
 * Owner, thread, units, errors: as client.h.
 */
#ifndef RINGPOST_SMTP_CLIENT_PRIVATE_H
#define RINGPOST_SMTP_CLIENT_PRIVATE_H

#include "proto/smtp/client.h"

enum smtp_expect_kind {
    SMTP_EXPECT_GREETING,
    SMTP_EXPECT_EHLO,
    SMTP_EXPECT_HELO,
    SMTP_EXPECT_STARTTLS,
    SMTP_EXPECT_AUTH,
    SMTP_EXPECT_RSET,
    SMTP_EXPECT_MAIL,
    SMTP_EXPECT_RCPT,
    SMTP_EXPECT_DATA,
    SMTP_EXPECT_BDAT,
    SMTP_EXPECT_END, /* the answer to the final dot */
    SMTP_EXPECT_QUIT,
};

/* The only function that changes c->state. */
void smtp_client_set_state(struct smtp_client *c, enum smtp_client_state to);
/* The only function that changes a slot's state. */
void smtp_client_set_slot(struct smtp_client_slot *s, enum smtp_slot_state to);

/* The i-th slot by age. */
struct smtp_client_slot *smtp_client_slot_at(struct smtp_client *c, unsigned i);

void smtp_client_expect(struct smtp_client *c, enum smtp_expect_kind kind,
                        const struct smtp_client_slot *s);
enum outcome_stage smtp_client_expect_stage(enum smtp_expect_kind kind);

/* Ends the connection: everything unanswered ends as `why` says (its text is copied); transactions
 * whose end was let out and not answered are marked unknown. */
void smtp_client_end(struct smtp_client *c, const struct outcome *why);
/* The peer broke the protocol: 4.5.0. */
void smtp_client_end_protocol(struct smtp_client *c, struct slice text);

/* The same two, and how we spoke may be why (in smtp_client_trouble's sense, if we spoke boldly). */
void smtp_client_end_by_trouble(struct smtp_client *c, const struct smtp_reply *r,
                                enum outcome_stage stage, enum smtp_client_trouble trouble);
void smtp_client_note_trouble(struct smtp_client *c, enum smtp_client_trouble trouble,
                              enum smtp_client_mode mode);
/* Something is learned from this reply. */
void smtp_client_note_lesson(struct smtp_client *c, const struct smtp_reply *r);

/* ---- client_window.c ---- */

/* How bold what is under way is. */
enum smtp_client_mode smtp_client_mode_now(const struct smtp_client *c);
/* Commands went out. */
void smtp_client_note_mode(struct smtp_client *c);
/* A message was taken. */
void smtp_client_note_served(struct smtp_client *c, const struct smtp_client_slot *s,
                             const struct smtp_reply *r);
/* What a reply looks like, without what differs from message to message. */
uint64_t smtp_client_shape(const struct smtp_reply *r);
/* Another transaction's commands are out and its end is not answered. */
bool smtp_client_is_behind(const struct smtp_client *c);
/* Transactions that may be under way. */
uint32_t smtp_client_window(const struct smtp_client *c);
/* Room for this recipient's domain in the session; it is counted. */
bool smtp_client_take_domain(struct smtp_client *c, struct slice address);
/* The peer has had enough: what has not been sent is given back. */
void smtp_client_drop_pending(struct smtp_client *c, const struct outcome *o);
/* The slot whose BDAT may not have been understood; NULL: none. */
struct smtp_client_slot *smtp_client_doubtful(struct smtp_client *c);
/* It takes no more messages and closes: those of which nothing was heard were not taken, wherever their end. */
void smtp_client_settle_rest(struct smtp_client *c);
/* With others under way no answer to the end of a message looks like this. */
bool smtp_client_is_shifted(const struct smtp_client *c, const struct smtp_client_slot *s,
                            const struct smtp_reply *r);

/* Ends the connection with the peer's own words. */
void smtp_client_end_by_reply(struct smtp_client *c, const struct smtp_reply *r,
                              enum outcome_stage stage, enum outcome_kind kind);

void smtp_client_await_greeting(struct smtp_client *c);
/* If TLS fails the policy allows plaintext. */
bool smtp_client_may_be_plain(const struct smtp_client *c);

/* What the peer offers is known: STARTTLS, AUTH or the session come next. */
void smtp_client_settle(struct smtp_client *c);
void smtp_client_answer_starttls(struct smtp_client *c, struct smtp_client_slot *s,
                                 const struct smtp_reply *r);
void smtp_client_answer_auth(struct smtp_client *c, struct smtp_client_slot *s,
                             const struct smtp_reply *r);
/* The peer spoke between its 220 and the handshake. */
void smtp_client_end_injected(struct smtp_client *c);
void smtp_client_send_starttls(struct smtp_client *c, struct buf *out);
void smtp_client_send_auth(struct smtp_client *c, struct buf *out);
void smtp_client_auth_end(struct smtp_client *c);

/* Gives o to every recipient that has no outcome yet. */
void smtp_client_slot_finish(struct smtp_client_slot *s, const struct outcome *o);
/* The bytes in which one more text of this slot can be kept: LIMIT_OUTCOME_TEXT_BYTES of them,
 * never moved until the next begin. NULL: no memory, keep no text. */
char *smtp_client_slot_text(struct smtp_client_slot *s);

/* Sends what can be sent now. */
void smtp_client_send(struct smtp_client *c, struct buf *out);
/* One whole reply. */
void smtp_client_answer(struct smtp_client *c, const struct smtp_reply *reply);

#endif
