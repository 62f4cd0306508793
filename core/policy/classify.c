/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Rows are tried in order; codes decide most of them, so a reply costs a few dozen comparisons and some ten
 * matches. A provider that refuses says the same thing a thousand times: answers are remembered by a
 * hash of all that rows can see, with a secret seed and the stamp of the rows.
 */
#include "core/policy/classify.h"
#include "core/base/hash.h"

#include <stdlib.h>

static const struct slice names[] = {
    [BOUNCE_UNCLASSIFIED] = SLICE_INIT("unclassified"),
    [BOUNCE_INVALID_RECIPIENT] = SLICE_INIT("invalid-recipient"),
    [BOUNCE_INACTIVE_MAILBOX] = SLICE_INIT("inactive-mailbox"),
    [BOUNCE_MAILBOX_FULL] = SLICE_INIT("mailbox-full"),
    [BOUNCE_MOVED] = SLICE_INIT("moved"),
    [BOUNCE_BAD_DOMAIN] = SLICE_INIT("bad-domain"),
    [BOUNCE_INVALID_SENDER] = SLICE_INIT("invalid-sender"),
    [BOUNCE_MESSAGE_TOO_LARGE] = SLICE_INIT("message-too-large"),
    [BOUNCE_CONTENT] = SLICE_INIT("content"),
    [BOUNCE_SPAM_CONTENT] = SLICE_INIT("spam-content"),
    [BOUNCE_VIRUS] = SLICE_INIT("virus"),
    [BOUNCE_SPAM_BLOCK] = SLICE_INIT("spam-block"),
    [BOUNCE_BLOCKLIST] = SLICE_INIT("blocklist"),
    [BOUNCE_DOMAIN_REPUTATION] = SLICE_INIT("domain-reputation"),
    [BOUNCE_AUTHENTICATION] = SLICE_INIT("authentication"),
    [BOUNCE_REVERSE_DNS] = SLICE_INIT("reverse-dns"),
    [BOUNCE_POLICY] = SLICE_INIT("policy"),
    [BOUNCE_RECIPIENT_POLICY] = SLICE_INIT("recipient-policy"),
    [BOUNCE_RATE_LIMITED] = SLICE_INIT("rate-limited"),
    [BOUNCE_TOO_MANY_CONNECTIONS] = SLICE_INIT("too-many-connections"),
    [BOUNCE_TOO_MANY_MESSAGES] = SLICE_INIT("too-many-messages"),
    [BOUNCE_TOO_MANY_RECIPIENTS] = SLICE_INIT("too-many-recipients"),
    [BOUNCE_GREYLISTED] = SLICE_INIT("greylisted"),
    [BOUNCE_RELAYING_DENIED] = SLICE_INIT("relaying-denied"),
    [BOUNCE_LOGIN] = SLICE_INIT("login"),
    [BOUNCE_TLS] = SLICE_INIT("tls"),
    [BOUNCE_ROUTING] = SLICE_INIT("routing"),
    [BOUNCE_DNS] = SLICE_INIT("dns"),
    [BOUNCE_NO_ANSWER] = SLICE_INIT("no-answer"),
    [BOUNCE_TIMEOUT] = SLICE_INIT("timeout"),
    [BOUNCE_CONNECTION_LOST] = SLICE_INIT("connection-lost"),
    [BOUNCE_PROTOCOL] = SLICE_INIT("protocol"),
    [BOUNCE_SYSTEM] = SLICE_INIT("system"),
    [BOUNCE_TRY_LATER] = SLICE_INIT("try-later"),
    [BOUNCE_EXPIRED] = SLICE_INIT("expired"),
};

must_static(ARRAY_COUNT(names) == BOUNCE_CLASSES, "every class has a name");

struct compiled_row {
    struct reply_match match;
    struct conf_origin at;
    enum bounce_class class;
};

