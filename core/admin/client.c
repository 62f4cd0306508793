/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/admin/client.h"
#include "core/admin/socket.h"
#include "core/base/must.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { ADMIN_CLIENT_READ_BYTES = 64 * 1024 };

static bool client_ask(int fd, const struct admin_request *req, uint64_t timeout_ms)
{
    struct timeval tv = {.tv_sec = (time_t)(timeout_ms / 1000),
                         .tv_usec = (suseconds_t)(timeout_ms % 1000) * 1000};
    struct buf line;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) != 0) {
        return false;
    }
    buf_init(&line, ADMIN_REQUEST_BYTES_MAX);
    admin_request_add(&line, req);
    must(!line.overflow);
    size_t sent = 0;
    while (sent < line.len) {
        ssize_t n = send(fd, line.ptr + sent, line.len - sent, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR) {
            break; /* an engine that turned us away has written why: read on */
        }
        sent += n > 0 ? (size_t)n : 0;
    }
    buf_deinit(&line);
    return true;
}

/* True: it was the last line, *result says how it ended. */
static bool client_take_line(struct slice line, struct admin_client_sink *sink,
                             enum admin_client_result *result, struct buf *error)
{
    static const char cut[] = "\"truncated\":true";
    if (slice_eq(slice_first(line, ADMIN_LAST_DONE.len), ADMIN_LAST_DONE)) {
        sink->truncated = memmem(line.ptr, line.len, cut, sizeof(cut) - 1) != NULL;
        *result = ADMIN_CLIENT_OK;
        return true;
    }
    if (slice_eq(slice_first(line, ADMIN_LAST_ERROR.len), ADMIN_LAST_ERROR)) {
        /* {"error":"code","text":"…"}, written by admin_error_add: no escapes in the code. */
        struct slice rest = slice_skip(line, ADMIN_LAST_ERROR.len);
        slice_cut(&rest, '"');
        struct slice code = slice_cut(&rest, '"');
        slice_cut(&rest, ':');
        rest = slice_skip(rest, 1);
        struct slice text = rest.len >= 2 ? slice_first(rest, rest.len - 2) : SLICE("");
        buf_addf(error, "%.*s (%.*s)", SLICE_ARG(text), SLICE_ARG(code));
        *result = ADMIN_CLIENT_REFUSED;
        return true;
    }
    if (line.len) {
        sink->line(sink->ctx, line);
    }
    return false;
}

static enum admin_client_result client_read(int fd, struct buf *in, struct admin_client_sink *sink,
                                            struct buf *error)
{
    enum admin_client_result result = ADMIN_CLIENT_BROKEN;
    size_t searched = 0;
    for (;;) {
        if (!buf_reserve(in, ADMIN_CLIENT_READ_BYTES)) {
            buf_add(error, SLICE("the engine's answer has too long a line"));
            return ADMIN_CLIENT_BROKEN;
        }
        ssize_t n = recv(fd, in->ptr + in->len, ADMIN_CLIENT_READ_BYTES, 0);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            buf_addf(error, "%s",
                     n == 0            ? "the engine closed the connection before the end"
                     : errno == EAGAIN ? "the engine does not answer"
                                       : strerror(errno));
            return ADMIN_CLIENT_BROKEN;
        }
        in->len += (size_t)n;
        size_t start = 0;
        int end;
        while ((end = slice_find_byte(slice_skip(buf_slice(in), searched), '\n')) >= 0) {
            size_t stop = searched + (size_t)end;
            if (client_take_line(slice_of(in->ptr + start, stop - start), sink, &result, error)) {
                return result;
            }
            start = searched = stop + 1;
        }
        buf_consume(in, start);
        searched = in->len;
    }
}

enum admin_client_result admin_client_call(struct slice path, const struct admin_request *req,
                                           uint64_t timeout_ms, struct admin_client_sink *sink,
                                           struct buf *error)
{
    must(sink->line != NULL && timeout_ms > 0);
    sink->truncated = false;
    int fd = admin_socket_connect(path);
    if (fd < 0) {
        const char *why = errno == ENOENT ? "no such socket: is the engine running?"
                          : errno == ECONNREFUSED
                              ? "nobody listens there: the engine is not running"
                          : errno == EACCES ? "permission denied: run as the engine's user"
                                            : strerror(errno);
        buf_addf(error, "%.*s: %s", SLICE_ARG(path), why);
        return ADMIN_CLIENT_UNREACHABLE;
    }
    struct buf in;
    buf_init(&in, ADMIN_CLIENT_LINE_MAX + ADMIN_CLIENT_READ_BYTES);
    enum admin_client_result result = ADMIN_CLIENT_BROKEN;
    if (client_ask(fd, req, timeout_ms)) {
        result = client_read(fd, &in, sink, error);
    } else {
        buf_addf(error, "%s", strerror(errno));
    }
    buf_deinit(&in);
    close(fd);
    return result;
}
