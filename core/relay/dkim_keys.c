/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/relay/dkim_keys.h"

#include "core/base/must.h"
#include "core/conf/file.h"
#include "core/policy/dkim_opendkim.h"

#include <limits.h>

enum { TABLE_FILE_BYTES_MAX = 16 * 1024 * 1024 };

must_static((int)DKIM_JOB_SIGNATURE_BYTES == (int)DKIM_SIGNATURE_BYTES, "a job holds a signature");

/* ---- keys ---- */

static struct dkim_key *keys_load(struct slice text, bool is_path, struct dkim_key_facts *facts,
                                  struct buf *why)
{
    char path[PATH_MAX];
    struct dkim_key *key = NULL;
    if (!is_path) {
        key = dkim_key_read(text, why);
    } else if (slice_to_cstr(text, path, sizeof(path))) {
        key = dkim_key_read_file(path, why);
    } else {
        buf_addf(why, "no file can have this name");
    }
    if (key) {
        *facts = (struct dkim_key_facts){
            .algorithm = dkim_key_type(key) == DKIM_KEY_RSA ? DKIM_RSA_SHA256 : DKIM_ED25519_SHA256,
            .bits = dkim_key_bits(key),
            .weak = dkim_key_is_weak(key),
        };
    }
    return key;
}

static void keys_release(struct dkim_key *key)
{
    dkim_key_free(&key);
}

const struct dkim_key_ops *dkim_keys_ops(void)
{
    static const struct dkim_key_ops ops = {keys_load, keys_release};
    return &ops;
}

size_t dkim_keys_sign(struct dkim_signing *s, struct dkim_job *jobs, size_t count)
{
    size_t done = 0;
    for (size_t i = 0; i < count; i++) {
        size_t bytes = 0;
        must(jobs[i].key != NULL);
        bool ok = dkim_key_sign(jobs[i].key, s, jobs[i].hash, jobs[i].signature, &bytes);
        jobs[i].signature_bytes = ok ? (uint16_t)bytes : 0;
        done += ok;
    }
    return done;
}

/* ---- configuration ---- */

static void entry_set_canon(struct dkim_entry *e, enum conf_dkim_canon c)
{
    switch (c) {
    case CONF_DKIM_RELAXED_RELAXED:
        e->header_canon = e->body_canon = DKIM_CANON_RELAXED;
        break;
    case CONF_DKIM_RELAXED_SIMPLE:
        e->header_canon = DKIM_CANON_RELAXED;
        e->body_canon = DKIM_CANON_SIMPLE;
        break;
    case CONF_DKIM_SIMPLE_RELAXED:
        e->header_canon = DKIM_CANON_SIMPLE;
        e->body_canon = DKIM_CANON_RELAXED;
        break;
    case CONF_DKIM_SIMPLE_SIMPLE:
        e->header_canon = e->body_canon = DKIM_CANON_SIMPLE;
        break;
    }
}

/* The file wins where both are set, as the seeds' images do it. False: there is no key. */
static bool entry_set_key(struct dkim_entry *e, struct slice file, struct slice pem)
{
    e->key_is_path = file.len > 0;
    e->key = file.len ? file : pem;
    return e->key.len > 0;
}

static bool add_domains(struct dkim_table *t, const struct conf *conf, struct buf *errors,
                        struct buf *warnings)
{
    bool ok = true;
    for (size_t i = 0; i < conf->domains.count; i++) {
        const struct conf_domain *d = &conf->domains.items[i];
        struct buf where;
        struct dkim_entry e = {
            .domain = d->name,
            .names = true,
            .subdomains = conf->dkim.subdomains,
            .selector = d->dkim_selector.len ? d->dkim_selector : conf->dkim.selector,
        };
        bool has_key = entry_set_key(&e, d->dkim_key_file, d->dkim_key_pem);
        if (!has_key && d->dkim_selector.len == 0) {
            continue;
        }
        buf_init(&where, 256);
        buf_addf(&where, "domains[%zu].dkim_%s", i,
                 !has_key        ? "selector"
                 : e.key_is_path ? "key_file"
                                 : "key_pem");
        e.where = buf_slice(&where);
        entry_set_canon(&e, d->dkim_canonicalization);
        ok = dkim_table_add(t, &e, errors, warnings) && ok;
        buf_deinit(&where);
    }
    return ok;
}

static bool add_default(struct dkim_table *t, const struct conf *conf, struct buf *errors,
                        struct buf *warnings)
{
    struct dkim_entry e = {.selector = conf->dkim.selector};
    if (!entry_set_key(&e, conf->dkim.key_file, conf->dkim.key_pem)) {
        return true;
    }
    e.where = e.key_is_path ? SLICE("dkim.key_file") : SLICE("dkim.key_pem");
    entry_set_canon(&e, conf->dkim.canonicalization);
    return dkim_table_add(t, &e, errors, warnings);
}

static bool file_read(struct slice path, struct buf *text, struct opendkim_file *out,
                      struct buf *errors)
{
    struct buf why;
    buf_init(&why, 1024);
    /* A configuration's text has a NUL behind it. */
    bool ok = conf_file_read(path.ptr, TABLE_FILE_BYTES_MAX, text, &why);
    if (!ok) {
        buf_addf(errors, "%.*s: %.*s\n", SLICE_ARG(path), SLICE_ARG(buf_slice(&why)));
    }
    *out = (struct opendkim_file){.name = path, .text = buf_slice(text)};
    buf_deinit(&why);
    return ok;
}

static bool add_opendkim(struct dkim_table *t, const struct conf *conf, struct buf *errors,
                         struct buf *warnings)
{
    struct buf signing, keys;
    struct dkim_entry canon = {0};
    if (conf->dkim.signing_table.len == 0 || conf->dkim.key_table.len == 0) {
        return true;
    }
    entry_set_canon(&canon, conf->dkim.canonicalization);
    struct opendkim_tables in = {
        .root = conf->root,
        .header_canon = canon.header_canon,
        .body_canon = canon.body_canon,
    };
    buf_init(&signing, TABLE_FILE_BYTES_MAX + 1);
    buf_init(&keys, TABLE_FILE_BYTES_MAX + 1);
    bool ok = file_read(conf->dkim.signing_table, &signing, &in.signing, errors);
    ok = file_read(conf->dkim.key_table, &keys, &in.keys, errors) && ok;
    ok = ok && dkim_opendkim_read(&in, t, errors, warnings);
    if (keys.ptr) {
        explicit_bzero(keys.ptr, keys.cap); /* keys may stand in it */
    }
    buf_deinit(&signing);
    buf_deinit(&keys);
    return ok;
}

struct dkim_table *dkim_keys_load(const struct conf *conf, struct buf *errors, struct buf *warnings)
{
    struct dkim_table *t = dkim_table_new(dkim_keys_ops(), 0);
    if (!t) {
        buf_addf(errors, "dkim: out of memory\n");
        return NULL;
    }
    bool ok = add_domains(t, conf, errors, warnings);
    ok = add_default(t, conf, errors, warnings) && ok;
    ok = add_opendkim(t, conf, errors, warnings) && ok;
    if (!ok) {
        dkim_table_put(&t);
    }
    return t;
}
