/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Own reading instead of wc_PemToDer: that one needs to be told what to expect, and says only that
 * there was "no PEM header" when it meets a certificate or an encrypted key.
 */
#include "tls/dkim_pem.h"

#include "core/base/base64.h"
#include "core/base/must.h"

enum {
    PEM_LINE_BYTES = 64,
    TEXT_BYTES = BASE64_TEXT_BYTES(DKIM_DER_BYTES),
};

#define BEGIN "-----BEGIN "
#define END "-----END "
#define LABEL "PRIVATE KEY"
#define DASHES "-----"

static bool fail(struct buf *why, const char *what)
{
    buf_addf(why, "%s", what);
    return false;
}

/* What stands behind the first mark; false: no mark. */
static bool behind(struct slice text, struct slice mark, struct slice *out)
{
    const char *at = text.len ? memmem(text.ptr, text.len, mark.ptr, mark.len) : NULL;
    if (!at) {
        return false;
    }
    *out = slice_skip(text, (size_t)(at - text.ptr) + mark.len);
    return true;
}

/* Base64 with white space anywhere. */
static bool decode(struct slice text, struct dkim_der *out, struct buf *why, const char *what)
{
    char packed[TEXT_BYTES];
    size_t n = 0;
    for (size_t i = 0; i < text.len && n <= sizeof(packed); i++) {
        if (memchr(" \t\r\n", text.ptr[i], 4)) {
            continue;
        }
        if (n < sizeof(packed)) {
            packed[n] = text.ptr[i];
        }
        n++;
    }
    bool fits = n <= sizeof(packed);
    bool ok = fits && n > 0 &&
              base64_decode(slice_of(packed, n), out->bytes, DKIM_DER_BYTES, &out->len);
    explicit_bzero(packed, sizeof(packed));
    return ok || fail(why, fits ? what : "it is too long for a key of 4096 bits");
}

static bool label_ok(struct slice label, struct buf *why)
{
    if (slice_eq(label, SLICE("RSA " LABEL)) || slice_eq(label, SLICE(LABEL))) {
        return true;
    }
    if (slice_eq(label, SLICE("ENCRYPTED " LABEL))) {
        return fail(why, "it is encrypted; a key for signing must be without a passphrase");
    }
    buf_addf(why, "it is a \"%.*s\", not an RSA or Ed25519 private key",
             SLICE_ARG(slice_first(label, PEM_LINE_BYTES)));
    return false;
}

bool dkim_pem_read(struct slice text, struct dkim_der *out, struct buf *why)
{
    struct slice rest, label, body;
    if (!behind(text, SLICE(BEGIN), &rest)) {
        return decode(text, out, why, "it is neither a PEM key nor base64");
    }
    label = rest;
    if (!behind(rest, SLICE(DASHES), &body)) {
        return fail(why, "its BEGIN line is not complete");
    }
    label.len = (size_t)(body.ptr - rest.ptr) - SLICE(DASHES).len;
    for (size_t i = 0; i < label.len; i++) {
        if (label.ptr[i] < ' ' || label.ptr[i] > '~') {
            /* The dashes are those of another line: what stands before them may be the key. */
            return fail(why, "its BEGIN line is not complete");
        }
    }
    if (!label_ok(label, why)) {
        return false;
    }
    if (!behind(body, SLICE(END), &rest)) {
        return fail(why, "its END line is missing");
    }
    body.len = (size_t)(rest.ptr - body.ptr) - SLICE(END).len;
    if (behind(body, SLICE("ENCRYPTED"), &rest)) {
        return fail(why, "it is encrypted; a key for signing must be without a passphrase");
    }
    return decode(body, out, why, "the text between BEGIN and END is not base64");
}

void dkim_pem_add(struct buf *out, struct slice der)
{
    struct buf text;
    must(der.len > 0 && der.len <= DKIM_DER_BYTES);
    buf_init(&text, 2 * TEXT_BYTES);
    base64_add(&text, der);
    out->overflow = out->overflow || text.overflow;
    buf_add(out, SLICE(BEGIN LABEL DASHES "\n"));
    for (struct slice rest = buf_slice(&text); rest.len; rest = slice_skip(rest, PEM_LINE_BYTES)) {
        buf_add(out, slice_first(rest, PEM_LINE_BYTES));
        buf_add_byte(out, '\n');
    }
    buf_add(out, SLICE(END LABEL DASHES "\n"));
    if (text.len) {
        explicit_bzero(text.ptr, text.len);
    }
    buf_deinit(&text);
}
