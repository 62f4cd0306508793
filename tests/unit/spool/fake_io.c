/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The state is global on purpose: it is the disk of the test process.
 */
#include "tests/unit/spool/fake_io.h"

#include "core/base/must.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    FAKE_SECTOR = 512,
    FAKE_INODES = 4096,
    FAKE_FDS = 1024,
    FAKE_NAMES = 512,
    FAKE_CHANGES = 256,
    FAKE_OPS = 32,
    FAKE_DIR_FD = 100000,
    FAKE_FD_FIRST = 1000,
    FAKE_BLOCKS = 32,
    FAKE_BLOCK_MIN = 64 * 1024,
};

/* CLEAN is 0: what calloc gives. */
enum fake_sector_state { SECTOR_CLEAN, SECTOR_DIRTY, SECTOR_DOUBT };

struct fake_inode {
    uint8_t *now;
    uint8_t *durable;
    uint8_t *state; /* per sector */
    size_t size;
    size_t durable_size;
    size_t cap;
    bool bad; /* a place that cannot be read */
    uint64_t bad_at;
};

struct fake_name {
    char name[DISK_NAME_MAX];
    unsigned inode;
};

struct fake_names {
    struct fake_name list[FAKE_NAMES];
    unsigned count;
};

enum fake_change_kind { CHANGE_CREATE, CHANGE_RENAME, CHANGE_UNLINK };

struct fake_change {
    enum fake_change_kind kind;
    char from[DISK_NAME_MAX];
    char to[DISK_NAME_MAX];
    unsigned inode;
};

enum fake_op_kind { OP_WRITE, OP_WRITE_DURABLE, OP_FSYNC, OP_FALLOCATE };

struct fake_op {
    enum fake_op_kind kind;
    struct io *io;
    struct io_tag tag;
    int fd;
    const uint8_t *ptr;
    size_t len;
    uint64_t offset;
};

struct io {
    struct clock_now now;
    struct io_counters counters;
};

static struct {
    struct rng rng;
    struct fake_inode inodes[FAKE_INODES];
    unsigned inode_count;
    unsigned fds[FAKE_FDS]; /* inode + 1; 0: closed */
    unsigned locked_fd;
    struct fake_names now;
    struct fake_names durable;
    struct fake_change changes[FAKE_CHANGES];
    unsigned change_count;
    uint64_t steps;
    uint64_t fault_at;
    uint64_t fault_times;
    enum fake_fault fault;
    bool dead;
    uint64_t space;
    struct io ios[FAKE_IOS];
    struct fake_op ops[FAKE_OPS];
    unsigned op_count;
} fake;

/* ---- names ---- */

static struct fake_name *names_find(struct fake_names *n, const char *name)
{
    for (unsigned i = 0; i < n->count; i++) {
        if (strcmp(n->list[i].name, name) == 0) {
            return &n->list[i];
        }
    }
    return NULL;
}

static void names_add(struct fake_names *n, const char *name, unsigned inode)
{
    must(n->count < FAKE_NAMES && !names_find(n, name));
    struct fake_name *e = &n->list[n->count++];
    snprintf(e->name, sizeof(e->name), "%s", name);
    e->inode = inode;
}

static void names_remove(struct fake_names *n, const char *name)
{
    struct fake_name *e = names_find(n, name);
    must(e != NULL);
    *e = n->list[--n->count];
}

static void names_change(struct fake_names *n, const struct fake_change *c)
{
    switch (c->kind) {
    case CHANGE_CREATE:
        if (!names_find(n, c->to)) {
            names_add(n, c->to, c->inode);
        }
        break;
    case CHANGE_RENAME:
        for (unsigned i = n->count; i-- > 0;) { /* one file, one name */
            if (n->list[i].inode == c->inode) {
                n->list[i] = n->list[--n->count];
            }
        }
        if (names_find(n, c->to)) {
            names_remove(n, c->to);
        }
        names_add(n, c->to, c->inode);
        break;
    case CHANGE_UNLINK:
        if (names_find(n, c->from)) {
            names_remove(n, c->from);
        }
        break;
    }
}

