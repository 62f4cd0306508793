/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * session - what a client keeps to resume
 *
 * Purpose:   a session that a server let us resume: secrets, ticket, and what the certificate was
 *            worth when it was seen. The caller keeps the newest per site; a stream takes a private
 *            copy, so one session may serve several connections at once.
 * Owner:     the caller: from tls_stream_session, then tls_session_free.
 * Thread:    one at a time; may be handed from one to another.
 * Limits:    about 1.5 KB; tickets above 4 KB are not kept. Valid for the context it came from and for the same server name only: a
 *            verdict is never carried over to another name, policy or set of authorities.
 * Errors:    a session that does not fit (other context, other name, too old) is not used; the
 *            handshake is then a full one.
 */
#ifndef RINGPOST_TLS_SESSION_H
#define RINGPOST_TLS_SESSION_H

struct tls_session;

/* Wipes it. Nulls the caller's pointer; NULL is fine. */
void tls_session_free(struct tls_session **s);

#endif
