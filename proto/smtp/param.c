/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A parameter is a row: its name, the feature that offers it, and the function that checks its value.
 * The row's index is its bit in the "seen" mask, so duplicates need no second list.
 */
#include "proto/smtp/param.h"

#include "core/base/limits.h"
#include "core/base/rfc3339.h"
#include "core/base/utf8.h"
#include "proto/smtp/path.h"
#include "proto/smtp/xtext.h"

/* What both parameter lists fill in; each handler touches its own part. */
struct param_target {
    struct smtp_mail_params mail;
    struct smtp_rcpt_params rcpt;
    bool smtputf8;
};

struct param_row {
    struct slice key;
    uint32_t feature; /* 0: always known */
    enum smtp_param_result (*set)(struct param_target *t, const struct smtp_param *p);
};

static enum smtp_param_result ok_if(bool good)
{
    return good ? SMTP_PARAM_OK : SMTP_PARAM_BAD;
}

static enum smtp_param_result set_size(struct param_target *t, const struct smtp_param *p)
{
    enum { SIZE_DIGITS_MAX = 20 }; /* RFC 1870 5 */
    if (p->value.len == 0 || p->value.len > SIZE_DIGITS_MAX) {
        return SMTP_PARAM_BAD;
    }
    for (size_t i = 0; i < p->value.len; i++) {
        if (!ascii_is_digit(p->value.ptr[i])) {
            return SMTP_PARAM_BAD;
        }
    }
    if (!slice_to_u64(p->value, &t->mail.size)) {
        t->mail.size = UINT64_MAX;
    }
    t->mail.size_given = true;
    return SMTP_PARAM_OK;
}

static enum smtp_param_result set_body(struct param_target *t, const struct smtp_param *p)
{
    /* BINARYMIME (RFC 3030) is not offered: its body could not be relayed to hosts without it. */
    if (slice_eq_nocase(p->value, SLICE("7BIT"))) {
        t->mail.body = SMTP_BODY_7BIT;
    } else if (slice_eq_nocase(p->value, SLICE("8BITMIME"))) {
        t->mail.body = SMTP_BODY_8BITMIME;
    } else {
        return SMTP_PARAM_BAD;
    }
    return SMTP_PARAM_OK;
}

static enum smtp_param_result set_smtputf8(struct param_target *t, const struct smtp_param *p)
{
    t->mail.smtputf8 = true;
    return ok_if(!p->has_value);
}

static enum smtp_param_result set_ret(struct param_target *t, const struct smtp_param *p)
{
    if (slice_eq_nocase(p->value, SLICE("FULL"))) {
        t->mail.ret = MAIL_RET_FULL;
    } else if (slice_eq_nocase(p->value, SLICE("HDRS"))) {
        t->mail.ret = MAIL_RET_HDRS;
    } else {
        return SMTP_PARAM_BAD;
    }
    return SMTP_PARAM_OK;
}

static enum smtp_param_result set_envid(struct param_target *t, const struct smtp_param *p)
{
    struct buf decoded;
    if (p->value.len > LIMIT_ENVID_BYTES) {
        return SMTP_PARAM_BAD;
    }
    buf_init(&decoded, LIMIT_ENVID_BYTES);
    bool good = smtp_xtext_decode(p->value, &decoded);
    buf_deinit(&decoded);
    t->mail.envid = p->value;
    return ok_if(good);
}

/* RFC 4954 5: an encoded mailbox or "<>". */
static enum smtp_param_result set_auth(struct param_target *t, const struct smtp_param *p)
{
    struct smtp_address address;
    struct buf decoded;
    bool good = slice_eq(p->value, SLICE("<>"));
    if (!good && p->value.len <= LIMIT_ORCPT_BYTES) {
        buf_init(&decoded, LIMIT_ORCPT_BYTES);
        good = smtp_xtext_decode(p->value, &decoded) &&
               smtp_address_parse(buf_slice(&decoded), false, &address);
        buf_deinit(&decoded);
    }
    t->mail.auth = p->value;
    return ok_if(good);
}

enum { SECONDS_DIGITS_MAX = 9 }; /* RFC 4865 3, RFC 2852 4 */

static bool seconds_parse(struct slice s, uint64_t *out)
{
    return s.len <= SECONDS_DIGITS_MAX && slice_to_u64(s, out);
}

/* RFC 4865 3: 1 to 9 digits, the first is not 0; not both of the two. */
static enum smtp_param_result set_hold_for(struct param_target *t, const struct smtp_param *p)
{
    bool good = !t->mail.hold && p->value.len && p->value.ptr[0] != '0' &&
                seconds_parse(p->value, &t->mail.hold_for_s);
    t->mail.hold = true;
    return ok_if(good);
}

