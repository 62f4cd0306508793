/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * utf8 - strict UTF-8
 *
 * Purpose:   one validator for every place that lets UTF-8 in (SMTPUTF8 addresses, JSON, headers).
 *            Refuses overlong forms, surrogates, values above U+10FFFF and truncated sequences.
 * Thread:    any. Units: bytes. Errors: false / 0 for invalid input.
 * RFC:       3629 section 4.
 */
#ifndef RINGPOST_BASE_UTF8_H
#define RINGPOST_BASE_UTF8_H

#include "core/base/slice.h"

/* Length (1..4) of the valid sequence at the front of s; 0 when there is none. */
size_t utf8_sequence(struct slice s);

bool utf8_valid(struct slice s);

/* Any byte >= 0x80? */
bool utf8_has_8bit(struct slice s);

/* The code point of a sequence that utf8_sequence has measured. */
uint32_t utf8_code_point(struct slice sequence);

/* Does it command a terminal or a reader instead of being text? Controls (C0, DEL, C1: U+009B is an ESC [ of
 * one character), line and paragraph separators, and what turns the direction of writing. */
bool utf8_commands(uint32_t code_point);

/* Writes the 1..4 bytes of a code point; 0 for surrogates and values above U+10FFFF. */
size_t utf8_encode(uint32_t code_point, char out[4]);

#endif
