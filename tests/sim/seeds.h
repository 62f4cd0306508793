/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * seeds - the runs that found something once, and what it was
 *
 * Purpose:   `ringpost-sim --named` plays them again. A seed means the same only while the scripts of
 *            tests/sim draw the same numbers from its stream: what is new in the world is a feature with a
 *            stream of its own (feature.h), and each seed names those it was found with.
 * Owner:     the tree. Thread: any. Errors: none.
 */
#ifndef RINGPOST_TESTS_SIM_SEEDS_H
#define RINGPOST_TESTS_SIM_SEEDS_H

#include <stdint.h>

static const struct {
    uint64_t seed;
    const char *with; /* features */
    const char *what;
} sim_seeds[] = {
    {1273, "none",
     "no memory for the mail that takes a result home: the outcome was forgotten, a second copy went out "
     "(queue_far_result)"},
    {50743, "none",
     "a server refuses while the body is still being read from the disk and a send has not come back: the "
     "reader called back without a body, the process stopped (outbound_release_body)"},
    {50784, "none",
     "no memory for a header line that came in pieces: the header ended there, an empty line was put "
     "into the message (mail_headers_no_memory)"},
    {30314, "none",
     "no memory for the index of messages at the start: queue_message_new went on without it"},
    {201936, "none",
     "no memory for the key of a site: two destinations with an empty key were one, mail went to the wrong "
     "server (route_key_write)"},
    {2, "rot",
     "a bit of the header of an acknowledged frame flips, at the end of a log: it was skipped without a word "
     "(spool_scan_segment)"},
    {501, "times,orders",
     "`queue retry` sent what was not to go before its Send-At (queue_order_concerns)"},
    {547, "rot,times,orders,lies,reload",
     "a bit of the segment's number flips in the first and only frame of a log: taken for an old frame, it was "
     "skipped without a word (spool_frame_was_here)"},
    {10011, "rot,times,orders,lies",
     "no memory for the text of a refusal of a field: the process stopped (attributes_decide)"},
};

#endif
