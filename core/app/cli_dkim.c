/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * dkim keygen, print, check: keys and what DNS says of them.
 */
#include "core/app/cli_dkim.h"
#include "core/app/cli_command.h"
#include "core/app/cli_text.h"
#include "core/base/must.h"
#include "core/policy/dkim_record.h"
#include "dns/txt.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    RECORD_BYTES_MAX = 8192,
    REASON_BYTES_MAX = 2048,
    NAME_BYTES_MAX = 600,
};

/* What is published where. */
struct published {
    struct slice domain;
    struct slice selector;
    const struct dkim_key *key;
};

static int cli_dkim_fail(struct cli *cli, int status, const char *what, struct slice detail)
{
    fprintf(cli->err, "ringpost: %s%s%.*s\n", what, detail.len ? ": " : "", SLICE_ARG(detail));
    return status;
}

bool cli_dkim_names(struct cli *cli, const char *domain, const char *selector,
                    struct dkim_domain *out)
{
    if (!dkim_domain_normalize(slice_str(domain), out)) {
        fprintf(cli->err, "ringpost: '%s' is no domain name\n", domain);
        return false;
    }
    if (!dkim_selector_valid(slice_str(selector))) {
        fprintf(cli->err, "ringpost: '%s' is no selector\n", selector);
        return false;
    }
    return true;
}

static struct dkim_key *key_read(struct cli *cli, const char *path)
{
    struct buf why;
    buf_init(&why, REASON_BYTES_MAX);
    struct dkim_key *key = dkim_key_read_file(path, &why);
    if (!key) {
        fprintf(cli->err, "ringpost: %s: %.*s\n", path, SLICE_ARG(buf_slice(&why)));
    } else if (dkim_key_is_weak(key)) {
        fprintf(cli->err, "warning: %s: only %u bits; RFC 8301 asks for %d\n", path,
                dkim_key_bits(key), DKIM_RSA_BITS_GOOD);
    }
    buf_deinit(&why);
    return key;
}

static enum dkim_algorithm key_algorithm(const struct dkim_key *key)
{
    return dkim_key_type(key) == DKIM_KEY_RSA ? DKIM_RSA_SHA256 : DKIM_ED25519_SHA256;
}

static void record_print(struct cli *cli, const struct published *p)
{
    struct buf record, zone;
    buf_init(&record, RECORD_BYTES_MAX);
    buf_init(&zone, 2 * RECORD_BYTES_MAX);
    dkim_record_add(&record, key_algorithm(p->key), dkim_key_public(p->key));
    dkim_record_add_zone(&zone, p->selector, p->domain, buf_slice(&record));
    must(!record.overflow && !zone.overflow);
    fprintf(cli->out, "%.*s\n", SLICE_ARG(buf_slice(&zone)));
    buf_deinit(&record);
    buf_deinit(&zone);
}

int cli_dkim_print(struct cli *cli, const struct cli_args *args)
{
    struct dkim_domain domain;
    if (!cli_dkim_names(cli, args->words[0], args->words[1], &domain)) {
        return CLI_USAGE;
    }
    struct dkim_key *key = key_read(cli, args->words[2]);
    if (!key) {
        return CLI_CONFIG;
    }
    record_print(cli,
                 &(struct published){dkim_domain_slice(&domain), slice_str(args->words[1]), key});
    dkim_key_free(&key);
    return CLI_OK;
}

/* ---- keygen ---- */

static const struct {
    struct slice name;
    enum dkim_key_type type;
    unsigned bits;
} key_types[] = {
    {SLICE_INIT("rsa2048"), DKIM_KEY_RSA, 2048},
    {SLICE_INIT("rsa3072"), DKIM_KEY_RSA, 3072},
    {SLICE_INIT("rsa4096"), DKIM_KEY_RSA, 4096},
    {SLICE_INIT("ed25519"), DKIM_KEY_ED25519, 0},
};

/* A new file, on the disk when this returns. */
static bool key_write(const char *path, struct slice pem)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (fd < 0) {
        return false;
    }
    ssize_t n = 0;
    while (pem.len && (n = write(fd, pem.ptr, pem.len)) > 0) {
        pem = slice_skip(pem, (size_t)n);
    }
    bool ok = pem.len == 0 && fsync(fd) == 0;
    int error = errno;
    ok = close(fd) == 0 && ok;
    if (!ok) {
        unlink(path);
        errno = error;
    }
    return ok;
}

