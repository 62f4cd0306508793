/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What the offline tools know of a directory. Seals are applied as in recovery; states are merged by the
 * same rules, but without recovery's other duties, so the whole is short.
 */
#include "core/base/map.h"
#include "spool/dir.h"
#include "spool/tool_scan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

/* ---- loading ---- */

static struct spool_tool_segment *tool_segment_find(struct spool_tool *t, uint64_t number)
{
    for (size_t i = 0; i < t->segment_count; i++) {
        if (t->segments[i].number == number) {
            return &t->segments[i];
        }
    }
    return NULL;
}

static void tool_seals(struct spool_tool *t, uint64_t from, struct slice payload)
{
    struct spool_row row;
    struct spool_seal s;
    while (spool_row_next(&payload, &row)) {
        if (row.type != SPOOL_ROW_SEAL || !spool_seal_decode(row.payload, &s) ||
            s.segment >= from) {
            continue;
        }
        struct spool_tool_segment *g = tool_segment_find(t, s.segment);
        if (g && s.offset < g->end) {
            g->end = s.offset;
            g->complete = s.complete;
        }
    }
}

int spool_tool_load(struct spool_tool *t, uint64_t number, struct spool_file *file)
{
    spool_name_make(t->name, SPOOL_NAME_SEGMENT, number);
    int fd = disk_open(t->dir_fd, t->name, DISK_READ, false);
    if (fd < 0) {
        return fd;
    }
    int r = spool_file_init(file, fd);
    disk_close(fd);
    return r;
}

int spool_tool_open(struct spool_tool *t, const char *path, FILE *out, FILE *err)
{
    *t = (struct spool_tool){.path = path, .out = out, .err = err};
    map_init(&t->messages, 1);
    t->dir_fd = disk_open_dir(path, false);
    if (t->dir_fd < 0) {
        fprintf(err, "%s: %s\n", path, strerror(-t->dir_fd));
        return TOOL_UNREADABLE;
    }
    uint64_t *numbers = NULL;
    int r = spool_dir_numbers(t->dir_fd, SPOOL_NAME_SEGMENT, &numbers, &t->segment_count);
    t->segments = r < 0 ? NULL : calloc(t->segment_count + 1, sizeof(*t->segments));
    if (!t->segments) {
        fprintf(err, "%s: %s\n", path, strerror(r < 0 ? -r : ENOMEM));
        free(numbers);
        return TOOL_UNREADABLE;
    }
    for (size_t i = 0; i < t->segment_count; i++) {
        t->segments[i] = (struct spool_tool_segment){.number = numbers[i], .end = UINT32_MAX};
    }
    free(numbers);
    return TOOL_OK;
}

void spool_tool_close(struct spool_tool *t)
{
    size_t bucket = 0;
    struct map_node *n = map_next(&t->messages, &bucket, NULL);
    while (n) {
        struct map_node *after = map_next(&t->messages, &bucket, n);
        struct spool_tool_message *m = container_of(n, struct spool_tool_message, node);
        free(m->sender);
        free(m);
        n = after;
    }
    map_deinit(&t->messages);
    free(t->segments);
    if (t->dir_fd >= 0) {
        disk_close(t->dir_fd);
    }
}

/* ---- rows ---- */

static bool tool_message_equal(const struct map_node *node, const void *key)
{
    return container_of(node, struct spool_tool_message, node)->id == *(const uint64_t *)key;
}

struct spool_tool_message *spool_tool_find(struct spool_tool *t, uint64_t id)
{
    struct map_node *n = map_find(&t->messages, map_hash_u64(&t->messages, id), tool_message_equal,
                                  &id);
    return n ? container_of(n, struct spool_tool_message, node) : NULL;
}

static bool tool_row_message(struct spool_tool *t, struct slice payload, struct spool_ref ref)
{
    struct spool_message_view v;
    if (!spool_message_decode(payload, &v)) {
        return false;
    }
    struct spool_tool_message *m = spool_tool_find(t, v.id);
    bool fresh = !m;
    if (m && m->rcpt_count != v.rcpt_count) {
        return true; /* never ours; the older one stands */
    }
    if (fresh) {
        m = calloc(1, sizeof(*m) + v.rcpt_count);
        char *sender = malloc(v.sender.len + 1);
        if (!m || !sender) {
            free(m);
            free(sender);
            t->no_memory = true;
            return true;
        }
        memcpy(sender, v.sender.len ? v.sender.ptr : "", v.sender.len);
        *m = (struct spool_tool_message){.id = v.id,
                                         .arrival_us = v.arrival_us,
                                         .body_bytes = v.body_bytes,
                                         .rcpt_count = v.rcpt_count,
                                         .sender = sender,
                                         .sender_len = v.sender.len};
        t->no_memory = !map_insert(&t->messages, &m->node, map_hash_u64(&t->messages, v.id));
    }
    m->ref = ref;
    struct spool_rcpt rcpt;
    for (uint32_t i = 0; i < v.rcpt_count && spool_message_next_rcpt(&v.rcpts, &rcpt); i++) {
        m->states[i] = m->states[i] != SPOOL_RCPT_QUEUED ? m->states[i] : (uint8_t)rcpt.status;
    }
    return true;
}

