/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * net - the twin of core/io/net.c and the socket part of the ring: connections to scripted peers
 *
 * Purpose:   a connection has the engine's end (a descriptor) and the world's end (a script, told by
 *            callbacks). Bytes travel in pieces of any size, each direction in order, with delays; either end
 *            can close, half close or reset; a crash of the engine loses what was still on its way, or not.
 * Owner:     the world. net_conn is a slot with a generation; a stale one does nothing.
 * Thread:    the only one.
 * Limits:    NET_CONNS connections; a direction towards the world holds NET_WINDOW bytes.
 */
#ifndef RINGPOST_TESTS_SIM_NET_H
#define RINGPOST_TESTS_SIM_NET_H

#include "core/base/ipaddr.h"
#include "core/base/slice.h"
#include "tests/sim/ring.h"

typedef uint32_t net_conn; /* 0: none */

/* The world's end. who: the script's own number. */
struct net_script {
    void (*opened)(unsigned who); /* NULL for servers: they are told by net_listener */
    void (*bytes)(unsigned who, struct slice data);
    void (*ended)(unsigned who); /* the engine has sent everything */
    void (*gone)(
        unsigned who); /* reset, refused or closed on both sides: the connection is no more */
};

enum net_answer { NET_ACCEPTS, NET_REFUSES, NET_SILENT };
/* Whom the engine reaches at an address. */
typedef enum net_answer net_listener(const struct ip_endpoint *at, net_conn conn,
                                     const struct net_script **script, unsigned *who);

void net_reset_world(net_listener *servers);

/* The world connects to the engine's port, from this address. */
net_conn net_far_connect(const struct ip_endpoint *from, const struct net_script *script,
                         unsigned who);
void net_far_send(net_conn conn, struct slice data);
/* Nothing more comes from the world. */
void net_far_end(net_conn conn);
void net_far_reset(net_conn conn);
/* While held the world takes nothing. */
void net_far_hold(net_conn conn, bool held);
/* So many bytes of the world's the engine has taken out of the socket so far. */
uint64_t net_far_taken(net_conn conn);

/* The engine still has its end. */
bool net_far_has_engine(net_conn conn);
/* The source that the engine's end is bound to; 0: none. */
unsigned net_source_of(net_conn conn);
/* Connections that the engine has, or is making, from this source to addresses 5.0.<domain>.*. */
unsigned net_count_to(unsigned domain, unsigned source);

/* The engine has died: its sockets are gone. */
void net_crash(bool power);
/* Descriptors the engine has. */
unsigned net_open_fds(void);
void net_describe_fds(char *out, size_t bytes);

/* ---- for ring.c ---- */

void net_ring_start(struct ring_op *op);
void net_ring_cancel(struct ring_op *op);

#endif
