/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * relay_rig - a real relay upon the queue's rig: one worker without its thread
 *
 * Purpose:   listeners and the connection pool with a real ring, queue and spool. Mail is submitted to the
 *            queue by hand (rig_submit…); what the pool sends goes to a peer (smtp_peer.h).
 * Owner:     the test: relay_rig_start … relay_rig_stop.
 * Thread:    the test's; offload threads for nothing here.
 */
#ifndef RINGPOST_TESTS_RELAY_RELAY_RIG_H
#define RINGPOST_TESTS_RELAY_RELAY_RIG_H

#include "core/io/net.h"
#include "core/relay/relay.h"
#include "tests/unit/core/queue/rig_mail.h"

struct relay_rig {
    struct rig rig; /* first */
    struct relay relay;
    struct relay_settings *settings;
    struct connections *admitted;
    struct throttle *throttle;
    struct offload *offload;
    struct offload *disk;
    unsigned workers; /* whose share of the limits we have */
};

static inline void relay_rig_on_io(struct rig *rig, const struct io_event *ev)
{
    static void (*const handlers[IO_KIND_COUNT])(struct relay *, const struct io_event *) = {
        [IO_KIND_LISTENER_ACCEPT] = relay_on_accept,
        [IO_KIND_INBOUND_RECV] = relay_on_inbound_recv,
        [IO_KIND_INBOUND_SEND] = relay_on_inbound_send,
        [IO_KIND_INBOUND_CLOSE] = relay_on_inbound_close,
        [IO_KIND_OUTBOUND_CONNECT] = relay_on_outbound_connect,
        [IO_KIND_OUTBOUND_RECV] = relay_on_outbound_recv,
        [IO_KIND_OUTBOUND_SEND] = relay_on_outbound_send,
        [IO_KIND_OUTBOUND_CLOSE] = relay_on_outbound_close,
        [IO_KIND_OFFLOAD] = relay_on_offload,
        [IO_KIND_DISK] = relay_on_disk,
    };
    ck_assert_ptr_nonnull(handlers[ev->kind]);
    handlers[ev->kind](&((struct relay_rig *)(void *)rig)->relay, ev);
}

static inline void relay_rig_on_turn(struct rig *rig)
{
    relay_run(&((struct relay_rig *)(void *)rig)->relay);
}

static inline struct relay_settings *relay_rig_settings(struct conf *conf)
{
    struct buf errors, warnings;
    buf_init(&errors, 65536);
    buf_init(&warnings, 65536);
    struct relay_settings_messages to = {&errors, &warnings};
    struct relay_settings *s = relay_settings_new(conf, NULL, &to);
    ck_assert_msg(s != NULL, "%.*s", SLICE_ARG(buf_slice(&errors)));
    buf_deinit(&errors);
    buf_deinit(&warnings);
    return s;
}

/* smarthost: a setting; NULL: the rig's. sets: more settings, NULL-terminated, or NULL. */
static inline void relay_rig_start(struct relay_rig *r, const char *smarthost,
                                   const char *const *sets)
{
    unsigned workers = r->workers ? r->workers : 1;
    *r = (struct relay_rig){.workers = workers};
    rig_init(&r->rig);
    r->rig.script = NULL;
    r->rig.smarthost = smarthost ? smarthost : r->rig.smarthost;
    r->rig.on_other = relay_rig_on_io;
    rig_start(&r->rig, sets);
    r->settings = relay_rig_settings(r->rig.conf); /* has taken conf over */
    r->admitted = connections_open(1);
    r->throttle = throttle_open(1);
    r->offload = offload_open(1, 16, relay_thread_hooks());
    r->disk = offload_open(2, RELAY_DISK_JOBS, NULL);
    struct relay_parts parts = {.settings = r->settings,
                                .io = r->rig.io,
                                .timers = &r->rig.timers,
                                .rng = &r->rig.rng,
                                .log = &r->rig.log,
                                .queue = &r->rig.queue,
                                .admitted = r->admitted,
                                .throttle = r->throttle,
                                .offload = r->offload,
                                .disk = r->disk,
                                .workers = workers};
    ck_assert(relay_open(&r->relay, &parts));
    r->rig.on_turn = relay_rig_on_turn;
}

static inline void relay_rig_stop(struct relay_rig *r)
{
    struct rig *rig = &r->rig;
    RIG_UNTIL(rig, relay_stop(&r->relay));
    rig->on_turn = NULL;
    ck_assert_uint_eq(connections_count(r->admitted), 0); /* every session has left */
    relay_close(&r->relay);
    offload_close(&r->offload);
    offload_close(&r->disk);
    offload_port_close(&r->relay.offload_port);
    offload_port_close(&r->relay.disk_port);
    throttle_close(r->throttle);
    connections_close(r->admitted);
    rig->conf = NULL;
    rig_stop(rig);
    relay_settings_put(&r->settings);
    rig_remove(rig);
}

#endif
