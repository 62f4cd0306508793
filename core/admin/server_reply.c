/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/admin/server_private.h"

static struct admin_client *admin_client_of(const struct admin_server *s, uint32_t token)
{
    for (uint32_t slot = 0; token && slot < s->clients.made; slot++) {
        struct handle h;
        struct admin_client *c = pool_at(&s->clients, slot, &h);
        if (c && c->token == token) {
            must(c->state == ADMIN_WAITING);
            return c;
        }
    }
    return NULL;
}

/* Lines that do not count: the totals of top. */
static uint32_t admin_head_lines(const struct admin_client *c)
{
    return c->request.verb == ADMIN_TOP ? 1 : 0;
}

bool admin_reply(struct admin_server *s, uint32_t token, struct slice json)
{
    struct admin_client *c = admin_client_of(s, token);
    must(json.len > 0 && slice_find_byte(json, '\n') < 0);
    if (!c) {
        return false;
    }
    uint32_t limit = c->request.limit ? c->request.limit + admin_head_lines(c) : 0;
    if (limit && c->lines == limit) {
        c->truncated = true;
        return false;
    }
    size_t room = ADMIN_REPLY_BYTES_MAX - ADMIN_LAST_LINE_BYTES;
    if (json.len >= room || c->out.len + json.len + 1 > room ||
        !buf_reserve(&c->out, json.len + 1)) {
        c->out.overflow = false;
        admin_client_fail(c, ADMIN_OVERFLOW, SLICE("the answer is too large, ask for less"));
        return false;
    }
    buf_add(&c->out, json);
    buf_add_byte(&c->out, '\n');
    c->lines++;
    admin_client_pump(c);
    return true;
}

/* There is room for a line, and nothing that was lost before is untold. */
static bool admin_stream_takes(struct admin_client *c, size_t bytes)
{
    enum { LOST_BYTES = 64 };
    if (c->out.len + bytes + LOST_BYTES > ADMIN_STREAM_BYTES ||
        !buf_reserve(&c->out, bytes + LOST_BYTES)) {
        return false;
    }
    if (c->lost) {
        buf_addf(&c->out, "{\"lost\":%llu}\n", (unsigned long long)c->lost);
        c->lost = 0;
    }
    return true;
}

bool admin_reply_stream(struct admin_server *s, uint32_t token, struct slice json)
{
    struct admin_client *c = admin_client_of(s, token);
    must(json.len > 0 && slice_find_byte(json, '\n') < 0);
    if (!c) {
        return false;
    }
    must(c->streams);
    if (!admin_stream_takes(c, json.len + 1)) {
        c->lost++;
        s->counters.lost++;
        return true;
    }
    buf_add(&c->out, json);
    buf_add_byte(&c->out, '\n');
    c->lines++;
    admin_client_pump(c);
    return true;
}

void admin_reply_fail(struct admin_server *s, uint32_t token, enum admin_error error,
                      struct slice text)
{
    struct admin_client *c = admin_client_of(s, token);
    if (c) {
        admin_client_fail(c, error, text);
    }
}

void admin_reply_end(struct admin_server *s, uint32_t token)
{
    struct admin_client *c = admin_client_of(s, token);
    if (!c) {
        return;
    }
    if (c->request.verb == ADMIN_QUEUE_SHOW && c->lines == 0) {
        admin_client_fail(c, ADMIN_NOT_FOUND, SLICE("no such message in the queue"));
        return;
    }
    buf_addf(&c->out, "{\"done\":true,\"lines\":%u,\"truncated\":%s}\n", c->lines,
             c->truncated ? "true" : "false");
    admin_client_finish(c);
}

const struct admin_counters *admin_server_counters(const struct admin_server *s)
{
    return &s->counters;
}
