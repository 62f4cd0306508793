/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The offline tools. They take no lock and write nothing, so they may look at a running engine's
 * directory: then a segment may vanish between two looks (skipped) and the last group may be half
 * there (a torn tail).
 */
#include "core/base/id.h"
#include "spool/tool_scan.h"

#include <inttypes.h>
#include <stdlib.h>

/* ---- ls ---- */

static uint32_t tool_queued(const struct spool_tool_message *m)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < m->rcpt_count; i++) {
        n += m->states[i] == SPOOL_RCPT_QUEUED ? 1 : 0;
    }
    return n;
}

static int tool_message_order(const void *a, const void *b)
{
    const struct spool_tool_message *x = *(struct spool_tool_message *const *)a;
    const struct spool_tool_message *y = *(struct spool_tool_message *const *)b;
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

static void tool_print(const struct spool_tool *t, const struct spool_tool_message *m, bool json,
                       bool first)
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

static void tool_list(struct spool_tool *t, bool json)
{
    struct spool_tool_message **all = calloc(t->messages.count + 1, sizeof(*all));
    size_t count = 0;
    size_t bucket = 0;
    struct map_node *n = NULL;
    while (all && (n = map_next(&t->messages, &bucket, n))) {
        struct spool_tool_message *m = container_of(n, struct spool_tool_message, node);
        if (tool_queued(m) > 0) {
            all[count++] = m;
        }
    }
    t->no_memory = !all;
    if (count) {
        qsort(all, count, sizeof(struct spool_tool_message *), tool_message_order);
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
    struct spool_tool t;
    int status = spool_tool_open(&t, path, out, err);
    if (status == TOOL_OK) {
        status = spool_tool_scan(&t);
        if (status != TOOL_UNREADABLE) {
            tool_list(&t, json);
        }
    }
    spool_tool_close(&t);
    return status;
}

/* ---- verify ---- */

int spool_tool_verify(const char *path, FILE *out, FILE *err)
{
    struct spool_tool t;
    int status = spool_tool_open(&t, path, out, err);
    if (status == TOOL_OK) {
        t.verbose = true;
        status = spool_tool_scan(&t);
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
    spool_tool_close(&t);
    return status;
}

/* ---- cat ---- */

/* Writes the content that the frame at ref holds for this message. */
static bool tool_cat_frame(struct spool_tool *t, struct spool_ref ref, uint64_t id,
                           struct slice *frame, struct spool_file *file)
{
    if (spool_tool_load(t, ref.segment, file) < 0) {
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

static bool tool_cat_piece(struct spool_tool *t, struct spool_ref ref, uint64_t id)
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
static bool tool_cat_fragments(struct spool_tool *t, const struct spool_tool_message *m)
{
    struct spool_file file = {0};
    struct spool_frame_header h;
    struct slice payload = {0};
    struct slice fragments = {0};
    bool ok = spool_tool_load(t, m->ref.segment, &file) == 0 && m->ref.offset < file.len &&
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
    struct spool_tool t;
    char text[ID_TEXT_BYTES + 1];
    int status = spool_tool_open(&t, path, out, err);
    if (status == TOOL_OK) {
        status = spool_tool_scan(&t);
        const struct spool_tool_message *m = spool_tool_find(&t, id);
        if (!m && status == TOOL_UNREADABLE) {
            spool_tool_close(&t); /* it was said why */
            return status;
        }
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
    spool_tool_close(&t);
    return status;
}