static void change_add(enum fake_change_kind kind, const char *from, const char *to, unsigned inode)
{
    must(fake.change_count < FAKE_CHANGES);
    struct fake_change *c = &fake.changes[fake.change_count++];
    *c = (struct fake_change){.kind = kind, .inode = inode};
    snprintf(c->from, sizeof(c->from), "%s", from);
    snprintf(c->to, sizeof(c->to), "%s", to);
    names_change(&fake.now, c);
}

/* ---- inodes ---- */

static unsigned inode_new(void)
{
    must(fake.inode_count < FAKE_INODES);
    return fake.inode_count++;
}

static uint64_t space_used(void)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < fake.now.count; i++) {
        sum += fake.inodes[fake.now.list[i].inode].size;
    }
    return sum;
}

/* Blocks of files that are gone, kept for the next ones: under ASan each fresh megabyte costs a map, an
 * unmap and a page fault per 4 KiB, which was most of these tests' time. */
static struct {
    uint8_t *bytes[FAKE_BLOCKS];
    size_t cap[FAKE_BLOCKS];
    unsigned count;
} fake_blocks;

/* All zero. */
static uint8_t *block_get(size_t cap)
{
    for (unsigned i = 0; i < fake_blocks.count; i++) {
        if (fake_blocks.cap[i] == cap) {
            uint8_t *bytes = fake_blocks.bytes[i];
            fake_blocks.count--;
            fake_blocks.bytes[i] = fake_blocks.bytes[fake_blocks.count];
            fake_blocks.cap[i] = fake_blocks.cap[fake_blocks.count];
            memset(bytes, 0, cap);
            return bytes;
        }
    }
    uint8_t *bytes = calloc(1, cap);
    must(bytes);
    return bytes;
}

static void block_put(uint8_t *bytes, size_t cap)
{
    if (!bytes || cap < FAKE_BLOCK_MIN || fake_blocks.count == FAKE_BLOCKS) {
        free(bytes);
        return;
    }
    fake_blocks.bytes[fake_blocks.count] = bytes;
    fake_blocks.cap[fake_blocks.count++] = cap;
}

static void inode_free(struct fake_inode *f)
{
    block_put(f->now, f->cap);
    block_put(f->durable, f->cap);
    free(f->state);
    *f = (struct fake_inode){0};
}

static void inode_room(struct fake_inode *f, size_t cap)
{
    struct fake_inode wide = {.now = block_get(cap),
                              .durable = block_get(cap),
                              .state = calloc(1, cap / FAKE_SECTOR),
                              .size = f->size,
                              .durable_size = f->durable_size,
                              .cap = cap};
    must(wide.state);
    if (f->cap) {
        memcpy(wide.now, f->now, f->cap);
        memcpy(wide.durable, f->durable, f->cap);
        memcpy(wide.state, f->state, f->cap / FAKE_SECTOR);
    }
    inode_free(f);
    *f = wide;
}

static bool inode_grow(struct fake_inode *f, size_t size)
{
    if (size <= f->size) {
        return true;
    }
    if (fake.space && space_used() + (size - f->size) > fake.space) {
        return false;
    }
    if (size > f->cap) {
        inode_room(f, (size + FAKE_SECTOR - 1) / FAKE_SECTOR * FAKE_SECTOR);
    }
    f->size = size;
    return true;
}

static bool inode_write(struct fake_inode *f, const uint8_t *ptr, size_t len, uint64_t offset)
{
    if (len == 0) {
        return true;
    }
    if (!inode_grow(f, offset + len)) {
        return false;
    }
    memcpy(f->now + offset, ptr, len);
    for (size_t s = offset / FAKE_SECTOR; s * FAKE_SECTOR < offset + len; s++) {
        f->state[s] = SECTOR_DIRTY;
    }
    return true;
}

static void inode_sector_settle(struct fake_inode *f, size_t s)
{
    memcpy(f->durable + s * FAKE_SECTOR, f->now + s * FAKE_SECTOR, FAKE_SECTOR);
    f->state[s] = SECTOR_CLEAN;
}

static void inode_sync(struct fake_inode *f, bool ok)
{
    for (size_t s = 0; s < f->cap / FAKE_SECTOR; s++) {
        if (f->state[s] == SECTOR_DIRTY) {
            if (ok) {
                inode_sector_settle(f, s);
            } else {
                f->state[s] = SECTOR_DOUBT;
            }
        }
    }
    if (ok) {
        f->durable_size = f->size;
    }
}

