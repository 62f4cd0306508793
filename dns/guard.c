/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Socket functions for c-ares. UDP datagrams are judged whole. A TCP stream is passed through as it
 * comes and judged at the 14th byte of each message, which is always before c-ares has all of it.
 * No TCP Fast Open: it saves a round trip to a resolver next door and sends data before the handshake.
 */
#include "dns/guard.h"

#include "core/base/must.h"

#include <ares.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    GUARD_QUESTION_MIN = 1 + 2 + 2,       /* root, type, class */
    GUARD_RECORD_MIN = 1 + 2 + 2 + 4 + 2, /* root, type, class, TTL, no data */
    GUARD_MALFORMED_BYTES = DNS_GUARD_HEADER_BYTES - 1,
    GUARD_KIND_MASK = 0xf8, /* QR and OPCODE in the third byte */
    GUARD_RESPONSE = 0x80,  /* to a standard query */
};

static size_t guard_u16(const uint8_t *p)
{
    return (size_t)p[0] << 8 | p[1];
}

bool dns_guard_plausible(const uint8_t *m, size_t len)
{
    if (len < DNS_GUARD_HEADER_BYTES || (m[2] & GUARD_KIND_MASK) != GUARD_RESPONSE) {
        return false;
    }
    size_t records = guard_u16(m + 6) + guard_u16(m + 8) + guard_u16(m + 10);
    size_t least = guard_u16(m + 4) * GUARD_QUESTION_MIN + records * GUARD_RECORD_MIN;
    return least <= len - DNS_GUARD_HEADER_BYTES;
}

bool dns_guard_stream_feed(struct dns_guard_stream *s, const uint8_t *bytes, size_t len)
{
    while (len > 0) {
        size_t n;
        if (s->at < sizeof(s->head)) {
            n = sizeof(s->head) - s->at < len ? sizeof(s->head) - s->at : len;
            memcpy(s->head + s->at, bytes, n);
        } else {
            size_t left = 2 + guard_u16(s->head) - s->at;
            n = left < len ? left : len;
        }
        s->at += (uint32_t)n;
        bytes += n;
        len -= n;
        if (s->at < sizeof(s->head)) {
            continue;
        }
        must(s->at >= sizeof(s->head));
        if (!dns_guard_plausible(s->head + 2, guard_u16(s->head))) {
            return false;
        }
        if (s->at == 2 + guard_u16(s->head)) {
            s->at = 0;
        }
    }
    return true;
}

static struct dns_guard_stream *guard_stream(struct dns_guard *g, int fd)
{
    for (unsigned i = 0; i < DNS_GUARD_STREAMS; i++) {
        if (g->streams[i].fd == fd) {
            return &g->streams[i];
        }
    }
    return NULL;
}

static int guard_close(ares_socket_t fd, void *ctx)
{
    struct dns_guard_stream *s = guard_stream(ctx, fd);
    if (s) {
        s->fd = 0;
    }
    return close(fd);
}

static ares_socket_t guard_socket(int domain, int type, int protocol, void *ctx)
{
    int fd = socket(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
    if (fd < 0 || type != SOCK_STREAM) {
        return fd;
    }
    must(fd > 0);
    struct dns_guard_stream *s = guard_stream(ctx, 0);
    if (!s) {
        close(fd);
        errno = EMFILE;
        return ARES_SOCKET_BAD;
    }
    *s = (struct dns_guard_stream){.fd = fd};
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return fd;
}

/* Only for options that we never ask for, and Fast Open. */
static int guard_setsockopt(ares_socket_t fd, ares_socket_opt_t opt, const void *val,
                            ares_socklen_t len, void *ctx)
{
    (void)fd;
    (void)opt;
    (void)val;
    (void)len;
    (void)ctx;
    errno = ENOSYS;
    return -1;
}

static int guard_connect(ares_socket_t fd, const struct sockaddr *addr, ares_socklen_t len,
                         unsigned int flags, void *ctx)
{
    (void)flags;
    (void)ctx;
    return connect(fd, addr, len);
}

static ares_ssize_t guard_recvfrom(ares_socket_t fd, void *buffer, size_t size, int flags,
                                   struct sockaddr *addr, ares_socklen_t *addr_len, void *ctx)
{
    struct dns_guard *g = ctx;
    ssize_t n = recvfrom(fd, buffer, size, flags, addr, addr_len);
    if (n <= 0) {
        return n;
    }
    struct dns_guard_stream *s = guard_stream(g, fd);
    if (!s) {
        bool plausible = dns_guard_plausible(buffer, (size_t)n);
        g->refused += !plausible;
        return plausible || n < GUARD_MALFORMED_BYTES ? n : GUARD_MALFORMED_BYTES;
    }
    if (!dns_guard_stream_feed(s, buffer, (size_t)n)) {
        g->refused++;
        errno = ECONNRESET;
        return -1;
    }
    return n;
}

static ares_ssize_t guard_sendto(ares_socket_t fd, const void *bytes, size_t len, int flags,
                                 const struct sockaddr *addr, ares_socklen_t addr_len, void *ctx)
{
    (void)ctx;
    return sendto(fd, bytes, len, flags | MSG_NOSIGNAL, addr, addr_len);
}

static int guard_getsockname(ares_socket_t fd, struct sockaddr *addr, ares_socklen_t *len,
                             void *ctx)
{
    (void)ctx;
    return getsockname(fd, addr, len);
}

int dns_guard_attach(struct dns_guard *g, struct ares_channeldata *ares)
{
    static const struct ares_socket_functions_ex functions = {
        .version = 1,
        .flags = ARES_SOCKFUNC_FLAG_NONBLOCKING,
        .asocket = guard_socket,
        .aclose = guard_close,
        .asetsockopt = guard_setsockopt,
        .aconnect = guard_connect,
        .arecvfrom = guard_recvfrom,
        .asendto = guard_sendto,
        .agetsockname = guard_getsockname,
    };
    return (int)ares_set_socket_functions_ex(ares, &functions, g);
}
