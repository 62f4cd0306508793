/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The offline tools. They take no lock and write nothing, so they may look at a running engine's
 * directory: then a segment may vanish between two looks (skipped) and the last group may be half
 * there (a torn tail). Seals are applied as in recovery; states are merged by the same rules, but
 * without recovery's other duties, so the whole is short.
 */
#include "core/base/id.h"
#include "core/base/map.h"
#include "spool/dir.h"
#include "spool/scan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

enum tool_exit { TOOL_OK = 0, TOOL_DAMAGE = 1, TOOL_UNREADABLE = 2 };

struct tool_message {
    struct map_node node;
    uint64_t id;
    uint64_t arrival_us;
    uint64_t body_bytes;
    uint32_t rcpt_count;
    struct spool_ref ref;
    char *sender;
    size_t sender_len;
    uint8_t states[]; /* enum spool_rcpt_status */
};

struct tool_segment {
    uint64_t number;
    uint32_t end; /* UINT32_MAX: not sealed */
    bool complete;
};

struct tool {
    const char *path;
    FILE *out;
    FILE *err;
    int dir_fd;
    struct tool_segment *segments;
    size_t segment_count;
    struct map messages;
    bool verbose; /* verify: a line per broken place */
    bool no_memory;
    uint64_t frames;
    uint64_t damaged;
    uint64_t torn;
    char name[DISK_NAME_MAX];
};

/* ---- loading ---- */

static struct tool_segment *tool_segment_find(struct tool *t, uint64_t number)
{
    for (size_t i = 0; i < t->segment_count; i++) {
        if (t->segments[i].number == number) {
            return &t->segments[i];
        }
    }
    return NULL;
}

static void tool_seals(struct tool *t, uint64_t from, struct slice payload)
{
    struct spool_row row;
    struct spool_seal s;
    while (spool_row_next(&payload, &row)) {
        if (row.type != SPOOL_ROW_SEAL || !spool_seal_decode(row.payload, &s) ||
            s.segment >= from) {
            continue;
        }
        struct tool_segment *g = tool_segment_find(t, s.segment);
        if (g && s.offset < g->end) {
            g->end = s.offset;
            g->complete = s.complete;
        }
    }
}

/* 0, -ENOENT when it is gone meanwhile, another negative errno. */
static int tool_load(struct tool *t, uint64_t number, struct spool_file *file)
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

static int tool_open(struct tool *t, const char *path, FILE *out, FILE *err)
{
    *t = (struct tool){.path = path, .out = out, .err = err};
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
        t->segments[i] = (struct tool_segment){.number = numbers[i], .end = UINT32_MAX};
    }
    free(numbers);
    return TOOL_OK;
}

static void tool_close(struct tool *t)
{
    size_t bucket = 0;
    struct map_node *n = map_next(&t->messages, &bucket, NULL);
    while (n) {
        struct map_node *after = map_next(&t->messages, &bucket, n);
        struct tool_message *m = container_of(n, struct tool_message, node);
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
    return container_of(node, struct tool_message, node)->id == *(const uint64_t *)key;
}

static struct tool_message *tool_message_find(struct tool *t, uint64_t id)
{
    struct map_node *n = map_find(&t->messages, map_hash_u64(&t->messages, id), tool_message_equal,
                                  &id);
    return n ? container_of(n, struct tool_message, node) : NULL;
}

static bool tool_row_message(struct tool *t, struct slice payload, struct spool_ref ref)
{
    struct spool_message_view v;
    if (!spool_message_decode(payload, &v)) {
        return false;
    }
    struct tool_message *m = tool_message_find(t, v.id);
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
        *m = (struct tool_message){.id = v.id,
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

static bool tool_row_result(struct tool *t, struct slice payload)
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
    struct tool_message *m = tool_message_find(t, r.id);
    if (m && r.rcpt < m->rcpt_count && m->states[r.rcpt] == SPOOL_RCPT_QUEUED) {
        m->states[r.rcpt] = states[r.kind];
    }
    return true;
}

static bool tool_row(struct tool *t, const struct spool_row *row, struct spool_ref ref)
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
    struct tool *t = ctx;
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
    struct tool *t = ctx;
    bool torn = kind == SPOOL_DAMAGE_TORN;
    t->torn += torn ? 1 : 0;
    t->damaged += torn ? 0 : 1;
    if (t->verbose) {
        fprintf(t->out, "%s: offset %" PRIu32 ": %" PRIu32 " bytes %s\n", t->name, offset, bytes,
                torn ? "torn (never acknowledged)" : "damaged");
    }
}

/* ---- passes ---- */

static void tool_segment_seals(struct tool *t, const struct tool_segment *g)
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

static void tool_segment_scan(struct tool *t, const struct tool_segment *g)
{
    struct spool_file file;
    int r = tool_load(t, g->number, &file);
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

static int tool_scan(struct tool *t)
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

/* ---- ls ---- */

static uint32_t tool_queued(const struct tool_message *m)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < m->rcpt_count; i++) {
        n += m->states[i] == SPOOL_RCPT_QUEUED ? 1 : 0;
    }
    return n;
}