static bool tool_row_result(struct spool_tool *t, struct slice payload)
{
    static const uint8_t states[] = {
        [SPOOL_RESULT_DELIVERED] = SPOOL_RCPT_DELIVERED,
        [SPOOL_RESULT_BOUNCED] = SPOOL_RCPT_BOUNCED,
        [SPOOL_RESULT_EXPIRED] = SPOOL_RCPT_EXPIRED,
        [SPOOL_RESULT_CANCELLED] = SPOOL_RCPT_CANCELLED,
        [SPOOL_RESULT_DEFERRED] = SPOOL_RCPT_QUEUED,
    };
    struct spool_result r;
    if (!spool_result_decode(payload, &r)) {
        return false;
    }
    struct spool_tool_message *m = spool_tool_find(t, r.id);
    if (m && r.rcpt < m->rcpt_count && m->states[r.rcpt] == SPOOL_RCPT_QUEUED) {
        m->states[r.rcpt] = states[r.kind];
    }
    return true;
}

static bool tool_row(struct spool_tool *t, const struct spool_row *row, struct spool_ref ref)
{
    struct spool_fragment_view f;
    struct spool_seal s;
    switch (row->type) {
    case SPOOL_ROW_MESSAGE:
        return tool_row_message(t, row->payload, ref);
    case SPOOL_ROW_RESULT:
        return tool_row_result(t, row->payload);
    case SPOOL_ROW_FRAGMENT:
        return spool_fragment_decode(row->payload, &f);
    case SPOOL_ROW_SEAL:
        return spool_seal_decode(row->payload, &s);
    default:
        return true;
    }
}

static void tool_frame(void *ctx, const struct spool_frame_header *h, struct slice payload)
{
    struct spool_tool *t = ctx;
    struct spool_ref ref = {h->epoch, h->offset, spool_frame_bytes(h->payload_bytes)};
    struct spool_row row;
    bool ok = true;
    t->frames++;
    while (ok && spool_row_next(&payload, &row)) {
        ok = tool_row(t, &row, ref);
    }
    if (ok && payload.len == 0) {
        return;
    }
    t->damaged++;
    if (t->verbose) {
        fprintf(t->out, "%s: offset %" PRIu32 ": damaged row\n", t->name, h->offset);
    }
}

static void tool_broken(void *ctx, enum spool_damage kind, uint32_t offset, uint32_t bytes)
{
    struct spool_tool *t = ctx;
    bool torn = kind == SPOOL_DAMAGE_TORN;
    t->torn += torn ? 1 : 0;
    t->damaged += torn ? 0 : 1;
    if (t->verbose) {
        fprintf(t->out, "%s: offset %" PRIu32 ": %" PRIu32 " bytes %s\n", t->name, offset, bytes,
                torn ? "torn (never acknowledged)" : "damaged");
    }
}

/* ---- passes ---- */

static void tool_segment_seals(struct spool_tool *t, const struct spool_tool_segment *g)
{
    spool_name_make(t->name, SPOOL_NAME_SEGMENT, g->number);
    int fd = disk_open(t->dir_fd, t->name, DISK_READ, false);
    if (fd < 0) {
        return;
    }
    enum { HEAD = 64 * 1024 };
    char *head = malloc(HEAD);
    int64_t n = head ? disk_pread(fd, head, HEAD, 0) : 0;
    disk_close(fd);
    struct spool_segment_header h;
    struct spool_frame_header f;
    struct slice payload;
    if (n > SPOOL_DATA_OFFSET && spool_segment_header_decode(slice_of(head, (size_t)n), &h) &&
        spool_frame_check(slice_of(head + SPOOL_DATA_OFFSET, (size_t)n - SPOOL_DATA_OFFSET),
                          g->number, h.salt, SPOOL_DATA_OFFSET, &f, &payload) == SPOOL_FRAME_OK) {
        tool_seals(t, g->number, payload);
    }
    free(head);
}

static void tool_segment_scan(struct spool_tool *t, const struct spool_tool_segment *g)
{
    struct spool_file file;
    int r = spool_tool_load(t, g->number, &file);
    if (r == -ENOENT) {
        return; /* a running engine gave it back */
    }
    if (r < 0) {
        t->damaged++;
        fprintf(t->err, "%s/%s: %s\n", t->path, t->name, strerror(-r));
        return;
    }
    bool ours = file.header_ok && file.header.number == g->number;
    if (!ours || file.header.major > SPOOL_FORMAT_MAJOR) {
        t->damaged++;
        fprintf(t->err, "%s/%s: %s\n", t->path, t->name,
                ours ? "written by a newer ringpost" : "no readable header");
    } else {
        t->damaged += file.unreadable_bytes ? 1 : 0;
        if (file.len < file.header.segment_bytes) {
            t->damaged++;
            fprintf(t->err, "%s/%s: cut short\n", t->path, t->name);
        }
        uint32_t end = spool_file_end(&file);
        const struct spool_scan scan = {
            .bytes = slice_of(file.bytes, file.len),
            .number = g->number,
            .salt = file.header.salt,
            .end = g->end < end ? g->end : end,
            .complete = g->end != UINT32_MAX && g->complete,
            .frame = tool_frame,
            .broken = tool_broken,
            .ctx = t,
        };
        struct spool_scanned out;
        spool_scan_segment(&scan, &out);
    }
    spool_file_deinit(&file);
}

int spool_tool_scan(struct spool_tool *t)
{
    for (size_t i = 0; i < t->segment_count; i++) {
        tool_segment_seals(t, &t->segments[i]);
    }
    for (size_t i = 0; i < t->segment_count && !t->no_memory; i++) {
        tool_segment_scan(t, &t->segments[i]);
    }
    if (t->no_memory) {
        fprintf(t->err, "out of memory\n");
        return TOOL_UNREADABLE;
    }
    return t->damaged ? TOOL_DAMAGE : TOOL_OK;
}
