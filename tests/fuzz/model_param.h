/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * model_param - what the ESMTP parameters of MAIL and RCPT are answered with
 *
 * Purpose:   the slow twin of proto/smtp/param.c: NULL when all are good, else the reply. Without HOLDFOR, HOLDUNTIL
 *            and BY, which the model's server does not offer. Header only. Thread: any.
 */
#ifndef RINGPOST_FUZZ_MODEL_PARAM_H
#define RINGPOST_FUZZ_MODEL_PARAM_H

#include "proto/smtp/param.h"
#include "tests/fuzz/model_address.h"

#define MODEL_BAD_PARAM "501 5.5.4"
#define MODEL_UNKNOWN_PARAM "555 5.5.4"
#define MODEL_NEED_UTF8 "553 5.6.7"

struct model_mail {
    uint64_t size;
    bool utf8;
};

static inline int model_value_byte(int c)
{
    return c > ' ' && c != 0x7F && c != '=';
}

static inline int model_digit(int c)
{
    return c >= '0' && c <= '9';
}

static inline int model_alnum_dash(int c)
{
    return c == '-' || (c < 0x80 && isalnum(c));
}

/* One "KEY[=value]" */
struct model_word {
    struct slice key, value;
    bool equals;
};

static inline bool model_word_read(struct slice word, struct model_word *out)
{
    out->key = slice_cut(&word, '=');
    out->value = word;
    out->equals = out->key.len < (size_t)(word.ptr - out->key.ptr) + word.len;
    return out->key.len > 0 && model_all(out->key, model_alnum_dash) && out->key.ptr[0] != '-';
}

/* The value of MAIL's AUTH: "<>" or an address in xtext. */
static inline bool model_auth_value(struct slice value)
{
    char text[512];
    size_t len, at;
    if (slice_eq(value, SLICE("<>"))) {
        return true;
    }
    return value.len <= 500 && model_xtext(value, text, &len) &&
           model_mailbox(slice_of(text, len), &at);
}

static inline const char *model_mail_value(const struct model_word *w, struct model_mail *mail)
{
    char text[512];
    size_t len;
    bool good = true;
    if (model_is(w->key, "SIZE")) {
        good = w->value.len >= 1 && w->value.len <= 20 && model_all(w->value, model_digit);
        if (good && !slice_to_u64(w->value, &mail->size)) {
            mail->size = UINT64_MAX;
        }
    } else if (model_is(w->key, "BODY")) {
        good = model_is(w->value, "7BIT") || model_is(w->value, "8BITMIME");
    } else if (model_is(w->key, "SMTPUTF8")) {
        good = !w->equals;
        mail->utf8 = true;
    } else if (model_is(w->key, "RET")) {
        good = model_is(w->value, "FULL") || model_is(w->value, "HDRS");
    } else if (model_is(w->key, "ENVID")) {
        good = w->value.len <= 100 && model_xtext(w->value, text, &len);
    } else {
        good = model_auth_value(w->value);
    }
    return good ? NULL : MODEL_BAD_PARAM;
}

static inline bool model_notify_value(struct slice value)
{
    unsigned never = 0, others = 0;
    size_t from = 0;
    for (size_t i = 0; i <= value.len; i++) {
        if (i == value.len || value.ptr[i] == ',') {
            struct slice word = model_part(value, from, i);
            from = i + 1;
            if (model_is(word, "NEVER")) {
                never++;
            } else if (model_is(word, "SUCCESS") || model_is(word, "FAILURE") ||
                       model_is(word, "DELAY")) {
                others++;
            } else {
                return false;
            }
        }
    }
    return !never || !others;
}

static inline const char *model_orcpt_value(struct slice value, bool utf8)
{
    char text[512];
    size_t len;
    int semicolon = slice_find_byte(value, ';');
    if (value.len > 500 || semicolon < 1) {
        return MODEL_BAD_PARAM;
    }
    struct slice type = slice_first(value, (size_t)semicolon);
    struct slice rest = slice_skip(value, (size_t)semicolon + 1);
    if (!model_all(type, model_alnum_dash)) {
        return MODEL_BAD_PARAM;
    }
    bool good = model_is(type, "utf-8") ? model_utf8_xtext(rest, utf8)
                                        : model_xtext(rest, text, &len);
    return good ? NULL : model_high(rest) && !utf8 ? MODEL_NEED_UTF8 : MODEL_BAD_PARAM;
}

/* The index of key in "SIZE BODY ...", or -1. */
static inline int model_key(struct slice key, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (model_is(key, names[i])) {
            return (int)i;
        }
    }
    return -1;
}

/* Key, order and bytes of a word; *row: which it is. */
static inline const char *model_known(struct slice text, const char *const *names, size_t count,
                                      struct model_word *w, int *row)
{
    if (!model_word_read(text, w)) {
        return MODEL_BAD_PARAM;
    }
    *row = model_key(w->key, names, count);
    return *row < 0 ? MODEL_UNKNOWN_PARAM : NULL;
}

static inline const char *model_mail_params(struct slice text, uint32_t features,
                                            struct model_mail *mail)
{
    static const char *const names[] = {"SIZE", "BODY", "SMTPUTF8", "RET", "ENVID", "AUTH"};
    static const uint32_t needs[] = {SMTP_FEATURE_SIZE, SMTP_FEATURE_8BITMIME,
                                     SMTP_FEATURE_SMTPUTF8, SMTP_FEATURE_DSN, SMTP_FEATURE_DSN};
    unsigned seen = 0;
    *mail = (struct model_mail){0};
    while (text.len) {
        struct slice one = slice_cut(&text, ' ');
        struct model_word w;
        int row;
        if (one.len == 0) {
            continue;
        }
        const char *wrong = model_known(one, names, ARRAY_COUNT(names), &w, &row);
        if (wrong) {
            return wrong;
        }
        if (row < 5 && !(features & needs[row])) {
            return MODEL_UNKNOWN_PARAM;
        }
        if (seen & 1u << row || !model_all(w.value, model_value_byte)) {
            return MODEL_BAD_PARAM;
        }
        seen |= 1u << row;
        wrong = model_mail_value(&w, mail);
        if (wrong) {
            return wrong;
        }
    }
    return NULL;
}

static inline const char *model_rcpt_params(struct slice text, uint32_t features, bool utf8)
{
    static const char *const names[] = {"NOTIFY", "ORCPT"};
    unsigned seen = 0;
    while (text.len) {
        struct slice one = slice_cut(&text, ' ');
        struct model_word w;
        int row;
        if (one.len == 0) {
            continue;
        }
        const char *wrong = model_known(one, names, ARRAY_COUNT(names), &w, &row);
        if (wrong) {
            return wrong;
        }
        if (!(features & SMTP_FEATURE_DSN)) {
            return MODEL_UNKNOWN_PARAM;
        }
        if (seen & 1u << row || !model_all(w.value, model_value_byte)) {
            return MODEL_BAD_PARAM;
        }
        seen |= 1u << row;
        wrong = row == 1                      ? model_orcpt_value(w.value, utf8)
                : model_notify_value(w.value) ? NULL
                                              : MODEL_BAD_PARAM;
        if (wrong) {
            return wrong;
        }
    }
    return NULL;
}

#endif
