/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/app/activation.h"
#include "core/base/must.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct slice activation_variable(char *const *environment, struct slice name)
{
    for (char *const *v = environment; v && *v; v++) {
        struct slice value = slice_str(*v);
        struct slice key = slice_cut(&value, '=');
        if (slice_eq(key, name)) {
            return value;
        }
    }
    return slice_of("", 0);
}

static int option_of(int fd, int option)
{
    int value = 0;
    socklen_t len = sizeof(value);
    return getsockopt(fd, SOL_SOCKET, option, &value, &len) == 0 ? value : -1;
}

static bool socket_read(struct activation_socket *s, int fd, struct slice name, struct buf *error)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof(sa);
    *s = (struct activation_socket){.fd = fd};
    if (!slice_to_cstr(name, s->name, sizeof(s->name))) {
        s->name[0] = '\0';
    }
    if (option_of(fd, SO_TYPE) != SOCK_STREAM || option_of(fd, SO_ACCEPTCONN) != 1 ||
        getsockname(fd, (struct sockaddr *)&sa, &len) != 0 ||
        !ip_endpoint_from_sockaddr((struct sockaddr *)&sa, len, &s->at)) {
        buf_addf(
            error,
            "descriptor %d of LISTEN_FDS (\"%s\") is not a listening TCP socket (in the socket "
            "unit: ListenStream=ADDRESS:PORT, Accept=no)",
            fd, s->name);
        return false;
    }
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) != 0 ||
        fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
        buf_addf(error, "descriptor %d of LISTEN_FDS: %s", fd, strerror(errno));
        return false;
    }
    return true;
}

bool activation_read(struct activation *a, char *const *environment, int first_fd,
                     struct buf *error)
{
    uint64_t pid = 0, count = 0;
    struct slice names = activation_variable(environment, SLICE("LISTEN_FDNAMES"));
    *a = (struct activation){0};
    must(first_fd >= 0);
    /* For another process: a wrapper between systemd and us. */
    if (!slice_to_u64(activation_variable(environment, SLICE("LISTEN_PID")), &pid) ||
        pid != (uint64_t)getpid() ||
        !slice_to_u64(activation_variable(environment, SLICE("LISTEN_FDS")), &count)) {
        return true;
    }
    if (count > ACTIVATION_MAX) {
        buf_addf(error, "LISTEN_FDS: at most %d sockets", ACTIVATION_MAX);
        return false;
    }
    for (; a->count < count; a->count++) {
        struct slice name = slice_cut(&names, ':');
        if (!socket_read(&a->sockets[a->count], first_fd + (int)a->count, name, error)) {
            return false;
        }
    }
    return true;
}

static bool socket_is_for(const struct activation_socket *s, const struct ip_endpoint *listener)
{
    uint64_t port;
    return ip_endpoint_eq(&s->at, listener) ||
           (slice_to_u64(slice_str(s->name), &port) && port == listener->port);
}

int activation_take(struct activation *a, const struct ip_endpoint *listener)
{
    for (unsigned i = 0; i < a->count; i++) {
        struct activation_socket *s = &a->sockets[i];
        if (s->fd >= 0 && socket_is_for(s, listener)) {
            int fd = s->fd;
            s->fd = -1;
            return fd;
        }
    }
    return -1;
}

bool activation_drop(struct activation *a, struct ip_endpoint *at)
{
    for (unsigned i = 0; i < a->count; i++) {
        struct activation_socket *s = &a->sockets[i];
        if (s->fd >= 0) {
            close(s->fd);
            s->fd = -1;
            *at = s->at;
            return true;
        }
    }
    return false;
}
