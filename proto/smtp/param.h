/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * param - ESMTP parameters of MAIL and RCPT
 *
 * Purpose:   cuts "KEY=value KEY ..." with one forward scan and checks every known parameter. Values
 *            are kept as they came (validated xtext), decoding is done by their reader; they were
 *            decoded once here, so that cannot fail later.
 * Owner:     nothing is allocated except a scratch buf on the way; results are slices of the input.
 * Thread:    any.
 * Limits:    ENVID 100, ORCPT 500 bytes; every parameter at most once.
 * Errors:    SMTP_PARAM_BAD: syntax, duplicate, bad value (501 5.5.4). SMTP_PARAM_UNKNOWN: not a
 *            parameter we offered (555 5.5.4). SMTP_PARAM_NOT_UTF8MODE: 8-bit without SMTPUTF8
 *            (553 5.6.7). *out is untouched unless SMTP_PARAM_OK.
 * RFC:       5321 4.1.2, 1870 (SIZE), 6152 (BODY), 6531 (SMTPUTF8), 3461 (RET ENVID NOTIFY ORCPT),
 *            6533 3 (ORCPT=utf-8;), 4954 5 (AUTH), 4865 (HOLDFOR HOLDUNTIL), 2852 (BY).
 */
#ifndef RINGPOST_SMTP_PARAM_H
#define RINGPOST_SMTP_PARAM_H

#include "core/base/slice.h"
#include "proto/mail/notify.h"

/* Features of a listener: what EHLO offers is what parameters and verbs accept. */
enum {
    SMTP_FEATURE_PIPELINING = 1 << 0,
    SMTP_FEATURE_SIZE = 1 << 1,
    SMTP_FEATURE_8BITMIME = 1 << 2,
    SMTP_FEATURE_SMTPUTF8 = 1 << 3,
    SMTP_FEATURE_ENHANCED = 1 << 4,
    SMTP_FEATURE_CHUNKING = 1 << 5,
    SMTP_FEATURE_DSN = 1 << 6,
    SMTP_FEATURE_LIMITS = 1 << 7,
    SMTP_FEATURE_HELP = 1 << 8,
    SMTP_FEATURE_STARTTLS = 1 << 9,
    SMTP_FEATURE_AUTH = 1 << 10,
    SMTP_FEATURE_AUTH_EQUALS = 1 << 11, /* "AUTH=PLAIN" as well, for clients of the last century */
    SMTP_FEATURE_VRFY = 1 << 12,        /* no keyword: VRFY is answered at all */
    SMTP_FEATURE_FUTURERELEASE = 1 << 13,
    SMTP_FEATURE_DELIVERBY = 1 << 14,
    SMTP_FEATURES_DEFAULT = ((1 << 9) - 1) | SMTP_FEATURE_VRFY,
};

enum smtp_param_result {
    SMTP_PARAM_OK,
    SMTP_PARAM_BAD,
    SMTP_PARAM_UNKNOWN,
    SMTP_PARAM_NOT_UTF8MODE,
};

enum smtp_body_type { SMTP_BODY_UNSTATED, SMTP_BODY_7BIT, SMTP_BODY_8BITMIME };

/* RFC 2852 4. RETURN: not delivered by then, it comes back; NOTIFY: its sender is told. */
enum smtp_by_mode { SMTP_BY_NONE, SMTP_BY_RETURN, SMTP_BY_NOTIFY };

struct smtp_mail_params {
    uint64_t size; /* saturated at UINT64_MAX: RFC 1870 allows 20 digits */
    bool size_given;
    bool smtputf8;
    enum smtp_body_type body;
    enum mail_ret ret;
    struct slice envid; /* xtext */
    struct slice auth;  /* xtext or "<>"; empty: not given */
    bool hold;          /* HOLDFOR or HOLDUNTIL */
    uint64_t hold_for_s;
    uint64_t hold_until_s; /* since 1970, a part of a second counts as a whole one; 0: HOLDFOR */
    enum smtp_by_mode by;
    bool by_trace;
    int32_t by_s; /* RETURN: above 0 */
};

struct smtp_rcpt_params {
    uint8_t notify;     /* MAIL_NOTIFY_*, NEVER stands alone */
    struct slice orcpt; /* "type;xtext", empty: not given */
};

/* text: what stands behind the path, with its leading space. */
enum smtp_param_result smtp_mail_params_parse(struct slice text, uint32_t features,
                                              struct smtp_mail_params *out);
/* smtputf8: the transaction's MAIL had SMTPUTF8. */
enum smtp_param_result smtp_rcpt_params_parse(struct slice text, uint32_t features, bool smtputf8,
                                              struct smtp_rcpt_params *out);

/* The tokenizer by itself: cuts the next parameter off *text. SMTP_PARAM_UNKNOWN: no parameter is
 * left. has_value tells "K=" (empty value, BAD for all of ours) from "K". */
struct smtp_param {
    struct slice key;
    struct slice value;
    bool has_value;
};
enum smtp_param_result smtp_param_next(struct slice *text, struct smtp_param *out);

#endif
