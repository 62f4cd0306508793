/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * automation_print - the built-in rules and what rules are made of, as Markdown
 *
 * Purpose:   docs/AUTOMATION_RULES.md (`ringpost config --automation`).
 * Owner:     the caller's buffer. Thread: any. Limits: none. Errors: the buffer's overflow.
 */
#ifndef RINGPOST_POLICY_AUTOMATION_PRINT_H
#define RINGPOST_POLICY_AUTOMATION_PRINT_H

#include "core/base/buf.h"

void automation_print(struct buf *out);

#endif
