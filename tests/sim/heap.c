/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The list is an open-addressed set of pointers beside the blocks, not a header in front of them: blocks keep
 * the red zones of AddressSanitizer, and what libraries allocate without us can be freed through us.
 */
#include "tests/sim/heap.h"
#include "tests/sim/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *ptr, size_t bytes);
void *__real_aligned_alloc(size_t align, size_t bytes);
int __real_posix_memalign(void **out, size_t align, size_t bytes);
void __real_free(void *ptr);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *ptr, size_t bytes);
void *__wrap_aligned_alloc(size_t align, size_t bytes);
int __wrap_posix_memalign(void **out, size_t align, size_t bytes);
void __wrap_free(void *ptr);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t max);

const char *__asan_default_options(void);

/* A life that was cut short leaves what libpcre2 allocated for itself; the engine's own memory is counted here,
 * at each orderly end. */
const char *__asan_default_options(void)
{
    return "detect_leaks=0:abort_on_error=1";
}

struct heap_block {
    void *ptr; /* NULL: free, HEAP_GONE: was taken */
    size_t bytes;
};

static struct {
    struct heap_block *table;
    size_t cap, used, gone;
    bool inside;
    uint32_t failing_ppm;
} heap;

#define HEAP_GONE ((void *)1)

static size_t heap_slot(const void *ptr)
{
    uint64_t x = (uintptr_t)ptr >> 4;
    x *= UINT64_C(0x9e3779b97f4a7c15);
    return (size_t)(x >> 20) & (heap.cap - 1);
}

static void heap_put(void *ptr, size_t bytes)
{
    size_t i = heap_slot(ptr);
    while (heap.table[i].ptr && heap.table[i].ptr != HEAP_GONE) {
        i = (i + 1) & (heap.cap - 1);
    }
    heap.gone -= heap.table[i].ptr == HEAP_GONE ? 1 : 0;
    heap.table[i] = (struct heap_block){ptr, bytes};
    heap.used++;
}

static void heap_grow(void)
{
    struct heap_block *old = heap.table;
    size_t cap = heap.cap;
    heap.cap = heap.used * 4 > 4096 ? cap * 2 : 4096;
    heap.table = __real_calloc(heap.cap, sizeof(*heap.table));
    must(heap.table);
    heap.used = heap.gone = 0;
    for (size_t i = 0; i < cap; i++) {
        if (old[i].ptr && old[i].ptr != HEAP_GONE) {
            heap_put(old[i].ptr, old[i].bytes);
        }
    }
    __real_free(old);
}

static void *heap_note(void *ptr, size_t bytes)
{
    if (ptr && heap.inside) {
        if ((heap.used + heap.gone + 1) * 2 > heap.cap) {
            heap_grow();
        }
        heap_put(ptr, bytes);
    }
    return ptr;
}

static bool heap_forget(const void *ptr)
{
    if (!heap.cap) {
        return false;
    }
    for (size_t i = heap_slot(ptr); heap.table[i].ptr; i = (i + 1) & (heap.cap - 1)) {
        if (heap.table[i].ptr == ptr) {
            heap.table[i].ptr = HEAP_GONE;
            heap.used--;
            heap.gone++;
            return true;
        }
    }
    return false;
}

static bool heap_fails(const void *caller)
{
    if (heap.inside && sim_fault(heap.failing_ppm)) {
        sim.counts.out_of_memory++;
        sim_trace("no memory for %p", caller);
        return true;
    }
    return false;
}

void *__wrap_malloc(size_t bytes)
{
    return heap_fails(__builtin_return_address(0)) ? NULL : heap_note(__real_malloc(bytes), bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
    return heap_fails(__builtin_return_address(0))
               ? NULL
               : heap_note(__real_calloc(count, bytes), count * bytes);
}

void *__wrap_aligned_alloc(size_t align, size_t bytes)
{
    return heap_fails(__builtin_return_address(0))
               ? NULL
               : heap_note(__real_aligned_alloc(align, bytes), bytes);
}

int __wrap_posix_memalign(void **out, size_t align, size_t bytes)
{
    int rc = __real_posix_memalign(out, align, bytes);
    heap_note(rc == 0 ? *out : NULL, bytes);
    return rc;
}

void *__wrap_realloc(void *ptr, size_t bytes)
{
    if (heap_fails(__builtin_return_address(0))) {
        return NULL;
    }
    bool listed = ptr && heap_forget(ptr);
    void *now = __real_realloc(ptr, bytes);
    bool before = heap.inside;
    heap.inside = ptr ? listed : heap.inside;
    heap_note(now ? now : ptr, bytes);
    heap.inside = before;
    return now;
}

void __wrap_free(void *ptr)
{
    if (ptr) {
        heap_forget(ptr);
        __real_free(ptr);
    }
}

char *__wrap_strndup(const char *text, size_t max)
{
    size_t len = strnlen(text, max);
    char *copy = __wrap_malloc(len + 1);
    if (copy) {
        memcpy(copy, text, len);
        copy[len] = 0;
    }
    return copy;
}

char *__wrap_strdup(const char *text)
{
    return __wrap_strndup(text, SIZE_MAX - 1);
}

bool heap_enter(void)
{
    bool before = heap.inside;
    heap.inside = true;
    return before;
}

void heap_leave(bool before)
{
    heap.inside = before;
}

uint32_t heap_set_failing(uint32_t ppm)
{
    uint32_t before = heap.failing_ppm;
    heap.failing_ppm = ppm;
    return before;
}

void heap_drop(void)
{
    for (size_t i = 0; i < heap.cap; i++) {
        if (heap.table[i].ptr && heap.table[i].ptr != HEAP_GONE) {
            __real_free(heap.table[i].ptr);
        }
        heap.table[i].ptr = NULL;
    }
    heap.used = heap.gone = 0;
}

size_t heap_used(void)
{
    return heap.used;
}

void heap_describe(char *out, size_t bytes)
{
    size_t at = 0;
    out[0] = 0;
    for (size_t i = 0; i < heap.cap && at + 24 < bytes; i++) {
        if (heap.table[i].ptr && heap.table[i].ptr != HEAP_GONE) {
            at += (size_t)snprintf(out + at, bytes - at, " %zu", heap.table[i].bytes);
        }
    }
}

void *heap_world_alloc(size_t bytes)
{
    void *ptr = __real_calloc(1, bytes ? bytes : 1);
    must(ptr);
    return ptr;
}

void *heap_world_realloc(void *ptr, size_t bytes)
{
    void *now = __real_realloc(ptr, bytes);
    must(now);
    return now;
}

void heap_world_free(void *ptr)
{
    __real_free(ptr);
}
