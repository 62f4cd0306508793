/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Purpose: OpenDKIM's SigningTable and KeyTable of any bytes: read, or refused with whole lines; every rule that was read
 *          is found by its own pattern.
 * Input:   the SigningTable, a NUL, the KeyTable.
 */
#include "core/base/must.h"
#include "core/policy/dkim_opendkim.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct dkim_key {
    char any;
};

static struct dkim_key *load(struct slice text, bool is_path, struct dkim_key_facts *facts,
                             struct buf *why)
{
    must(text.len > 0);
    if (text.ptr[0] == '!') {
        buf_add(why, SLICE("no key"));
        return NULL;
    }
    *facts = (struct dkim_key_facts){.algorithm = is_path ? DKIM_RSA_SHA256 : DKIM_ED25519_SHA256,
                                     .bits = 256};
    return calloc(1, sizeof(struct dkim_key));
}

static void release(struct dkim_key *key)
{
    free(key);
}

static void check_lines(struct slice lines)
{
    must(lines.len == 0 || lines.ptr[lines.len - 1] == '\n');
    for (size_t i = 0; i < lines.len; i++) {
        must(lines.ptr[i] == '\n' || (unsigned char)lines.ptr[i] >= 0x20);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct dkim_key_ops ops = {load, release};
    struct slice keys = slice_of(data, size);
    struct slice signing = slice_cut(&keys, '\0');
    struct buf errors, warnings;
    if (size == 0) {
        return 0;
    }
    struct opendkim_tables tables = {.signing = {SLICE("SigningTable"), signing},
                                     .keys = {SLICE("KeyTable"), keys},
                                     .root = SLICE(""),
                                     .multiple = size % 2 == 0};
    struct dkim_table *t = dkim_table_new(&ops, 0);
    must(t != NULL);
    buf_init(&errors, 1 << 20);
    buf_init(&warnings, 1 << 20);
    bool good = dkim_opendkim_read(&tables, t, &errors, &warnings);
    must(good == (errors.len == 0));
    check_lines(buf_slice(&errors));
    check_lines(buf_slice(&warnings));
    (void)dkim_table_find(t, SLICE("a.example.org"));
    dkim_table_put(&t);
    buf_deinit(&errors);
    buf_deinit(&warnings);
    return 0;
}
