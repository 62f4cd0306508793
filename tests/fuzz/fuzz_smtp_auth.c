/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Purpose: a hostile client against STARTTLS and AUTH. Two bytes choose the listener's options, the
 * rest is what the client sends; 0x01 behind STARTTLS is the handshake (server_script.h). Whole, in
 * single bytes and in random pieces: the same replies and the same credentials checked. Beyond that:
 *          - no credentials are checked, no 235 and no challenge given, where AUTH is not on offer;
 *          - MAIL is not accepted before TLS or AUTH where they are required;
 *          - replies are printable.
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
    }
}

static bool has(struct slice text, struct slice what)
{
    return text.len > 0 && memmem(text.ptr, text.len, what.ptr, what.len) != NULL;
}

/* The replies before the handshake and those behind it. */
static void check_policy(const struct smtp_server_config *c, uint8_t flags, struct slice replies)
{
    struct slice clear = replies;
    struct slice ready = SLICE(SCRIPT_READY_TLS);
    char *shaken = replies.len ? memmem(replies.ptr, replies.len, ready.ptr, ready.len) : NULL;
    if (shaken) {
        clear.len = (size_t)(shaken - replies.ptr);
        must(c->features & SMTP_FEATURE_STARTTLS && !(flags & SMTP_SESSION_NO_TLS));
    }
    bool auth = (c->features & SMTP_FEATURE_AUTH) && c->auth_mechanisms &&
                !(flags & SMTP_SESSION_NO_AUTH);
    bool auth_in_clear = auth && !c->auth_needs_tls && !c->tls_required;
    must(auth || (!has(replies, SLICE("\n235 ")) && !has(replies, SLICE("\n334 "))));
    must(auth_in_clear || (!has(clear, SLICE("\n235 ")) && !has(clear, SLICE("\n334 ")) &&
                           !has(clear, SLICE("AUTH PLAIN"))));
    must(!c->tls_required || !has(clear, SLICE("250 2.1.0 ")));
    must(!c->auth_required || (flags & SMTP_SESSION_TRUSTED) || has(replies, SLICE("\n235 ")) ||
         !has(replies, SLICE("250 2.1.0 ")));
}

static void config_make(struct smtp_server_config *c, unsigned options)
{
    smtp_server_config_init(c);
    c->hostname = SLICE("mx.test");
    c->features = SMTP_FEATURES_DEFAULT | (options & 1 ? SMTP_FEATURE_STARTTLS : 0u) |
                  (options & 2 ? SMTP_FEATURE_AUTH : 0u) |
                  (options & 4 ? SMTP_FEATURE_AUTH_EQUALS : 0u);
    c->tls_required = options & 8;
    c->auth_needs_tls = options & 16;
    c->auth_says_530 = options & 32;
    c->auth_required = options & 64;
    c->normalize_bare_lf = options & 128;
    c->auth_mechanisms = options >> 8 & 7;
    c->auth_failures_max = options >> 11 & 3;
    c->bdat_swallow_max = 1000;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct smtp_server_config config;
    struct script runs[3];
    static const size_t pieces[3] = {0, 1, 9};
    struct rng rng;
    if (size < 2) {
        return 0;
    }
    config_make(&config, data[0] | (unsigned)data[1] << 8);
    uint8_t flags = data[1] >> 5;
    struct slice input = slice_of(data + 2, size - 2);
    for (size_t i = 0; i < 3; i++) {
        rng_init_seed(&rng, size * 31 + data[0]);
        script_init(&runs[i], &config);
        smtp_server_set_flags(&runs[i].server, flags);
        script_run(&runs[i], input, pieces[i], &rng);
        check_replies(buf_slice(&runs[i].replies));
        check_policy(&config, flags, buf_slice(&runs[i].replies));
        must(runs[i].events.len == 0 || runs[i].secret ||
             !has(buf_slice(&runs[i].events), SLICE("auth ")));
        must(runs[i].line_peak <= SMTP_AUTH_LINE_BYTES);
        must(slice_eq(buf_slice(&runs[0].replies), buf_slice(&runs[i].replies)));
        must(slice_eq(buf_slice(&runs[0].events), buf_slice(&runs[i].events)));
        must(runs[0].server.authenticated == runs[i].server.authenticated);
        must(runs[0].server.auth_failures == runs[i].server.auth_failures);
    }
    for (size_t i = 0; i < 3; i++) {
        script_deinit(&runs[i]);
    }
    return 0;
}