static int tool_message_order(const void *a, const void *b)
{
    const struct tool_message *x = *(struct tool_message *const *)a;
    const struct tool_message *y = *(struct tool_message *const *)b;
    return (x->id > y->id) - (x->id < y->id);
}

/* Addresses come from strangers: nothing of them reaches the terminal as a control character. */
static void tool_add_text(struct buf *b, struct slice s, bool json)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c >= ' ' && c < 0x7f && c != '"' && c != '\\') {
            buf_add_byte(b, (char)c);
        } else {
            buf_addf(b, json ? "\\u%04x" : "\\x%02x", c);
        }
    }
}

static void tool_print(const struct tool *t, const struct tool_message *m, bool json, bool first)
{
    struct buf b;
    char id[ID_TEXT_BYTES + 1];
    buf_init(&b, 64 * 1024);
    (void)id_text(m->id, id);
    struct slice sender = slice_of(m->sender, m->sender_len);
    if (json) {
        buf_addf(&b, "%s\n  {\"id\": \"%s\", \"arrival\": \"", first ? "" : ",", id);
        clock_add_rfc3339(&b, m->arrival_us);
        buf_addf(&b,
                 "\", \"bytes\": %" PRIu64 ", \"recipients\": %" PRIu32 ", \"queued\": %" PRIu32
                 ", \"sender\": \"",
                 m->body_bytes, m->rcpt_count, tool_queued(m));
        tool_add_text(&b, sender, true);
        buf_add(&b, SLICE("\"}"));
    } else {
        buf_addf(&b, "%s  ", id);
        clock_add_rfc3339(&b, m->arrival_us);
        buf_addf(&b, "  %10" PRIu64 "  %" PRIu32 "/%" PRIu32 "  <", m->body_bytes, tool_queued(m),
                 m->rcpt_count);
        tool_add_text(&b, sender, false);
        buf_add(&b, SLICE(">\n"));
    }
    fwrite(b.ptr, 1, b.len, t->out);
    buf_deinit(&b);
}

static void tool_list(struct tool *t, bool json)
{
    struct tool_message **all = calloc(t->messages.count + 1, sizeof(*all));
    size_t count = 0;
    size_t bucket = 0;
    struct map_node *n = NULL;
    while (all && (n = map_next(&t->messages, &bucket, n))) {
        struct tool_message *m = container_of(n, struct tool_message, node);
        if (tool_queued(m) > 0) {
            all[count++] = m;
        }
    }
    t->no_memory = !all;
    if (count) {
        qsort(all, count, sizeof(struct tool_message *), tool_message_order);
    }
    fputs(json ? "[" : "", t->out);
    for (size_t i = 0; i < count; i++) {
        tool_print(t, all[i], json, i == 0);
    }
    fputs(json ? "\n]\n" : "", t->out);
    free(all);
}

int spool_tool_ls(const char *path, bool json, FILE *out, FILE *err)
{
    struct tool t;
    int status = tool_open(&t, path, out, err);
    if (status == TOOL_OK) {
        status = tool_scan(&t);
        if (status != TOOL_UNREADABLE) {
            tool_list(&t, json);
        }
    }
    tool_close(&t);
    return status;
}

