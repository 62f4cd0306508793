/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The ports. Usually each worker has a socket of its own at each (SO_REUSEPORT), so that the kernel deals
 * connections to workers. One that the service manager has opened is shared: every worker's ring accepts on
 * it, and the kernel wakes one of them per connection.
 */
#include "core/app/activation.h"
#include "core/app/engine_private.h"
#include "core/io/net.h"

#include <errno.h>
#include <string.h>

enum { ENGINE_PORT_PATIENCE_MS = 2000, ENGINE_FIRST_FD = 3 };

/* The listeners of an engine that was killed are closed with its rings, which the kernel does a moment after the
 * process has ended: whoever starts the next one at once must not be turned away. */
static int engine_probe_port(const struct ip_endpoint *at, uint64_t until_ms)
{
    int rc = net_probe(at);
    while (rc == -EADDRINUSE && clock_read().mono_ms < until_ms) {
        static const struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};
        nanosleep(&pause, NULL);
        rc = net_probe(at);
    }
    return rc;
}

static int *engine_port_fd(struct engine *e, unsigned worker, unsigned listener)
{
    return &e->listen_fds[worker * e->settings->conf->listeners.count + listener];
}

/* A descriptor or a negative errno. */
static int engine_bind_port(struct engine *e, unsigned listener, const struct ip_endpoint *at,
                            uint64_t until_ms)
{
    int rc = engine_probe_port(at, until_ms);
    for (unsigned w = 0; w < e->worker_count && rc >= 0; w++) {
        rc = net_listen(at, RELAY_BACKLOG);
        *engine_port_fd(e, w, listener) = rc;
    }
    return rc;
}

static int engine_share_port(struct engine *e, unsigned listener, int fd)
{
    int rc = fd;
    *engine_port_fd(e, 0, listener) = fd;
    for (unsigned w = 1; w < e->worker_count && rc >= 0; w++) {
        rc = net_share(fd);
        *engine_port_fd(e, w, listener) = rc;
    }
    return rc;
}

static bool engine_open_port(struct engine *e, unsigned listener, struct activation *given,
                             uint64_t until_ms, struct buf *error)
{
    const struct conf *conf = e->settings->conf;
    struct ip_endpoint at = {conf->listeners.items[listener].address,
                             conf->listeners.items[listener].port};
    char text[IP_ENDPOINT_TEXT_MAX];
    int fd = activation_take(given, &at);
    int rc = fd >= 0 ? engine_share_port(e, listener, fd)
                     : engine_bind_port(e, listener, &at, until_ms);
    if (rc < 0) {
        const char *remedy = rc == -EADDRINUSE ? "stop what uses it or choose another port"
                             : rc == -EACCES
                                 ? "ports below 1024 need a socket unit of systemd, the sysctl "
                                   "net.ipv4.ip_unprivileged_port_start or CAP_NET_BIND_SERVICE"
                                 : "see listeners in the configuration";
        buf_addf(error, "cannot listen on %s: %s (%s)", ip_endpoint_text(&at, text), strerror(-rc),
                 remedy);
        return false;
    }
    if (engine_event(e, OBS_LISTENING)) {
        obs_str(&e->log, OBS_F_LISTENER, slice_str(ip_endpoint_text(&at, text)));
        obs_u64(&e->log, OBS_F_PORT, at.port);
        if (fd >= 0) {
            obs_str(&e->log, OBS_F_REASON, SLICE("the socket was given by the service manager"));
        }
        engine_event_end(e);
    }
    return true;
}

static void engine_drop_ports(struct engine *e, struct activation *given)
{
    struct ip_endpoint at;
    char text[IP_ENDPOINT_TEXT_MAX];
    while (activation_drop(given, &at)) {
        if (engine_event(e, OBS_CONFIG_WARNING)) {
            obs_str(&e->log, OBS_F_LISTENER, slice_str(ip_endpoint_text(&at, text)));
            obs_str(&e->log, OBS_F_REASON,
                    SLICE("the service manager gave a socket that no listener of the configuration "
                          "is for (address and port, or FileDescriptorName=PORT); it is closed"));
            engine_event_end(e);
        }
    }
}

bool engine_open_ports(struct engine *e, struct buf *error)
{
    struct activation given;
    uint64_t until_ms = clock_read().mono_ms + ENGINE_PORT_PATIENCE_MS;
    if (!activation_read(&given, e->source->environment, ENGINE_FIRST_FD, error)) {
        return false;
    }
    for (unsigned i = 0; i < e->settings->conf->listeners.count; i++) {
        if (!engine_open_port(e, i, &given, until_ms, error)) {
            return false;
        }
    }
    engine_drop_ports(e, &given);
    return true;
}
