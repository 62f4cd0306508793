/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * client - asking a SOCKS5 proxy for a connection
 *
 * Purpose:   the client's side of the dialogue, CONNECT to an IP address, as a machine without I/O. Answers
 *            may come in any segmentation; what stands behind the last of them is the far end's and is not
 *            taken.
 * Owner:     the connection that is being opened; init, step until it is decided, forget.
 * Thread:    the owner's.
 * Limits:    SOCKS_USER_BYTES_MAX, SOCKS_PASSWORD_BYTES_MAX (RFC 1929); a reply of at most 262 bytes. This
 *            struct, no memory but the output buffer's (SOCKS_OUT_BYTES_MAX).
 * Errors:    SOCKS_FAILED: socks_client_reason says why, socks_client_fault whose matter it is. Every byte is
 *            judged when it comes: a server that speaks something else fails at its first.
 * RFC:       1928 (SOCKS5), 1929 (user name and password).
 *
 *   we                                          the proxy
 *   05 COUNT METHODS                        ►   05 METHOD                       00 none, 02 user/password
 *   01 LEN USER LEN PASSWORD                ►   01 STATUS                       00 welcome
 *   05 01 00 ATYP ADDRESS PORT              ►   05 REPLY 00 ATYP ADDRESS PORT   the address it connects from
 *
 * Each is sent when the one before is answered: a proxy may end the connection at any of them, and what is
 * in its way then would reset it before the answer is read. The destination's name is never given: its
 * addresses were judged here (core/policy/route.h).
 */
#ifndef RINGPOST_SOCKS_CLIENT_H
#define RINGPOST_SOCKS_CLIENT_H

#include "core/base/buf.h"
#include "core/base/ipaddr.h"

enum {
    SOCKS_USER_BYTES_MAX = 255,
    SOCKS_PASSWORD_BYTES_MAX = 255,
    SOCKS_REPLY_BYTES_MAX = 4 + 1 + 255 + 2,
    SOCKS_OUT_BYTES_MAX = 3 + SOCKS_USER_BYTES_MAX + SOCKS_PASSWORD_BYTES_MAX,
};

enum socks_result {
    SOCKS_MORE, /* all of *in was taken; send what is in *out, then read on */
    SOCKS_OPEN, /* from here on the bytes are the destination's */
    SOCKS_FAILED,
};

/* Whose matter a failure is. */
enum socks_fault {
    SOCKS_FAULT_PROXY,   /* it is of no use now, to whatever destination */
    SOCKS_FAULT_REQUEST, /* it will not or cannot reach this address; others perhaps */
    SOCKS_FAULT_TARGET,  /* the destination: as if we had tried ourselves */
};

enum socks_state {
    SOCKS_STATE_START,
    SOCKS_STATE_METHOD,
    SOCKS_STATE_LOGIN,
    SOCKS_STATE_REPLY,
    SOCKS_STATE_OPEN,
    SOCKS_STATE_FAILED,
};

/* user empty: no login is offered. The slices must outlive the dialogue. */
struct socks_config {
    struct slice user;
    struct slice password;
    struct ip_endpoint to;
};

struct socks_client {
    struct socks_config config;
    uint8_t state; /* enum socks_state */
    uint8_t fault; /* FAILED: enum socks_fault */
    uint8_t reply; /* the proxy's reply code; 0 until there is one */
    uint16_t used;
    uint16_t need;            /* bytes of the answer that are awaited, as far as known */
    const char *reason;       /* FAILED: a literal */
    struct ip_endpoint bound; /* OPEN: what the proxy connects from; IP_NONE when it gave a name */
    uint8_t bytes[SOCKS_REPLY_BYTES_MAX];
};

/* A login: 1..SOCKS_USER_BYTES_MAX and 0..SOCKS_PASSWORD_BYTES_MAX bytes; config->to must be an address. */
void socks_client_init(struct socks_client *c, const struct socks_config *config);
/* Takes answers from the front of *in; appends what is to be sent. The first call, with empty input, begins. */
enum socks_result socks_client_step(struct socks_client *c, struct slice *in, struct buf *out);
/* What was written last has the password in it. */
bool socks_client_had_secret(const struct socks_client *c);

/* FAILED: "connection refused (reply 5)". */
void socks_client_reason(const struct socks_client *c, struct buf *out);
enum socks_fault socks_client_fault(const struct socks_client *c);
/* What it waits for: "login". For a proxy that says nothing. */
struct slice socks_client_awaits(const struct socks_client *c);
/* RFC 1928 6; of codes that are not assigned too. */
struct slice socks_reply_text(uint8_t code);

#endif
