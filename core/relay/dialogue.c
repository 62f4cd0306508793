/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/relay/dialogue.h"
#include "core/base/must.h"
#include "core/base/secret.h"
#include "core/obs/log.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { DIALOGUE_WINDOW_SHIFT = 20, DIALOGUE_WINDOW_LINES = (1 << 20) - 1 };
must_static(DIALOGUE_LINES_PER_S < 1 << DIALOGUE_WINDOW_SHIFT, "a second's lines fit their bits");

/* ---- dialogues ---- */

struct dialogue *dialogue_new(struct slice target, uint32_t token)
{
    struct dialogue *d = calloc(1, sizeof(*d));
    if (!d || !slice_to_cstr(target, d->target, sizeof(d->target))) {
        free(d);
        return NULL;
    }
    atomic_init(&d->refs, 1);
    d->token = token;
    d->is_net = ip_net_parse_masked(target, &d->net);
    return d;
}

struct dialogue *dialogue_ref(struct dialogue *d)
{
    uint32_t before = atomic_fetch_add_explicit(&d->refs, 1, memory_order_relaxed);
    must(before > 0);
    return d;
}

void dialogue_put(struct dialogue **d)
{
    if (*d && atomic_fetch_sub_explicit(&(*d)->refs, 1, memory_order_acq_rel) == 1) {
        free(*d);
    }
    *d = NULL;
}

void dialogue_taken(struct dialogue *d, size_t bytes)
{
    uint64_t before = atomic_fetch_sub_explicit(&d->waiting, bytes, memory_order_relaxed);
    must(before >= bytes);
}

/* One more line in this second? Workers read their clocks at different moments: who is behind counts in the window
 * that another has begun. */
static bool dialogue_may_say(struct dialogue *d, uint64_t now_ms)
{
    uint64_t old = atomic_load_explicit(&d->window, memory_order_relaxed);
    for (;;) {
        uint64_t begun = old >> DIALOGUE_WINDOW_SHIFT;
        bool same = begun >= now_ms / 1000;
        uint64_t second = same ? begun : now_ms / 1000;
        uint64_t lines = same ? old & DIALOGUE_WINDOW_LINES : 0;
        if (lines >= DIALOGUE_LINES_PER_S ||
            atomic_load_explicit(&d->waiting, memory_order_relaxed) > DIALOGUE_WAITING_BYTES) {
            atomic_fetch_add_explicit(&d->lost, 1, memory_order_relaxed);
            return false;
        }
        uint64_t next = second << DIALOGUE_WINDOW_SHIFT | (lines + 1);
        if (atomic_compare_exchange_weak_explicit(&d->window, &old, next, memory_order_relaxed,
                                                  memory_order_relaxed)) {
            return true;
        }
    }
}

/* ---- taps ---- */

struct dialogue_tap *dialogue_tap_new(struct dialogue *d, uint64_t session, struct buf *out)
{
    uint32_t before = atomic_fetch_add_explicit(&d->sessions, 1, memory_order_relaxed);
    struct dialogue_tap *tap = before < DIALOGUE_SESSIONS_MAX ? calloc(1, sizeof(*tap)) : NULL;
    if (!tap) {
        atomic_fetch_sub_explicit(&d->sessions, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&d->missed, 1, memory_order_relaxed);
        return NULL;
    }
    tap->dialogue = dialogue_ref(d);
    tap->session = session;
    tap->out = out;
    for (size_t i = 0; i < DIALOGUE_SIDES; i++) {
        buf_init(&tap->lines[i].text, DIALOGUE_LINE_BYTES);
    }
    return tap;
}

void dialogue_tap_free(struct dialogue_tap **tap)
{
    struct dialogue_tap *t = *tap;
    *tap = NULL;
    if (!t) {
        return;
    }
    for (size_t i = 0; i < DIALOGUE_SIDES; i++) {
        secret_buf_release(&t->lines[i].text);
    }
    atomic_fetch_sub_explicit(&t->dialogue->sessions, 1, memory_order_relaxed);
    dialogue_put(&t->dialogue);
    free(t);
}

static void tap_tell(struct dialogue_tap *t, const char *side, struct slice text,
                     const struct clock_now *now)
{
    struct dialogue *d = t->dialogue;
    if (!dialogue_may_say(d, now->mono_ms)) {
        return;
    }
    size_t before = t->out->len;
    buf_addf(t->out, "{\"session\":%llu,\"at\":\"", (unsigned long long)t->session);
    clock_add_rfc3339(t->out, now->wall_us);
    buf_addf(t->out, "\",\"side\":\"%s\",\"text\":", side);
    obs_json_string(t->out, text);
    buf_add(t->out, SLICE("}\n"));
    if (t->out->overflow) {
        t->out->overflow = false;
        t->out->len = before;
        atomic_fetch_add_explicit(&d->lost, 1, memory_order_relaxed);
        return;
    }
    atomic_fetch_add_explicit(&d->waiting, t->out->len - before, memory_order_relaxed);
}

static void tap_tell_body(struct dialogue_tap *t, const struct clock_now *now)
{
    char text[48];
    if (t->body_bytes) {
        int n = snprintf(text, sizeof(text), "(%llu bytes)", (unsigned long long)t->body_bytes);
        t->body_bytes = 0;
        tap_tell(t, "C", slice_of(text, (size_t)n), now);
    }
}

/* ---- lines ---- */

