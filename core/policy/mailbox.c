/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/policy/mailbox.h"
#include "core/base/buf.h"
#include "core/base/limits.h"
#include "core/base/must.h"
#include "core/base/utf8.h"
#include "core/conf/mailbox.h"
#include "core/policy/access.h"

enum { NAME_BYTES_MAX = 255, PLACEHOLDER_BYTES_MAX = 255 };

bool mailbox_is_local(const struct conf *conf, struct slice domain)
{
    return conf->local.maildir.len && access_domain_in(&conf->access.local_domains, domain);
}

/* ---- one part of an address as (a part of) a name ---- */

/* C0, DEL and C1 (U+0080…9F): they have no business in a name, and disturb terminals. */
static bool is_control(struct slice s, size_t i)
{
    unsigned char c = (unsigned char)s.ptr[i];
    unsigned char next = i + 1 < s.len ? (unsigned char)s.ptr[i + 1] : 0;
    return c < ' ' || c == 0x7f || (c == 0xc2 && next >= 0x80 && next < 0xa0);
}

static bool add_safe(struct buf *out, struct slice value)
{
    if (value.len == 0 || value.len > PLACEHOLDER_BYTES_MAX || value.ptr[0] == '.' ||
        slice_find_byte(value, '/') >= 0 || !utf8_valid(value)) {
        return false;
    }
    for (size_t i = 0; i < value.len; i++) {
        if (is_control(value, i)) {
            return false;
        }
        buf_add_byte(out, ascii_lower(value.ptr[i]));
    }
    return true;
}

/* "\"a\\b\"" is ab (RFC 5321 4.1.2: quoted and not, it is the same mailbox). */
static struct slice unquoted(struct slice local, char dst[LIMIT_ADDRESS_BYTES])
{
    if (local.len < 2 || local.ptr[0] != '"' || local.len > LIMIT_ADDRESS_BYTES) {
        return local;
    }
    size_t n = 0;
    for (size_t i = 1; i + 1 < local.len; i++) {
        if (local.ptr[i] == '\\' && i + 2 < local.len) {
            i++;
        }
        dst[n++] = local.ptr[i];
    }
    return slice_of(dst, n);
}

static struct slice without_tag(struct slice local)
{
    int plus = slice_find_byte(local, '+');
    return plus > 0 ? slice_first(local, (size_t)plus) : local;
}

/* ---- the path ---- */

static bool add_name(struct buf *out, struct slice pattern, struct slice local, struct slice domain)
{
    size_t before = out->len;
    struct slice text;
    bool ok = true;
    for (;;) {
        switch (mailbox_name_piece(&pattern, &text)) {
        case MAILBOX_TEXT:
            buf_add(out, text);
            break;
        case MAILBOX_DOMAIN:
            ok = ok && add_safe(out, domain);
            break;
        case MAILBOX_LOCAL:
            ok = ok && add_safe(out, local);
            break;
        case MAILBOX_END:
            ok = ok && out->len > before && out->len - before <= NAME_BYTES_MAX;
            buf_add_byte(out, '\0');
            return ok;
        }
    }
}

bool mailbox_find(const struct conf *conf, struct slice address, struct mailbox_path *out)
{
    char plain[LIMIT_ADDRESS_BYTES];
    const char *at = address.len ? memrchr(address.ptr, '@', address.len) : NULL;
    struct slice local = at ? slice_first(address, (size_t)(at - address.ptr)) : address;
    struct slice domain = at ? slice_skip(address, local.len + 1) : conf->identity.hostname;
    struct slice pattern = conf->local.maildir, rest, name;
    must(pattern.len > 0);
    local = without_tag(unquoted(local, plain));
    struct slice base = mailbox_pattern_base(pattern, &rest);
    struct buf text;
    buf_init(&text, sizeof(out->text));
    buf_add(&text, base);
    buf_add_byte(&text, '\0');
    bool ok = true;
    while (ok && mailbox_pattern_name(&rest, &name)) {
        ok = add_name(&text, name, local, domain);
    }
    ok = ok && !text.overflow;
    if (ok) {
        memcpy(out->text, text.ptr, text.len);
        out->base_bytes = (uint32_t)base.len;
        out->bytes = (uint32_t)text.len;
    }
    buf_deinit(&text);
    return ok;
}

bool mailbox_path_more(const struct mailbox_path *p, uint32_t at)
{
    return (at ? at : p->base_bytes + 1) < p->bytes;
}

const char *mailbox_path_name(const struct mailbox_path *p, uint32_t *at)
{
    uint32_t from = *at ? *at : p->base_bytes + 1;
    if (from >= p->bytes) {
        return NULL;
    }
    const char *end = memchr(p->text + from, '\0', p->bytes - from);
    must(end != NULL && end > p->text + from);
    *at = (uint32_t)(end - p->text) + 1;
    return p->text + from;
}
