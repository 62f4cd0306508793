/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/sim/disk_page.h"
#include "tests/sim/heap.h"
#include "tests/sim/sim.h"

#include <string.h>

enum { PAGE_SECTORS = DISK_PAGE / DISK_SECTOR, PAGES_KEPT = 8192 };

/* NULL stands for a page of zeros. */
struct disk_page {
    unsigned refs;
    uint8_t bytes[DISK_PAGE];
};

/* Pages that nobody has, for the next who needs one. */
static struct {
    struct disk_page *list[PAGES_KEPT];
    unsigned count;
} pages;

static const uint8_t page_zeros[DISK_PAGE];

static struct disk_page *page_new(void)
{
    struct disk_page *p = pages.count ? pages.list[--pages.count] : heap_world_alloc(sizeof(*p));
    p->refs = 1;
    return p;
}

static struct disk_page *page_ref(struct disk_page *p)
{
    if (p) {
        p->refs++;
    }
    return p;
}

static void page_put(struct disk_page *p)
{
    if (!p || --p->refs) {
        return;
    }
    if (pages.count < PAGES_KEPT) {
        pages.list[pages.count++] = p;
    } else {
        heap_world_free(p);
    }
}

/* The page, to be written to: nobody else has it. */
static uint8_t *page_own(struct disk_page **at)
{
    struct disk_page *p = *at;
    if (!p || p->refs > 1) {
        struct disk_page *own = page_new();
        memcpy(own->bytes, p ? p->bytes : page_zeros, DISK_PAGE);
        page_put(p);
        *at = own;
    }
    return (*at)->bytes;
}

static const uint8_t *page_bytes(const struct disk_page *p)
{
    return p ? p->bytes : page_zeros;
}

static void file_room(struct disk_file *f, uint64_t size)
{
    size_t count = (size_t)((size + DISK_PAGE - 1) / DISK_PAGE);
    if (count <= f->page_count) {
        return;
    }
    size_t more = count - f->page_count;
    f->now = heap_world_realloc(f->now, count * sizeof(*f->now));
    f->durable = heap_world_realloc(f->durable, count * sizeof(*f->durable));
    f->dirty = heap_world_realloc(f->dirty, count);
    f->doubt = heap_world_realloc(f->doubt, count);
    memset(f->now + f->page_count, 0, more * sizeof(*f->now));
    memset(f->durable + f->page_count, 0, more * sizeof(*f->durable));
    memset(f->dirty + f->page_count, 0, more);
    memset(f->doubt + f->page_count, 0, more);
    f->page_count = count;
}

void disk_file_grow(struct disk_file *f, uint64_t size)
{
    file_room(f, size);
    f->size = f->size > size ? f->size : size;
}

static void file_write_page(struct disk_file *f, size_t page, const uint8_t *ptr, size_t from,
                            size_t len)
{
    if (len == DISK_PAGE && memcmp(ptr, page_zeros, DISK_PAGE) == 0) {
        page_put(f->now[page]);
        f->now[page] = NULL;
    } else {
        memcpy(page_own(&f->now[page]) + from, ptr, len);
    }
    for (size_t s = from / DISK_SECTOR; s * DISK_SECTOR < from + len; s++) {
        f->dirty[page] |= (uint8_t)(1u << s);
        f->doubt[page] &= (uint8_t) ~(1u << s);
    }
}

void disk_file_write(struct disk_file *f, const void *ptr, size_t len, uint64_t offset)
{
    const uint8_t *at = ptr;
    if (len == 0) {
        return;
    }
    disk_file_grow(f, offset + len);
    while (len) {
        size_t page = (size_t)(offset / DISK_PAGE), from = (size_t)(offset % DISK_PAGE);
        size_t n = len < DISK_PAGE - from ? len : DISK_PAGE - from;
        file_write_page(f, page, at, from, n);
        at += n;
        len -= n;
        offset += n;
    }
}

void disk_file_read(const struct disk_file *f, void *ptr, size_t len, uint64_t offset)
{
    uint8_t *at = ptr;
    while (len) {
        size_t page = (size_t)(offset / DISK_PAGE), from = (size_t)(offset % DISK_PAGE);
        size_t n = len < DISK_PAGE - from ? len : DISK_PAGE - from;
        memcpy(at, page_bytes(f->now[page]) + from, n);
        at += n;
        len -= n;
        offset += n;
    }
}

void disk_file_cut(struct disk_file *f, uint64_t size)
{
    if (size > f->size) {
        disk_file_grow(f, size);
        return;
    }
    uint64_t end = f->size;
    f->size = size;
    while (size < end) { /* what comes there again must be zeros */
        size_t page = (size_t)(size / DISK_PAGE), from = (size_t)(size % DISK_PAGE);
        size_t n = end - size < DISK_PAGE - from ? (size_t)(end - size) : DISK_PAGE - from;
        file_write_page(f, page, page_zeros, from, n);
        size += n;
    }
}

