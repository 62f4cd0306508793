/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Purpose: a normalised reply is a fixed point, bounded, one line; samples are parsed or refused; the built-in
 *          classes agree about a reply and itself.
 * Input:   the text of a reply.
 */
#include "core/base/must.h"
#include "core/policy/classify.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Building the classifier costs more than all else: once per process. */
static struct classifier *classifier_once(struct classify_scratch **scratch)
{
    static struct classifier *c;
    static struct classify_scratch s;
    if (!c) {
        struct buf errors;
        struct conf_report report = {.errors = &errors};
        buf_init(&errors, 64 * 1024);
        c = classifier_new(NULL, true, &report);
        must(c && classify_scratch_open(&s, 7));
        buf_deinit(&errors);
    }
    *scratch = &s;
    return c;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char once[REPLY_TEXT_BYTES];
    char twice[REPLY_TEXT_BYTES];
    struct slice in = slice_of(data, size);
    struct slice a = slice_of(once, reply_normalise(once, in));
    struct slice b = slice_of(twice, reply_normalise(twice, a));
    must(a.len <= REPLY_TEXT_BYTES && slice_eq(a, b));
    must(slice_find_byte(a, '\n') < 0 && slice_eq(a, slice_trim(a)));

    struct outcome o;
    if (reply_sample_parse(in, OUTCOME_STAGE_RCPT, &o) && o.code >= 400) {
        struct classify_scratch *scratch;
        const struct classifier *c = classifier_once(&scratch);
        char text[REPLY_TEXT_BYTES];
        const struct reply_seen seen = {&o, slice_of(text, reply_normalise(text, o.text))};
        struct classify_result first = classify(c, scratch, &seen);
        struct classify_result second = classify(c, scratch, &seen);
        must(first.class == second.class && first.row == second.row);
        must(first.class < BOUNCE_CLASSES && (first.row == CLASSIFY_NO_ROW) == !first.class);
    }
    return 0;
}
