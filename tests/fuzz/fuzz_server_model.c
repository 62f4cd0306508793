/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Purpose: a whole inbound session, against a slow and obvious model of the server (model_server.h): the same bytes
 *          and the same policy must give the same reply codes, in order, and the same accepted envelopes and bodies;
 *          in one piece, in single bytes and in random pieces.
 * Input:   two bytes of the listener's limits and features, then what the client sends.
 */
#include "core/base/rng.h"
#include "proto/smtp/server.h"
#include "tests/fuzz/model_server.h"
#include "tests/unit/proto/smtp/server_script.h"

#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_BYTES_MAX = 16 * 1024, SINGLE_BYTES_MAX = 1024 };

static void config_make(struct smtp_server_config *config, const uint8_t *choice)
{
    smtp_server_config_init(config);
    config->hostname = SLICE("mx.test");
    config->normalize_bare_lf = choice[0] & 1;
    config->size_max = choice[0] & 2 ? 300 : 0;
    config->recipients_max = choice[0] & 4 ? 2 : 1000;
    config->line_length_max = choice[0] & 8 ? 78 : choice[0] & 64 ? 0 : 998;
    config->header_bytes_max = choice[0] & 16 ? 100 : 100000;
    config->header_fields_max = choice[0] & 16 ? 5 : 1000;
    config->hops_max = choice[0] & 32 ? 2 : 0;
    config->errors_max = choice[0] & 128 ? 3 : 20;
    config->bdat_swallow_max = 1000;
    config->junk_max = 10;
    uint32_t off = (choice[1] & 1 ? SMTP_FEATURE_CHUNKING : 0U) |
                   (choice[1] & 2 ? SMTP_FEATURE_SMTPUTF8 : 0U) |
                   (choice[1] & 4 ? SMTP_FEATURE_DSN : 0U) |
                   (choice[1] & 8 ? SMTP_FEATURE_8BITMIME : 0U) |
                   (choice[1] & 16 ? SMTP_FEATURE_SIZE : 0U) |
                   (choice[1] & 32 ? SMTP_FEATURE_HELP : 0U) |
                   (choice[1] & 64 ? SMTP_FEATURE_VRFY : 0U);
    config->features &= ~off;
}

/* "250-a", "250 2.1.0 Ok" → "250 2.1.0\n" */
static void codes_of(struct buf *codes, struct slice replies)
{
    while (replies.len) {
        struct slice line = slice_cut(&replies, '\n');
        if (slice_eq(line, SLICE("<close>"))) {
            continue;
        }
        must(line.len >= 5 && line.ptr[line.len - 1] == '\r');
        if (line.ptr[3] == '-') {
            continue;
        }
        must(line.ptr[3] == ' ');
        buf_add(codes, slice_first(line, 3));
        struct slice rest = slice_skip(line, 4);
        struct slice word = slice_cut(&rest, ' ');
        if (word.len >= 5 && word.ptr[1] == '.' && ascii_is_digit(word.ptr[0])) {
            buf_add_byte(codes, ' ');
            buf_add(codes, word);
        }
        buf_add_byte(codes, '\n');
    }
}

/* "5??" of the model is any refusal. */
static bool codes_agree(struct slice model, struct slice engine)
{
    while (model.len && engine.len) {
        struct slice a = slice_cut(&model, '\n');
        struct slice b = slice_cut(&engine, '\n');
        bool any = slice_eq(a, SLICE("5??"));
        if (any ? b.ptr[0] != '5' : !slice_eq(a, b)) {
            fprintf(stderr, "model: %.*s engine: %.*s\n", SLICE_ARG(a), SLICE_ARG(b));
            return false;
        }
    }
    if (model.len || engine.len) {
        fprintf(stderr, "model also: %.*s engine also: %.*s\n", SLICE_ARG(model),
                SLICE_ARG(engine));
    }
    return !model.len && !engine.len;
}

static void compare(const struct smtp_server_config *config, struct slice input, size_t piece_max,
                    const struct model_server *model)
{
    struct script run;
    struct buf codes;
    struct rng rng;
    buf_init(&codes, 1 << 24);
    rng_init_seed(&rng, input.len * 31 + piece_max);
    script_init(&run, config);
    script_run(&run, input, piece_max, &rng);
    script_send(&run);
    codes_of(&codes, buf_slice(&run.replies));
    must(codes_agree(buf_slice(&model->codes), buf_slice(&codes)));
    must(slice_eq(buf_slice(&model->events), buf_slice(&run.events)));
    must(model->closed == run.closed);
    script_deinit(&run);
    buf_deinit(&codes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const size_t pieces[] = {0, size < SINGLE_BYTES_MAX ? 1 : 11, 40};
    struct smtp_server_config config;
    struct model_server model;
    if (size < 2 || size > INPUT_BYTES_MAX) {
        return 0;
    }
    config_make(&config, data);
    struct slice input = slice_of(data + 2, size - 2);
    model_server_run(&model, &config, input);
    for (size_t i = 0; i < ARRAY_COUNT(pieces); i++) {
        compare(&config, input, pieces[i], &model);
    }
    model_server_deinit(&model);
    return 0;
}
