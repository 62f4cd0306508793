/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * doctor_check - the checks behind doctor.c's table
 *
 * Purpose:   declarations only; each check calls doctor_say at least once.
 * Owner:     none. Thread: the process's first. Errors: none, they are findings.
 */
#ifndef RINGPOST_APP_DOCTOR_CHECK_H
#define RINGPOST_APP_DOCTOR_CHECK_H

#include "core/app/doctor.h"

/* doctor.c */
void doctor_check_settings(struct doctor *d);
/* doctor_kernel.c */
void doctor_check_kernel(struct doctor *d);
void doctor_check_descriptors(struct doctor *d);
void doctor_check_memlock(struct doctor *d);
void doctor_check_processor(struct doctor *d);
void doctor_check_clock(struct doctor *d);
/* doctor_io.c */
void doctor_check_ring(struct doctor *d);
/* doctor_sandbox.c */
void doctor_check_sandbox(struct doctor *d);
/* doctor_disk.c */
void doctor_check_spool(struct doctor *d);
/* doctor_net.c */
void doctor_check_engine(struct doctor *d);
void doctor_check_listeners(struct doctor *d);
/* doctor_dns.c */
void doctor_check_dns(struct doctor *d);
void doctor_check_hostname(struct doctor *d);
void doctor_check_relay(struct doctor *d);

/* doctor_net.c: true when a TCP connection comes up in time; else errno says why. */
bool doctor_connect(const struct ip_endpoint *to, unsigned timeout_ms);

#endif
