/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * tool_scan - a spool directory as the offline tools see it
 *
 * Purpose:   loads segments and knows the messages in them, for ls, cat and verify (tool.c). Takes no lock
 *            and writes nothing.
 * Owner:     the tool's call: spool_tool_open … spool_tool_close, also after a failure.
 * Thread:    any, one at a time.
 * Errors:    an exit status, with a line on err.
 */
#ifndef RINGPOST_SPOOL_TOOL_SCAN_H
#define RINGPOST_SPOOL_TOOL_SCAN_H

#include "core/base/map.h"
#include "spool/dir.h"
#include "spool/scan.h"

enum spool_tool_exit { TOOL_OK = 0, TOOL_DAMAGE = 1, TOOL_UNREADABLE = 2 };

struct spool_tool_message {
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

struct spool_tool_segment {
    uint64_t number;
    uint32_t end; /* UINT32_MAX: not sealed */
    bool complete;
};

struct spool_tool {
    const char *path;
    FILE *out;
    FILE *err;
    int dir_fd;
    struct spool_tool_segment *segments;
    size_t segment_count;
    struct map messages;
    bool verbose; /* verify: a line per broken place */
    bool no_memory;
    uint64_t frames;
    uint64_t damaged;
    uint64_t torn;
    char name[DISK_NAME_MAX];
};

int spool_tool_open(struct spool_tool *t, const char *path, FILE *out, FILE *err);
void spool_tool_close(struct spool_tool *t);
/* Reads everything. */
int spool_tool_scan(struct spool_tool *t);
/* NULL: no such message. */
struct spool_tool_message *spool_tool_find(struct spool_tool *t, uint64_t id);
/* 0, -ENOENT when it is gone meanwhile, another negative errno. */
int spool_tool_load(struct spool_tool *t, uint64_t number, struct spool_file *file);

#endif
