/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The verbs without message text. The table (verbs.c) has checked feature, argument and state.
 */
#include "proto/smtp/server_tx.h"

#include "core/base/clock.h"

#include <stdlib.h>

/* ---- EHLO keywords: one row each ---- */

struct keyword {
    uint32_t feature;
    struct slice word;
    void (*add_args)(const struct smtp_server *s, struct buf *out);
};

static void add_size(const struct smtp_server *s, struct buf *out)
{
    /* RFC 1870 4: 0 means no fixed limit. */
    buf_add_byte(out, ' ');
    buf_add_u64(out, s->config->size_max);
}

static void add_limits(const struct smtp_server *s, struct buf *out)
{
    buf_add(out, SLICE(" RCPTMAX="));
    buf_add_u64(out, s->config->recipients_max);
}

static void add_mechanisms(const struct smtp_server *s, struct buf *out)
{
    smtp_auth_add_names(out, s->config->auth_mechanisms, SLICE(" "));
}

static void add_mechanisms_equals(const struct smtp_server *s, struct buf *out)
{
    smtp_auth_add_names(out, s->config->auth_mechanisms, SLICE("="));
}

/* RFC 4865 3: the longest time, and the date it ends at when it begins now. */
static void add_future_release(const struct smtp_server *s, struct buf *out)
{
    uint64_t until_s = (uint64_t)s->now_s + s->config->future_release_s;
    buf_add_byte(out, ' ');
    buf_add_u64(out, s->config->future_release_s);
    buf_add_byte(out, ' ');
    size_t at = out->len;
    clock_add_rfc3339(out, until_s * 1000000);
    /* Without the fraction: "2026-11-21T11:25:00" and the Z. */
    enum { SECONDS_BYTES = 19 };
    if (!out->overflow && out->len > at + SECONDS_BYTES) {
        out->len = at + SECONDS_BYTES;
        buf_add_byte(out, 'Z');
    }
}

static void add_deliver_by(const struct smtp_server *s, struct buf *out)
{
    buf_add_byte(out, ' ');
    buf_add_u64(out, s->config->deliver_by_s);
}

static const struct keyword keywords[] = {
    {SMTP_FEATURE_PIPELINING, SLICE_INIT("PIPELINING"), NULL},
    {SMTP_FEATURE_SIZE, SLICE_INIT("SIZE"), add_size},
    {SMTP_FEATURE_8BITMIME, SLICE_INIT("8BITMIME"), NULL},
    {SMTP_FEATURE_SMTPUTF8, SLICE_INIT("SMTPUTF8"), NULL},
    {SMTP_FEATURE_ENHANCED, SLICE_INIT("ENHANCEDSTATUSCODES"), NULL},
    {SMTP_FEATURE_CHUNKING, SLICE_INIT("CHUNKING"), NULL},
    {SMTP_FEATURE_DSN, SLICE_INIT("DSN"), NULL},
    {SMTP_FEATURE_LIMITS, SLICE_INIT("LIMITS"), add_limits},
    {SMTP_FEATURE_FUTURERELEASE, SLICE_INIT("FUTURERELEASE"), add_future_release},
    {SMTP_FEATURE_DELIVERBY, SLICE_INIT("DELIVERBY"), add_deliver_by},
    {SMTP_FEATURE_STARTTLS, SLICE_INIT("STARTTLS"), NULL},
    {SMTP_FEATURE_AUTH, SLICE_INIT("AUTH"), add_mechanisms},
    {SMTP_FEATURE_AUTH_EQUALS, SLICE_INIT("AUTH"), add_mechanisms_equals},
    {SMTP_FEATURE_HELP, SLICE_INIT("HELP"), NULL},
};

static void add_keywords(const struct smtp_server *s, struct buf *out)
{
    uint32_t features = smtp_server_features(s);
    size_t left = 0;
    for (size_t i = 0; i < ARRAY_COUNT(keywords); i++) {
        left += (features & keywords[i].feature) != 0;
    }
    smtp_reply_add_plain(out, 250, left == 0, s->config->hostname);
    for (size_t i = 0; i < ARRAY_COUNT(keywords); i++) {
        if (features & keywords[i].feature) {
            left--;
            buf_add(out, left ? SLICE("250-") : SLICE("250 "));
            buf_add(out, keywords[i].word);
            if (keywords[i].add_args) {
                keywords[i].add_args(s, out);
            }
            buf_add(out, SLICE("\r\n"));
        }
    }
}

/* False: answered. A refused HELO changes nothing (RFC 5321 4.1.4). */
static bool take_helo(struct smtp_server *s, struct slice name, bool esmtp, struct buf *out)
{
    if (!smtp_helo_valid(name)) {
        SMTP_SAY(s, out, 501, "5.5.4", "Invalid host name");
        return false;
    }
    smtp_server_tx_reset(s);
    buf_clear(&s->helo);
    buf_add(&s->helo, name);
    if (s->helo.overflow) {
        SMTP_SAY(s, out, 421, "4.3.0", "Out of memory, closing");
        return false;
    }
    s->esmtp = esmtp;
    smtp_server_set_state(s, SMTP_STATE_READY);
    return true;
}

