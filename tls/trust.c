/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * An array sorted by the hash of the subject, then by fingerprint, so that a search is a bisection
 * and a certificate that is there already is found while adding. Some 150 authorities of 1.3 KB.
 */
#include "tls/trust.h"

#include "core/base/must.h"
#include "tls/der.h"
#include "tls/file.h"
#include "tls/pem.h"
#include "tls/x509.h"

#include <dirent.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { AUTHORITIES_MAX = 4096, FILE_BYTES_MAX = 4 * 1024 * 1024, DER_BYTES_MAX = 32 * 1024 };

struct authority {
    uint8_t subject[TLS_NAME_HASH_BYTES];
    uint8_t sha256[TLS_FINGERPRINT_BYTES];
    struct slice der;
};

struct tls_trust {
    atomic_uint references;
    struct authority *all;
    size_t count, cap, skipped;
};

struct tls_trust *tls_trust_open(void)
{
    struct tls_trust *t = calloc(1, sizeof(*t));
    if (t) {
        atomic_init(&t->references, 1);
    }
    return t;
}

struct tls_trust *tls_trust_get(struct tls_trust *t)
{
    must(atomic_fetch_add_explicit(&t->references, 1, memory_order_relaxed) > 0);
    return t;
}

void tls_trust_put(struct tls_trust **t)
{
    struct tls_trust *old = *t;
    *t = NULL;
    if (!old || atomic_fetch_sub_explicit(&old->references, 1, memory_order_acq_rel) != 1) {
        return;
    }
    for (size_t i = 0; i < old->count; i++) {
        free((void *)(uintptr_t)old->all[i].der.ptr);
    }
    free(old->all);
    free(old);
}

size_t tls_trust_count(const struct tls_trust *t)
{
    return t->count;
}

size_t tls_trust_skipped(const struct tls_trust *t)
{
    return t->skipped;
}

static int order(const struct authority *a, const struct authority *b)
{
    int by_subject = memcmp(a->subject, b->subject, sizeof(a->subject));
    return by_subject ? by_subject : memcmp(a->sha256, b->sha256, sizeof(a->sha256));
}

