/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * io_uring: does it work here, why not, what to change, and what happens without it.
 */
#include "core/app/doctor_check.h"
#include "core/app/io_want.h"
#include "core/base/must.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* First line of a small file of the kernel's, without its LF; "" when it cannot be read. */
static const char *doctor_read_line(const char *path, char *dst, size_t size)
{
    must(size > 1);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, dst, size - 1);
    if (fd >= 0) {
        close(fd);
    }
    dst[n > 0 ? n : 0] = '\0';
    char *end = strchr(dst, '\n');
    if (end) {
        *end = '\0';
    }
    return dst;
}

static const char *ring_advice(int error, bool wanted)
{
    char disabled[16];
    doctor_read_line("/proc/sys/kernel/io_uring_disabled", disabled, sizeof(disabled));
    switch (error) {
    case EPERM:
    case EACCES:
        if (disabled[0] && disabled[0] != '0') {
            return "allow it: sysctl kernel.io_uring_disabled=0 (or 1 and the group of "
                   "kernel.io_uring_group)";
        }
        return "a seccomp profile or a security module forbids it: in a container use a profile "
               "that allows io_uring_setup, io_uring_enter and io_uring_register "
               "(docker --security-opt seccomp=FILE, Kubernetes seccompProfile Localhost)";
    case ENOSYS:
        return "this kernel has none, or a container's seccomp profile hides it (the default of "
               "Docker 25, containerd 2.0 and podman): use a profile that allows io_uring_setup, "
               "io_uring_enter and io_uring_register";
    case ENOMEM:
        return "raise the memory limit of the process or its cgroup, or RLIMIT_MEMLOCK "
               "(ulimit -l, LimitMEMLOCK=), or lower io.ring_entries";
    case EINVAL:
        return "this kernel lacks something of it: use Linux 6.1 or newer";
    case EMFILE:
    case ENFILE:
        return "raise the limit of open files (ulimit -n, LimitNOFILE=)";
    default:
        return wanted ? "set io.backend: auto, which works without it" : "use Linux 6.1 or newer";
    }
}

static bool seccomp_is_active(void)
{
    char status[4096];
    int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, status, sizeof(status) - 1);
    status[n > 0 ? n : 0] = '\0';
    if (fd >= 0) {
        close(fd);
    }
    return strstr(status, "Seccomp:\t2") != NULL;
}

/* What the start does about a ring that is refused; FAIL: nothing, it ends. */
static enum doctor_status ring_replacement(const struct conf *conf, const char **text)
{
    if (conf->io.backend == CONF_IO_URING) {
        *text = "; io.backend: uring allows nothing else";
        return DOCTOR_FAIL;
    }
    if (io_try(&io_backend_epoll, conf->io.ring_entries).operation) {
        *text = "; epoll does not work either";
        return DOCTOR_FAIL;
    }
    *text = conf->io.backend == CONF_IO_EPOLL
                ? "; not wanted either (io.backend: epoll)"
                : "; epoll and threads for the disk do its work, somewhat slower";
    return conf->io.backend == CONF_IO_EPOLL ? DOCTOR_PASS : DOCTOR_WARN;
}

void doctor_check_ring(struct doctor *d)
{
    const struct conf *conf = d->conf;
    struct io_refusal refusal = io_try(&io_backend_uring, conf->io.ring_entries);
    char disabled[16];
    doctor_read_line("/proc/sys/kernel/io_uring_disabled", disabled, sizeof(disabled));
    const char *says = disabled[0] ? ", kernel.io_uring_disabled = " : "";
    if (!refusal.operation) {
        doctor_say(d, DOCTOR_PASS, "io_uring", "", "works%s%s%s", says, disabled,
                   conf->io.backend == CONF_IO_EPOLL ? "; not used (io.backend: epoll)" : "");
        return;
    }
    const char *replacement;
    enum doctor_status status = ring_replacement(conf, &replacement);
    const char *advice = ring_advice(refusal.error, conf->io.backend == CONF_IO_URING);
    doctor_say(d, status, "io_uring", status == DOCTOR_PASS ? "" : advice, "%s: %s%s%s%s%s",
               refusal.operation,
               refusal.error ? strerror(refusal.error) : "does not do what it should", says,
               disabled, seccomp_is_active() ? ", a seccomp filter is active" : "", replacement);
}
