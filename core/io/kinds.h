/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * kinds - the operation kinds of the engine
 *
 * Purpose:   one row per kind of operation that can be in the kernel. The kind is the top byte of an
 *            operation's user_data and the index into the dispatch table that the composition root
 *            (core/app/worker.c) hands to io_open: one place says who gets which completion.
 * Use:       add a row here and a row in that table.
 */
#ifndef RINGPOST_IO_KINDS_H
#define RINGPOST_IO_KINDS_H

/* X(enumerator, name in traces and metrics) */
#define IO_KINDS(X) \
    X(IO_KIND_NONE, "none") \
    X(IO_KIND_LISTENER_ACCEPT, "listener.accept") \
    X(IO_KIND_INBOUND_RECV, "inbound.recv") \
    X(IO_KIND_INBOUND_SEND, "inbound.send") \
    X(IO_KIND_INBOUND_CLOSE, "inbound.close") \
    X(IO_KIND_OUTBOUND_CONNECT, "outbound.connect") \
    X(IO_KIND_OUTBOUND_RECV, "outbound.recv") \
    X(IO_KIND_OUTBOUND_SEND, "outbound.send") \
    X(IO_KIND_OUTBOUND_CLOSE, "outbound.close") \
    X(IO_KIND_SPOOL, "spool") \
    X(IO_KIND_DNS, "dns") \
    X(IO_KIND_MAILBOX, "mailbox") \
    X(IO_KIND_SIGNAL, "signal") \
    X(IO_KIND_ADMIN_ACCEPT, "admin.accept") \
    X(IO_KIND_ADMIN_RECV, "admin.recv") \
    X(IO_KIND_ADMIN_SEND, "admin.send") \
    X(IO_KIND_TEST, "test")

enum io_kind {
#define X(kind, name) kind,
    IO_KINDS(X)
#undef X
        IO_KIND_COUNT
};

#endif
