/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * dkim sign: one message through the engine's own signer, to try a key or a configuration out, and
 * for the tests that show the result to other people's verifiers.
 */
#include "core/app/cli_command.h"
#include "core/app/cli_dkim.h"
#include "core/base/must.h"
#include "tls/dkim_hash.h"

#include <time.h>

enum {
    MESSAGE_BYTES_MAX = 256 * 1024 * 1024,
    PIECE_BYTES = 64 * 1024,
    SIGNATURES_BYTES_MAX = 256 * 1024,
};

/* LF without CR before it gets one. */
static void add_canonical(struct buf *out, struct slice text)
{
    while (text.len && !out->overflow) {
        int lf = slice_find_byte(text, '\n');
        struct slice line = lf < 0 ? text : slice_first(text, (size_t)lf);
        bool cr = line.len ? line.ptr[line.len - 1] == '\r'
                           : out->len > 0 && out->ptr[out->len - 1] == '\r';
        buf_add(out, line);
        if (lf >= 0) {
            buf_add(out, cr ? SLICE("\n") : SLICE("\r\n"));
        }
        text = slice_skip(text, line.len + (lf >= 0));
    }
}

static bool read_message(struct cli *cli, FILE *from, struct buf *out)
{
    char piece[PIECE_BYTES];
    size_t n;
    while ((n = fread(piece, 1, sizeof(piece), from)) > 0) {
        add_canonical(out, slice_of(piece, n));
    }
    if (ferror(from) || out->overflow) {
        fprintf(cli->err, "ringpost: the message cannot be read%s\n",
                out->overflow ? ": too big" : "");
        return false;
    }
    return true;
}

/* Up to the empty line, or everything. */
static struct slice message_header(struct slice message)
{
    if (message.len >= 2 && message.ptr[0] == '\r' && message.ptr[1] == '\n') {
        return slice_first(message, 0);
    }
    const char *at = message.len ? memmem(message.ptr, message.len, "\r\n\r\n", 4) : NULL;
    return at ? slice_first(message, (size_t)(at - message.ptr) + 2) : message;
}

static bool canon_parse(const char *text, struct dkim_entry *e)
{
    struct slice body = slice_str(text ? text : "relaxed/relaxed");
    struct slice header = slice_cut(&body, '/');
    return dkim_canon_from_name(header, &e->header_canon) &&
           dkim_canon_from_name(body, &e->body_canon);
}

/* A table of the keys on the command line. */
static struct dkim_table *words_table(struct cli *cli, const struct cli_args *args)
{
    struct dkim_table *t = NULL;
    struct buf errors, warnings;
    struct dkim_entry e = {.domain = slice_str(args->words[0]), .names = true, .subdomains = true};
    if (!canon_parse(args->canon, &e)) {
        fprintf(cli->err, "ringpost: --canon is header/body, each relaxed or simple\n");
        return NULL;
    }
    t = dkim_table_new(dkim_keys_ops(), 0);
    buf_init(&errors, PIECE_BYTES);
    buf_init(&warnings, PIECE_BYTES);
    for (size_t i = 1; t && i + 1 < args->word_count; i += 2) {
        e.selector = slice_str(args->words[i]);
        e.key = slice_str(args->words[i + 1]);
        e.key_is_path = true;
        e.where = SLICE("ringpost");
        if (!dkim_table_add(t, &e, &errors, &warnings)) {
            dkim_table_put(&t);
        }
    }
    fprintf(cli->err, "%.*s%.*s", SLICE_ARG(buf_slice(&warnings)), SLICE_ARG(buf_slice(&errors)));
    buf_deinit(&errors);
    buf_deinit(&warnings);
    return t;
}

static struct dkim_table *configured_table(struct cli *cli, const struct cli_args *args)
{
    struct conf_source src = cli_conf_source(cli, args);
    struct conf *conf = cli_conf_load(cli, &src);
    if (!conf) {
        return NULL;
    }
    struct dkim_table *t = cli_dkim_table(cli, conf);
    conf_free(conf);
    return t;
}

/* The signatures on top of the message; false: not signed. */
static bool sign(struct cli *cli, struct dkim_table *t, struct slice message)
{
    struct slice header = message_header(message);
    struct buf fields;
    size_t count = 0;
    struct dkim_signing *ctx = dkim_signing_open();
    struct dkim_signer *s = dkim_signer_begin(t, dkim_hash_sha256(), MESSAGE_BYTES_MAX);
    buf_init(&fields, SIGNATURES_BYTES_MAX);
    if (ctx && s) {
        dkim_signer_header(s, header);
        dkim_signer_header_end(s);
        dkim_signer_body(s, slice_skip(message, header.len));
        count = dkim_signer_finish(s, (uint64_t)time(NULL));
        dkim_keys_sign(ctx, dkim_signer_jobs(s), count);
        count = dkim_signer_attach(s, &fields);
    }
    bool ok = count > 0 && !fields.overflow;
    if (ok) {
        fwrite(fields.ptr, 1, fields.len, cli->out);
    } else {
        fprintf(cli->err, "ringpost: not signed: %s\n",
                dkim_skip_name(s ? dkim_signer_skip(s) : DKIM_SKIP_MEMORY));
    }
    if (message.len) {
        fwrite(message.ptr, 1, message.len, cli->out);
    }
    buf_deinit(&fields);
    dkim_signer_end(&s);
    dkim_signing_close(&ctx);
    return ok;
}

int cli_dkim_sign(struct cli *cli, const struct cli_args *args)
{
    struct dkim_domain domain;
    struct buf message;
    int status = CLI_FAILURE;
    if (args->word_count != 0 && args->word_count != 3 && args->word_count != 5) {
        fprintf(cli->err, "ringpost: DOMAIN, SELECTOR and KEYFILE belong together\n");
        return CLI_USAGE;
    }
    if (args->word_count && !cli_dkim_names(cli, args->words[0], args->words[1], &domain)) {
        return CLI_USAGE;
    }
    struct dkim_table *t = args->word_count ? words_table(cli, args) : configured_table(cli, args);
    if (!t) {
        return CLI_CONFIG;
    }
    buf_init(&message, MESSAGE_BYTES_MAX);
    if (read_message(cli, stdin, &message)) {
        status = sign(cli, t, buf_slice(&message)) ? CLI_OK : CLI_FAILURE;
    }
    buf_deinit(&message);
    dkim_table_put(&t);
    return status;
}
