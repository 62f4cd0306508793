/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Purpose: the first bytes of a TLS client. As more and more of them come the answer is MORE and then, once, another
 *          that stays; what was found does not change by what lies behind, nor by the records it is cut into.
 * Input:   a byte (size of the records), then the bytes of the connection.
 */
#include "core/base/buf.h"
#include "core/base/must.h"
#include "tls/hello.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RECORD_HEADER = 5, PREFIXES_MAX = 600 };

static enum tls_hello_result parse(struct slice input, struct tls_hello *out)
{
    char *copy = malloc(input.len ? input.len : 1);
    must(copy != NULL);
    if (input.len) {
        memcpy(copy, input.ptr, input.len);
    }
    memset(out, 0, sizeof(*out));
    enum tls_hello_result result = tls_hello_parse(slice_of(copy, input.len), out);
    free(copy);
    if (result == TLS_HELLO_OK) {
        must(out->version_max <= 0x0304 &&
             (out->version_min == 0x0303 || out->version_min == 0x0304));
        must(out->version_max >= out->version_min || out->version_max < 0x0303);
        must(out->version_max > 0x0303 || !out->keys_tls13);
        must(out->version_min < 0x0304 || !out->keys_tls12);
        for (size_t i = 0; i < out->server_name_len; i++) {
            char c = out->server_name[i];
            must(c > ' ' && c < 0x7F && !(c >= 'A' && c <= 'Z'));
        }
    }
    return result;
}

static bool same(const struct tls_hello *a, const struct tls_hello *b)
{
    return a->version_max == b->version_max && a->version_min == b->version_min &&
           a->keys_tls12 == b->keys_tls12 && a->keys_tls13 == b->keys_tls13 &&
           slice_eq(slice_of(a->server_name, a->server_name_len),
                    slice_of(b->server_name, b->server_name_len));
}

/* data as the handshake, in records of so many bytes. */
static void records(struct buf *out, struct slice data, size_t record_bytes)
{
    while (data.len) {
        struct slice part = slice_first(data, record_bytes);
        const char head[RECORD_HEADER] = {0x16, 3, 1, (char)(part.len >> 8), (char)part.len};
        buf_add(out, slice_of(head, sizeof(head)));
        buf_add(out, part);
        data = slice_skip(data, part.len);
    }
}

static void check_prefixes(struct slice input)
{
    struct tls_hello first, now;
    enum tls_hello_result decided = TLS_HELLO_MORE;
    for (size_t n = 0; n <= input.len && n <= PREFIXES_MAX; n++) {
        enum tls_hello_result result = parse(slice_first(input, n), &now);
        must(decided == TLS_HELLO_MORE || result == decided);
        if (decided == TLS_HELLO_MORE && result != TLS_HELLO_MORE) {
            decided = result;
            first = now;
        }
        must(result != TLS_HELLO_OK || same(&first, &now));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tls_hello whole, cut;
    struct buf one, many;
    if (size == 0 || size > 8192) {
        return 0;
    }
    struct slice input = slice_of(data + 1, size - 1);
    check_prefixes(input);
    buf_init(&one, 1 << 20);
    buf_init(&many, 1 << 20);
    records(&one, input, 16384);
    records(&many, input, 1 + data[0]);
    check_prefixes(buf_slice(&one));
    enum tls_hello_result result = parse(buf_slice(&one), &whole);
    if (result == TLS_HELLO_OK) {
        must(parse(buf_slice(&many), &cut) == TLS_HELLO_OK && same(&whole, &cut));
    }
    buf_deinit(&one);
    buf_deinit(&many);
    return 0;
}
