/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Ports and connections.
 */
#include "core/admin/socket.h"
#include "core/app/doctor_check.h"
#include "core/base/must.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

bool doctor_connect(const struct ip_endpoint *to, unsigned timeout_ms)
{
    struct sockaddr_storage addr;
    socklen_t len = ip_endpoint_to_sockaddr(to, &addr);
    int fd = socket(addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return false;
    }
    int error = connect(fd, (struct sockaddr *)&addr, len) == 0 ? 0 : errno;
    if (error == EINPROGRESS) {
        struct pollfd p = {.fd = fd, .events = POLLOUT};
        socklen_t size = sizeof(error);
        int ready = poll(&p, 1, (int)timeout_ms);
        if (ready == 0) {
            error = ETIMEDOUT;
        } else if (ready < 0 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) {
            error = errno;
        }
    }
    close(fd);
    errno = error;
    return error == 0;
}

void doctor_check_engine(struct doctor *d)
{
    int fd = admin_socket_connect(d->conf->admin.socket);
    d->running = fd >= 0;
    if (fd >= 0) {
        close(fd);
    }
    doctor_say(d, DOCTOR_PASS, "engine", "", "%s with this configuration's admin.socket (%s)",
               d->running ? "one is running" : "none is running", d->conf->admin.socket.ptr);
}

/* Binds without SO_REUSEPORT and without listening: takes no connection from a running engine, and
 * fails where any other socket listens. */
static int listener_bind(const struct ip_endpoint *at)
{
    struct sockaddr_storage addr;
    socklen_t len = ip_endpoint_to_sockaddr(at, &addr);
    int on = 1;
    int fd = socket(addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return errno;
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (addr.ss_family == AF_INET6) {
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    }
    int error = bind(fd, (struct sockaddr *)&addr, len) == 0 ? 0 : errno;
    close(fd);
    return error;
}

static const char *listener_advice(int error)
{
    switch (error) {
    case EADDRINUSE:
        return "another program has this port: stop it or choose another port "
               "(ss -ltnp shows which)";
    case EACCES:
    case EPERM:
        return "a port below net.ipv4.ip_unprivileged_port_start: lower that sysctl, give "
               "CAP_NET_BIND_SERVICE, or choose a higher port";
    case EADDRNOTAVAIL:
        return "this machine does not have that address: correct listeners.address";
    case EAFNOSUPPORT:
        return "IPv6 is off on this machine: use an IPv4 address";
    default:
        return "correct listeners";
    }
}

void doctor_check_listeners(struct doctor *d)
{
    must(d->conf->listeners.count > 0);
    for (size_t i = 0; i < d->conf->listeners.count; i++) {
        const struct conf_listener *l = &d->conf->listeners.items[i];
        struct ip_endpoint at = {l->address, l->port};
        char text[IP_ENDPOINT_TEXT_MAX];
        ip_endpoint_text(&at, text);
        int error = listener_bind(&at);
        if (error == EADDRINUSE && d->running) {
            doctor_say(d, DOCTOR_PASS, "listener", "", "%s: in use, and an engine is running",
                       text);
        } else if (error) {
            doctor_say(d, DOCTOR_FAIL, "listener", listener_advice(error), "%s: %s", text,
                       strerror(error));
        } else {
            doctor_say(d, DOCTOR_PASS, "listener", "", "%s can be bound", text);
        }
    }
}