static struct fake_inode *inode_of_fd(int fd)
{
    must(fd >= FAKE_FD_FIRST && fd < FAKE_FD_FIRST + FAKE_FDS);
    unsigned i = fake.fds[fd - FAKE_FD_FIRST];
    must(i > 0);
    return &fake.inodes[i - 1];
}

/* ---- faults ---- */

/* How a power cut chooses for one undecided thing. */
static bool crash_keeps(enum fake_fault how)
{
    return how == FAKE_FAULT_CRASH_KEEP || (how == FAKE_FAULT_CRASH && rng_below(&fake.rng, 2));
}

static void crash_write_in_flight(const struct fake_op *op, enum fake_fault how)
{
    struct fake_inode *f = inode_of_fd(op->fd);
    for (size_t at = 0; at < op->len; at += FAKE_SECTOR) {
        if (crash_keeps(how)) {
            (void)inode_write(f, op->ptr + at, FAKE_SECTOR, op->offset + at);
        }
    }
}

void fake_crash(enum fake_fault how)
{
    must(!fake.dead);
    for (unsigned i = 0; i < fake.op_count; i++) {
        const struct fake_op *op = &fake.ops[i];
        if (op->kind == OP_WRITE || op->kind == OP_WRITE_DURABLE) {
            crash_write_in_flight(op, how);
        }
    }
    for (unsigned i = 0; i < fake.inode_count; i++) {
        struct fake_inode *f = &fake.inodes[i];
        for (size_t s = 0; s < f->cap / FAKE_SECTOR; s++) {
            if (f->state[s] != SECTOR_CLEAN && crash_keeps(how)) {
                inode_sector_settle(f, s);
            }
        }
        if (crash_keeps(how)) {
            f->durable_size = f->size;
        }
    }
    for (unsigned i = 0; i < fake.change_count; i++) {
        if (crash_keeps(how)) {
            names_change(&fake.durable, &fake.changes[i]);
        }
    }
    fake.dead = true;
}

static bool inode_named(unsigned inode)
{
    for (unsigned i = 0; i < fake.now.count; i++) {
        if (fake.now.list[i].inode == inode) {
            return true;
        }
    }
    return false;
}

void fake_restart(void)
{
    must(fake.dead && fake.op_count == 0);
    fake.now = fake.durable;
    fake.change_count = 0;
    for (unsigned i = 0; i < fake.inode_count; i++) {
        struct fake_inode *f = &fake.inodes[i];
        if (!inode_named(i)) {
            inode_free(f);
            continue;
        }
        f->size = f->durable_size;
        for (size_t s = 0; s < f->cap / FAKE_SECTOR; s++) {
            if (f->state[s] != SECTOR_CLEAN) { /* a clean one is the same on both sides */
                memcpy(f->now + s * FAKE_SECTOR, f->durable + s * FAKE_SECTOR, FAKE_SECTOR);
                f->state[s] = SECTOR_CLEAN;
            }
        }
    }
    fake.dead = false;
    fake.fault = FAKE_FAULT_NONE;
}

/* Counts a step; the fault that hits it. A crash takes effect before the step does. */
static enum fake_fault step_fault(void)
{
    fake.steps++;
    if (fake.dead || fake.fault == FAKE_FAULT_NONE || fake.steps < fake.fault_at ||
        fake.steps >= fake.fault_at + fake.fault_times) {
        return FAKE_FAULT_NONE;
    }
    if (fake.fault <= FAKE_FAULT_CRASH_KEEP) {
        fake_crash(fake.fault);
        return FAKE_FAULT_NONE;
    }
    return fake.fault;
}

void fake_fault_at(uint64_t at, enum fake_fault fault, uint64_t times)
{
    fake.fault_at = fake.steps + at;
    fake.fault = fault;
    fake.fault_times = times;
}

uint64_t fake_steps(void)
{
    return fake.steps;
}

void fake_steps_reset(void)
{
    fake.steps = 0;
}

bool fake_dead(void)
{
    return fake.dead;
}

void fake_space_set(uint64_t bytes)
{
    fake.space = bytes;
}

/* ---- life ---- */

void fake_init(uint64_t seed)
{
    memset(&fake, 0, sizeof(fake));
    rng_init_seed(&fake.rng, seed);
    fake_time_set(1000);
}

