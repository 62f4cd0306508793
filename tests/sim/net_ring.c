/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/sim/heap.h"
#include "tests/sim/net_private.h"

#include <errno.h>

enum { NET_OP_US = 200, NET_PIECE = 16 * 1024 };

static void net_ring_fire(uint64_t arg);

static void op_later(struct ring_op *op)
{
    if (!op->scheduled) {
        op->scheduled = true;
        sim_after(sim_below(NET_OP_US), true, net_ring_fire, ring_ref_of(op));
    }
}

static bool send_may_go_on(const struct net_sock *s)
{
    return s->world_gone || s->in_reset || s->out_flying < NET_WINDOW;
}

void net_ring_look(struct net_sock *s)
{
    struct ring_op *op;
    if (s->recv_op && (s->in_len || s->in_eof || s->in_reset || s->world_gone) &&
        (op = ring_op(s->recv_op))) {
        op_later(op);
    }
    if (s->send_op && send_may_go_on(s) && (op = ring_op(s->send_op))) {
        op_later(op);
    }
    if (s->accept_op && s->backlog_count && (op = ring_op(s->accept_op))) {
        op_later(op);
    }
}

/* ---- each operation goes on ---- */

static void recv_go(struct ring_op *op, struct net_sock *s)
{
    if (!s->in_len && !s->in_eof && !s->in_reset && !s->world_gone) {
        return; /* taken back */
    }
    s->recv_op = 0;
    if (s->in_reset) {
        ring_end(op, -ECONNRESET, NULL);
        return;
    }
    if (s->in_len == 0) {
        ring_end(op, s->in_eof ? 0 : -ECONNRESET, NULL);
        return;
    }
    if (sim_fault(sim.opt.recv_retry_ppm)) {
        ring_end(op, sim_below(2) ? -ENOBUFS : -EINTR, NULL);
        return;
    }
    size_t n = s->in_len < IO_RECV_BUFFER_BYTES ? s->in_len : IO_RECV_BUFFER_BYTES;
    if (sim_fault(sim.opt.recv_short_ppm)) {
        n = sim_between(1, n);
    }
    s->taken += op->cancel ? 0 : n; /* the engine does not look at what it no longer wants */
    ring_end(op, (int)n, s->in);
    s->in_len -= n;
    memmove(s->in, s->in + n, s->in_len);
}

static void send_end(struct ring_op *op, struct net_sock *s, int error)
{
    s->send_op = 0;
    ring_end(op, op->done ? (int)op->done : -error, NULL);
}

static void send_go(struct ring_op *op, struct net_sock *s)
{
    if (s->in_reset || s->world_gone || s->engine_shut || !s->connected) {
        send_end(op, s, s->in_reset ? ECONNRESET : EPIPE);
        return;
    }
    size_t room = s->out_flying < NET_WINDOW ? NET_WINDOW - s->out_flying : 0;
    size_t left = op->len - op->done;
    size_t n = left < room ? left : room;
    n = n < NET_PIECE ? n : NET_PIECE;
    if (n && sim_below(4) == 0) {
        n = sim_between(1, n);
    }
    if (n) {
        char piece[NET_PIECE];
        ring_gather(op, op->done, piece, n);
        op->done += n;
        s->out_flying += n;
        net_fly(s, NET_TO_WORLD, slice_of(piece, n));
    }
    if (op->done == op->len) {
        s->send_op = 0;
        ring_end(op, (int)op->done, NULL);
    } else if (op->done && sim_fault(sim.opt.send_short_ppm)) {
        send_end(op, s, EINTR);
    } else if (send_may_go_on(s)) {
        op_later(op);
    }
}

