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

/* How a kind's results are read: bytes of a stream whose end is 0, other socket calls, file calls. */
enum io_decode { IO_DECODE_STREAM, IO_DECODE_SOCKET, IO_DECODE_FILE };

/* X(enumerator, name in traces and metrics, decode) */
#define IO_KINDS(X)                                                                                \
    X(IO_KIND_NONE, "none", IO_DECODE_SOCKET)                                                      \
    X(IO_KIND_LISTENER_ACCEPT, "listener.accept", IO_DECODE_SOCKET)                                \
    X(IO_KIND_INBOUND_RECV, "inbound.recv", IO_DECODE_STREAM)                                      \
    X(IO_KIND_INBOUND_SEND, "inbound.send", IO_DECODE_SOCKET)                                      \
    X(IO_KIND_INBOUND_CLOSE, "inbound.close", IO_DECODE_SOCKET)                                    \
    X(IO_KIND_OUTBOUND_CONNECT, "outbound.connect", IO_DECODE_SOCKET)                              \
    X(IO_KIND_OUTBOUND_RECV, "outbound.recv", IO_DECODE_STREAM)                                    \
    X(IO_KIND_OUTBOUND_SEND, "outbound.send", IO_DECODE_SOCKET)                                    \
    X(IO_KIND_OUTBOUND_CLOSE, "outbound.close", IO_DECODE_SOCKET)                                  \
    X(IO_KIND_BODY_READ, "body.read", IO_DECODE_FILE)                                              \
    X(IO_KIND_SPOOL, "spool", IO_DECODE_FILE)                                                      \
    X(IO_KIND_DNS, "dns", IO_DECODE_SOCKET)                                                        \
    X(IO_KIND_MAILBOX, "mailbox", IO_DECODE_SOCKET)                                                \
    X(IO_KIND_OFFLOAD, "offload", IO_DECODE_SOCKET)                                                \
    X(IO_KIND_DISK, "disk", IO_DECODE_SOCKET)                                                      \
    X(IO_KIND_SIGNAL, "signal", IO_DECODE_SOCKET)                                                  \
    X(IO_KIND_FILEWATCH, "filewatch", IO_DECODE_SOCKET)                                            \
    X(IO_KIND_ADMIN_ACCEPT, "admin.accept", IO_DECODE_SOCKET)                                      \
    X(IO_KIND_ADMIN_RECV, "admin.recv", IO_DECODE_STREAM)                                          \
    X(IO_KIND_ADMIN_SEND, "admin.send", IO_DECODE_SOCKET)

enum io_kind {
#define X(kind, name, decode) kind,
    IO_KINDS(X)
#undef X
        IO_KIND_COUNT
};

#endif
