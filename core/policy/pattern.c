/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * PCRE2 counts its steps in both of its engines, compiled and interpreted; depth and heap are bounds of
 * the interpreter only, the compiled code has a stack of fixed size (PCRE2_ERROR_JIT_STACKLIMIT). All of
 * them end a match as if it had failed.
 */
#include "core/policy/pattern.h"
#include "core/base/must.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <stdio.h>
#include <stdlib.h>

struct pattern {
    pcre2_code *code;
};

static void error_set(char error[PATTERN_ERROR_BYTES], int number, size_t at)
{
    PCRE2_UCHAR text[100];
    if (pcre2_get_error_message(number, text, sizeof(text)) < 0) {
        text[sizeof(text) - 1] = 0; /* cut: as much of it as there was room for */
    }
    snprintf(error, PATTERN_ERROR_BYTES, "pattern: %s, at its character %zu", (const char *)text,
             at + 1);
}

struct pattern *pattern_compile(struct slice text, char error[PATTERN_ERROR_BYTES])
{
    /* NEVER_UTF: a pattern cannot turn UTF-8 on for a subject that nobody checked. */
    const uint32_t options = PCRE2_CASELESS | PCRE2_NEVER_UTF | PCRE2_NEVER_BACKSLASH_C;
    int number = 0;
    size_t at = 0;
    if (text.len == 0 || text.len > PATTERN_BYTES_MAX) {
        snprintf(error, PATTERN_ERROR_BYTES, "pattern: must have 1 to %d bytes", PATTERN_BYTES_MAX);
        return NULL;
    }
    struct pattern *p = calloc(1, sizeof(*p));
    if (!p) {
        snprintf(error, PATTERN_ERROR_BYTES, "pattern: out of memory");
        return NULL;
    }
    p->code = pcre2_compile((PCRE2_SPTR)text.ptr, text.len, options, &number, &at, NULL);
    if (!p->code) {
        error_set(error, number, at);
        free(p);
        return NULL;
    }
    /* Where memory may not be made executable the interpreter does the work. */
    pcre2_jit_compile(p->code, PCRE2_JIT_COMPLETE);
    return p;
}

void pattern_free(struct pattern *p)
{
    if (p) {
        pcre2_code_free(p->code);
        free(p);
    }
}

bool pattern_matcher_open(struct pattern_matcher *m)
{
    *m = (struct pattern_matcher){0};
    pcre2_match_context *context = pcre2_match_context_create(NULL);
    m->context = context;
    m->data = pcre2_match_data_create(1, NULL);
    if (!m->context || !m->data) {
        pattern_matcher_close(m);
        return false;
    }
    pcre2_set_match_limit(context, PATTERN_MATCH_LIMIT);
    pcre2_set_depth_limit(context, PATTERN_DEPTH_LIMIT);
    pcre2_set_heap_limit(context, PATTERN_HEAP_KIB);
    return true;
}

void pattern_matcher_close(struct pattern_matcher *m)
{
    pcre2_match_data_free(m->data);
    pcre2_match_context_free(m->context);
    m->data = m->context = NULL;
}

bool pattern_matches(const struct pattern *p, struct pattern_matcher *m, struct slice subject)
{
    must(p && m->data && m->context);
    m->tried++;
    int rc = pcre2_match(p->code, (PCRE2_SPTR)(subject.len ? subject.ptr : ""), subject.len, 0, 0,
                         m->data, m->context);
    if (rc >= 0) {
        return true; /* 0: more groups than places, which nobody reads */
    }
    if (rc != PCRE2_ERROR_NOMATCH) {
        m->exceeded++;
    }
    return false;
}
