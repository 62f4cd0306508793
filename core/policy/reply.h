/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * reply - a peer's reply without what differs from one reply to the next
 *
 * Purpose:   replies of one cause have one text, so that rules see the cause, lists can be grouped by it and
 *            a cache of answers works. One line, runs of blanks are one blank, and
 *
 *              repeated enhanced codes ("5.1.1", "(#5.1.1)", "550-5.1.1")   are left out
 *              addresses and message ids, with or without <>                <address>
 *              IPv4 and IPv6 addresses                                      <ip>
 *              dates with times (RFC 3339)                                  <time>
 *              queue ids, our own ids, UUIDs, hex, what looks random        <id>
 *              numbers                                                      <n>
 *              labels with digits in host names (not the last two)          *
 *
 *            What names a cause stays: short codes ([TS04], IB007, RL000010, AUP#1310), numbers in the path
 *            of a URL (/answer/168383), words.
 * Owner:     the caller's buffer. Thread: any. No allocation.
 * Units:     REPLY_TEXT_BYTES are looked at and written, at most. A text that grows beyond is cut between
 *            two words or marks.
 * Errors:    none: any bytes go in. reply_sample_parse: false, *out untouched.
 * Promise:   what comes out goes in again unchanged (tests/fuzz/fuzz_reply.c).
 * RFC:       5321 4.2.1, 3463 2.
 */
#ifndef RINGPOST_POLICY_REPLY_H
#define RINGPOST_POLICY_REPLY_H

#include "proto/smtp/outcome.h"

enum { REPLY_TEXT_BYTES = LIMIT_OUTCOME_TEXT_BYTES };

/* text: of an outcome, or raw with the lines joined by LF. Returns the bytes written. */
size_t reply_normalise(char dst[REPLY_TEXT_BYTES], struct slice text);

/* "421 4.7.0 try later" as it stands in a log, also with "421-" lines: the outcome it was. Remote, and at
 * `stage`. text points into `line`. False: it does not begin with a code 200…599. */
bool reply_sample_parse(struct slice line, enum outcome_stage stage, struct outcome *out);

#endif
