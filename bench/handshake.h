/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * handshake - what tls/ costs beside the library below it
 *
 * Purpose:   full TLS 1.3 handshakes, both ends in memory on one core: bare wolfSSL and our streams
 *            in turns, so that both meet the same machine; the best round of each counts.
 * Owner:     none. Thread: the caller's; its CPU time is the measure. Units: handshakes a second.
 * Errors:    false after a line on stderr.
 */
#ifndef RINGPOST_BENCH_HANDSHAKE_H
#define RINGPOST_BENCH_HANDSHAKE_H

#include <stdbool.h>
#include <stdint.h>

struct handshake_rates {
    double library;
    double streams;
};

/* rsa_bits 0: ECDSA P-256. count: per round. */
bool bench_handshake_measure(uint64_t rsa_bits, uint64_t count, struct handshake_rates *out);

/* ringpost-bench handshake */
int handshake_main(int argc, char **argv);

#endif
