/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * crc32c - Castagnoli checksum of the spool
 *
 * Purpose:   CRC-32C (polynomial 0x1EDC6F41, reflected, as in iSCSI), by the CPU's instruction where
 *            there is one, by table elsewhere; both give the same value.
 * Thread:    any. Units: bytes. Errors: none.
 * Use:       crc = crc32c(0, a, n); crc = crc32c(crc, b, m); equals the checksum of a then b.
 */
#ifndef RINGPOST_BASE_CRC32C_H
#define RINGPOST_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

uint32_t crc32c(uint32_t crc, const void *data, size_t len);
/* The table version, for the test that compares both. */
uint32_t crc32c_table(uint32_t crc, const void *data, size_t len);

#endif