void smtp_server_run_ehlo(struct smtp_server *s, struct slice arg, struct buf *out)
{
    if (take_helo(s, arg, true, out)) {
        add_keywords(s, out);
    }
}

void smtp_server_run_helo(struct smtp_server *s, struct slice arg, struct buf *out)
{
    if (take_helo(s, arg, false, out)) {
        smtp_reply_add_plain(out, 250, true, s->config->hostname);
    }
}

/* ---- MAIL and RCPT ---- */

/* Skips "FROM:" or "TO:". A space behind the colon is wrong but common: let through. */
static bool skip_keyword(struct slice *arg, struct slice keyword)
{
    if (!slice_starts_nocase(*arg, keyword)) {
        return false;
    }
    *arg = slice_skip(*arg, keyword.len);
    while (arg->len && arg->ptr[0] == ' ') {
        *arg = slice_skip(*arg, 1);
    }
    return true;
}

static bool params_begin(struct slice rest)
{
    return rest.len == 0 || rest.ptr[0] == ' ';
}

/* Is SMTPUTF8 among the words? For choosing the reply to a path that could not be parsed. */
static bool names_smtputf8(struct slice arg)
{
    while (arg.len) {
        if (slice_eq_nocase(slice_cut(&arg, ' '), SLICE("SMTPUTF8"))) {
            return true;
        }
    }
    return false;
}

static void say_need_utf8(struct smtp_server *s, struct buf *out)
{
    SMTP_SAY(s, out, 553, "5.6.7", "8-bit address needs SMTPUTF8");
}

static void say_bad_path(struct smtp_server *s, struct buf *out, enum smtp_path_result result,
                         bool utf8_mode, bool sender)
{
    if (result == SMTP_PATH_BAD_UTF8 && utf8_mode) {
        SMTP_SAY(s, out, 500, "5.5.2", "Address is not valid UTF-8");
    } else if (result == SMTP_PATH_BAD_UTF8) {
        say_need_utf8(s, out);
    } else if (sender) {
        SMTP_SAY(s, out, 501, "5.1.7", "Bad sender address syntax");
    } else {
        SMTP_SAY(s, out, 501, "5.1.3", "Bad recipient address syntax");
    }
}

static void say_bad_params(struct smtp_server *s, struct buf *out, enum smtp_param_result result)
{
    switch (result) {
    case SMTP_PARAM_UNKNOWN:
        SMTP_SAY(s, out, 555, "5.5.4", "Unsupported parameter");
        return;
    case SMTP_PARAM_NOT_UTF8MODE:
        say_need_utf8(s, out);
        return;
    case SMTP_PARAM_BAD:
    case SMTP_PARAM_OK:
        break;
    }
    SMTP_SAY(s, out, 501, "5.5.4", "Bad or duplicate parameter");
}

/* By our clock. hold: 0: at once; by: 0: none. */
struct mail_times {
    uint64_t hold_until_s;
    uint64_t by_until_s;
};

/* False: answered. */
static bool take_times(struct smtp_server *s, struct buf *out, const struct smtp_mail_params *p,
                       struct mail_times *times)
{
    const struct smtp_server_config *c = s->config;
    uint64_t now = s->now_s;
    *times = (struct mail_times){0};
    if (p->hold) {
        times->hold_until_s = p->hold_until_s ? p->hold_until_s : now + p->hold_for_s;
    }
    if (times->hold_until_s > now + c->future_release_s) {
        SMTP_SAY(s, out, 501, "5.5.4", "Mail is not held for so long");
        return false;
    }
    if (p->by == SMTP_BY_RETURN && (uint32_t)p->by_s < c->deliver_by_s) {
        SMTP_SAY(s, out, 555, "5.5.4", "The time to deliver by is too short");
        return false;
    }
    if (p->by != SMTP_BY_NONE) {
        int64_t until = (int64_t)now + p->by_s;
        times->by_until_s = until > 1 ? (uint64_t)until : 1;
    }
    /* RFC 4865 6 */
    if (times->by_until_s && times->hold_until_s > now &&
        times->by_until_s <= times->hold_until_s) {
        SMTP_SAY(s, out, 501, "5.5.4", "Mail is held longer than the time to deliver by");
        return false;
    }
    return true;
}

/* Opens the transaction; false when there is no memory for it. */
static bool open_tx(struct smtp_server *s, const struct smtp_path *path,
                    const struct smtp_mail_params *params, const struct mail_times *times)
{
    must(s->tx == NULL);
    s->tx = calloc(1, sizeof(*s->tx));
    if (!s->tx) {
        return false;
    }
    s->tx->smtputf8 = params->smtputf8;
    smtp_envelope_init(&s->tx->envelope);
    if (!smtp_envelope_set_sender(&s->tx->envelope, path, params)) {
        smtp_server_tx_reset(s);
        return false;
    }
    smtp_envelope_set_times(&s->tx->envelope, times->hold_until_s, times->by_until_s);
    return true;
}

