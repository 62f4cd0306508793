/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * smtp_peer - a server that takes mail, on a thread of its own
 *
 * Purpose:   the far end of the connection pool: counts connections and messages, and can be told to
 *            refuse connections beyond a number, or to keep final dots waiting.
 * Owner:     the test: smtp_peer_start … smtp_peer_stop. The atomics may be read and set at any time.
 * Limits:    no extensions; SMTP_PEER_MAX connections.
 */
#ifndef RINGPOST_TESTS_RELAY_SMTP_PEER_H
#define RINGPOST_TESTS_RELAY_SMTP_PEER_H

#include <arpa/inet.h>
#include <check.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SMTP_PEER_MAX = 64, SMTP_PEER_BYTES = 4096 };

struct smtp_peer_conn {
    int fd;
    bool in_data;
    bool owes_dot; /* the answer to the final dot is held back */
    bool refused;
    bool owes_banner;
    size_t len;
    char bytes[SMTP_PEER_BYTES];
};

struct smtp_peer {
    int listen_fd;
    unsigned port;
    pthread_t thread;
    atomic_bool stop;
    atomic_bool hold;      /* final dots are not answered */
    atomic_bool mute;      /* connections are taken, but not greeted */
    atomic_uint serve_max; /* so many at a time; the others hear 421 */
    atomic_uint connections, refused, messages, now, most, quits;
    struct smtp_peer_conn conns[SMTP_PEER_MAX];
};

static inline void smtp_peer_say(struct smtp_peer_conn *c, const char *line)
{
    (void)send(c->fd, line, strlen(line), MSG_NOSIGNAL);
}

static inline void smtp_peer_close(struct smtp_peer *p, struct smtp_peer_conn *c)
{
    close(c->fd);
    c->fd = -1;
    if (!c->refused) {
        atomic_fetch_sub(&p->now, 1);
    }
}

static inline void smtp_peer_line(struct smtp_peer *p, struct smtp_peer_conn *c, const char *line)
{
    if (c->in_data) {
        if (strcmp(line, ".") == 0) {
            c->in_data = false;
            c->owes_dot = true;
        }
        return;
    }
    if (strncasecmp(line, "DATA", 4) == 0) {
        c->in_data = true;
        smtp_peer_say(c, "354 go on\r\n");
    } else if (strncasecmp(line, "QUIT", 4) == 0) {
        atomic_fetch_add(&p->quits, 1);
        smtp_peer_say(c, "221 2.0.0 bye\r\n");
    } else {
        smtp_peer_say(c, strncasecmp(line, "RCPT TO:<perm", 13) ? "250 2.0.0 ok\r\n"
                                                                : "550 5.1.1 nobody\r\n");
    }
}

static inline void smtp_peer_read(struct smtp_peer *p, struct smtp_peer_conn *c)
{
    ssize_t n = recv(c->fd, c->bytes + c->len, sizeof(c->bytes) - c->len, 0);
    if (n <= 0) {
        smtp_peer_close(p, c);
        return;
    }
    c->len += (size_t)n;
    char *at = c->bytes, *end;
    while ((end = memchr(at, '\n', (size_t)(c->bytes + c->len - at)))) {
        *end = '\0';
        if (end > at && end[-1] == '\r') {
            end[-1] = '\0';
        }
        smtp_peer_line(p, c, at);
        at = end + 1;
    }
    c->len = (size_t)(c->bytes + c->len - at);
    memmove(c->bytes, at, c->len);
}

static inline void smtp_peer_accept(struct smtp_peer *p)
{
    int fd = accept(p->listen_fd, NULL, NULL);
    for (size_t i = 0; fd >= 0 && i < SMTP_PEER_MAX; i++) {
        struct smtp_peer_conn *c = &p->conns[i];
        if (c->fd >= 0) {
            continue;
        }
        *c = (struct smtp_peer_conn){.fd = fd};
        atomic_fetch_add(&p->connections, 1);
        if (atomic_load(&p->now) >= atomic_load(&p->serve_max)) {
            c->refused = true;
            atomic_fetch_add(&p->refused, 1);
            smtp_peer_say(c, "421 4.7.0 too many\r\n");
            smtp_peer_close(p, c);
            return;
        }
        unsigned now = atomic_fetch_add(&p->now, 1) + 1;
        if (now > atomic_load(&p->most)) {
            atomic_store(&p->most, now);
        }
        c->owes_banner = true;
        return;
    }
    close(fd);
}

static inline void *smtp_peer_main(void *arg)
{
    struct smtp_peer *p = arg;
    while (!atomic_load(&p->stop)) {
        struct pollfd fds[SMTP_PEER_MAX + 1];
        for (size_t i = 0; i < SMTP_PEER_MAX; i++) {
            struct smtp_peer_conn *c = &p->conns[i];
            if (c->fd >= 0 && c->owes_dot && !atomic_load(&p->hold)) {
                c->owes_dot = false;
                atomic_fetch_add(&p->messages, 1);
                smtp_peer_say(c, "250 2.0.0 taken\r\n");
            }
            if (c->fd >= 0 && c->owes_banner && !atomic_load(&p->mute)) {
                c->owes_banner = false;
                smtp_peer_say(c, "220 peer.test ESMTP\r\n");
            }
            fds[i] = (struct pollfd){.fd = c->fd, .events = POLLIN};
        }
        fds[SMTP_PEER_MAX] = (struct pollfd){.fd = p->listen_fd, .events = POLLIN};
        if (poll(fds, SMTP_PEER_MAX + 1, 5) <= 0) {
            continue;
        }
        for (size_t i = 0; i < SMTP_PEER_MAX; i++) {
            if (fds[i].fd >= 0 && fds[i].revents) {
                smtp_peer_read(p, &p->conns[i]);
            }
        }
        if (fds[SMTP_PEER_MAX].revents) {
            smtp_peer_accept(p);
        }
    }
    return NULL;
}

/* A port that nobody listens on when it has not been started. */
static inline void smtp_peer_init(struct smtp_peer *p)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(sa);
    memset(p, 0, sizeof(*p));
    for (size_t i = 0; i < SMTP_PEER_MAX; i++) {
        p->conns[i].fd = -1;
    }
    atomic_store(&p->serve_max, SMTP_PEER_MAX);
    p->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(p->listen_fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    ck_assert_int_eq(getsockname(p->listen_fd, (struct sockaddr *)&sa, &len), 0);
    p->port = ntohs(sa.sin_port);
}

static inline void smtp_peer_start(struct smtp_peer *p)
{
    ck_assert_int_eq(listen(p->listen_fd, 64), 0);
    ck_assert_int_eq(pthread_create(&p->thread, NULL, smtp_peer_main, p), 0);
}

static inline void smtp_peer_stop(struct smtp_peer *p)
{
    atomic_store(&p->stop, true);
    pthread_join(p->thread, NULL);
    for (size_t i = 0; i < SMTP_PEER_MAX; i++) {
        if (p->conns[i].fd >= 0) {
            close(p->conns[i].fd);
        }
    }
    close(p->listen_fd);
}

#endif
