/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bench/capture.h"

#include "bench/option.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static bool capture_mkdir(const char *path)
{
    if (mkdir(path, 0755) < 0 && errno != EEXIST) {
        bench_complain("capture: %s: %s", path, strerror(errno));
        return false;
    }
    return true;
}

bool bench_capture_open(struct bench_capture *c, const char *dir)
{
    char path[BENCH_CAPTURE_PATH_BYTES];
    *c = (struct bench_capture){dir, clock_read().wall_us};
    if (!capture_mkdir(dir)) {
        return false;
    }
    static const char *const names[] = {"tmp", "new"};
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        int n = snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        if (n < 0 || (size_t)n >= sizeof(path) || !capture_mkdir(path)) {
            return false;
        }
    }
    return true;
}

void bench_capture_unstuff(struct slice text, struct buf *out)
{
    while (text.len > 0) {
        if (text.ptr[0] == '.') {
            text = slice_skip(text, 1);
        }
        const char *end = memmem(text.ptr, text.len, "\r\n.", 3);
        size_t n = end != NULL ? (size_t)(end - text.ptr) + 2 : text.len;
        buf_add(out, slice_first(text, n));
        text = slice_skip(text, n);
    }
}

static bool capture_file(const char *path, struct slice data)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    bool ok = fd >= 0;
    while (ok && data.len > 0) {
        ssize_t n = write(fd, data.ptr, data.len);
        ok = n > 0 || (n < 0 && errno == EINTR);
        data = slice_skip(data, n > 0 ? (size_t)n : 0);
    }
    if (!ok) {
        bench_complain("capture: %s: %s", path, strerror(errno));
    }
    if (fd >= 0) {
        close(fd);
    }
    return ok;
}

bool bench_capture_write(const struct bench_capture *c, uint64_t number,
                         const struct sink_message *m, char path[BENCH_CAPTURE_PATH_BYTES])
{
    char tmp[BENCH_CAPTURE_PATH_BYTES];
    char env[BENCH_CAPTURE_PATH_BYTES];
    unsigned long long start = c->start_us;
    unsigned long long n = number;
    int longest = snprintf(tmp, sizeof(tmp), "%s/tmp/%llu.%08llu.eml", c->dir, start, n);
    if (longest < 0 || (size_t)longest >= sizeof(tmp)) {
        return false;
    }
    (void)snprintf(env, sizeof(env), "%s/new/%llu.%08llu.env", c->dir, start, n);
    (void)snprintf(path, BENCH_CAPTURE_PATH_BYTES, "%s/new/%llu.%08llu.eml", c->dir, start, n);
    struct buf plain;
    buf_init(&plain, SIZE_MAX / 2);
    struct slice text = m->text;
    if (m->stuffed) {
        bench_capture_unstuff(m->text, &plain);
        text = buf_slice(&plain);
    }
    bool ok = !plain.overflow && capture_file(env, m->envelope) && capture_file(tmp, text) &&
              rename(tmp, path) == 0;
    buf_deinit(&plain);
    return ok;
}
