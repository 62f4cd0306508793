/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Connections and their life; the ring's operations on them are in net_ring.c, the calls of core/io/net.h in
 * net_calls.c.
 */
#include "tests/sim/net_private.h"
#include "tests/sim/heap.h"

#include <stdio.h>
#include <string.h>

struct net_world net;

struct net_sock *net_sock(net_conn conn)
{
    struct net_sock *s = &net.socks[conn >> 16];
    return conn && s->kind != NET_FREE && s->gen == (uint16_t)conn ? s : NULL;
}

net_conn net_conn_of(const struct net_sock *s)
{
    return (net_conn)(s - net.socks) << 16 | s->gen;
}

struct net_sock *net_sock_new(enum net_kind kind)
{
    for (unsigned i = 1; i < NET_SOCKS; i++) { /* as the kernel: the lowest free one */
        struct net_sock *s = &net.socks[i];
        if (s->kind == NET_FREE) {
            uint16_t gen = (uint16_t)(s->gen + 1);
            *s = (struct net_sock){.kind = kind, .gen = gen ? gen : 1};
            return s;
        }
    }
    return NULL;
}

static void sock_free(struct net_sock *s)
{
    heap_world_free(s->in);
    heap_world_free(s->held);
    s->in = s->held = NULL;
    s->kind = NET_FREE;
}

/* Both ends know that it is over and nothing is on its way. */
static void sock_settle(struct net_sock *s)
{
    if (s->kind == NET_STREAM && s->engine_closed && s->world_gone && s->flying == 0) {
        sock_free(s);
    }
}

void net_world_gone(struct net_sock *s)
{
    if (!s->world_gone) {
        s->world_gone = true;
        if (s->script) {
            s->script->gone(s->who);
        }
    }
    sock_settle(s);
}

/* ---- pieces on their way ---- */

struct net_piece {
    net_conn conn;
    enum net_piece_kind kind;
    size_t len;
    char bytes[];
};

static void piece_to_world(struct net_sock *s, struct slice data)
{
    if (s->world_gone || s->lost) {
        return;
    }
    if (s->holding) {
        s->held = heap_world_realloc(s->held, s->held_len + data.len + 1);
        memcpy(s->held + s->held_len, data.ptr, data.len);
        s->held_len += data.len;
        return;
    }
    s->out_flying -= data.len;
    s->script->bytes(s->who, data);
}

static void piece_to_engine(struct net_sock *s, struct slice data)
{
    if (s->engine_closed || s->in_reset) {
        return;
    }
    s->in = heap_world_realloc(s->in, s->in_len + data.len + 1);
    memcpy(s->in + s->in_len, data.ptr, data.len);
    s->in_len += data.len;
}

static void piece_fire(uint64_t arg)
{
    struct net_piece *p = (struct net_piece *)(uintptr_t)arg;
    struct net_sock *s = net_sock(p->conn);
    must(s && s->flying > 0);
    s->flying--;
    struct slice data = slice_of(p->bytes, p->len);
    switch (p->kind) {
    case NET_TO_WORLD:
        piece_to_world(s, data);
        break;
    case NET_WORLD_END:
        if (!s->world_gone && !s->lost) {
            if (s->holding) {
                s->held_end = true;
            } else {
                s->script->ended(s->who);
            }
        }
        break;
    case NET_WORLD_RESET:
        net_world_gone(s);
        break;
    case NET_TO_ENGINE:
        piece_to_engine(s, data);
        break;
    case NET_ENGINE_END:
        s->in_eof = true;
        break;
    case NET_ENGINE_RESET:
        s->in_reset = true;
        s->in_len = 0;
        break;
    }
    heap_world_free(p);
    if (s->kind != NET_FREE) {
        net_ring_look(s);
        sock_settle(s);
    }
}

