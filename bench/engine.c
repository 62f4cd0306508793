/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bench/engine.h"

#include "bench/loop.h"
#include "bench/option.h"
#include "bench/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    ENGINE_TAIL_BYTES = 4000,
    ENGINE_POLL_MS = 20,
};

bool bench_engine_default_path(char path[BENCH_ENGINE_PATH_BYTES])
{
    static const char name[] = "ringpost";
    ssize_t n = readlink("/proc/self/exe", path, BENCH_ENGINE_PATH_BYTES - sizeof(name));
    while (n > 0 && path[n - 1] != '/') {
        n--;
    }
    if (n <= 0) {
        return false;
    }
    memcpy(path + n, name, sizeof(name));
    return true;
}

/* Binds without SO_REUSEPORT, so that a listener of ours counts as taken, too. */
static bool engine_port_free(uint16_t port)
{
    char text[32];
    int n = snprintf(text, sizeof(text), "127.0.0.1:%u", port);
    struct bench_addr a;
    if (!bench_addr_parse(slice_of(text, (size_t)n), &a)) {
        return false;
    }
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    bool free_port = fd >= 0 && bind(fd, (const struct sockaddr *)&a.ss, a.len) == 0;
    if (fd >= 0) {
        close(fd);
    }
    return free_port;
}

uint16_t bench_engine_free_port(uint16_t first)
{
    for (uint32_t port = first; port < first + 100U && port <= 65535; port++) {
        if (engine_port_free((uint16_t)port)) {
            return (uint16_t)port;
        }
    }
    return 0;
}

static _Noreturn void engine_child(char *const argv[], int out, int err, pid_t parent)
{
    /* Its own group: Ctrl-C reaches us only, and we pass on SIGTERM. */
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    bench_signals_unblock();
    int in = open("/dev/null", O_RDONLY);
    if (getppid() != parent || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0) {
        _exit(127);
    }
    execv(argv[0], argv);
    dprintf(2, "%s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

bool bench_engine_start(struct bench_engine *e, char *const argv[], const char *dir)
{
    *e = (struct bench_engine){.pid = 0};
    (void)snprintf(e->log_path, sizeof(e->log_path), "%s/ringpost.log", dir);
    (void)snprintf(e->stderr_path, sizeof(e->stderr_path), "%s/ringpost.stderr", dir);
    if (access(argv[0], X_OK) < 0) {
        bench_complain("%s: %s (build it with ./dev build, or name it with --engine)", argv[0],
                       strerror(errno));
        return false;
    }
    int out = open(e->log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    int err = open(e->stderr_path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
    bool opened = out >= 0 && err >= 0;
    if (opened) {
        pid_t parent = getpid();
        e->pid = fork();
        if (e->pid == 0) {
            engine_child(argv, out, err, parent);
        }
    }
    if (!opened || e->pid < 0) {
        bench_complain("cannot start %s: %s", argv[0], strerror(errno));
        e->pid = 0;
    }
    if (out >= 0) {
        close(out);
    }
    if (err >= 0) {
        close(err);
    }
    return e->pid > 0;
}

bool bench_engine_running(struct bench_engine *e)
{
    if (e->pid > 0 && waitpid(e->pid, &e->status, WNOHANG) == e->pid) {
        e->pid = 0;
    }
    return e->pid > 0;
}

static void engine_tail(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return;
    }
    char text[ENGINE_TAIL_BYTES];
    off_t end = lseek(fd, 0, SEEK_END);
    off_t from = end > ENGINE_TAIL_BYTES ? end - ENGINE_TAIL_BYTES : 0;
    ssize_t n = pread(fd, text, sizeof(text), from);
    close(fd);
    if (n > 0) {
        fprintf(stderr, "---- end of %s\n%.*s\n----\n", path, (int)n, text);
    }
}

void bench_engine_explain(const struct bench_engine *e)
{
    if (WIFSIGNALED(e->status)) {
        bench_complain("the engine was killed by signal %d", WTERMSIG(e->status));
    } else {
        bench_complain("the engine ended with status %d", WEXITSTATUS(e->status));
    }
    engine_tail(e->stderr_path);
    engine_tail(e->log_path);
}

static bool engine_greets(const struct bench_addr *to, int timeout_ms)
{
    int fd = bench_net_connect(to);
    char text[4] = "";
    struct pollfd p = {.fd = fd, .events = POLLIN};
    bool greets = fd >= 0 && poll(&p, 1, timeout_ms) == 1 && recv(fd, text, 3, 0) == 3 &&
                  memcmp(text, "220", 3) == 0;
    if (greets) {
        (void)send(fd, "QUIT\r\n", 6, MSG_NOSIGNAL);
    }
    if (fd >= 0) {
        close(fd);
    }
    return greets;
}

bool bench_engine_wait_ready(struct bench_engine *e, const struct bench_addr *to, int timeout_ms)
{
    uint64_t until = bench_now_us() + (uint64_t)timeout_ms * 1000;
    while (bench_engine_running(e)) {
        if (engine_greets(to, 1000)) {
            return true;
        }
        if (bench_now_us() > until) {
            bench_complain("the engine does not answer on port %u after %d s", bench_addr_port(to),
                           timeout_ms / 1000);
            engine_tail(e->stderr_path);
            engine_tail(e->log_path);
            return false;
        }
        (void)poll(NULL, 0, ENGINE_POLL_MS);
    }
    bench_engine_explain(e);
    return false;
}

void bench_engine_stop(struct bench_engine *e, int signal_fd, int timeout_ms)
{
    if (e->pid <= 0) {
        return;
    }
    uint64_t until = bench_now_us() + (uint64_t)timeout_ms * 1000;
    kill(e->pid, SIGTERM);
    while (bench_engine_running(e)) {
        int got = bench_signals_wait(signal_fd, -1, 100);
        if ((got == SIGINT || got == SIGTERM) && bench_engine_running(e)) {
            kill(e->pid, SIGTERM);
        }
        if (bench_now_us() > until && bench_engine_running(e)) {
            bench_complain("the engine did not stop within %d s: killed", timeout_ms / 1000);
            kill(e->pid, SIGKILL);
            (void)waitpid(e->pid, &e->status, 0);
            e->pid = 0;
        }
    }
}
