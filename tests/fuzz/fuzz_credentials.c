/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Purpose: a users' file of any bytes: it is read or refused with a reason of whole lines in which no secret's line is
 *          repeated; whoever is in it is found by his name; the decoy never lets anybody in.
 * Input:   the file.
 */
#include "core/base/must.h"
#include "core/policy/credentials.h"
#include "tls/dkim_hash.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_reasons(struct slice errors)
{
    must(errors.len == 0 || errors.ptr[errors.len - 1] == '\n');
    for (size_t i = 0; i < errors.len; i++) {
        must(errors.ptr[i] == '\n' || (unsigned char)errors.ptr[i] >= 0x20);
    }
}

/* Each word of the input as a login. */
static void check_logins(const struct credentials *c, struct slice text)
{
    for (unsigned tries = 0; text.len && tries < 50; tries++) {
        struct slice line = slice_cut(&text, '\n');
        struct slice name = slice_cut(&line, ' ');
        const struct credential *found = credentials_find(c, name, SLICE("h"));
        if (found && found->kind == CREDENTIAL_CLEAR) {
            must(credential_check(found->kind, found->secret, found->secret, dkim_hash_sha256()));
        }
    }
    const struct credential *decoy = credentials_decoy(c);
    must(decoy != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf errors;
    struct slice text = slice_of(data, size);
    buf_init(&errors, 64 * 1024);
    struct credentials *c = credentials_new(7);
    must(c != NULL);
    bool good = credentials_read(c, text, "users", &errors);
    must(good == (errors.len == 0));
    check_reasons(buf_slice(&errors));
    if (good) {
        check_logins(c, text);
    }
    credentials_free(&c);
    buf_deinit(&errors);
    return 0;
}
