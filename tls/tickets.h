/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * tickets - the keys of a listener's session tickets
 *
 * Purpose:   encrypts and opens session tickets (TLS 1.2 tickets and TLS 1.3 PSKs are the same to it)
 *            with AES-256-GCM under random keys that rotate. Each listener has its own: a ticket of
 *            one opens nowhere else. A ticket is also bound to what the stream gives as its binding
 *            (certificate and server name), so it cannot resume a session of another name.
 * Owner:     reference-counted (atomic): the listener, and every server context made with it. It
 *            outlives a reload of certificates and is shared by all workers, so that a client may
 *            come back to another worker.
 * Thread:    any; a mutex guards the two keys, held for the copy of one.
 * Units:     seconds of wall time, given by the caller: a key is used for period_s, and accepted for
 *            as long again. Without tick it never rotates.
 * Limits:    two keys. period_s at most 3 days, so that no ticket lives longer than RFC 8446 4.6.1
 *            allows (7 days).
 * Errors:    open: NULL without memory or randomness. tick: false when no randomness was to be had;
 *            then the keys stay and the next tick tries again.
 */
#ifndef RINGPOST_TLS_TICKETS_H
#define RINGPOST_TLS_TICKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TLS_TICKET_NAME_BYTES = 16,
    TLS_TICKET_IV_BYTES = 16,
    TLS_TICKET_MAC_BYTES = 32,
    TLS_TICKET_BINDING_BYTES = 32,
    TLS_TICKET_PERIOD_MAX_S = 3 * 24 * 3600,
};

struct tls_tickets;

struct tls_tickets *tls_tickets_open(uint64_t now_s, unsigned period_s);
struct tls_tickets *tls_tickets_get(struct tls_tickets *t);
void tls_tickets_put(struct tls_tickets **t);

/* Rotates when it is time. Call it about every minute. */
bool tls_tickets_tick(struct tls_tickets *t, uint64_t now_s);
unsigned tls_tickets_period_s(const struct tls_tickets *t);

/* The parts of a ticket; text is changed in place. */
struct tls_ticket {
    uint8_t *name; /* TLS_TICKET_NAME_BYTES */
    uint8_t *iv;   /* TLS_TICKET_IV_BYTES, filled with random bytes by the caller of seal */
    uint8_t *mac;  /* TLS_TICKET_MAC_BYTES */
    uint8_t *text;
    size_t len;
    const uint8_t *binding; /* TLS_TICKET_BINDING_BYTES */
};

bool tls_tickets_seal(struct tls_tickets *t, struct tls_ticket *ticket);
/* False: not ours, too old, damaged, or for something else. mac is read only when the name is ours
 * and the length is one that was sealed. */
bool tls_tickets_open_ticket(struct tls_tickets *t, struct tls_ticket *ticket);

#endif
