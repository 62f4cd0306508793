/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Purpose: the inbound machine on any bytes. The first byte chooses the listener's options, the rest
 * is what a client sends: once whole, once in single bytes, once in random pieces. The three runs
 * must give the same replies and the same events (segmentation never changes the meaning), and no
 * reply may hold a byte outside printable ASCII and CRLF.
 */
#include "core/base/rng.h"
#include "proto/smtp/server.h"
#include "tests/unit/proto/smtp/server_script.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_replies(struct slice replies)
{
    for (size_t i = 0; i < replies.len; i++) {
        char c = replies.ptr[i];
        must((c >= 0x20 && c <= 0x7E) || c == '\r' || c == '\n');
        must(c != '\n' || (i > 0 && replies.ptr[i - 1] == '\r'));
    }
}

/* What is stored is canonical. */
static void check_body(struct slice body, bool committed)
{
    for (size_t i = 0; committed && i < body.len; i++) {
        must(body.ptr[i] != '\0');
        must(body.ptr[i] != '\n' || (i > 0 && body.ptr[i - 1] == '\r'));
        must(body.ptr[i] != '\r' || (i + 1 < body.len && body.ptr[i + 1] == '\n'));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct smtp_server_config config;
    struct script runs[3];
    static const size_t pieces[3] = {0, 1, 9};
    struct rng rng;
    if (size == 0) {
        return 0;
    }
    smtp_server_config_init(&config);
    config.hostname = SLICE("mx.test");
    config.normalize_bare_lf = data[0] & 1;
    config.size_max = data[0] & 2 ? 300 : 0;
    config.recipients_max = data[0] & 4 ? 2 : 1000;
    config.line_length_max = data[0] & 8 ? 78 : 998;
    config.header_bytes_max = data[0] & 16 ? 100 : 100000;
    config.header_fields_max = data[0] & 16 ? 5 : 1000;
    config.hops_max = data[0] & 32 ? 2 : 0;
    config.bdat_swallow_max = 1000;
    config.junk_max = 10;
    struct slice input = slice_of(data + 1, size - 1);
    for (size_t i = 0; i < 3; i++) {
        rng_init_seed(&rng, size * 31 + data[0]);
        script_init(&runs[i], &config);
        script_run(&runs[i], input, pieces[i], &rng);
        check_replies(buf_slice(&runs[i].replies));
        check_body(buf_slice(&runs[i].body), runs[i].commits > 0 && !runs[i].storage);
    }
    /* Whether storage that fails by itself is told to abort as well depends on which came first. */
    bool full = memmem(data, size, "full", 4) != NULL;
    for (size_t i = 1; i < 3; i++) {
        must(full || runs[0].aborts == runs[i].aborts);
        must(slice_eq(buf_slice(&runs[0].replies), buf_slice(&runs[i].replies)));
        must(slice_eq(buf_slice(&runs[0].events), buf_slice(&runs[i].events)));
        must(memcmp(&runs[0].facts, &runs[i].facts, sizeof(runs[0].facts)) == 0);
    }
    for (size_t i = 0; i < 3; i++) {
        script_deinit(&runs[i]);
    }
    return 0;
}
