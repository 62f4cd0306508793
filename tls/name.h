/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * name - does a name in a certificate stand for this host
 *
 * Purpose:   RFC 9525 6.3: ASCII, case-insensitive, whole labels; "*" only as the whole leftmost
 *            label, for exactly one label, with at least two labels after it.
 * Owner:     none. Thread: any. Errors: a name that is none matches nothing.
 */
#ifndef RINGPOST_TLS_NAME_H
#define RINGPOST_TLS_NAME_H

#include "core/base/slice.h"

enum tls_name_match {
    TLS_NAME_OTHER,
    TLS_NAME_MATCHES,
    TLS_NAME_DEPTH, /* would match if "*" stood for no label or for several */
};

/* Neither may end in a dot. */
enum tls_name_match tls_name_match(struct slice pattern, struct slice host);

/* A DNS host name as it may stand in SNI: letters, digits, '-', '_', labels of 1 to 63 bytes. */
bool tls_name_is_host(struct slice name);

#endif