static void connect_go(struct ring_op *op, struct net_sock *s)
{
    struct ip_endpoint to;
    s->connect_op = 0;
    if (!ip_endpoint_from_sockaddr((struct sockaddr *)&op->addr, sizeof(op->addr), &to)) {
        ring_end(op, -EINVAL, NULL);
        return;
    }
    s->peer = to;
    switch (net.servers(&to, net_conn_of(s), &s->script, &s->who)) {
    case NET_ACCEPTS:
        s->connected = true;
        s->delay_us = sim_between(1, sim.opt.net_us);
        ring_end(op, 0, NULL);
        break;
    case NET_REFUSES:
        s->world_gone = true;
        ring_end(op, sim_below(3) ? -ECONNREFUSED : -EHOSTUNREACH, NULL);
        break;
    case NET_SILENT:
        s->connect_op = ring_ref_of(op);
        break;
    }
}

static void accept_go(struct ring_op *op, struct net_sock *l)
{
    if (sim_fault(sim.opt.accept_end_ppm)) {
        l->accept_op = 0;
        ring_end(op, sim_below(2) ? -EMFILE : -ECONNABORTED, NULL);
        return;
    }
    while (l->backlog_count) {
        struct net_sock *s = net_sock(l->backlog[0]);
        l->backlog_count--;
        memmove(l->backlog, l->backlog + 1, l->backlog_count * sizeof(l->backlog[0]));
        if (!s) {
            continue;
        }
        s->waiting = false;
        s->owned = true;
        ring_tell(op, net_fd_of(s));
    }
}

static void net_ring_fire(uint64_t arg)
{
    struct ring_op *op = ring_op((ring_ref)arg);
    if (!op) {
        return;
    }
    op->scheduled = false;
    struct net_sock *s = net_of_fd(op->fd);
    switch (op->type) {
    case RING_ACCEPT:
        accept_go(op, s);
        break;
    case RING_CONNECT:
        connect_go(op, s);
        break;
    case RING_RECV:
        recv_go(op, s);
        break;
    case RING_SEND:
        send_go(op, s);
        break;
    case RING_CLOSE:
        ring_end(op, 0, NULL);
        net_engine_close(s);
        break;
    case RING_READ:
    case RING_WRITE:
    case RING_WRITE_DURABLE:
    case RING_FALLOCATE:
    case RING_FSYNC:
        must_never("not an operation on a socket");
    }
}

/* ---- for ring.c ---- */

void net_ring_start(struct ring_op *op)
{
    struct net_sock *s = net_of_fd(op->fd);
    ring_ref ref = ring_ref_of(op);
    switch (op->type) {
    case RING_ACCEPT:
        must(s->kind == NET_LISTENER && !s->accept_op);
        s->accept_op = ref;
        net_ring_look(s);
        break;
    case RING_CONNECT:
        s->connect_op = ref;
        op->scheduled = true;
        sim_after(sim_between(1, sim.opt.net_us), true, net_ring_fire, ref);
        break;
    case RING_RECV:
        must(!s->recv_op);
        s->recv_op = ref;
        net_ring_look(s);
        break;
    case RING_SEND:
        must(!s->send_op);
        s->send_op = ref;
        net_ring_look(s);
        break;
    case RING_CLOSE:
        op_later(op);
        break;
    case RING_READ:
    case RING_WRITE:
    case RING_WRITE_DURABLE:
    case RING_FALLOCATE:
    case RING_FSYNC:
        must_never("not an operation on a socket");
    }
}

void net_ring_cancel(struct ring_op *op)
{
    struct net_sock *s = net_of_fd(op->fd);
    if (op->type == RING_CLOSE || (op->scheduled && op->type != RING_CONNECT && sim_below(2))) {
        op->cancel = true;
        return; /* too late: it ends as it would */
    }
    ring_ref ref = ring_ref_of(op);
    s->recv_op = s->recv_op == ref ? 0 : s->recv_op;
    s->send_op = s->send_op == ref ? 0 : s->send_op;
    s->connect_op = s->connect_op == ref ? 0 : s->connect_op;
    s->accept_op = s->accept_op == ref ? 0 : s->accept_op;
    ring_end(op, op->type == RING_SEND && op->done ? (int)op->done : -ECANCELED, NULL);
}
