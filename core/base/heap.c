/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/base/heap.h"

#include <stdbool.h>
#include <stddef.h>

/* Of jemalloc, when it is linked. */
extern int mallctl(const char *name, void *old, size_t *old_len, void *new, size_t new_len)
    __attribute__((weak));

void heap_open(void)
{
    bool on = true;
    size_t one = 1; /* others would be made later, when the engine may make no threads any more */
    if (mallctl) {
        (void)mallctl("max_background_threads", NULL, NULL, &one, sizeof(one));
        (void)mallctl("background_thread", NULL, NULL, &on, sizeof(on));
    }
}

void heap_purge(void)
{
    if (mallctl) {
        (void)mallctl("thread.tcache.flush", NULL, NULL, NULL, 0);
        (void)mallctl("arena.4096.purge", NULL, NULL, NULL, 0); /* MALLCTL_ARENAS_ALL */
    }
}