/* The first place whose authority is not before key. */
static size_t lower_bound(const struct tls_trust *t, const struct authority *key)
{
    size_t low = 0, high = t->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (order(&t->all[middle], key) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool make_room(struct tls_trust *t)
{
    if (t->count < t->cap) {
        return true;
    }
    size_t cap = t->cap ? 2 * t->cap : 32;
    struct authority *all = realloc(t->all, cap * sizeof(*all));
    if (!all) {
        return false;
    }
    t->all = all;
    t->cap = cap;
    return true;
}

/* Some authorities (two of Debian's largest) have the serial number 0, with which the library parses no
 * certificate. Of an authority only name, key and constraints count (RFC 5280 6.1.1 d): neither its
 * serial number nor its own signature is ever looked at, so it gets another. */
static void mend_serial(struct buf *der)
{
    struct slice rest = buf_slice(der), certificate, tbs, version, serial;
    if (!der_take(&rest, DER_SEQUENCE, &certificate) ||
        !der_take(&certificate, DER_SEQUENCE, &tbs)) {
        return;
    }
    (void)der_take(&tbs, DER_CONTEXT_CONSTRUCTED | 0, &version);
    if (der_take(&tbs, DER_INTEGER, &serial) && slice_eq(serial, SLICE("\0"))) {
        der->ptr[serial.ptr - der->ptr] = 1;
    }
}

/* False: it does not parse, or there is no room. */
static bool add_der(struct tls_trust *t, struct slice der)
{
    struct authority a = {0};
    struct x509 c;
    if (!x509_parse(&c, der)) {
        return false;
    }
    memcpy(a.subject, c.subject_hash, sizeof(a.subject));
    x509_free(&c);
    x509_fingerprint(der, a.sha256);
    size_t at = lower_bound(t, &a);
    if (at < t->count && order(&t->all[at], &a) == 0) {
        return true;
    }
    char *copy = t->count < AUTHORITIES_MAX && make_room(t) ? malloc(der.len) : NULL;
    if (!copy) {
        return false;
    }
    memcpy(copy, der.ptr, der.len);
    a.der = slice_of(copy, der.len);
    memmove(&t->all[at + 1], &t->all[at], (t->count - at) * sizeof(a));
    t->all[at] = a;
    t->count++;
    return true;
}

static bool is_certificate(struct slice label)
{
    return slice_eq(label, SLICE("CERTIFICATE")) || slice_eq(label, SLICE("X509 CERTIFICATE"));
}

bool tls_trust_add_pem(struct tls_trust *t, struct slice pem)
{
    struct tls_pem_block block;
    struct buf der;
    bool any = false;
    enum tls_pem rc;
    must(atomic_load(&t->references) > 0);
    buf_init(&der, DER_BYTES_MAX);
    while ((rc = tls_pem_next(&pem, &block, &der)) != TLS_PEM_END) {
        bool wanted = rc == TLS_PEM_BROKEN || is_certificate(block.label);
        bool added = false;
        if (wanted && rc == TLS_PEM_BLOCK) {
            mend_serial(&der);
            added = add_der(t, buf_slice(&der));
        }
        t->skipped += wanted && !added;
        any = any || added;
    }
    buf_deinit(&der);
    return any;
}

static bool add_file(struct tls_trust *t, const char *path, struct buf *problem)
{
    struct buf text;
    buf_init(&text, FILE_BYTES_MAX);
    bool ok = tls_file_read(path, &text, problem);
    if (ok && !tls_trust_add_pem(t, buf_slice(&text))) {
        buf_addf(problem, "%s: holds no certificate in PEM form: name a file of CA certificates",
                 path);
        ok = false;
    }
    buf_deinit(&text);
    return ok;
}

static bool add_folder(struct tls_trust *t, const char *path, struct buf *problem)
{
    char name[4096];
    struct stat st;
    size_t before = t->count;
    DIR *folder = opendir(path);
    if (!folder) {
        buf_addf(problem, "%s: %s: make it readable", path, strerror(errno));
        return false;
    }
    for (struct dirent *e = readdir(folder); e; e = readdir(folder)) {
        int n = snprintf(name, sizeof(name), "%s/%s", path, e->d_name);
        if (e->d_name[0] == '.' || n <= 0 || (size_t)n >= sizeof(name) || stat(name, &st) != 0 ||
            !S_ISREG(st.st_mode)) {
            continue;
        }
        struct buf ignored;
        buf_init(&ignored, sizeof(name) + 256);
        (void)add_file(t, name, &ignored);
        buf_deinit(&ignored);
    }
    (void)closedir(folder);
    if (t->count == before) {
        buf_addf(problem, "%s: no file in it holds a certificate: name a folder of CA certificates",
                 path);
    }
    return t->count > before;
}

bool tls_trust_add_path(struct tls_trust *t, const char *path, struct buf *problem)
{
    struct stat st;
    must(t != NULL && path != NULL);
    if (stat(path, &st) != 0) {
        buf_addf(problem, "%s: %s: install ca-certificates or name another file", path,
                 strerror(errno));
        return false;
    }
    return S_ISDIR(st.st_mode) ? add_folder(t, path, problem) : add_file(t, path, problem);
}

struct slice tls_trust_find(const struct tls_trust *t, const uint8_t hash[TLS_NAME_HASH_BYTES],
                            size_t n)
{
    struct authority key = {0};
    memcpy(key.subject, hash, sizeof(key.subject));
    size_t at = lower_bound(t, &key);
    for (size_t i = 0; at + i < t->count; i++) {
        if (memcmp(t->all[at + i].subject, hash, sizeof(key.subject)) != 0) {
            break;
        }
        if (i == n) {
            return t->all[at + i].der;
        }
    }
    return (struct slice){0};
}