static enum smtp_param_result set_hold_until(struct param_target *t, const struct smtp_param *p)
{
    uint64_t us;
    if (t->mail.hold || !rfc3339_parse(p->value, &us)) {
        return SMTP_PARAM_BAD;
    }
    t->mail.hold = true;
    t->mail.hold_until_s = us / 1000000 + 1 - (us % 1000000 == 0);
    return ok_if(t->mail.hold_until_s > 0);
}

/* by-time ";" by-mode [by-trace]; RETURN needs a time that is not over (RFC 2852 4). */
static enum smtp_param_result set_by(struct param_target *t, const struct smtp_param *p)
{
    struct slice mode = p->value;
    struct slice time = slice_cut(&mode, ';');
    uint64_t s;
    bool minus = time.len && time.ptr[0] == '-';
    bool sign = minus || (time.len && time.ptr[0] == '+');
    t->mail.by_trace = mode.len == 2 && ascii_lower(mode.ptr[1]) == 't';
    if (!seconds_parse(slice_skip(time, sign ? 1 : 0), &s) ||
        mode.len != (t->mail.by_trace ? 2u : 1u)) {
        return SMTP_PARAM_BAD;
    }
    t->mail.by_s = minus ? -(int32_t)s : (int32_t)s;
    switch (ascii_lower(mode.ptr[0])) {
    case 'r':
        t->mail.by = SMTP_BY_RETURN;
        return ok_if(t->mail.by_s > 0);
    case 'n':
        t->mail.by = SMTP_BY_NOTIFY;
        return SMTP_PARAM_OK;
    default:
        return SMTP_PARAM_BAD;
    }
}

static enum smtp_param_result set_notify(struct param_target *t, const struct smtp_param *p)
{
    static const struct {
        struct slice word;
        uint8_t bit;
    } words[] = {
        {SLICE_INIT("NEVER"), MAIL_NOTIFY_NEVER},
        {SLICE_INIT("SUCCESS"), MAIL_NOTIFY_SUCCESS},
        {SLICE_INIT("FAILURE"), MAIL_NOTIFY_FAILURE},
        {SLICE_INIT("DELAY"), MAIL_NOTIFY_DELAY},
    };
    struct slice rest = p->value;
    bool more = true;
    while (more) {
        more = slice_find_byte(rest, ',') >= 0;
        struct slice word = slice_cut(&rest, ',');
        uint8_t bit = 0;
        for (size_t i = 0; i < ARRAY_COUNT(words); i++) {
            bit = slice_eq_nocase(word, words[i].word) ? words[i].bit : bit;
        }
        if (bit == 0) {
            return SMTP_PARAM_BAD;
        }
        t->rcpt.notify |= bit;
    }
    return ok_if(!(t->rcpt.notify & MAIL_NOTIFY_NEVER) || t->rcpt.notify == MAIL_NOTIFY_NEVER);
}

/* addr-type ";" value (RFC 3461 4.2); the type is an atom. */
static enum smtp_param_result set_orcpt(struct param_target *t, const struct smtp_param *p)
{
    struct slice value = p->value;
    struct buf decoded;
    if (value.len > LIMIT_ORCPT_BYTES || slice_find_byte(value, ';') < 1) {
        return SMTP_PARAM_BAD;
    }
    struct slice type = slice_cut(&value, ';');
    for (size_t i = 0; i < type.len; i++) {
        if (!ascii_is_alpha(type.ptr[i]) && !ascii_is_digit(type.ptr[i]) && type.ptr[i] != '-') {
            return SMTP_PARAM_BAD;
        }
    }
    buf_init(&decoded, 2 * LIMIT_ORCPT_BYTES);
    bool good = slice_eq_nocase(type, SLICE("utf-8"))
                    ? smtp_utf8_xtext_decode(value, t->smtputf8, &decoded)
                    : smtp_xtext_decode(value, &decoded);
    buf_deinit(&decoded);
    if (!good && utf8_has_8bit(value) && !t->smtputf8) {
        return SMTP_PARAM_NOT_UTF8MODE;
    }
    t->rcpt.orcpt = p->value;
    return ok_if(good);
}

