/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "spool/ahead.h"
#include "core/base/must.h"
#include "core/io/disk.h"

static void *ahead_main(void *arg)
{
    struct spool_ahead *a = arg;
    a->result = spool_file_load(&a->file, a->fd);
    return NULL;
}

void spool_ahead_start(struct spool_ahead *a, int fd)
{
    must(!a->running);
    int64_t size = disk_size(fd);
    if (size > 0 && size <= SPOOL_AHEAD_BYTES_MAX) {
        a->fd = fd;
        a->running = pthread_create(&a->thread, NULL, ahead_main, a) == 0;
    }
}

static bool ahead_join(struct spool_ahead *a)
{
    bool ran = a->running;
    if (ran) {
        pthread_join(a->thread, NULL);
        a->running = false;
    }
    return ran;
}

int spool_ahead_take(struct spool_ahead *a, int fd, struct spool_file *file)
{
    if (!ahead_join(a) || a->fd != fd) {
        return spool_file_load(file, fd);
    }
    struct spool_file used = *file;
    *file = a->file;
    a->file = used;
    return a->result;
}

void spool_ahead_stop(struct spool_ahead *a)
{
    (void)ahead_join(a);
    spool_file_deinit(&a->file);
}