static int key_make(struct cli *cli, size_t type, const char *path,
                    const struct dkim_domain *domain, struct slice selector)
{
    struct buf pem, why;
    struct dkim_key *key = NULL;
    int status = CLI_FAILURE;
    buf_init(&pem, DKIM_KEY_TEXT_BYTES);
    buf_init(&why, REASON_BYTES_MAX);
    if (!buf_reserve(&pem, DKIM_KEY_TEXT_BYTES) || /* never moved: one copy to wipe */
        !dkim_key_make(key_types[type].type, key_types[type].bits, &pem, &why)) {
        cli_dkim_fail(cli, CLI_FAILURE, "no key", buf_slice(&why));
        goto out;
    }
    key = dkim_key_read(buf_slice(&pem), &why);
    if (!key) {
        cli_dkim_fail(cli, CLI_FAILURE, "the new key does not work", buf_slice(&why));
    } else if (!key_write(path, buf_slice(&pem))) {
        fprintf(cli->err, "ringpost: %s: %s\n", path, strerror(errno));
    } else {
        fprintf(cli->out, "; private key: %s\n", path);
        record_print(cli, &(struct published){dkim_domain_slice(domain), selector, key});
        status = CLI_OK;
    }
out:
    dkim_key_free(&key);
    if (pem.ptr) {
        explicit_bzero(pem.ptr, pem.cap);
    }
    buf_deinit(&pem);
    buf_deinit(&why);
    return status;
}

int cli_dkim_keygen(struct cli *cli, const struct cli_args *args)
{
    struct dkim_domain domain;
    char path[NAME_BYTES_MAX];
    size_t type = 0;
    if (!cli_dkim_names(cli, args->words[0], args->words[1], &domain)) {
        return CLI_USAGE;
    }
    while (args->key_type && type < ARRAY_COUNT(key_types) &&
           !slice_eq(slice_str(args->key_type), key_types[type].name)) {
        type++;
    }
    if (type == ARRAY_COUNT(key_types)) {
        fprintf(cli->err, "ringpost: --type is rsa2048, rsa3072, rsa4096 or ed25519, not '%s'\n",
                args->key_type);
        return CLI_USAGE;
    }
    snprintf(path, sizeof(path), "%s.%.*s.pem", args->words[1],
             SLICE_ARG(dkim_domain_slice(&domain)));
    return key_make(cli, type, args->out ? args->out : path, &domain, slice_str(args->words[1]));
}

/* ---- check ---- */

static bool record_judge(struct cli *cli, const struct published *p, const char *name,
                         const struct dns_txt *txt)
{
    struct buf why;
    bool ok = false;
    buf_init(&why, REASON_BYTES_MAX);
    for (size_t i = 0; i < txt->count; i++) {
        buf_clear(&why);
        enum dkim_record_verdict v = dkim_record_check(dns_txt_record(txt, i),
                                                       key_algorithm(p->key),
                                                       dkim_key_public(p->key), &why);
        ok = ok || v == DKIM_RECORD_MATCHES || v == DKIM_RECORD_TEST_MODE;
        fprintf(cli->out, "%s  %s: ",
                v == DKIM_RECORD_MATCHES     ? "ok  "
                : v == DKIM_RECORD_TEST_MODE ? "warn"
                                             : "FAIL",
                name);
        struct buf text;
        buf_init(&text, REASON_BYTES_MAX);
        cli_text_add(&text, buf_slice(&why));
        fprintf(cli->out, "%.*s\n",
                SLICE_ARG(v == DKIM_RECORD_MATCHES ? SLICE("matches") : buf_slice(&text)));
        buf_deinit(&text);
    }
    if (txt->count > 1) {
        /* RFC 6376 3.6.2.2: then the result is undefined. */
        fprintf(cli->out, "FAIL  %s: %zu TXT records, there must be one\n", name, txt->count);
        ok = false;
    }
    buf_deinit(&why);
    return ok;
}