void fake_deinit(void)
{
    for (unsigned i = 0; i < fake.inode_count; i++) {
        inode_free(&fake.inodes[i]);
    }
    for (unsigned i = 0; i < FAKE_FDS; i++) {
        must(fake.fds[i] == 0); /* a descriptor leaked */
    }
    memset(&fake, 0, sizeof(fake));
}

void fake_time_set(uint64_t mono_ms)
{
    for (unsigned i = 0; i < FAKE_IOS; i++) {
        fake.ios[i].now = (struct clock_now){mono_ms, mono_ms * 1000, 1000000000 + mono_ms * 1000};
    }
}

uint64_t fake_time(void)
{
    return fake.ios[0].now.mono_ms;
}

/* ---- files for tests ---- */

uint8_t *fake_file_bytes(const char *name, size_t *len)
{
    struct fake_name *n = names_find(&fake.now, name);
    if (!n) {
        return NULL;
    }
    *len = fake.inodes[n->inode].size;
    return fake.inodes[n->inode].now;
}

void fake_file_poke(const char *name, size_t at, uint8_t value)
{
    struct fake_name *n = names_find(&fake.now, name);
    must(n && at < fake.inodes[n->inode].size);
    fake.inodes[n->inode].now[at] = value;
    fake.inodes[n->inode].durable[at] = value;
}

void fake_file_unreadable(const char *name, uint64_t at)
{
    struct fake_name *n = names_find(&fake.now, name);
    must(n && at < fake.inodes[n->inode].size);
    fake.inodes[n->inode].bad = true;
    fake.inodes[n->inode].bad_at = at;
}

void fake_file_put(const char *name, const void *bytes, size_t len)
{
    unsigned inode = inode_new();
    must(inode_write(&fake.inodes[inode], bytes, len, 0));
    inode_sync(&fake.inodes[inode], true);
    names_add(&fake.now, name, inode);
    names_add(&fake.durable, name, inode);
}

bool fake_file_exists(const char *name)
{
    return names_find(&fake.now, name) != NULL;
}

unsigned fake_file_count(const char *prefix)
{
    unsigned n = 0;
    for (unsigned i = 0; i < fake.now.count; i++) {
        n += strncmp(fake.now.list[i].name, prefix, strlen(prefix)) == 0 ? 1 : 0;
    }
    return n;
}

const char *fake_file_first(const char *prefix)
{
    const char *best = "";
    for (unsigned i = 0; i < fake.now.count; i++) {
        const char *name = fake.now.list[i].name;
        if (strncmp(name, prefix, strlen(prefix)) == 0 && (!*best || strcmp(name, best) < 0)) {
            best = name;
        }
    }
    return best;
}

/* ---- io.h ---- */

struct io *fake_io(unsigned index)
{
    must(index < FAKE_IOS);
    return &fake.ios[index];
}

const struct clock_now *io_now(const struct io *io)
{
    return &io->now;
}

void io_trust_dsync(struct io *io)
{
    (void)io;
    must_never("not where disk_knows_dsync says no");
}

void io_count_stale(struct io *io)
{
    io->counters.stale++;
}

uint64_t fake_durable_writes(void)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < FAKE_IOS; i++) {
        sum += fake.ios[i].counters.durable_writes;
    }
    return sum;
}

static void op_start(struct fake_op op)
{
    must(fake.op_count < FAKE_OPS);
    for (unsigned i = 0; i < fake.op_count; i++) {
        const struct io_tag *t = &fake.ops[i].tag;
        must(fake.ops[i].io != op.io || t->kind != op.tag.kind ||
             t->owner.slot != op.tag.owner.slot);
    }
    fake.ops[fake.op_count++] = op;
}

void io_write(struct io *io, struct io_tag tag, int fd, const void *ptr, size_t len,
              uint64_t offset)
{
    must(len % 4096 == 0 && offset % 4096 == 0 && (uintptr_t)ptr % 4096 == 0);
    op_start((struct fake_op){OP_WRITE, io, tag, fd, ptr, len, offset});
}

void io_write_durable(struct io *io, struct io_tag tag, int fd, const void *ptr, size_t len,
                      uint64_t offset)
{
    must(len % 4096 == 0 && offset % 4096 == 0 && (uintptr_t)ptr % 4096 == 0);
    op_start((struct fake_op){OP_WRITE_DURABLE, io, tag, fd, ptr, len, offset});
}

