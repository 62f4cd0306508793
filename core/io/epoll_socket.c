/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The epoll back end: operations on sockets, as far as they go without waiting.
 */
#include "core/io/epoll.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EPOLL_IOV_MAX = 64 }; /* of one system call; the rest follows in the next */

/* ---- trying ---- */

static bool epoll_would_block(int error)
{
    return error == EAGAIN || error == EWOULDBLOCK;
}

/* Accepts while somebody waits. What ends it is an error before the first connection of this turn: after one
 * the next turn tells whether it concerns anybody. */
static bool epoll_try_accept(struct epoll *e, struct epoll_op *op)
{
    for (unsigned n = 0; n < EPOLL_ACCEPT_MAX; n++) {
        int fd = accept4(op->fd, NULL, NULL, SOCK_CLOEXEC);
        e->io.counters.submits++;
        if (fd < 0 && (errno == EINTR || errno == ECONNABORTED)) {
            continue;
        }
        if (fd < 0) {
            op->res = -errno;
            return !epoll_would_block(errno) && n == 0;
        }
        epoll_ready_forget(e, fd);
        if (!epoll_op_more(e, op, fd)) {
            close(fd);
            op->res = -ENOMEM;
            return true;
        }
    }
    return false;
}

/* The second call tells what has come of it meanwhile: on this machine a connection is up, or refused, before the
 * first has returned, though that says EINPROGRESS. Who is told only later may find it reset already, and take
 * that for a failure to connect. */
static int epoll_connect(const struct epoll_op *op)
{
    if (fcntl(op->fd, F_SETFL, O_NONBLOCK) < 0) {
        return -errno;
    }
    int rc = connect(op->fd, op->connect.addr, op->connect.len);
    if (rc < 0 && (errno == EINPROGRESS || errno == EINTR)) {
        rc = connect(op->fd, op->connect.addr, op->connect.len);
    }
    return rc == 0 || errno == EISCONN ? 0 : -errno;
}

