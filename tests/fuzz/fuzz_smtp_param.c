/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Purpose: ESMTP parameters and xtext on any bytes. Accepted values decode to printable text, and a
 * decoded xtext encodes to something that decodes to the same.
 */
#include "core/base/utf8.h"
#include "proto/smtp/param.h"
#include "proto/smtp/xtext.h"

#include "core/base/limits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_xtext(struct slice raw)
{
    struct buf decoded;
    struct buf encoded;
    struct buf again;
    buf_init(&decoded, 1 << 20);
    buf_init(&encoded, 1 << 20);
    buf_init(&again, 1 << 20);
    if (smtp_xtext_decode(raw, &decoded)) {
        for (size_t i = 0; i < decoded.len; i++) {
            must(decoded.ptr[i] >= 0x20 && decoded.ptr[i] <= 0x7E);
        }
        smtp_xtext_encode(buf_slice(&decoded), &encoded);
        must(smtp_xtext_decode(buf_slice(&encoded), &again));
        must(slice_eq(buf_slice(&decoded), buf_slice(&again)));
    } else {
        must(decoded.len == 0);
    }
    buf_clear(&decoded);
    if (smtp_utf8_xtext_decode(raw, true, &decoded)) {
        must(utf8_valid(buf_slice(&decoded)));
    }
    buf_deinit(&decoded);
    buf_deinit(&encoded);
    buf_deinit(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_of(data, size);
    struct slice rest = input;
    struct smtp_mail_params mail;
    struct smtp_rcpt_params rcpt;
    struct smtp_param param;
    check_xtext(input);
    while (smtp_param_next(&rest, &param) == SMTP_PARAM_OK) {
        must(param.key.len > 0);
    }
    uint32_t all = SMTP_FEATURES_DEFAULT | SMTP_FEATURE_FUTURERELEASE | SMTP_FEATURE_DELIVERBY;
    if (smtp_mail_params_parse(input, all, &mail) == SMTP_PARAM_OK) {
        must(mail.envid.len <= LIMIT_ENVID_BYTES);
        must(mail.hold == (mail.hold_for_s || mail.hold_until_s));
        must(mail.by != SMTP_BY_RETURN || mail.by_s > 0);
        must(mail.by_s > -1000000000 && mail.by_s < 1000000000);
    }
    for (int utf8 = 0; utf8 < 2; utf8++) {
        if (smtp_rcpt_params_parse(input, SMTP_FEATURES_DEFAULT, utf8 != 0, &rcpt) ==
            SMTP_PARAM_OK) {
            must(rcpt.orcpt.len <= LIMIT_ORCPT_BYTES);
            must(!(rcpt.notify & MAIL_NOTIFY_NEVER) || rcpt.notify == MAIL_NOTIFY_NEVER);
        }
    }
    return 0;
}
