/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 *   LINE_START ──name byte──► NAME ──":"──► VALUE ──LF──► LINE_START
 *       │ WSP (after a field) ──────────────────┘ ▲
 *       │ CR ──► BLANK ──LF──► end                │
 *       └ else: end at this line's start     NAME ─WSP─► NAME_WSP ──":"
 */
#include "proto/smtp/headscan.h"

enum { LINE_START, NAME, NAME_WSP, VALUE, BLANK };
enum { NAME_OTHER = 255, RECEIVED_LEN = 8 };

static void end_at(struct smtp_headscan *h, uint64_t offset)
{
    h->ended = true;
    h->end = offset;
}

/* RFC 5322 2.2: printable ASCII without colon. */
static bool is_name_byte(char c)
{
    return c > 0x20 && c < 0x7F && c != ':';
}

static void match_received(struct smtp_headscan *h, char c)
{
    static const char received[] = "received";
    if (h->name_match < RECEIVED_LEN && ascii_lower(c) == received[h->name_match]) {
        h->name_match++;
    } else {
        h->name_match = NAME_OTHER;
    }
}

static void line_start(struct smtp_headscan *h, char c)
{
    h->line_start = h->offset;
    if (is_name_byte(c)) {
        h->state = NAME;
        h->name_match = 0;
        match_received(h, c);
    } else if ((c == ' ' || c == '\t') && h->fields) {
        h->state = VALUE;
    } else if (c == '\r') {
        h->state = BLANK;
    } else {
        end_at(h, h->line_start);
    }
}

static void in_name(struct smtp_headscan *h, char c)
{
    if (c == ':') {
        h->fields++;
        h->hops += h->name_match == RECEIVED_LEN;
        h->state = VALUE;
    } else if (h->state == NAME && is_name_byte(c)) {
        match_received(h, c);
    } else if (c == ' ' || c == '\t') {
        h->state = NAME_WSP;
    } else {
        end_at(h, h->line_start);
    }
}

/* Takes field text up to the line's end; returns the bytes used. */
static size_t in_value(struct smtp_headscan *h, struct slice text)
{
    const char *lf = memchr(text.ptr, '\n', text.len);
    size_t used = lf ? (size_t)(lf - text.ptr) + 1 : text.len;
    unsigned char all = 0;
    for (size_t i = 0; i < used; i++) {
        all |= (unsigned char)text.ptr[i];
    }
    h->has_8bit = h->has_8bit || all >= 0x80;
    h->state = lf ? LINE_START : VALUE;
    return used;
}

void smtp_headscan_feed(struct smtp_headscan *h, struct slice text)
{
    while (text.len && !h->ended) {
        size_t used = 1;
        switch (h->state) {
        case LINE_START:
            line_start(h, text.ptr[0]);
            break;
        case NAME:
        case NAME_WSP:
            in_name(h, text.ptr[0]);
            break;
        case VALUE:
            used = in_value(h, text);
            break;
        case BLANK:
            end_at(h, text.ptr[0] == '\n' ? h->offset + 1 : h->line_start);
            break;
        }
        h->offset += used;
        text = slice_skip(text, used);
    }
}

uint64_t smtp_headscan_bytes(const struct smtp_headscan *h)
{
    if (h->ended) {
        return h->end;
    }
    return h->state == NAME || h->state == NAME_WSP ? h->line_start : h->offset;
}

void smtp_headscan_finish(struct smtp_headscan *h)
{
    if (!h->ended) {
        end_at(h, smtp_headscan_bytes(h));
    }
}
