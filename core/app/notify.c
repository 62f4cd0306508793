/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/app/notify.h"
#include "core/app/activation.h"
#include "core/base/must.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { NOTIFY_BYTES = 512 };

/* "/path", or "@name" in the abstract namespace. -1: no such socket. */
static int notify_connect(struct slice path)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (path.len < 2 || (path.ptr[0] != '/' && path.ptr[0] != '@') ||
        !slice_to_cstr(path, to.sun_path, sizeof(to.sun_path))) {
        return -1;
    }
    if (path.ptr[0] == '@') {
        to.sun_path[0] = '\0';
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.len);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, len) != 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

void notify_open(struct notify *n, char *const *environment)
{
    uint64_t us = 0, pid = 0;
    struct slice for_pid = activation_variable(environment, SLICE("WATCHDOG_PID"));
    *n = (struct notify){
        .fd = notify_connect(activation_variable(environment, SLICE("NOTIFY_SOCKET")))};
    bool ours = for_pid.len == 0 || (slice_to_u64(for_pid, &pid) && pid == (uint64_t)getpid());
    if (ours && slice_to_u64(activation_variable(environment, SLICE("WATCHDOG_USEC")), &us)) {
        n->watchdog_ms = us / 1000;
    }
}

void notify_close(struct notify *n)
{
    if (n->fd >= 0) {
        close(n->fd);
        n->fd = -1;
    }
}

void notify_say(struct notify *n, const char *fmt, ...)
{
    char text[NOTIFY_BYTES];
    va_list ap;
    if (n->fd < 0) {
        return;
    }
    va_start(ap, fmt);
    int len = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    must(len > 0 && (size_t)len < sizeof(text));
    (void)!send(n->fd, text, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL);
}
