/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bench/signals.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/signalfd.h>
#include <unistd.h>

static sigset_t signals_set(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGCHLD);
    return set;
}

int bench_signals_open(void)
{
    sigset_t set = signals_set();
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int bench_signals_wait(int signal_fd, int event_fd, int timeout_ms)
{
    struct pollfd fds[2] = {{.fd = signal_fd, .events = POLLIN},
                            {.fd = event_fd, .events = POLLIN}};
    int n = poll(fds, 2, timeout_ms);
    struct signalfd_siginfo info;
    if (n > 0 && (fds[0].revents & POLLIN) && read(signal_fd, &info, sizeof(info)) > 0) {
        return (int)info.ssi_signo;
    }
    return n > 0 && (fds[1].revents & POLLIN) ? 0 : -1;
}

void bench_signals_unblock(void)
{
    sigset_t set = signals_set();
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}
