/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The io_uring back end: operations on sockets.
 */
#include "core/io/uring.h"

void uring_accept(struct io *io, struct io_tag tag, int listen_fd)
{
    struct io_uring_sqe *sqe = uring_sqe(uring_of(io));
    io_uring_prep_multishot_accept(sqe, listen_fd, NULL, NULL, SOCK_CLOEXEC);
    uring_tag(sqe, tag);
}

void uring_connect(struct io *io, struct io_tag tag, int fd, const struct sockaddr *addr,
                   socklen_t len)
{
    struct io_uring_sqe *sqe = uring_sqe(uring_of(io));
    io_uring_prep_connect(sqe, fd, addr, len);
    uring_tag(sqe, tag);
}

void uring_recv(struct io *io, struct io_tag tag, int fd)
{
    struct io_uring_sqe *sqe = uring_sqe(uring_of(io));
    io_uring_prep_recv(sqe, fd, NULL, IO_RECV_BUFFER_BYTES, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = URING_BUFFER_GROUP;
    uring_tag(sqe, tag);
}

void uring_send(struct io *io, struct io_tag tag, int fd, const void *ptr, size_t len)
{
    struct io_uring_sqe *sqe = uring_sqe(uring_of(io));
    io_uring_prep_send(sqe, fd, ptr, len, MSG_NOSIGNAL | MSG_WAITALL);
    uring_tag(sqe, tag);
}

void uring_sendmsg(struct io *io, struct io_tag tag, int fd, const struct msghdr *msg)
{
    struct io_uring_sqe *sqe = uring_sqe(uring_of(io));
    io_uring_prep_sendmsg(sqe, fd, msg, MSG_NOSIGNAL | MSG_WAITALL);
    uring_tag(sqe, tag);
}

void uring_poll(struct io *io, struct io_tag tag, int fd, unsigned poll_events)
{
    struct io_uring_sqe *sqe = uring_sqe(uring_of(io));
    io_uring_prep_poll_add(sqe, fd, poll_events);
    uring_tag(sqe, tag);
}
