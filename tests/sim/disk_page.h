/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * disk_page - the bytes of a simulated file: what is there now, and what would be after a power cut
 *
 * Purpose:   both sides are arrays of pages that share memory while they are equal; a page of zeros takes
 *            none. So an fsync, a copy for a probe and a segment full of zeros cost little.
 * Owner:     struct disk. Thread: the only one. Units: bytes. Errors: none (without memory the process ends).
 */
#ifndef RINGPOST_TESTS_SIM_DISK_PAGE_H
#define RINGPOST_TESTS_SIM_DISK_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DISK_PAGE = 4096, DISK_SECTOR = 512 };

struct disk_page;

struct disk_file {
    struct disk_page **now;
    struct disk_page **durable;
    uint8_t *dirty; /* per page, a bit per sector: now differs, the next fsync makes it durable */
    uint8_t *doubt; /* … an fsync has failed upon it */
    size_t page_count;
    uint64_t size;
    uint64_t durable_size;
};

void disk_file_write(struct disk_file *f, const void *ptr, size_t len, uint64_t offset);
void disk_file_read(const struct disk_file *f, void *ptr, size_t len, uint64_t offset);
void disk_file_grow(struct disk_file *f, uint64_t size);
void disk_file_cut(struct disk_file *f, uint64_t size);
void disk_file_sync(struct disk_file *f, bool ok);
/* What a write with RWF_DSYNC does: these bytes only. */
void disk_file_sync_range(struct disk_file *f, uint64_t offset, size_t len, bool ok);
/* by_chance: what is not durable survives sector by sector; else none of it does. */
void disk_file_crash(struct disk_file *f, bool by_chance);
/* Flips a bit of what is durable, somewhere where there is something. False: there is nothing. */
bool disk_file_rot(struct disk_file *f);
/* This bit, on both sides. False: nothing is durable there. */
bool disk_file_flip(struct disk_file *f, uint64_t offset, unsigned bit);
void disk_file_copy(struct disk_file *to, const struct disk_file *from);
void disk_file_free(struct disk_file *f);

#endif
