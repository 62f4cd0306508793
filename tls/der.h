/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * der - steps through DER, and writes it
 *
 * Purpose:   the few fields that wolfCrypt's parser does not hand out (dates, addresses in the
 *            subjectAltName), and certificates of our own making. Inside tls/ only.
 * Owner:     slices point into the input. Thread: any.
 * Limits:    lengths up to 65535, definite and in the shortest form.
 * Errors:    read: false when it is no such item (or the input is at its end); *in untouched.
 *            write: as buf (overflow).
 * RFC:       X.690 8.1, 10.1
 */
#ifndef RINGPOST_TLS_DER_H
#define RINGPOST_TLS_DER_H

#include "core/base/buf.h"

enum {
    DER_BOOLEAN = 0x01,
    DER_INTEGER = 0x02,
    DER_BIT_STRING = 0x03,
    DER_OCTET_STRING = 0x04,
    DER_NULL = 0x05,
    DER_OID = 0x06,
    DER_UTF8_STRING = 0x0C,
    DER_UTC_TIME = 0x17,
    DER_GENERALIZED_TIME = 0x18,
    DER_SEQUENCE = 0x30,
    DER_SET = 0x31,
    DER_CONTEXT = 0x80,             /* | number: primitive */
    DER_CONTEXT_CONSTRUCTED = 0xA0, /* | number */
};

/* Cuts the next item of any kind. */
bool der_next(struct slice *in, uint8_t *tag, struct slice *value);
/* Cuts the next item if it has this tag. */
bool der_take(struct slice *in, uint8_t tag, struct slice *value);

/* UTCTime or GeneralizedTime as RFC 5280 4.1.2.5 wants them, in seconds since 1970. */
bool der_time(uint8_t tag, struct slice value, int64_t *seconds);

void der_add(struct buf *out, uint8_t tag, struct slice value);
/* Wraps what stands in *out from offset on: for sequences that are written from the inside. */
void der_wrap(struct buf *out, size_t from, uint8_t tag);
void der_add_time(struct buf *out, int64_t seconds);

#endif
