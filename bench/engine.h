/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * engine - the engine as a child process
 *
 * Purpose:   start it with settings, wait until it answers, stop it in order.
 * Owner:     the caller; bench_engine_stop reaps. The child gets SIGTERM when its parent dies.
 * Thread:    main. Units: milliseconds.
 * Errors:    false after a line on stderr, with the end of the engine's own stderr.
 */
#ifndef RINGPOST_BENCH_ENGINE_H
#define RINGPOST_BENCH_ENGINE_H

#include "bench/net.h"

#include <sys/types.h>

enum { BENCH_ENGINE_PATH_BYTES = 4096, BENCH_ENGINE_ARGS = 64 };

struct bench_engine {
    pid_t pid;  /* 0: not running */
    int status; /* of waitpid once it ended */
    char log_path[BENCH_ENGINE_PATH_BYTES];
    char stderr_path[BENCH_ENGINE_PATH_BYTES];
};

/* argv ends with NULL; stdout goes to DIR/ringpost.log (appended), stderr to DIR/ringpost.stderr. */
bool bench_engine_start(struct bench_engine *e, char *const argv[], const char *dir);
/* Until a 220 comes from `to`. */
bool bench_engine_wait_ready(struct bench_engine *e, const struct bench_addr *to, int timeout_ms);
/* False once it ended; then `status` is set. */
bool bench_engine_running(struct bench_engine *e);
void bench_engine_explain(const struct bench_engine *e);
/* SIGTERM; a second signal from signal_fd is passed on; SIGKILL after timeout_ms. */
void bench_engine_stop(struct bench_engine *e, int signal_fd, int timeout_ms);

/* "ringpost" beside our own executable. */
bool bench_engine_default_path(char path[BENCH_ENGINE_PATH_BYTES]);
/* The first port from `first` on that nobody listens on, 0 if none of 100. */
uint16_t bench_engine_free_port(uint16_t first);

#endif