/* A client's line without one of these in front may be anything, an answer to AUTH too. */
static bool line_has_verb(struct slice line)
{
    static const struct slice verbs[] = {
        SLICE_INIT("EHLO"), SLICE_INIT("HELO"),     SLICE_INIT("MAIL"), SLICE_INIT("RCPT"),
        SLICE_INIT("DATA"), SLICE_INIT("BDAT"),     SLICE_INIT("RSET"), SLICE_INIT("QUIT"),
        SLICE_INIT("NOOP"), SLICE_INIT("STARTTLS"), SLICE_INIT("VRFY"), SLICE_INIT("EXPN"),
        SLICE_INIT("HELP"), SLICE_INIT("."),
    };
    struct slice rest = line;
    struct slice verb = slice_cut(&rest, ' ');
    for (size_t i = 0; i < ARRAY_COUNT(verbs); i++) {
        if (slice_eq_nocase(verb, verbs[i])) {
            return true;
        }
    }
    return false;
}

/* The word behind AUTH, if it is a mechanism: somebody may have put the password there. */
static struct slice line_mechanism(struct slice word)
{
    static const struct slice names[] = {
        SLICE_INIT("PLAIN"),         SLICE_INIT("LOGIN"),       SLICE_INIT("CRAM-MD5"),
        SLICE_INIT("DIGEST-MD5"),    SLICE_INIT("XOAUTH2"),     SLICE_INIT("OAUTHBEARER"),
        SLICE_INIT("SCRAM-SHA-256"), SLICE_INIT("SCRAM-SHA-1"), SLICE_INIT("EXTERNAL"),
        SLICE_INIT("NTLM"),          SLICE_INIT("GSSAPI"),
    };
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        if (slice_eq_nocase(word, names[i])) {
            return names[i];
        }
    }
    return SLICE("(hidden)");
}

static void tap_client_line(struct dialogue_tap *t, struct slice line, const struct clock_now *now)
{
    struct slice rest = line;
    struct slice verb = slice_cut(&rest, ' ');
    if (t->auth) {
        tap_tell(t, "C", SLICE("(hidden)"), now);
    } else if (slice_eq_nocase(verb, SLICE("AUTH"))) {
        struct slice mechanism = line_mechanism(slice_cut(&rest, ' '));
        char text[64];
        t->auth = true;
        int n = snprintf(text, sizeof(text), "AUTH %.*s%s", SLICE_ARG(mechanism),
                         rest.len ? " (hidden)" : "");
        tap_tell(t, "C", slice_of(text, (size_t)n), now);
    } else {
        tap_tell(t, "C", line_has_verb(line) ? line : SLICE("(no command of SMTP: not shown)"),
                 now);
    }
}

/* What a server says of a login may repeat it; the log has its words. */
static void tap_server_line(struct dialogue_tap *t, struct slice line, const struct clock_now *now)
{
    bool challenge = slice_eq(slice_first(line, 3), SLICE("334"));
    bool last = line.len < 4 || line.ptr[3] != '-';
    bool hides = t->auth || challenge;
    t->auth = challenge || (t->auth && !last);
    if (!hides) {
        tap_tell(t, "S", line, now);
        return;
    }
    char text[32];
    struct slice code = slice_first(line, 3);
    bool plain = true;
    for (size_t i = 0; i < code.len; i++) {
        plain = plain && ascii_is_digit(code.ptr[i]);
    }
    int n = snprintf(text, sizeof(text), "%.*s (hidden)", SLICE_ARG(plain ? code : SLICE("")));
    tap_tell(t, "S", slice_of(text, (size_t)n), now);
}

static void tap_line(struct dialogue_tap *t, enum dialogue_side side, struct slice line,
                     const struct clock_now *now)
{
    if (line.len && line.ptr[line.len - 1] == '\r') {
        line.len--;
    }
    line = slice_first(line, DIALOGUE_LINE_BYTES);
    if (side == DIALOGUE_CLIENT) {
        tap_client_line(t, line, now);
    } else {
        tap_server_line(t, line, now);
    }
}

static void tap_say(struct dialogue_tap *t, enum dialogue_side side, struct slice bytes,
                    const struct clock_now *now)
{
    struct dialogue_line *l = &t->lines[side];
    tap_tell_body(t, now);
    int end;
    while ((end = slice_find_byte(bytes, '\n')) >= 0) {
        struct slice line = slice_first(bytes, (size_t)end);
        bytes = slice_skip(bytes, (size_t)end + 1);
        if (l->text.len || l->cut) {
            secret_buf_add(&l->text, slice_first(line, DIALOGUE_LINE_BYTES - l->text.len));
            line = buf_slice(&l->text);
        }
        tap_line(t, side, line, now);
        secret_buf_clear(&l->text);
        l->cut = false;
    }
    struct slice some = slice_first(bytes, DIALOGUE_LINE_BYTES - l->text.len);
    secret_buf_add(&l->text, some);
    l->cut = l->cut || some.len < bytes.len;
}

void dialogue_say(struct dialogue_tap *taps, enum dialogue_side side, struct slice bytes,
                  const struct clock_now *now)
{
    must(side < DIALOGUE_SIDES);
    for (; taps && bytes.len; taps = taps->next) {
        tap_say(taps, side, bytes, now);
    }
}

void dialogue_body(struct dialogue_tap *taps, uint64_t bytes)
{
    for (; taps; taps = taps->next) {
        taps->body_bytes += bytes;
    }
}

void dialogue_note(struct dialogue_tap *taps, struct slice text, const struct clock_now *now)
{
    for (; taps; taps = taps->next) {
        tap_tell_body(taps, now);
        tap_tell(taps, "*", text, now);
    }
}
