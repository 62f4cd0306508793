/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Purpose: address parsing on any bytes. What is accepted keeps its limits, holds no control
 * character, is read again to the same parts, and is read as a path when put into brackets.
 */
#include "core/base/limits.h"
#include "core/base/utf8.h"
#include "proto/smtp/path.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_address(const struct smtp_address *a)
{
    must(a->local.len >= 1 && a->local.len <= LIMIT_LOCAL_PART_BYTES);
    must(a->domain.len >= 1 && a->domain.len <= LIMIT_DOMAIN_BYTES);
    must(a->domain.ptr == a->local.ptr + a->local.len + 1 && a->domain.ptr[-1] == '@');
    must(utf8_valid(a->local) && utf8_valid(a->domain));
    for (size_t i = 0; i < a->local.len + a->domain.len + 1; i++) {
        unsigned char c = (unsigned char)a->local.ptr[i];
        must(c >= 0x20 && c != 0x7F);
    }
}

static void check_path(struct slice input, enum smtp_path_kind kind)
{
    struct slice rest = input;
    struct smtp_path path;
    if (smtp_path_parse(&rest, kind, &path) != SMTP_PATH_OK) {
        must(rest.ptr == input.ptr && rest.len == input.len);
        return;
    }
    must(rest.ptr[-1] == '>' && rest.ptr + rest.len == input.ptr + input.len);
    must(path.text.len <= LIMIT_ADDRESS_BYTES);
    must(path.has_8bit == utf8_has_8bit(path.text));
    if (path.address.domain.len) {
        struct smtp_address again;
        check_address(&path.address);
        must(smtp_address_parse(path.text, true, &again));
        must(slice_eq(again.local, path.address.local));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct smtp_address address;
    struct slice input = slice_of(data, size);
    check_path(input, SMTP_PATH_REVERSE);
    check_path(input, SMTP_PATH_FORWARD);
    if (smtp_address_parse(input, true, &address)) {
        char *path = malloc(size + 2);
        must(path != NULL);
        check_address(&address);
        must(smtp_address_parse(input, false, &address) == !utf8_has_8bit(input));
        path[0] = '<';
        memcpy(path + 1, data, size);
        path[size + 1] = '>';
        struct slice in = slice_of(path, size + 2);
        struct smtp_path out;
        must(smtp_path_parse(&in, SMTP_PATH_FORWARD, &out) == SMTP_PATH_OK && in.len == 0);
        free(path);
    }
    (void)smtp_helo_valid(input);
    (void)smtp_domain_valid(input, false);
    (void)smtp_literal_valid(input);
    return 0;
}