void net_fly(struct net_sock *s, enum net_piece_kind kind, struct slice data)
{
    bool out = kind <= NET_WORLD_RESET;
    uint64_t *last = out ? &s->out_at : &s->in_at;
    uint64_t at = sim.now_us + sim_between(1, s->delay_us);
    at = at < *last ? *last : at;
    *last = at;
    struct net_piece *p = heap_world_alloc(sizeof(*p) + data.len);
    p->conn = net_conn_of(s);
    p->kind = kind;
    p->len = data.len;
    if (data.len) {
        memcpy(p->bytes, data.ptr, data.len);
    }
    s->flying++;
    sim_at(at, false, piece_fire, (uint64_t)(uintptr_t)p);
}

/* ---- the world's end ---- */

void net_reset_world(net_listener *servers)
{
    for (unsigned i = 0; i < NET_SOCKS; i++) {
        if (net.socks[i].kind != NET_FREE) {
            sock_free(&net.socks[i]);
        }
    }
    net.servers = servers;
}

static void far_refused(uint64_t arg)
{
    struct net_sock *s = net_sock((net_conn)arg);
    if (s) {
        net_world_gone(s);
    }
}

static void far_arrives(uint64_t arg)
{
    struct net_sock *s = net_sock((net_conn)arg);
    must(s != NULL);
    struct net_sock *listeners[SIM_WORKERS_MAX * 2];
    unsigned n = 0;
    for (unsigned i = 0; i < NET_SOCKS; i++) {
        if (net.socks[i].kind == NET_LISTENER && n < ARRAY_COUNT(listeners)) {
            listeners[n++] = &net.socks[i];
        }
    }
    if (n == 0) {
        s->engine_closed = true;
        net_world_gone(s);
        return;
    }
    struct net_sock *l = listeners[sim_below(n)];
    if (l->backlog_count == NET_BACKLOG) {
        s->engine_closed = true;
        net_world_gone(s);
        return;
    }
    l->backlog[l->backlog_count++] = net_conn_of(s);
    s->waiting = true;
    s->script->opened(s->who);
    net_ring_look(l);
}

net_conn net_far_connect(const struct ip_endpoint *from, const struct net_script *script,
                         unsigned who)
{
    struct net_sock *s = net_sock_new(NET_STREAM);
    must(s != NULL);
    s->peer = *from;
    s->script = script;
    s->who = who;
    s->connected = true;
    s->delay_us = sim_between(1, sim.opt.net_us);
    sim_after(s->delay_us, false, sim.opt.workers ? far_arrives : far_refused, net_conn_of(s));
    return net_conn_of(s);
}

void net_far_send(net_conn conn, struct slice data)
{
    struct net_sock *s = net_sock(conn);
    if (!s || s->world_gone || s->world_ended) {
        return;
    }
    while (data.len) {
        size_t n = sim_below(3) ? data.len : sim_between(1, data.len);
        s->sent += n;
        net_fly(s, NET_TO_ENGINE, slice_first(data, n));
        data = slice_skip(data, n);
        if (sim_fault(sim.opt.net_reset_ppm)) {
            net_far_reset(conn);
            return;
        }
    }
}

void net_far_end(net_conn conn)
{
    struct net_sock *s = net_sock(conn);
    if (s && !s->world_gone && !s->world_ended) {
        s->world_ended = true;
        net_fly(s, NET_ENGINE_END, slice_of(NULL, 0));
    }
}

void net_far_reset(net_conn conn)
{
    struct net_sock *s = net_sock(conn);
    if (s && !s->world_gone) {
        net_fly(s, NET_ENGINE_RESET, slice_of(NULL, 0));
        net_fly(s, NET_WORLD_RESET, slice_of(NULL, 0)); /* never inside the caller's own step */
        s->lost = true;
    }
}

