/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * automation_rules_read - a row's text as a rule
 *
 * Purpose:   the part of automation_rules that reads: names, durations, values. Nobody else includes it.
 * Owner:     the rule points into the row's text where it keeps any; automation_rules.c copies it.
 * Thread:    the loader's.
 * Errors:    each is reported with the row's place; false when there was one.
 */
#ifndef RINGPOST_POLICY_AUTOMATION_RULES_READ_H
#define RINGPOST_POLICY_AUTOMATION_RULES_READ_H

#include "core/policy/automation_rules.h"

/* All of the rule; its match is to be given back (reply_match_deinit) also after an error. */
bool automation_row_read(const struct automation_row *row, struct automation_rule *rule,
                         struct conf_report *report);

#endif
