/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * heap - the engine's memory, apart from the world's
 *
 * Purpose:   malloc and its like are wrapped by the linker (--wrap). What the engine allocates is listed, so
 *            that a crash frees all of it in one go, an orderly end shows what leaked, and an allocation can
 *            fail. Twins and scripts use heap_world_*, which is not listed.
 * Owner:     the process. Thread: the only one.
 * Errors:    heap_world_*: end the process without memory.
 */
#ifndef RINGPOST_TESTS_SIM_HEAP_H
#define RINGPOST_TESTS_SIM_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* From here on allocations are the engine's; returns what was before, for heap_leave. */
bool heap_enter(void);
void heap_leave(bool before);
/* Chance that an allocation of the engine fails, one in a million; returns what it was before. */
uint32_t heap_set_failing(uint32_t ppm);
/* Everything of the engine's is freed. */
void heap_drop(void);
/* Blocks that the engine has. */
size_t heap_used(void);
/* For traces of leaks: sizes of the first few blocks. */
void heap_describe(char *out, size_t bytes);

void *heap_world_alloc(size_t bytes); /* zeroed */
void *heap_world_realloc(void *ptr, size_t bytes);
void heap_world_free(void *ptr);

#endif