static bool epoll_try_connect(struct epoll *e, struct epoll_op *op)
{
    e->io.counters.submits++;
    if (op->connect.called) {
        int error = 0;
        socklen_t len = sizeof(error);
        op->res = getsockopt(op->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 ? -errno : -error;
        return true;
    }
    op->connect.called = true;
    op->res = epoll_connect(op);
    return op->res != -EALREADY && op->res != -EINPROGRESS && op->res != -EINTR;
}

static bool epoll_try_recv(struct epoll *e, struct epoll_op *op)
{
    if (e->free_buffer_count == 0) {
        op->res = -ENOBUFS;
        return true;
    }
    char *buffer = e->free_buffers[e->free_buffer_count - 1];
    ssize_t n;
    do {
        n = recv(op->fd, buffer, IO_RECV_BUFFER_BYTES, MSG_DONTWAIT);
        e->io.counters.submits++;
    } while (n < 0 && errno == EINTR);
    if (n > 0) {
        e->free_buffer_count--;
        op->buffer = buffer;
    }
    op->res = n < 0 ? -errno : (int)n;
    return n >= 0 || !epoll_would_block(errno);
}

/* After a system call that sent n bytes of `total`, or failed (n < 0): true when the operation is over. What went
 * out before a failure is the result; the next send meets the failure again. */
static bool epoll_sent(struct epoll_op *op, ssize_t n, size_t *sent, size_t total)
{
    if (n < 0 && (errno == EINTR || epoll_would_block(errno))) {
        return false;
    }
    if (n < 0) {
        op->res = *sent ? (int)*sent : -errno;
        return true;
    }
    *sent += (size_t)n;
    op->res = (int)*sent;
    return *sent >= total;
}

static bool epoll_try_send(struct epoll *e, struct epoll_op *op)
{
    ssize_t n;
    do {
        n = send(op->fd, op->send.ptr + op->send.sent, op->send.len - op->send.sent,
                 MSG_NOSIGNAL | MSG_DONTWAIT);
        e->io.counters.submits++;
        if (epoll_sent(op, n, &op->send.sent, op->send.len)) {
            return true;
        }
    } while (n > 0 || errno == EINTR);
    return false;
}

/* The part of the owner's vector behind `skip` bytes; returns how many rows. */
static size_t epoll_iov_rest(struct iovec *out, const struct msghdr *msg, size_t skip)
{
    size_t count = 0;
    for (size_t i = 0; i < msg->msg_iovlen && count < EPOLL_IOV_MAX; i++) {
        const struct iovec *v = &msg->msg_iov[i];
        if (skip >= v->iov_len) {
            skip -= v->iov_len;
            continue;
        }
        out[count++] = (struct iovec){(char *)v->iov_base + skip, v->iov_len - skip};
        skip = 0;
    }
    return count;
}

static bool epoll_try_sendmsg(struct epoll *e, struct epoll_op *op)
{
    struct iovec iov[EPOLL_IOV_MAX];
    struct msghdr rest = *op->sendmsg.msg;
    size_t total = 0;
    ssize_t n;
    for (size_t i = 0; i < rest.msg_iovlen; i++) {
        total += rest.msg_iov[i].iov_len;
    }
    rest.msg_iov = iov;
    do {
        rest.msg_iovlen = epoll_iov_rest(iov, op->sendmsg.msg, op->sendmsg.sent);
        n = sendmsg(op->fd, &rest, MSG_NOSIGNAL | MSG_DONTWAIT);
        e->io.counters.submits++;
        if (epoll_sent(op, n, &op->sendmsg.sent, total)) {
            return true;
        }
    } while (n > 0 || errno == EINTR);
    return false;
}

bool epoll_socket_try(struct epoll *e, struct epoll_op *op)
{
    switch (op->what) {
    case EPOLL_ACCEPT:
        return epoll_try_accept(e, op);
    case EPOLL_CONNECT:
        return epoll_try_connect(e, op);
    case EPOLL_RECV:
        return epoll_try_recv(e, op);
    case EPOLL_SEND:
        return epoll_try_send(e, op);
    case EPOLL_SENDMSG:
        return epoll_try_sendmsg(e, op);
    case EPOLL_POLL:
        op->res = (int)op->poll.ready;
        return op->poll.ready != 0;
    case EPOLL_CLOSE:
        epoll_ready_forget(e, op->fd);
        op->res = close(op->fd) == 0 ? 0 : -errno;
        e->io.counters.submits++;
        return true;
    case EPOLL_OPENAT:
    case EPOLL_READ:
    case EPOLL_WRITE:
    case EPOLL_DURABLE:
    case EPOLL_FALLOCATE:
    case EPOLL_FSYNC:
        break;
    }
    must_never("not an operation on a socket");
}

int epoll_socket_cut(const struct epoll_op *op)
{
    size_t sent = op->what == EPOLL_SEND      ? op->send.sent
                  : op->what == EPOLL_SENDMSG ? op->sendmsg.sent
                                              : 0;
    return sent ? (int)sent : -ECANCELED;
}

/* ---- starting ---- */

void epoll_socket_accept(struct io *io, struct io_tag tag, int listen_fd)
{
    if (epoll_op_new(epoll_of(io), tag, EPOLL_ACCEPT, listen_fd)) {
        (void)fcntl(listen_fd, F_SETFL, O_NONBLOCK); /* fails on what is closed: accept says so */
    }
}

void epoll_socket_connect(struct io *io, struct io_tag tag, int fd, const struct sockaddr *addr,
                          socklen_t len)
{
    struct epoll_op *op = epoll_op_new(epoll_of(io), tag, EPOLL_CONNECT, fd);
    if (op) {
        op->connect.addr = addr;
        op->connect.len = len;
    }
}

void epoll_socket_recv(struct io *io, struct io_tag tag, int fd)
{
    (void)epoll_op_new(epoll_of(io), tag, EPOLL_RECV, fd);
}

void epoll_socket_send(struct io *io, struct io_tag tag, int fd, const void *ptr, size_t len)
{
    struct epoll_op *op = epoll_op_new(epoll_of(io), tag, EPOLL_SEND, fd);
    if (op) {
        op->send.ptr = ptr;
        op->send.len = len;
    }
}

void epoll_socket_sendmsg(struct io *io, struct io_tag tag, int fd, const struct msghdr *msg)
{
    struct epoll_op *op = epoll_op_new(epoll_of(io), tag, EPOLL_SENDMSG, fd);
    if (op) {
        op->sendmsg.msg = msg;
    }
}

void epoll_socket_poll(struct io *io, struct io_tag tag, int fd, unsigned poll_events)
{
    struct epoll_op *op = epoll_op_new(epoll_of(io), tag, EPOLL_POLL, fd);
    if (op) {
        op->poll.events = poll_events;
    }
}

void epoll_socket_close(struct io *io, struct io_tag tag, int fd)
{
    (void)epoll_op_new(epoll_of(io), tag, EPOLL_CLOSE, fd);
}
