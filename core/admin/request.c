/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Text and not JSON towards the engine: a request is a handful of words, and the engine needs no JSON parser
 * in front of a socket for them.
 */
#include "core/admin/request_private.h"

/* ---- the line ---- */

void admin_add_quoted(struct buf *out, struct slice word)
{
    struct slice s = slice_first(word, 40);
    buf_add_byte(out, '\'');
    for (size_t i = 0; i < s.len; i++) {
        buf_add_byte(out, s.ptr[i] > ' ' && s.ptr[i] < 0x7f ? s.ptr[i] : '?');
    }
    buf_add_byte(out, '\'');
}

static bool admin_parse_param(struct slice word, struct admin_request *req, uint32_t *seen,
                              struct buf *why)
{
    struct slice value = word;
    struct slice key = slice_cut(&value, '=');
    size_t count;
    const struct admin_param *params = admin_params(&count);
    for (size_t i = 0; i < count; i++) {
        const struct admin_param *p = &params[i];
        if (!slice_eq(p->key, key) || !(p->verbs & 1u << req->verb) || key.len == word.len) {
            continue;
        }
        if (*seen & UINT32_C(1) << i) {
            buf_addf(why, "%.*s is given twice", SLICE_ARG(key));
            return false;
        }
        *seen |= UINT32_C(1) << i;
        bool ok = p->text_cap ? admin_text(value, (char *)req + p->text_at, p->text_cap)
                              : p->set(req, value);
        if (!ok) {
            buf_addf(why, "%.*s must be %s, not ", SLICE_ARG(key), p->allowed);
            admin_add_quoted(why, value);
            return false;
        }
        return true;
    }
    buf_addf(why, "%s does not take ", admin_verb_name(req->verb));
    admin_add_quoted(why, word);
    return false;
}

bool admin_request_parse(struct slice line, struct admin_request *out, struct buf *why)
{
    struct admin_request req = {0};
    uint32_t seen = 0;
    struct slice rest = line;
    if (!admin_verb_parse(&rest, &req.verb)) {
        buf_add(why, SLICE("unknown request "));
        admin_add_quoted(why, line);
        return false;
    }
    req.limit = admin_verb_limit(req.verb);
    while (rest.len) {
        must(rest.ptr[0] == ' ');
        rest = slice_skip(rest, 1);
        int space = slice_find_byte(rest, ' ');
        struct slice word = space < 0 ? rest : slice_first(rest, (size_t)space);
        if (!admin_parse_param(word, &req, &seen, why)) {
            return false;
        }
        rest = slice_skip(rest, word.len);
    }
    if (!admin_verb_complete(&req, why)) {
        return false;
    }
    *out = req;
    return true;
}

void admin_request_add(struct buf *out, const struct admin_request *req)
{
    buf_addf(out, "%s", admin_verb_name(req->verb));
    size_t count;
    const struct admin_param *params = admin_params(&count);
    for (size_t i = 0; i < count; i++) {
        if (!(params[i].verbs & 1u << req->verb)) {
            continue;
        }
        size_t before = out->len;
        buf_addf(out, " %.*s=", SLICE_ARG(params[i].key));
        size_t value = out->len;
        if (params[i].text_cap) {
            admin_text_add(out, slice_str((const char *)req + params[i].text_at));
        } else {
            params[i].add(out, req);
        }
        if (out->len == value && !out->overflow) {
            out->len = before;
        }
    }
    buf_add_byte(out, '\n');
}
