/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * FULL is an amount ("too many", "maximum"), then or before it what is counted ("messages"), and behind that
 * within a few words of the same clause "per connection", "in this session" and so on. "Too many
 * connections, mail refused" is something else, and so is "too many messages from your address": those
 * would be heard on a new connection too.
 */
#include "proto/smtp/hint.h"

#include "core/base/must.h"

enum { CLAUSE_BYTES = 40 };

static bool contains(struct slice text, struct slice word)
{
    for (; text.len >= word.len; text = slice_skip(text, 1)) {
        if (slice_starts_nocase(text, word)) {
            return true;
        }
    }
    return false;
}

static bool contains_any(struct slice text, const struct slice *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (contains(text, words[i])) {
            return true;
        }
    }
    return false;
}

/* Up to the end of the clause. */
static struct slice clause(struct slice text)
{
    size_t n = 0;
    while (n < text.len && n < CLAUSE_BYTES && !strchr(",.;:()\n", text.ptr[n])) {
        n++;
    }
    return slice_first(text, n);
}

/* text begins with what is counted: is it counted per connection? */
static bool of_connection(struct slice text)
{
    static const struct slice links[] = {SLICE_INIT(" per "),  SLICE_INIT(" in "),
                                         SLICE_INIT(" on "),   SLICE_INIT(" this "),
                                         SLICE_INIT(" over "), SLICE_INIT(" one "),
                                         SLICE_INIT("/")};
    static const struct slice places[] = {SLICE_INIT("connection"), SLICE_INIT("session"),
                                          SLICE_INIT("channel")};
    struct slice rest = clause(text);
    for (; rest.len > 0; rest = slice_skip(rest, 1)) {
        for (size_t i = 0; i < ARRAY_COUNT(links); i++) {
            if (slice_starts_nocase(rest, links[i]) &&
                contains_any(slice_skip(rest, links[i].len - 1), places, ARRAY_COUNT(places))) {
                return true;
            }
        }
    }
    return false;
}

static bool says_full(struct slice text)
{
    static const struct slice amounts[] = {SLICE_INIT("too many"), SLICE_INIT("enough"),
                                           SLICE_INIT("max"),      SLICE_INIT("limit"),
                                           SLICE_INIT("exceed"),   SLICE_INIT("reached")};
    static const struct slice counted[] = {SLICE_INIT("message"), SLICE_INIT("mail"),
                                           SLICE_INIT("transaction"), SLICE_INIT("deliver")};
    if (!contains_any(text, amounts, ARRAY_COUNT(amounts))) {
        return false;
    }
    for (struct slice rest = text; rest.len > 0; rest = slice_skip(rest, 1)) {
        for (size_t i = 0; i < ARRAY_COUNT(counted); i++) {
            if (slice_starts_nocase(rest, counted[i]) && of_connection(rest)) {
                return true;
            }
        }
    }
    return false;
}

enum smtp_hint smtp_hint_of(uint16_t code, struct slice text)
{
    static const struct slice ahead[] = {SLICE_INIT("pipelin"), SLICE_INIT("synchroni")};
    text = slice_first(text, SMTP_HINT_BYTES);
    if (code < 400) {
        return SMTP_HINT_NONE;
    }
    if (contains_any(text, ahead, ARRAY_COUNT(ahead))) {
        return SMTP_HINT_PIPELINING;
    }
    bool may_be_full = code == 421 || (code >= 450 && code <= 452);
    return may_be_full && says_full(text) ? SMTP_HINT_FULL : SMTP_HINT_NONE;
}