void io_fallocate(struct io *io, struct io_tag tag, int fd, uint64_t offset, uint64_t len)
{
    op_start((struct fake_op){OP_FALLOCATE, io, tag, fd, NULL, len, offset});
}

void io_fsync(struct io *io, struct io_tag tag, int fd, bool data_only)
{
    must(!data_only);
    op_start((struct fake_op){OP_FSYNC, io, tag, fd, NULL, 0, 0});
}

static void names_sync(void)
{
    fake.durable = fake.now;
    fake.change_count = 0;
}

static int op_run(const struct fake_op *op, enum fake_fault fault)
{
    if (fake.dead) {
        return ECANCELED;
    }
    if (fault == FAKE_FAULT_EIO) {
        return EIO;
    }
    if (fault == FAKE_FAULT_ENOSPC) {
        return op->kind == OP_FSYNC ? EIO : ENOSPC;
    }
    if (op->kind == OP_FSYNC && op->fd == FAKE_DIR_FD) {
        if (fault == FAKE_FAULT_NONE) {
            names_sync();
        }
        return fault == FAKE_FAULT_NONE ? 0 : EIO;
    }
    struct fake_inode *f = inode_of_fd(op->fd);
    size_t len = fault == FAKE_FAULT_CANCELLED ? op->len / 2 / FAKE_SECTOR * FAKE_SECTOR : op->len;
    bool ok = true;
    switch (op->kind) {
    case OP_WRITE:
        ok = inode_write(f, op->ptr, len, op->offset);
        break;
    case OP_WRITE_DURABLE:
        ok = inode_write(f, op->ptr, len, op->offset);
        inode_sync(f, ok && fault == FAKE_FAULT_NONE);
        break;
    case OP_FSYNC:
        inode_sync(f, fault == FAKE_FAULT_NONE);
        break;
    case OP_FALLOCATE:
        ok = inode_grow(f, op->offset + len);
        break;
    }
    if (!ok) {
        return ENOSPC;
    }
    return fault == FAKE_FAULT_NONE ? 0 : fault == FAKE_FAULT_CANCELLED ? ECANCELED : EIO;
}

static enum io_status op_status(int error)
{
    switch (error) {
    case 0:
        return IO_OK;
    case ENOSPC:
        return IO_NO_SPACE;
    case ECANCELED:
        return IO_CANCELLED;
    default:
        return IO_DISK_ERROR;
    }
}

bool fake_step(fake_done_fn *done, void *ctx)
{
    if (fake.op_count == 0) {
        return false;
    }
    unsigned pick = (unsigned)rng_below(&fake.rng, fake.op_count);
    enum fake_fault fault = step_fault(); /* a crash sees the operation in flight */
    struct fake_op op = fake.ops[pick];
    memmove(&fake.ops[pick], &fake.ops[pick + 1], (fake.op_count - pick - 1) * sizeof(op));
    fake.op_count--;
    int error = op_run(&op, fault);
    struct io_event ev = {.kind = op.tag.kind,
                          .status = op_status(error),
                          .owner = op.tag.owner,
                          .error = error,
                          .result = (int)op.len};
    op.io->counters.durable_writes += op.kind == OP_WRITE_DURABLE && error == 0 ? 1 : 0;
    done(ctx, (unsigned)(op.io - fake.ios), &ev);
    return true;
}

/* ---- disk.h ---- */

/* 0, or the errno that this changing call shall fail with. */
static int disk_step(void)
{
    switch (step_fault()) {
    case FAKE_FAULT_NONE:
    case FAKE_FAULT_CRASH:
    case FAKE_FAULT_CRASH_LOSE:
    case FAKE_FAULT_CRASH_KEEP:
    case FAKE_FAULT_COUNT:
        break;
    case FAKE_FAULT_EIO:
    case FAKE_FAULT_EIO_LATE:
    case FAKE_FAULT_CANCELLED:
        return EIO;
    case FAKE_FAULT_ENOSPC:
        return ENOSPC;
    }
    return fake.dead ? EIO : 0;
}

int disk_open_dir(const char *path, bool create)
{
    (void)path;
    (void)create;
    return FAKE_DIR_FD;
}

