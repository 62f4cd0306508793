/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The pattern comes last: most rows are decided by a code that does not fit.
 */
#include "core/policy/reply_match.h"

struct reading {
    const struct conf_origin *from;
    struct slice path;
    struct conf_report *report;
};

/* "421", "45x", "4xx" → first and last. */
static bool code_parse(struct slice text, uint16_t *first, uint16_t *last)
{
    unsigned low = 0;
    unsigned high = 0;
    bool any = false;
    if (text.len != 3 || (text.ptr[0] != '4' && text.ptr[0] != '5')) {
        return false; /* the others are no failures */
    }
    for (size_t i = 0; i < 3; i++) {
        char c = ascii_lower(text.ptr[i]);
        if (c != 'x' && (!ascii_is_digit(c) || any)) {
            return false;
        }
        any = c == 'x';
        low = low * 10 + (any ? 0 : (unsigned)(c - '0'));
        high = high * 10 + (any ? 9 : (unsigned)(c - '0'));
    }
    *first = (uint16_t)low;
    *last = (uint16_t)high;
    return true;
}

static bool part_parse(struct slice text, int16_t *out)
{
    uint64_t value = 0;
    if (slice_eq_nocase(text, SLICE("x"))) {
        *out = -1;
        return true;
    }
    if (!slice_to_u64(text, &value) || value > 999) {
        return false;
    }
    *out = (int16_t)value;
    return true;
}

static bool enhanced_read(struct slice text, struct reply_match *m)
{
    int16_t cls = 0;
    struct slice first = slice_cut(&text, '.');
    struct slice second = slice_cut(&text, '.');
    if (!part_parse(first, &cls) || !part_parse(second, &m->subject) ||
        !part_parse(text, &m->detail) || (cls != -1 && cls != 4 && cls != 5)) {
        return false;
    }
    m->cls = (uint8_t)(cls == -1 ? 0 : cls);
    return true;
}

static bool stage_find(struct slice name, enum outcome_stage *out)
{
    for (int i = 0; i <= OUTCOME_STAGE_QUIT; i++) {
        if (slice_eq_nocase(name, outcome_stage_name((enum outcome_stage)i))) {
            *out = (enum outcome_stage)i;
            return i >= OUTCOME_STAGE_BANNER; /* before it no peer has said anything */
        }
    }
    return false;
}

static bool stages_read(const struct reading *r, struct slice text, struct reply_match *m)
{
    while (text.len > 0) {
        struct slice name = slice_cut(&text, ' ');
        enum outcome_stage stage = OUTCOME_STAGE_NONE;
        if (name.len == 0) {
            continue;
        }
        if (!stage_find(name, &stage)) {
            conf_report_error(
                r->report, r->from, r->path,
                "stage \"%.*s\" is none that replies come in (banner, ehlo, starttls, "
                "auth, mail, rcpt, data, body, final-dot, bdat, rset, quit)",
                SLICE_ARG(name));
            return false;
        }
        m->stages |= 1U << stage;
    }
    return true;
}

static bool pattern_read(const struct reading *r, struct slice text, struct reply_match *m)
{
    char error[PATTERN_ERROR_BYTES];
    if (text.len == 0) {
        return true;
    }
    m->pattern = pattern_compile(text, error);
    if (!m->pattern) {
        conf_report_error(r->report, r->from, r->path, "%s", error);
    }
    return m->pattern != NULL;
}

bool reply_match_init(struct reply_match *m, const struct reply_match_text *text,
                      const struct conf_origin *from, struct slice path, struct conf_report *report)
{
    const struct reading r = {from, path, report};
    bool good = true;
    *m = (struct reply_match){.subject = -1, .detail = -1};
    if (text->code.len > 0 && !code_parse(text->code, &m->code_first, &m->code_last)) {
        conf_report_error(report, from, path,
                          "code \"%.*s\" must be one of a failure: 421, 45x, 5xx",
                          SLICE_ARG(text->code));
        good = false;
    }
    if (text->enhanced.len > 0 && !enhanced_read(text->enhanced, m)) {
        conf_report_error(report, from, path,
                          "enhanced code \"%.*s\" must be like 4.7.28, 4.7.x or x.1.1",
                          SLICE_ARG(text->enhanced));
        good = false;
    }
    good = stages_read(&r, text->stage, m) && good;
    good = pattern_read(&r, text->pattern, m) && good;
    if (!good) {
        reply_match_deinit(m);
    }
    return good;
}

void reply_match_deinit(struct reply_match *m)
{
    pattern_free(m->pattern);
    m->pattern = NULL;
}

bool reply_match_test(const struct reply_match *m, struct pattern_matcher *matcher,
                      const struct reply_seen *seen)
{
    const struct outcome *o = seen->outcome;
    if (!o->remote) {
        return false;
    }
    if (m->code_last && (o->code < m->code_first || o->code > m->code_last)) {
        return false;
    }
    if ((m->cls && o->enhanced.cls != m->cls) ||
        (m->subject >= 0 && o->enhanced.subject != m->subject) ||
        (m->detail >= 0 && o->enhanced.detail != m->detail)) {
        return false;
    }
    if (m->stages && !(m->stages & 1U << o->stage)) {
        return false;
    }
    return !m->pattern || pattern_matches(m->pattern, matcher, seen->text);
}

enum outcome_stage reply_match_stage(const struct reply_match *m)
{
    for (int i = 0; i <= OUTCOME_STAGE_QUIT; i++) {
        if (m->stages & 1U << i) {
            return (enum outcome_stage)i;
        }
    }
    return OUTCOME_STAGE_RCPT;
}

bool reply_match_next_sample(const struct reply_match *m, struct slice *samples, bool *valid,
                             struct outcome *out, char dst[REPLY_TEXT_BYTES])
{
    while (samples->len > 0) {
        struct slice line = slice_trim(slice_cut(samples, '\n'));
        if (line.len == 0) {
            continue;
        }
        *valid = reply_sample_parse(line, reply_match_stage(m), out) &&
                 out->kind != OUTCOME_DELIVERED && out->kind != OUTCOME_NONE;
        if (*valid) {
            out->text = slice_of(dst, reply_normalise(dst, out->text));
        }
        return true;
    }
    return false;
}