static const struct param_row mail_rows[] = {
    {SLICE_INIT("SIZE"), SMTP_FEATURE_SIZE, set_size},
    {SLICE_INIT("BODY"), SMTP_FEATURE_8BITMIME, set_body},
    {SLICE_INIT("SMTPUTF8"), SMTP_FEATURE_SMTPUTF8, set_smtputf8},
    {SLICE_INIT("RET"), SMTP_FEATURE_DSN, set_ret},
    {SLICE_INIT("ENVID"), SMTP_FEATURE_DSN, set_envid},
    /* Accepted without AUTH on offer: trusted relays pass it on (RFC 4954 5). */
    {SLICE_INIT("AUTH"), 0, set_auth},
    {SLICE_INIT("HOLDFOR"), SMTP_FEATURE_FUTURERELEASE, set_hold_for},
    {SLICE_INIT("HOLDUNTIL"), SMTP_FEATURE_FUTURERELEASE, set_hold_until},
    {SLICE_INIT("BY"), SMTP_FEATURE_DELIVERBY, set_by},
};

static const struct param_row rcpt_rows[] = {
    {SLICE_INIT("NOTIFY"), SMTP_FEATURE_DSN, set_notify},
    {SLICE_INIT("ORCPT"), SMTP_FEATURE_DSN, set_orcpt},
};

static bool is_key_byte(char c)
{
    return ascii_is_alpha(c) || ascii_is_digit(c);
}

/* esmtp-value (RFC 5321 4.1.2), with UTF-8 as of RFC 6531 3.3. */
static bool is_value_byte(char c)
{
    return (c >= 0x21 && c <= 0x7E && c != '=') || (unsigned char)c >= 0x80;
}

enum smtp_param_result smtp_param_next(struct slice *text, struct smtp_param *out)
{
    struct slice s = *text;
    struct smtp_param p = {0};
    while (s.len && s.ptr[0] == ' ') {
        s = slice_skip(s, 1);
    }
    if (s.len == 0) {
        *text = s;
        return SMTP_PARAM_UNKNOWN;
    }
    struct slice word = slice_cut(&s, ' ');
    p.has_value = slice_find_byte(word, '=') >= 0;
    p.key = slice_cut(&word, '=');
    p.value = word;
    if (p.key.len == 0 || !is_key_byte(p.key.ptr[0])) {
        return SMTP_PARAM_BAD;
    }
    for (size_t i = 1; i < p.key.len; i++) {
        if (!is_key_byte(p.key.ptr[i]) && p.key.ptr[i] != '-') {
            return SMTP_PARAM_BAD;
        }
    }
    *text = s;
    *out = p;
    return SMTP_PARAM_OK;
}

static enum smtp_param_result set_one(const struct param_row *row, const struct smtp_param *p,
                                      struct param_target *t)
{
    for (size_t i = 0; i < p->value.len; i++) {
        if (!is_value_byte(p->value.ptr[i])) {
            return SMTP_PARAM_BAD;
        }
    }
    return row->set(t, p);
}

static enum smtp_param_result parse_all(struct slice text, const struct param_row *rows,
                                        size_t row_count, uint32_t features, struct param_target *t)
{
    uint32_t seen = 0;
    must(row_count <= 32);
    for (;;) {
        struct smtp_param p;
        size_t i = 0;
        enum smtp_param_result result = smtp_param_next(&text, &p);
        if (result != SMTP_PARAM_OK) {
            return result == SMTP_PARAM_UNKNOWN ? SMTP_PARAM_OK : result;
        }
        while (i < row_count && !slice_eq_nocase(rows[i].key, p.key)) {
            i++;
        }
        if (i == row_count || (rows[i].feature && !(features & rows[i].feature))) {
            return SMTP_PARAM_UNKNOWN;
        }
        if (seen & 1u << i) {
            return SMTP_PARAM_BAD;
        }
        seen |= 1u << i;
        result = set_one(&rows[i], &p, t);
        if (result != SMTP_PARAM_OK) {
            return result;
        }
    }
}

enum smtp_param_result smtp_mail_params_parse(struct slice text, uint32_t features,
                                              struct smtp_mail_params *out)
{
    struct param_target t = {0};
    enum smtp_param_result result = parse_all(text, mail_rows, ARRAY_COUNT(mail_rows), features,
                                              &t);
    if (result == SMTP_PARAM_OK) {
        *out = t.mail;
    }
    return result;
}

enum smtp_param_result smtp_rcpt_params_parse(struct slice text, uint32_t features, bool smtputf8,
                                              struct smtp_rcpt_params *out)
{
    struct param_target t = {.smtputf8 = smtputf8};
    enum smtp_param_result result = parse_all(text, rcpt_rows, ARRAY_COUNT(rcpt_rows), features,
                                              &t);
    if (result == SMTP_PARAM_OK) {
        *out = t.rcpt;
    }
    return result;
}