/* The sectors of the mask are made durable. */
static void file_settle(struct disk_file *f, size_t page, uint8_t mask)
{
    if ((uint8_t)(mask | ~(f->dirty[page] | f->doubt[page])) == 0xff) {
        page_put(f->durable[page]);
        f->durable[page] = page_ref(f->now[page]);
        return;
    }
    for (unsigned s = 0; s < PAGE_SECTORS; s++) {
        if (mask & (1u << s)) {
            memcpy(page_own(&f->durable[page]) + s * DISK_SECTOR,
                   page_bytes(f->now[page]) + s * DISK_SECTOR, DISK_SECTOR);
        }
    }
}

static void file_sync_pages(struct disk_file *f, size_t from, size_t to, bool ok)
{
    for (size_t page = from; page < to; page++) {
        if (!f->dirty[page]) {
            continue;
        }
        if (ok) {
            file_settle(f, page, f->dirty[page]);
        } else {
            f->doubt[page] |= f->dirty[page];
        }
        f->dirty[page] = 0;
    }
}

void disk_file_sync(struct disk_file *f, bool ok)
{
    file_sync_pages(f, 0, f->page_count, ok);
    if (ok) {
        f->durable_size = f->size;
    }
}

void disk_file_sync_range(struct disk_file *f, uint64_t offset, size_t len, bool ok)
{
    must(offset % DISK_PAGE == 0 && len % DISK_PAGE == 0);
    file_sync_pages(f, (size_t)(offset / DISK_PAGE), (size_t)((offset + len) / DISK_PAGE), ok);
    if (ok && f->durable_size < offset + len) {
        f->durable_size = offset + len;
    }
}

void disk_file_crash(struct disk_file *f, bool by_chance)
{
    unsigned mood = by_chance ? (unsigned)sim_below(4) : 0; /* 0: nothing, 3: all, else some */
    for (size_t page = 0; page < f->page_count; page++) {
        uint8_t open = f->dirty[page] | f->doubt[page];
        if (open) {
            uint8_t keep = mood == 0 ? 0 : mood == 3 ? 0xff : (uint8_t)sim_below(256);
            if (keep & open) {
                file_settle(f, page, keep & open);
            }
        }
        f->dirty[page] = f->doubt[page] = 0;
        if (f->now[page] != f->durable[page]) {
            page_put(f->now[page]);
            f->now[page] = page_ref(f->durable[page]);
        }
    }
    if (mood == 3 || (mood && sim_below(2))) {
        f->durable_size = f->size;
    }
    f->size = f->durable_size;
}

bool disk_file_rot(struct disk_file *f)
{
    size_t first = f->page_count ? sim_below(f->page_count) : 0;
    for (size_t i = 0; i < f->page_count; i++) {
        size_t page = (first + i) % f->page_count;
        if (f->durable[page] && f->durable[page] == f->now[page]) {
            page_own(&f->durable[page])[sim_below(DISK_PAGE)] ^= (uint8_t)(1u << sim_below(8));
            page_put(f->now[page]);
            f->now[page] = page_ref(f->durable[page]);
            return true;
        }
    }
    return false;
}

bool disk_file_flip(struct disk_file *f, uint64_t offset, unsigned bit)
{
    size_t page = (size_t)(offset / DISK_PAGE);
    uint8_t mask = (uint8_t)(1u << bit);
    if (page >= f->page_count || !f->durable[page]) {
        return false;
    }
    bool same = f->now[page] == f->durable[page];
    page_own(&f->durable[page])[offset % DISK_PAGE] ^= mask;
    if (same) {
        page_put(f->now[page]);
        f->now[page] = page_ref(f->durable[page]);
    } else if (f->now[page]) {
        page_own(&f->now[page])[offset % DISK_PAGE] ^= mask;
    }
    return true;
}

void disk_file_copy(struct disk_file *to, const struct disk_file *from)
{
    *to = (struct disk_file){0};
    file_room(to, from->page_count * (uint64_t)DISK_PAGE);
    for (size_t i = 0; i < from->page_count; i++) {
        to->now[i] = page_ref(from->now[i]);
        to->durable[i] = page_ref(from->durable[i]);
    }
    if (from->page_count) {
        memcpy(to->dirty, from->dirty, from->page_count);
        memcpy(to->doubt, from->doubt, from->page_count);
    }
    to->size = from->size;
    to->durable_size = from->durable_size;
}

void disk_file_free(struct disk_file *f)
{
    for (size_t i = 0; i < f->page_count; i++) {
        page_put(f->now[i]);
        page_put(f->durable[i]);
    }
    heap_world_free(f->now);
    heap_world_free(f->durable);
    heap_world_free(f->dirty);
    heap_world_free(f->doubt);
    *f = (struct disk_file){0};
}
