/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/app/doctor_check.h"
#include "core/app/sandbox_calls.h"
#include "core/app/sandbox_landlock.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Asks without installing anything. */
static bool seccomp_works(void)
{
    uint32_t action = SECCOMP_RET_KILL_PROCESS;
    return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

void doctor_check_sandbox(struct doctor *d)
{
    struct landlock l;
    int error = 0;
    bool off = d->conf && d->conf->sandbox.mode == CONF_SANDBOX_OFF;
    bool enforce = d->conf && d->conf->sandbox.mode == CONF_SANDBOX_ENFORCE;
    bool files = landlock_open(&l, &error);
    bool calls = seccomp_works();
    landlock_close(&l);
    if (off) {
        doctor_say(d, DOCTOR_WARN, "sandbox", "set sandbox.mode to auto", "sandbox.mode is off");
    } else if (files && calls) {
        doctor_say(d, DOCTOR_PASS, "sandbox", "", "Landlock %d, %u system calls", l.abi,
                   sandbox_calls_count(sandbox_calls_extras(false)));
    } else {
        doctor_say(d, enforce ? DOCTOR_FAIL : DOCTOR_WARN, "sandbox",
                   "a kernel with CONFIG_SECURITY_LANDLOCK (and lsm=…,landlock) and CONFIG_SECCOMP",
                   "Landlock: %s; seccomp: %s", files ? "works" : strerror(error),
                   calls ? "works" : "not available");
    }
}