static bool record_check(struct cli *cli, const struct conf *conf, const struct published *p)
{
    struct dns_txt txt;
    struct buf why;
    char name[NAME_BYTES_MAX];
    struct dns_config dns = {
        .servers = conf->dns.servers.items,
        .server_count = conf->dns.servers.count,
        .timeout_ms = conf->dns.timeout_ms,
        .tries = conf->dns.tries,
    };
    snprintf(name, sizeof(name), "%.*s._domainkey.%.*s", SLICE_ARG(p->selector),
             SLICE_ARG(p->domain));
    dns_txt_init(&txt);
    buf_init(&why, REASON_BYTES_MAX);
    enum dns_status status = dns_txt_ask(&dns, slice_str(name), &txt, &why);
    bool ok = status == DNS_OK && record_judge(cli, p, name, &txt);
    if (status != DNS_OK) {
        fprintf(cli->out, "FAIL  %s: %.*s\n", name, SLICE_ARG(buf_slice(&why)));
    }
    if (!ok && (status == DNS_NO_DOMAIN || status == DNS_NO_HOST)) {
        fprintf(cli->out, "to be published:\n");
        record_print(cli, p);
    }
    dns_txt_deinit(&txt);
    buf_deinit(&why);
    return ok;
}

static int rules_check(struct cli *cli, const struct conf *conf, const struct dkim_table *t)
{
    const struct dkim_rule *r = NULL;
    size_t bucket = 0;
    bool ok = true;
    while ((r = dkim_table_next(t, &bucket, r)) != NULL) {
        for (size_t i = 0; i < r->count; i++) {
            const struct dkim_rule_key *k = &r->keys[i];
            if (k->domain.len == 0) {
                fprintf(cli->out,
                        "--    selector %.*s signs for the author's own domain: check it with\n"
                        "      ringpost dkim check DOMAIN %.*s KEYFILE\n",
                        SLICE_ARG(k->selector), SLICE_ARG(k->selector));
                continue;
            }
            ok = record_check(cli, conf, &(struct published){k->domain, k->selector, k->key}) && ok;
        }
    }
    if (dkim_table_count(t) == 0) {
        fprintf(cli->out, "no key is configured: mail is not signed\n");
    }
    return ok ? CLI_OK : CLI_FAILURE;
}

struct dkim_table *cli_dkim_table(struct cli *cli, const struct conf *conf)
{
    struct buf errors, warnings;
    buf_init(&errors, 64 * RECORD_BYTES_MAX);
    buf_init(&warnings, 64 * RECORD_BYTES_MAX);
    struct dkim_table *t = dkim_keys_load(conf, &errors, &warnings);
    struct slice rest = buf_slice(&warnings);
    while (rest.len) {
        struct slice line = slice_cut(&rest, '\n');
        fprintf(cli->err, "warning: %.*s\n", SLICE_ARG(line));
    }
    fprintf(cli->err, "%.*s", SLICE_ARG(buf_slice(&errors)));
    buf_deinit(&errors);
    buf_deinit(&warnings);
    return t;
}

int cli_dkim_check(struct cli *cli, const struct cli_args *args)
{
    struct conf_source src = cli_conf_source(cli, args);
    struct dkim_domain domain;
    struct dkim_key *key = NULL;
    struct dkim_table *table = NULL;
    int status = CLI_CONFIG;
    if (args->word_count != 0 && args->word_count != 3) {
        return cli_dkim_fail(cli, CLI_USAGE, "DOMAIN, SELECTOR and KEYFILE belong together",
                             SLICE(""));
    }
    if (args->word_count && !cli_dkim_names(cli, args->words[0], args->words[1], &domain)) {
        return CLI_USAGE;
    }
    struct conf *conf = cli_conf_load(cli, &src);
    if (!conf) {
        return CLI_CONFIG;
    }
    if (args->word_count) {
        key = key_read(cli, args->words[2]);
        if (key) {
            struct published p = {dkim_domain_slice(&domain), slice_str(args->words[1]), key};
            status = record_check(cli, conf, &p) ? CLI_OK : CLI_FAILURE;
        }
    } else {
        table = cli_dkim_table(cli, conf);
        status = table ? rules_check(cli, conf, table) : CLI_CONFIG;
    }
    dkim_key_free(&key);
    dkim_table_put(&table);
    conf_free(conf);
    return status;
}