struct classifier {
    struct compiled_row *rows;
    size_t count;
    uint64_t stamp; /* of what the rows say: the same rows give the same answers */
};

struct classify_answer {
    uint64_t hash; /* 0: none */
    struct classify_result result;
};

struct slice bounce_class_name(enum bounce_class class)
{
    must((size_t) class < ARRAY_COUNT(names));
    return names[class];
}

bool bounce_class_find(struct slice name, enum bounce_class *out)
{
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        if (slice_eq_nocase(name, names[i])) {
            *out = (enum bounce_class)i;
            return true;
        }
    }
    return false;
}

/* ---- building ------------------------------------------------------------------------------------- */

static uint64_t row_stamp(const struct classify_row *row, uint64_t stamp)
{
    const struct reply_match_text *m = &row->match;
    stamp = hash_bytes(row->class, stamp);
    stamp = hash_bytes(m->code, stamp);
    stamp = hash_bytes(m->enhanced, stamp);
    stamp = hash_bytes(m->stage, stamp);
    return hash_bytes(m->pattern, stamp);
}

static bool row_add(struct classifier *c, const struct classify_row *row,
                    struct conf_report *report)
{
    struct compiled_row *out = &c->rows[c->count];
    enum bounce_class class = BOUNCE_UNCLASSIFIED;
    if (!bounce_class_find(row->class, &class) || class == BOUNCE_UNCLASSIFIED ||
        class == BOUNCE_EXPIRED) {
        conf_report_error(report, &row->at, SLICE("class"), "\"%.*s\" is none that a reply has",
                          SLICE_ARG(slice_first(row->class, 60)));
        return false;
    }
    if (!reply_match_init(&out->match, &row->match, &row->at, row->class, report)) {
        return false;
    }
    out->class = class;
    out->at = row->at;
    c->stamp = row_stamp(row, c->stamp);
    c->count++;
    return true;
}

static struct classify_result rows_ask(const struct classifier *c, size_t first, size_t end,
                                       struct pattern_matcher *matcher,
                                       const struct reply_seen *seen)
{
    for (size_t i = first; i < end; i++) {
        if (reply_match_test(&c->rows[i].match, matcher, seen)) {
            return (struct classify_result){c->rows[i].class, (uint32_t)i};
        }
    }
    return (struct classify_result){BOUNCE_UNCLASSIFIED, CLASSIFY_NO_ROW};
}

struct sample_check {
    const struct classifier *c;
    size_t first; /* of the table */
    struct pattern_matcher matcher;
    struct conf_report *report;
};

static bool sample_check(struct sample_check *k, size_t index, const struct classify_row *row,
                         const struct outcome *o)
{
    const struct compiled_row *own = &k->c->rows[index];
    const struct reply_seen seen = {o, o->text};
    if (!reply_match_test(&own->match, &k->matcher, &seen)) {
        conf_report_error(k->report, &row->at, row->class,
                          "does not match its own sample, which is normalised: %u %.*s", o->code,
                          SLICE_ARG(o->text));
        return false;
    }
    struct classify_result got = rows_ask(k->c, k->first, index + 1, &k->matcher, &seen);
    if (got.row != index) {
        const struct conf_origin *other = &k->c->rows[got.row].at;
        conf_report_error(k->report, &row->at, row->class,
                          "can never apply to its sample \"%u %.*s\": the row at %.*s:%u (%.*s) "
                          "stands before it and takes it",
                          o->code, SLICE_ARG(o->text), SLICE_ARG(other->name), other->line,
                          SLICE_ARG(bounce_class_name(got.class)));
        return false;
    }
    return true;
}

