/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Purpose: which mailbox any bytes stand for. Whatever the address is, each name below the base is one name:
 * not empty, not "." or "..", without a slash or a control character, not longer than a name may be; and
 * letters of the other case find the same mailbox. First byte: which pattern.
 */
#include "core/base/must.h"
#include "core/base/utf8.h"
#include "core/conf/mailbox.h"
#include "core/policy/mailbox.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_path(const struct mailbox_path *p, struct slice base)
{
    uint32_t at = 0;
    unsigned names = 0;
    const char *name;
    must(slice_eq(slice_of(p->text, p->base_bytes), base) && p->text[p->base_bytes] == '\0');
    while ((name = mailbox_path_name(p, &at))) {
        struct slice s = slice_str(name);
        must(s.len > 0 && s.len <= 255 && slice_find_byte(s, '/') < 0 && utf8_valid(s));
        must(!slice_eq(s, SLICE(".")) && !slice_eq(s, SLICE("..")));
        for (size_t i = 0; i < s.len; i++) {
            must((unsigned char)s.ptr[i] >= ' ' && s.ptr[i] != 0x7f);
        }
        names++;
    }
    must(names > 0 && at == p->bytes);
}

/* A pattern, too, comes from outside: a configuration. */
static void check_pattern(struct slice pattern)
{
    const char *why;
    struct slice rest, name, text;
    if (!mailbox_pattern_valid(pattern, &why)) {
        must(why != NULL);
        return;
    }
    struct slice base = mailbox_pattern_base(pattern, &rest);
    must(base.len > 0 && base.ptr == pattern.ptr);
    must(mailbox_pattern_name(&rest, &name));
    while (mailbox_name_piece(&name, &text) != MAILBOX_END) {
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct slice patterns[] = {SLICE_INIT("/var/mail/{domain}/{local}"),
                                            SLICE_INIT("/home/{local}/Maildir"),
                                            SLICE_INIT("/srv/x-{local}@{domain}.d"),
                                            SLICE_INIT("/srv/.{local}{local}"),
                                            SLICE_INIT("/srv/all")};
    if (size == 0) {
        return 0;
    }
    struct slice address = slice_of(data + 1, size - 1), rest;
    check_pattern(address);
    struct conf conf = {.identity.hostname = SLICE_INIT("here.test"),
                        .local.maildir = patterns[data[0] % ARRAY_COUNT(patterns)]};
    struct mailbox_path *path = malloc(sizeof(*path)), *again = malloc(sizeof(*again));
    char *upper = malloc(size);
    must(path && again && upper);
    if (mailbox_find(&conf, address, path)) {
        check_path(path, mailbox_pattern_base(conf.local.maildir, &rest));
        for (size_t i = 0; i < address.len; i++) {
            char c = address.ptr[i];
            upper[i] = c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
        }
        must(mailbox_find(&conf, slice_of(upper, address.len), again));
        must(slice_eq(slice_of(again->text, again->bytes), slice_of(path->text, path->bytes)));
    }
    free(path);
    free(again);
    free(upper);
    return 0;
}