int disk_open(int dir_fd, const char *name, enum disk_open how, bool direct)
{
    (void)direct;
    must(dir_fd == FAKE_DIR_FD);
    struct fake_name *n = names_find(&fake.now, name);
    if (!n && (how == DISK_READ || how == DISK_WRITE)) {
        return -ENOENT;
    }
    if (n && how == DISK_CREATE) {
        return -EEXIST;
    }
    if (!n) {
        int e = disk_step();
        if (e) {
            return -e;
        }
        unsigned inode = inode_new();
        change_add(CHANGE_CREATE, "", name, inode);
        n = names_find(&fake.now, name);
    }
    for (unsigned i = 0; i < FAKE_FDS; i++) {
        if (fake.fds[i] == 0) {
            fake.fds[i] = n->inode + 1;
            return (int)i + FAKE_FD_FIRST;
        }
    }
    return -EMFILE;
}

void disk_close(int fd)
{
    if (fd == FAKE_DIR_FD) {
        return;
    }
    (void)inode_of_fd(fd);
    for (unsigned i = 0; i < fake.op_count; i++) {
        must(fake.ops[i].fd != fd); /* closed under an operation */
    }
    if (fake.locked_fd == (unsigned)fd) {
        fake.locked_fd = 0;
    }
    fake.fds[fd - FAKE_FD_FIRST] = 0;
}

int64_t disk_pread(int fd, void *ptr, size_t len, uint64_t offset)
{
    const struct fake_inode *f = inode_of_fd(fd);
    if (offset >= f->size) {
        return 0;
    }
    size_t n = f->size - offset < len ? f->size - offset : len;
    if (f->bad && f->bad_at >= offset && f->bad_at < offset + n) {
        return -EIO;
    }
    memcpy(ptr, f->now + offset, n);
    return (int64_t)n;
}

int disk_pwrite(int fd, const void *ptr, size_t len, uint64_t offset)
{
    int e = disk_step();
    if (e) {
        return -e;
    }
    return inode_write(inode_of_fd(fd), ptr, len, offset) ? 0 : -ENOSPC;
}

int disk_truncate(int fd, uint64_t len)
{
    inode_of_fd(fd)->size = len;
    return 0;
}

int disk_fsync(int fd)
{
    int e = disk_step();
    if (fd == FAKE_DIR_FD) {
        if (!e) {
            names_sync();
        }
    } else if (!fake.dead) {
        inode_sync(inode_of_fd(fd), e == 0);
    }
    return -e;
}

int64_t disk_size(int fd)
{
    return (int64_t)inode_of_fd(fd)->size;
}

int disk_rename(int dir_fd, const char *from, const char *to)
{
    must(dir_fd == FAKE_DIR_FD);
    int e = disk_step();
    const struct fake_name *n = names_find(&fake.now, from);
    if (!n) {
        return -ENOENT;
    }
    if (!e) {
        change_add(CHANGE_RENAME, from, to, n->inode);
    }
    return -e;
}

int disk_unlink(int dir_fd, const char *name)
{
    must(dir_fd == FAKE_DIR_FD);
    int e = disk_step();
    if (!names_find(&fake.now, name)) {
        return -ENOENT;
    }
    if (!e) {
        change_add(CHANGE_UNLINK, name, "", 0);
    }
    return -e;
}

int disk_list(int dir_fd, bool (*each)(void *ctx, const char *name), void *ctx)
{
    must(dir_fd == FAKE_DIR_FD);
    for (unsigned i = 0; i < fake.now.count; i++) {
        if (!each(ctx, fake.now.list[i].name)) {
            break;
        }
    }
    return 0;
}

int disk_lock(int fd)
{
    if (fake.locked_fd) {
        return -EWOULDBLOCK;
    }
    fake.locked_fd = (unsigned)fd;
    return 0;
}

bool disk_probe_direct(int dir_fd)
{
    (void)dir_fd;
    return true;
}

bool disk_knows_dsync(int dir_fd)
{
    (void)dir_fd;
    return false;
}

int disk_free_bytes(int dir_fd, uint64_t *out)
{
    (void)dir_fd;
    *out = fake.space ? fake.space - space_used() : UINT64_MAX;
    return 0;
}

int disk_random(void *ptr, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        ((uint8_t *)ptr)[i] = (uint8_t)rng_u64(&fake.rng);
    }
    return 0;
}