static bool row_check(struct sample_check *k, size_t index, const struct classify_row *row)
{
    struct slice samples = row->match.sample;
    struct outcome o;
    char text[REPLY_TEXT_BYTES];
    bool valid = false;
    bool good = true;
    size_t n = 0;
    while (reply_match_next_sample(&k->c->rows[index].match, &samples, &valid, &o, text)) {
        n++;
        if (!valid) {
            conf_report_error(k->report, &row->at, row->class,
                              "a sample must be a reply that refuses: \"550 5.1.1 No such user\"");
            good = false;
        } else {
            good = sample_check(k, index, row, &o) && good;
        }
    }
    if (n == 0) {
        conf_report_error(k->report, &row->at, row->class, "needs a sample reply that it matches");
    }
    return good && n > 0;
}

static bool table_add(struct classifier *c, const struct classify_rows *rows,
                      struct conf_report *report)
{
    struct sample_check k = {.c = c, .first = c->count, .report = report};
    bool good = true;
    for (size_t i = 0; i < rows->count; i++) {
        good = row_add(c, &rows->items[i], report) && good;
    }
    if (!good) {
        return false; /* places would not fit the rows */
    }
    if (!pattern_matcher_open(&k.matcher)) {
        conf_report_error(report, &(struct conf_origin){.kind = CONF_FROM_DEFAULT}, SLICE(""),
                          "out of memory");
        return false;
    }
    for (size_t i = 0; i < rows->count; i++) {
        good = row_check(&k, k.first + i, &rows->items[i]) && good;
    }
    pattern_matcher_close(&k.matcher);
    return good;
}

struct classifier *classifier_new(const struct classify_rows *extra, bool builtin,
                                  struct conf_report *report)
{
    const struct classify_rows none = {NULL, 0};
    const struct conf_origin nowhere = {.kind = CONF_FROM_DEFAULT};
    struct classify_rows own = builtin ? classify_builtin() : none;
    struct classify_rows first = extra ? *extra : none;
    if (first.count + own.count > CLASSIFY_ROWS_MAX) {
        conf_report_error(report, &first.items[first.count - 1].at, SLICE("class"),
                          "at most %d rows", CLASSIFY_ROWS_MAX);
        return NULL;
    }
    struct classifier *c = calloc(1, sizeof(*c));
    if (c) {
        c->rows = calloc(first.count + own.count + 1, sizeof(*c->rows));
    }
    if (!c || !c->rows) {
        conf_report_error(report, &nowhere, SLICE("class"), "out of memory");
        classifier_free(c);
        return NULL;
    }
    bool good = table_add(c, &first, report);
    if (!(table_add(c, &own, report) && good)) {
        classifier_free(c);
        return NULL;
    }
    return c;
}

void classifier_free(struct classifier *c)
{
    if (!c) {
        return;
    }
    for (size_t i = 0; i < c->count; i++) {
        reply_match_deinit(&c->rows[i].match);
    }
    free(c->rows);
    free(c);
}

struct conf_origin classify_row_origin(const struct classifier *c, uint32_t row)
{
    must(row < c->count);
    return c->rows[row].at;
}

/* ---- asking ---------------------------------------------------------------------------------------- */

bool classify_scratch_open(struct classify_scratch *s, uint64_t seed)
{
    *s = (struct classify_scratch){.seed = seed};
    s->cache = calloc(CLASSIFY_CACHE, sizeof(*s->cache));
    if (!s->cache || !pattern_matcher_open(&s->matcher)) {
        free(s->cache);
        s->cache = NULL;
        return false;
    }
    return true;
}

void classify_scratch_close(struct classify_scratch *s)
{
    pattern_matcher_close(&s->matcher);
    free(s->cache);
    s->cache = NULL;
}

static bool has(struct slice text, const char *words)
{
    struct slice w = slice_str(words);
    return text.len >= w.len && memmem(text.ptr, text.len, w.ptr, w.len) != NULL;
}

static enum bounce_class class_of_route(const struct enhanced *e)
{
    if (e->subject == 1 || (e->subject == 4 && e->detail == 4)) {
        return BOUNCE_BAD_DOMAIN;
    }
    if (e->subject == 4 && e->detail == 3) {
        return BOUNCE_DNS;
    }
    return e->subject == 3 ? BOUNCE_SYSTEM : BOUNCE_ROUTING;
}

