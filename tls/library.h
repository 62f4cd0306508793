/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * library - which TLS library runs, and how fast it can
 *
 * Purpose:   for `ringpost version` and `ringpost doctor`.
 * Owner:     constant text. Thread: any. Errors: none.
 */
#ifndef RINGPOST_TLS_LIBRARY_H
#define RINGPOST_TLS_LIBRARY_H

#include <stdbool.h>

/* Of the library that is linked, e.g. "5.7.2". */
const char *tls_library_version(void);
/* Built with AES instructions, and this processor has them. Without: AES-GCM some 30 times slower. */
bool tls_library_has_aes_hardware(void);

#endif