void smtp_server_run_mail(struct smtp_server *s, struct slice arg, struct buf *out)
{
    struct smtp_path path;
    struct smtp_mail_params params;
    struct mail_times times;
    bool utf8_mode = (s->config->features & SMTP_FEATURE_SMTPUTF8) && names_smtputf8(arg);
    if (s->config->auth_required && !s->authenticated && !(s->flags & SMTP_SESSION_TRUSTED)) {
        SMTP_SAY(s, out, 530, "5.7.0", "Authentication required");
        return;
    }
    if (!skip_keyword(&arg, SLICE("FROM:"))) {
        SMTP_SAY(s, out, 501, "5.5.4", "Syntax: MAIL FROM:<address> [parameters]");
        return;
    }
    enum smtp_path_result result = smtp_path_parse(&arg, SMTP_PATH_REVERSE, &path);
    if (result != SMTP_PATH_OK || !params_begin(arg)) {
        say_bad_path(s, out, result, utf8_mode, true);
        return;
    }
    enum smtp_param_result parsed = smtp_mail_params_parse(arg, s->config->features, &params);
    if (parsed != SMTP_PARAM_OK) {
        say_bad_params(s, out, parsed);
    } else if (path.has_8bit && !params.smtputf8) {
        say_need_utf8(s, out);
    } else if (s->config->size_max && params.size > s->config->size_max) {
        SMTP_SAY(s, out, 552, "5.3.4", "Message exceeds the size limit");
    } else if (!take_times(s, out, &params, &times)) {
        return;
    } else if (!open_tx(s, &path, &params, &times)) {
        SMTP_SAY(s, out, 451, "4.3.0", "Out of memory, try again later");
    } else {
        smtp_server_set_state(s, SMTP_STATE_CHECK_MAIL);
    }
}

void smtp_server_run_rcpt(struct smtp_server *s, struct slice arg, struct buf *out)
{
    struct smtp_path path;
    struct smtp_rcpt_params params;
    struct smtp_envelope *e = &s->tx->envelope;
    bool utf8_mode = s->tx->smtputf8;
    if (!skip_keyword(&arg, SLICE("TO:"))) {
        SMTP_SAY(s, out, 501, "5.5.4", "Syntax: RCPT TO:<address> [parameters]");
        return;
    }
    enum smtp_path_result result = smtp_path_parse(&arg, SMTP_PATH_FORWARD, &path);
    if (result != SMTP_PATH_OK || !params_begin(arg)) {
        say_bad_path(s, out, result, utf8_mode, false);
        return;
    }
    enum smtp_param_result parsed = smtp_rcpt_params_parse(arg, s->config->features, utf8_mode,
                                                           &params);
    if (parsed != SMTP_PARAM_OK) {
        say_bad_params(s, out, parsed);
    } else if (path.has_8bit && !utf8_mode) {
        say_need_utf8(s, out);
    } else if (e->rcpt_count >= s->config->recipients_max) {
        SMTP_SAY(s, out, 452, "4.5.3", "Too many recipients");
    } else if (!smtp_envelope_push_rcpt(e, &path, &params)) {
        /* No room in the envelope: the others can come in another transaction (RFC 5321 4.5.3.1.10). */
        SMTP_SAY(s, out, 452, "4.5.3", "Too many recipients");
    } else {
        smtp_server_set_state(s, SMTP_STATE_CHECK_RCPT);
    }
}

/* ---- the rest ---- */

void smtp_server_run_rset(struct smtp_server *s, struct slice arg, struct buf *out)
{
    must(arg.len == 0);
    smtp_server_tx_end(s);
    SMTP_SAY(s, out, 250, "2.0.0", "Ok");
}

void smtp_server_run_noop(struct smtp_server *s, struct slice arg, struct buf *out)
{
    (void)arg;
    SMTP_SAY(s, out, 250, "2.0.0", "Ok");
}

void smtp_server_run_vrfy(struct smtp_server *s, struct slice arg, struct buf *out)
{
    (void)arg; /* RFC 5321 3.5.3: never tell who exists */
    SMTP_SAY(s, out, 252, "2.0.0", "Cannot verify, send mail and see");
}

void smtp_server_run_expn(struct smtp_server *s, struct slice arg, struct buf *out)
{
    (void)arg;
    SMTP_SAY(s, out, 502, "5.5.1", "EXPN is not available");
}

void smtp_server_run_help(struct smtp_server *s, struct slice arg, struct buf *out)
{
    (void)arg;
    buf_add(out, SLICE("214 2.0.0 Commands:"));
    for (size_t i = 0; smtp_verb_at(i); i++) {
        const struct smtp_verb *verb = smtp_verb_at(i);
        if (!verb->feature || (smtp_server_features(s) & verb->feature)) {
            buf_add_byte(out, ' ');
            buf_add(out, verb->name);
        }
    }
    buf_add(out, SLICE("\r\n"));
}

void smtp_server_run_quit(struct smtp_server *s, struct slice arg, struct buf *out)
{
    (void)arg;
    struct smtp_verdict bye = {221, true, SLICE("2.0.0"), SLICE("Bye")};
    smtp_server_reply(s, out, &bye);
}
