/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * net_private - what the files of the simulated network share
 *
 * Purpose:   net.c (connections), net_ring.c (operations), net_calls.c (core/io/net.h). Nobody else includes
 *            this. Owner, thread: see net.h. Errors: none.
 */
#ifndef RINGPOST_TESTS_SIM_NET_PRIVATE_H
#define RINGPOST_TESTS_SIM_NET_PRIVATE_H

#include "tests/sim/net.h"
#include "tests/sim/sim.h"

enum {
    NET_SOCKS = 2048,
    NET_FD_FIRST = 100,
    NET_BACKLOG = 256,
    NET_WINDOW = 64 * 1024,
};

enum net_kind { NET_FREE, NET_LISTENER, NET_STREAM, NET_RESERVE };

/* The first three go to the world. */
enum net_piece_kind {
    NET_TO_WORLD,
    NET_WORLD_END,
    NET_WORLD_RESET,
    NET_TO_ENGINE,
    NET_ENGINE_END,
    NET_ENGINE_RESET,
};

struct net_sock {
    enum net_kind kind;
    uint16_t gen;
    const struct net_script *script;
    unsigned who;
    struct ip_endpoint peer;
    unsigned source; /* the last byte of the address that it is bound to; 0: none */
    uint64_t delay_us;
    bool owned; /* the engine has a descriptor of it */
    bool connected;
    bool waiting; /* in a listener's backlog */
    bool engine_closed, engine_shut;
    bool world_gone; /* the script was told */
    bool world_ended;
    bool lost; /* what is on its way to the world does not arrive */
    char *in;  /* has arrived, the engine has not read it yet */
    size_t in_len;
    bool in_eof, in_reset;
    uint64_t in_at, out_at; /* when the last piece of each direction arrives */
    unsigned flying;        /* pieces of both */
    size_t out_flying;      /* bytes the world has not taken */
    bool holding;
    char *held;
    size_t held_len;
    bool held_end;
    uint64_t sent, taken; /* bytes of the world's: sent, and read by the engine */
    ring_ref recv_op, send_op, connect_op, accept_op;
    net_conn backlog[NET_BACKLOG];
    unsigned backlog_count;
};

extern struct net_world {
    struct net_sock socks[NET_SOCKS];
    net_listener *servers;
} net;

struct net_sock *net_sock(net_conn conn);
net_conn net_conn_of(const struct net_sock *s);
struct net_sock *net_sock_new(enum net_kind kind);
/* Fails when there is no such descriptor. */
struct net_sock *net_of_fd(int fd);
int net_fd_of(const struct net_sock *s);
void net_fly(struct net_sock *s, enum net_piece_kind kind, struct slice data);
void net_world_gone(struct net_sock *s);
void net_engine_close(struct net_sock *s);
/* net_ring.c: something has changed; operations that wait may go on. */
void net_ring_look(struct net_sock *s);

#endif
