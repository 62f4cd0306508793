/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * inbound_private - what the parts of an inbound session share
 *
 * Purpose:   one session's code in several files; nobody else includes this.
 * Owner:     struct inbound. Thread: the worker's. Errors: as said at each.
 *
 *   inbound.c         birth, end, deadlines, log
 *   inbound_open.c    admission
 *   inbound_turn.c    bytes in, the loop around the machine
 *   inbound_send.c    replies out
 *   inbound_mail.c    what the machine asks about a message: policy, body, commit
 *   inbound_mailbox.c is there such a recipient on this machine?
 *   inbound_author.c  sender.check_header
 *   inbound_attributes.c  priority, tenant, campaign, times
 *   inbound_login.c   AUTH
 *   inbound_tapped.c  a step of the machine while somebody listens
 *   inbound_secure.c  what comes before SMTP: the PROXY header, TLS
 */
#ifndef RINGPOST_RELAY_INBOUND_PRIVATE_H
#define RINGPOST_RELAY_INBOUND_PRIVATE_H

#include "core/relay/inbound.h"

enum { INBOUND_OUT_MAX = 4 * SMTP_SERVER_OUT_HIGH, INBOUND_KEEP_BYTES = 2048 };

/* ---- inbound.c ---- */

extern const struct smtp_verdict inbound_verdict_timeout;
extern const struct smtp_verdict inbound_verdict_stopping;

static inline struct io_tag inbound_tag(const struct inbound *s, enum io_kind kind)
{
    return (struct io_tag){kind, s->self};
}

/* NULL: no room. It has fd, no admission yet. */
struct inbound *inbound_new(struct relay_listener *listener, int fd,
                            const struct ip_endpoint *peer);
const struct conf_listener *inbound_listener(const struct inbound *s);
/* Begins an event about this session; false: the level leaves it out. */
bool inbound_event(struct inbound *s, enum obs_event event);
void inbound_event_end(struct inbound *s);
void inbound_log_reason(struct inbound *s, enum obs_event event, struct slice reason);
void inbound_arm_recv(struct inbound *s);
/* Nothing more is said; what is on its way goes out, then the connection ends. */
void inbound_close_soon(struct inbound *s);
/* The last reply has been sent. */
void inbound_linger(struct inbound *s);
void inbound_lost(struct inbound *s, struct slice reason);
/* Whatever is in the kernel is asked back; then the descriptor is closed and the session freed. */
void inbound_gone(struct inbound *s);

/* ---- inbound_open.c ---- */

/* The client's address is known: admission, then TLS or the greeting. */
void inbound_begin(struct inbound *s);

/* ---- inbound_turn.c ---- */

/* Runs the machine on new input, or (nothing new) on what was held. */
void inbound_drive(struct inbound *s, struct slice in);
/* One run of the machine, without receiving or sending. */
void inbound_turn(struct inbound *s, struct slice in);
bool inbound_blocked(const struct inbound *s);
void inbound_answer(struct inbound *s, const struct smtp_verdict *v);

/* ---- inbound_tapped.c ---- */

/* As smtp_server_step, and the taps are told. */
enum smtp_server_action inbound_step_tapped(struct inbound *s, struct slice *in);

/* ---- inbound_send.c ---- */

void inbound_flush(struct inbound *s);
/* The taps are told the replies that they have not had. */
void inbound_tell_taps(struct inbound *s);

/* ---- inbound_mail.c ---- */

struct access_client inbound_access_client(const struct inbound *s);
void inbound_log_rejected(struct inbound *s, enum outcome_stage stage, struct slice rcpt,
                          const struct smtp_verdict *v);
void inbound_check_mail(struct inbound *s);
void inbound_check_rcpt(struct inbound *s);
void inbound_body_begin(struct inbound *s);
void inbound_body_data(struct inbound *s);
void inbound_commit(struct inbound *s);
void inbound_body_abort(struct inbound *s);
/* What inbound_resume does for a message: the commit is decided, or there is room again. */
void inbound_resume_mail(struct inbound *s);
/* There has been no room in the spool for too long: 451, the session goes on. */
void inbound_refuse_waiting(struct inbound *s);

/* ---- inbound_mailbox.c ---- */

/* The candidate belongs to a local domain: answers now, or when the mailbox has been looked for. */
void inbound_check_mailbox(struct inbound *s, struct slice address);
/* That takes too long: 451. */
void inbound_mailbox_late(struct inbound *s);

/* ---- inbound_author.c ---- */

/* Is this client held to the senders it may use in the header, too? */
bool inbound_wants_authors(const struct inbound *s);
/* Once the header is over: NULL (fine, or not for now), or why the message is refused: *out. */
const struct smtp_verdict *inbound_check_authors(struct inbound *s, struct access_refusal *out);

/* ---- inbound_attributes.c ---- */

/* At MAIL: NULL, or why its HOLDFOR, HOLDUNTIL or BY is refused. */
const struct smtp_verdict *inbound_check_times(const struct inbound *s,
                                               const struct access_client *client,
                                               const struct smtp_sender_view *sender);
/* The header is over: decides s->body->attributes. NULL, or why the message is refused: *out. */
const struct smtp_verdict *inbound_decide_attributes(struct inbound *s, struct access_refusal *out);
/* Their fields of the event that has begun. */
void inbound_log_attributes(struct inbound *s, const struct queue_message *m);

/* ---- inbound_login.c ---- */

void inbound_challenge(struct inbound *s);
void inbound_check_auth(struct inbound *s);

/* ---- inbound_secure.c ---- */

bool inbound_await_proxy(struct inbound *s);
/* Takes the PROXY header out of the input and begins the session; true: ciphertext is left over. */
bool inbound_take_proxy(struct inbound *s, struct slice *in);
/* 421, and the end: SMTP has not begun. */
void inbound_proxy_refuse(struct inbound *s, struct slice reason);
void inbound_proxy_free(struct inbound *s);
/* False: no memory; the session is over. */
bool inbound_start_tls(struct inbound *s);
/* Decrypts and drives until there is nothing left or the machine must wait. */
void inbound_pump(struct inbound *s);

#endif
