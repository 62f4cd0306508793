/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * dns - what the resolver was told in this run
 *
 * Purpose:   after a lie about a domain its mail may go elsewhere or end, which the judges excuse.
 * Owner:     the process. Thread: the only one. Errors: none.
 */
#ifndef RINGPOST_TESTS_SIM_DNS_H
#define RINGPOST_TESTS_SIM_DNS_H

#include <stdbool.h>

void dns_forget_lies(void);
/* Something about this domain (0: that of the senders) was not so. */
bool dns_has_lied(unsigned domain);

#endif
