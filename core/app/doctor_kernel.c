/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Kernel, process limits, processor, clock.
 */
#include "core/app/doctor_check.h"
#include "core/base/clock.h"
#include "core/base/must.h"
#include "tls/library.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/timex.h>
#include <sys/utsname.h>

enum {
    DOCTOR_KERNEL_MAJOR = 6, /* 6.1: IORING_SETUP_DEFER_TASKRUN */
    DOCTOR_KERNEL_MINOR = 1,
    DOCTOR_OTHER_DESCRIPTORS = 256, /* segments, DNS sockets, rings, listeners, standard streams */
};

/* 2026-01-01T00:00:00Z: this program did not exist before. */
static const uint64_t doctor_clock_floor_us = UINT64_C(1767225600) * 1000000;

void doctor_check_kernel(struct doctor *d)
{
    struct utsname u;
    uint64_t major = 0, minor = 0;
    must(uname(&u) == 0);
    struct slice rest = slice_str(u.release);
    struct slice first = slice_cut(&rest, '.');
    size_t digits = 0;
    while (digits < rest.len && ascii_is_digit(rest.ptr[digits])) {
        digits++;
    }
    bool read = slice_to_u64(first, &major) && slice_to_u64(slice_first(rest, digits), &minor);
    if (!read) {
        doctor_say(d, DOCTOR_WARN, "kernel", "", "Linux %s: a version that says nothing",
                   u.release);
    } else if (major < DOCTOR_KERNEL_MAJOR ||
               (major == DOCTOR_KERNEL_MAJOR && minor < DOCTOR_KERNEL_MINOR)) {
        bool needed = d->conf->io.backend == CONF_IO_URING;
        doctor_say(d, needed ? DOCTOR_FAIL : DOCTOR_WARN, "kernel", "use Linux 6.1 or newer",
                   "Linux %s: too old for io_uring as it is used here", u.release);
    } else {
        doctor_say(d, DOCTOR_PASS, "kernel", "", "Linux %s", u.release);
    }
}

/* ---- limits ---- */

void doctor_check_descriptors(struct doctor *d)
{
    struct rlimit rl;
    must(getrlimit(RLIMIT_NOFILE, &rl) == 0);
    uint64_t want = (uint64_t)d->conf->limits.connections + d->conf->delivery.connections_total +
                    DOCTOR_OTHER_DESCRIPTORS;
    unsigned long long soft = rl.rlim_cur, hard = rl.rlim_max, need = want;
    if (rl.rlim_max < want) {
        doctor_say(d, DOCTOR_WARN, "open files",
                   "raise it (LimitNOFILE= of the service, --ulimit nofile= of the container) or "
                   "lower limits.connections and delivery.connections_total",
                   "hard limit %llu, all configured connections together need %llu", hard, need);
    } else if (rl.rlim_cur < want) {
        doctor_say(d, DOCTOR_WARN, "open files", "raise it (ulimit -n, LimitNOFILE=)",
                   "soft limit %llu (hard %llu), all configured connections together need %llu",
                   soft, hard, need);
    } else {
        doctor_say(d, DOCTOR_PASS, "open files", "", "limit %llu, needed at most %llu", soft, need);
    }
}

/* Rings and buffer rings are not charged from Linux 5.12 on; registered buffers are. */
void doctor_check_memlock(struct doctor *d)
{
    struct rlimit rl;
    must(getrlimit(RLIMIT_MEMLOCK, &rl) == 0);
    if (rl.rlim_cur == RLIM_INFINITY) {
        doctor_say(d, DOCTOR_PASS, "locked memory", "", "unlimited");
    } else if (rl.rlim_cur < 64 * 1024) {
        doctor_say(d, DOCTOR_WARN, "locked memory", "allow 8 MiB (ulimit -l 8192, LimitMEMLOCK=8M)",
                   "limit %llu KiB", (unsigned long long)rl.rlim_cur / 1024);
    } else {
        doctor_say(d, DOCTOR_PASS, "locked memory", "", "limit %llu KiB",
                   (unsigned long long)rl.rlim_cur / 1024);
    }
}

void doctor_check_processor(struct doctor *d)
{
    cpu_set_t set;
    int usable = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 0;
    bool aes = tls_library_has_aes_hardware();
    unsigned workers = d->conf->workers;
    if (usable && workers > (unsigned)usable) {
        doctor_say(d, DOCTOR_WARN, "processor", "leave workers out: one per processor is best",
                   "%d usable, workers: %u", usable, workers);
    } else if (!aes) {
        doctor_say(d, DOCTOR_WARN, "processor",
                   "TLS will cost many times the processor time: build with ./dev build on a "
                   "machine with AES instructions",
                   "%d usable, no AES instructions (wolfSSL %s)", usable, tls_library_version());
    } else {
        doctor_say(d, DOCTOR_PASS, "processor", "", "%d usable, AES instructions", usable);
    }
}

void doctor_check_clock(struct doctor *d)
{
    struct timex tx = {0};
    struct clock_now now = clock_read();
    char text[64];
    struct buf date;
    buf_init(&date, sizeof(text));
    clock_add_rfc3339(&date, now.wall_us);
    slice_to_cstr(buf_slice(&date), text, sizeof(text));
    buf_deinit(&date);
    int state = adjtimex(&tx);
    if (now.wall_us < doctor_clock_floor_us) {
        doctor_say(d, DOCTOR_FAIL, "clock", "set it: Date fields and the queue's age rely on it",
                   "it says %s", text);
    } else if (state < 0 || state == TIME_ERROR || (tx.status & STA_UNSYNC)) {
        doctor_say(d, DOCTOR_WARN, "clock", "run chrony or systemd-timesyncd on this machine",
                   "%s, the kernel does not know it to be synchronised", text);
    } else {
        doctor_say(d, DOCTOR_PASS, "clock", "", "%s, synchronised", text);
    }
}
