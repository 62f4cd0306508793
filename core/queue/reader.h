/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * reader - reads a message's content back from the spool, piece by piece
 *
 * Purpose:   retries, big messages, DSNs and compaction need content that is not in memory. A piece is a
 *            fragment, or the inline content behind them; each is checked (P6) before it is given out.
 * Owner:     the user holds the handle: queue_reader_open … queue_reader_close. Closing while a read is
 *            in the kernel is fine: the reader goes away when it comes back.
 * Thread:    the queue's worker. The message may be a guest's: then its home reads (far_read.c).
 * Limits:    QUEUE_READERS_MAX; a buffer of one frame each while a piece is read or used.
 * Errors:    open: false when all readers are in use (try later); read: in the callback.
 */
#ifndef RINGPOST_QUEUE_READER_H
#define RINGPOST_QUEUE_READER_H

#include "core/queue/message.h"

enum { QUEUE_READERS_MAX = 4096 };

enum queue_read_status {
    QUEUE_READ_OK,
    QUEUE_READ_FAILED,  /* the disk would not, this time */
    QUEUE_READ_DAMAGED, /* the bytes are not what was stored, or the file ends before them */
};

struct queue_reader;
extern const size_t queue_reader_size;
/* piece: until the next queue_reader_read or close. Never called inside queue_reader_read. */
typedef void queue_read_fn(void *ctx, struct handle owner, enum queue_read_status status,
                           struct slice piece);

uint32_t queue_message_pieces(const struct queue_message *m);

bool queue_reader_open(struct queue *q, struct queue_message *m, queue_read_fn *done, void *ctx,
                       struct handle owner, struct handle *out);
/* Starts reading piece index < queue_message_pieces. One read at a time. */
void queue_reader_read(struct queue *q, struct handle reader, uint32_t index);
void queue_reader_close(struct queue *q, struct handle *reader);

/* The home of a guest has answered (far.h). */
void queue_reader_on_piece(struct queue *q, struct handle reader, enum queue_read_status status,
                           struct slice piece);
/* Handler of IO_KIND_BODY_READ. */
void queue_reader_on_io(struct queue *q, const struct io_event *ev);

#endif