/* ---- verify ---- */

int spool_tool_verify(const char *path, FILE *out, FILE *err)
{
    struct tool t;
    int status = tool_open(&t, path, out, err);
    if (status == TOOL_OK) {
        t.verbose = true;
        status = tool_scan(&t);
        uint64_t *bad = NULL;
        size_t bad_count = 0;
        if (spool_dir_numbers(t.dir_fd, SPOOL_NAME_BAD, &bad, &bad_count) == 0 && bad_count) {
            fprintf(out, "%zu segments were set aside as bad-*.log\n", bad_count);
            status = status == TOOL_OK ? TOOL_DAMAGE : status;
        }
        free(bad);
        fprintf(out, "%zu segments, %" PRIu64 " frames, %" PRIu64 " damaged, %" PRIu64 " torn\n",
                t.segment_count, t.frames, t.damaged, t.torn);
    }
    tool_close(&t);
    return status;
}

/* ---- cat ---- */

/* Writes the content that the frame at ref holds for this message. */
static bool tool_cat_frame(struct tool *t, struct spool_ref ref, uint64_t id, struct slice *frame,
                           struct spool_file *file)
{
    if (tool_load(t, ref.segment, file) < 0) {
        return false;
    }
    struct spool_place place = {.fd = -1,
                                .offset = ref.offset,
                                .bytes = ref.bytes,
                                .salt = file->header.salt};
    struct slice all = slice_of(file->bytes, file->len);
    return file->header_ok && ref.offset < all.len &&
           spool_frame_body(&place, ref, slice_skip(all, ref.offset), id, frame);
}

static bool tool_cat_piece(struct tool *t, struct spool_ref ref, uint64_t id)
{
    struct spool_file file = {0};
    struct slice body;
    bool ok = tool_cat_frame(t, ref, id, &body, &file);
    if (ok) {
        ok = fwrite(body.ptr, 1, body.len, t->out) == body.len;
    }
    spool_file_deinit(&file);
    return ok;
}

/* The fragments first: their places stand in the message's row. */
static bool tool_cat_fragments(struct tool *t, const struct tool_message *m)
{
    struct spool_file file = {0};
    struct spool_frame_header h;
    struct slice payload = {0};
    struct slice fragments = {0};
    bool ok = tool_load(t, m->ref.segment, &file) == 0 && m->ref.offset < file.len &&
              spool_frame_check(slice_skip(slice_of(file.bytes, file.len), m->ref.offset),
                                m->ref.segment, file.header.salt, m->ref.offset, &h,
                                &payload) == SPOOL_FRAME_OK;
    struct spool_row row;
    struct spool_message_view v;
    while (ok && spool_row_next(&payload, &row)) {
        if (row.type == SPOOL_ROW_MESSAGE && spool_message_decode(row.payload, &v) &&
            v.id == m->id) {
            fragments = v.fragments;
        }
    }
    struct spool_fragment_ref f;
    while (ok && spool_message_next_fragment(&fragments, &f)) {
        ok = tool_cat_piece(t, f.ref, m->id);
    }
    spool_file_deinit(&file);
    return ok;
}

int spool_tool_cat(const char *path, uint64_t id, FILE *out, FILE *err)
{
    struct tool t;
    char text[ID_TEXT_BYTES + 1];
    int status = tool_open(&t, path, out, err);
    if (status == TOOL_OK) {
        status = tool_scan(&t);
        const struct tool_message *m = tool_message_find(&t, id);
        if (!m) {
            fprintf(err, "%s: no message %s\n", path, id_text(id, text).ptr);
            status = TOOL_DAMAGE;
        } else if (!tool_cat_fragments(&t, m) || !tool_cat_piece(&t, m->ref, id)) {
            fprintf(err, "%s: message %s is damaged\n", path, id_text(id, text).ptr);
            status = TOOL_DAMAGE;
        } else {
            status = TOOL_OK;
        }
    }
    tool_close(&t);
    return status;
}