void net_far_hold(net_conn conn, bool held)
{
    struct net_sock *s = net_sock(conn);
    if (!s || s->holding == held) {
        return;
    }
    s->holding = held;
    if (!held && s->held_len) {
        size_t len = s->held_len;
        char *bytes = s->held;
        s->held = NULL;
        s->held_len = 0;
        piece_to_world(s, slice_of(bytes, len));
        heap_world_free(bytes);
    }
    if (!held && s->held_end && s->kind != NET_FREE && !s->world_gone) {
        s->held_end = false;
        s->script->ended(s->who);
    }
    if (s->kind != NET_FREE) {
        net_ring_look(s);
    }
}

uint64_t net_far_taken(net_conn conn)
{
    const struct net_sock *s = net_sock(conn);
    return s ? s->taken : 0;
}

bool net_far_has_engine(net_conn conn)
{
    const struct net_sock *s = net_sock(conn);
    return s && !s->engine_closed;
}

/* ---- the engine's end ---- */

void net_engine_close(struct net_sock *s)
{
    if (s->kind != NET_STREAM) {
        for (unsigned i = 0; i < s->backlog_count; i++) { /* clients that nobody accepted */
            struct net_sock *c = net_sock(s->backlog[i]);
            if (c) {
                net_engine_close(c);
            }
        }
        sock_free(s);
        return;
    }
    s->engine_closed = true;
    if (!s->connected || s->world_gone) {
        net_world_gone(s);
        return;
    }
    /* Unread bytes at a close, or bytes that come later, make a reset, which may overtake data. */
    if (s->in_len && sim_below(2)) {
        s->lost = sim_below(2) == 0;
        net_fly(s, NET_WORLD_RESET, slice_of(NULL, 0));
        return;
    }
    if (!s->engine_shut) {
        net_fly(s, NET_WORLD_END, slice_of(NULL, 0));
    }
    net_fly(s, NET_WORLD_RESET, slice_of(NULL, 0));
}

void net_crash(bool power)
{
    for (unsigned i = 0; i < NET_SOCKS; i++) {
        struct net_sock *s = &net.socks[i];
        bool engines = s->owned || s->waiting;
        if (s->kind == NET_FREE || (s->kind == NET_STREAM && (s->engine_closed || !engines))) {
            continue;
        }
        if (s->kind != NET_STREAM) {
            s->backlog_count = 0;
            sock_free(s);
            continue;
        }
        s->engine_closed = true;
        s->recv_op = s->send_op = s->connect_op = 0;
        s->lost = s->lost || (power && sim_below(2));
        if (s->connected) {
            net_fly(s, NET_WORLD_RESET, slice_of(NULL, 0));
        } else {
            net_world_gone(s);
        }
    }
}

unsigned net_source_of(net_conn conn)
{
    const struct net_sock *s = net_sock(conn);
    return s ? s->source : 0;
}

unsigned net_count_to(unsigned domain, unsigned source)
{
    unsigned n = 0;
    for (unsigned i = 0; i < NET_SOCKS; i++) {
        const struct net_sock *s = &net.socks[i];
        const uint8_t *ip = s->peer.addr.bytes;
        n += s->kind == NET_STREAM && s->owned && !s->engine_closed && s->source == source &&
                     ip[0] == 5 && ip[2] == domain
                 ? 1
                 : 0;
    }
    return n;
}

unsigned net_open_fds(void)
{
    unsigned n = 0;
    for (unsigned i = 0; i < NET_SOCKS; i++) {
        const struct net_sock *s = &net.socks[i];
        n += s->kind != NET_FREE && (s->kind != NET_STREAM || (s->owned && !s->engine_closed)) ? 1
                                                                                               : 0;
    }
    return n;
}

void net_describe_fds(char *out, size_t bytes)
{
    size_t at = 0;
    out[0] = 0;
    for (unsigned i = 0; i < NET_SOCKS && at + 40 < bytes; i++) {
        const struct net_sock *s = &net.socks[i];
        if (s->kind != NET_FREE && (s->kind != NET_STREAM || (s->owned && !s->engine_closed))) {
            at += (size_t)snprintf(out + at, bytes - at, " %u:kind %d", NET_FD_FIRST + i, s->kind);
        }
    }
}