static enum bounce_class class_of_enhanced(const struct outcome *o)
{
    const struct enhanced *e = &o->enhanced;
    switch (e->subject) {
    case 1:
        return BOUNCE_INVALID_RECIPIENT;
    case 2:
        return e->detail == 2 ? BOUNCE_MAILBOX_FULL : BOUNCE_INACTIVE_MAILBOX;
    case 3:
        return e->detail == 4 ? BOUNCE_MESSAGE_TOO_LARGE : BOUNCE_SYSTEM;
    case 4:
        if (e->detail == 7) {
            return BOUNCE_EXPIRED;
        }
        return has(o->text, "in time") || has(o->text, "timed out") ? BOUNCE_TIMEOUT
                                                                    : BOUNCE_CONNECTION_LOST;
    case 5:
        return e->detail == 3 ? BOUNCE_TOO_MANY_RECIPIENTS : BOUNCE_PROTOCOL;
    case 6:
        return BOUNCE_CONTENT;
    case 7:
        return BOUNCE_POLICY;
    default:
        return BOUNCE_UNCLASSIFIED;
    }
}

/* Our own findings: the few that the engine makes (grep outcome_local). */
static enum bounce_class class_of_own(const struct outcome *o)
{
    switch (o->stage) {
    case OUTCOME_STAGE_ROUTE:
        return class_of_route(&o->enhanced);
    case OUTCOME_STAGE_CONNECT:
        return o->enhanced.subject == 3 ? BOUNCE_SYSTEM : BOUNCE_NO_ANSWER;
    case OUTCOME_STAGE_STARTTLS:
        return BOUNCE_TLS;
    case OUTCOME_STAGE_AUTH:
        return o->enhanced.subject == 7 ? BOUNCE_LOGIN : class_of_enhanced(o);
    case OUTCOME_STAGE_NONE:
    case OUTCOME_STAGE_BANNER:
    case OUTCOME_STAGE_EHLO:
    case OUTCOME_STAGE_MAIL:
    case OUTCOME_STAGE_RCPT:
    case OUTCOME_STAGE_DATA:
    case OUTCOME_STAGE_BODY:
    case OUTCOME_STAGE_FINAL_DOT:
    case OUTCOME_STAGE_BDAT:
    case OUTCOME_STAGE_RSET:
    case OUTCOME_STAGE_QUIT:
    case OUTCOME_STAGE_MAILBOX:
        break;
    }
    return class_of_enhanced(o);
}

static uint64_t answer_hash(const struct classifier *c, const struct classify_scratch *s,
                            const struct reply_seen *seen)
{
    const struct outcome *o = seen->outcome;
    const uint16_t seen_by_rows[] = {o->code, o->enhanced.cls, o->enhanced.subject,
                                     o->enhanced.detail, (uint16_t)o->stage};
    uint64_t hash = hash_bytes(slice_of(seen_by_rows, sizeof(seen_by_rows)), s->seed ^ c->stamp);
    hash = hash_bytes(seen->text, hash);
    return hash ? hash : 1;
}

struct classify_result classify(const struct classifier *c, struct classify_scratch *s,
                                const struct reply_seen *seen)
{
    const struct outcome *o = seen->outcome;
    must(o->kind != OUTCOME_DELIVERED && s->cache);
    s->asked++;
    if (!o->remote) {
        return (struct classify_result){class_of_own(o), CLASSIFY_NO_ROW};
    }
    uint64_t hash = answer_hash(c, s, seen);
    struct classify_answer *answer = &s->cache[hash % CLASSIFY_CACHE];
    if (answer->hash == hash) {
        s->cached++;
        return answer->result;
    }
    *answer = (struct classify_answer){hash, rows_ask(c, 0, c->count, &s->matcher, seen)};
    return answer->result;
}
