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

/* The parameters of a command, and what EHLO must have offered for each; 0: nothing. */
struct model_params {
    const char *names[6];
    uint32_t needs[6];
};

struct model_walk {
    struct slice rest;
    unsigned seen; /* bit per name */
    struct model_word word;
    int row; /* which it is; -1: there was none left */
};

/* The next word, all but its value judged. */
static inline const char *model_next(struct model_walk *w, const struct model_params *p,
                                     uint32_t features)
{
    struct slice one = {"", 0};
    w->row = -1;
    while (w->rest.len && one.len == 0) {
        one = slice_cut(&w->rest, ' ');
    }
    if (one.len == 0) {
        return NULL;
    }
    if (!model_word_read(one, &w->word)) {
        return MODEL_BAD_PARAM;
    }
    for (int i = 0; i < 6 && p->names[i]; i++) {
        w->row = model_is(w->word.key, p->names[i]) ? i : w->row;
    }
    if (w->row < 0 || (p->needs[w->row] && !(features & p->needs[w->row]))) {
        return MODEL_UNKNOWN_PARAM;
    }
    if (w->seen & 1u << w->row || !model_all(w->word.value, model_value_byte)) {
        return MODEL_BAD_PARAM;
    }
    w->seen |= 1u << w->row;
    return NULL;
}

static inline const char *model_mail_params(struct slice text, uint32_t features,
                                            struct model_mail *mail)
{
    static const struct model_params params = {{"SIZE", "BODY", "SMTPUTF8", "RET", "ENVID", "AUTH"},
                                               {SMTP_FEATURE_SIZE, SMTP_FEATURE_8BITMIME,
                                                SMTP_FEATURE_SMTPUTF8, SMTP_FEATURE_DSN,
                                                SMTP_FEATURE_DSN, 0}};
    struct model_walk w = {.rest = text};
    *mail = (struct model_mail){0};
    for (;;) {
        const char *wrong = model_next(&w, &params, features);
        if (wrong || w.row < 0) {
            return wrong;
        }
        wrong = model_mail_value(&w.word, mail);
        if (wrong) {
            return wrong;
        }
    }
}

static inline const char *model_rcpt_params(struct slice text, uint32_t features, bool utf8)
{
    static const struct model_params params = {{"NOTIFY", "ORCPT"},
                                               {SMTP_FEATURE_DSN, SMTP_FEATURE_DSN}};
    struct model_walk w = {.rest = text};
    for (;;) {
        const char *wrong = model_next(&w, &params, features);
        if (wrong || w.row < 0) {
            return wrong;
        }
        wrong = w.row == 1                         ? model_orcpt_value(w.word.value, utf8)
                : model_notify_value(w.word.value) ? NULL
                                                   : MODEL_BAD_PARAM;
        if (wrong) {
            return wrong;
        }
    }
}

#endif
