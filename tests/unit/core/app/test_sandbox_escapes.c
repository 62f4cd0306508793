/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * K4: ways around the sandbox that are less common than starting a program. Each row: a child installs the filter that
 * production has, and tries one.
 */
#include "tests/unit/core/app/sandbox_child.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>

static long end_of_ring(void)
{
    return syscall(SYS_io_uring_register, 0, 21 /* unregister ring descriptors */, NULL, 0);
}

static long memory_of_others(void)
{
    return syscall(SYS_process_vm_writev, getppid(), NULL, 0, NULL, 0, 0);
}

static long file_of_others(void)
{
    return syscall(SYS_pidfd_getfd, 0, 0, 0);
}

static long handle_of_others(void)
{
    return syscall(SYS_pidfd_open, getppid(), 0);
}

static long new_mount(void)
{
    return mount("none", "/mnt", "tmpfs", 0, NULL);
}

static long new_namespace(void)
{
    return unshare(CLONE_NEWUSER);
}

static long new_mode(void)
{
    return chmod("/tmp", 01777);
}

static long new_mode_of_file(void)
{
    return fchmod(0, 0600);
}

static long new_owner(void)
{
    return syscall(SYS_fchownat, AT_FDCWD, "/tmp", 0, 0, 0);
}

static long new_link(void)
{
    return symlink("/etc/shadow", "/tmp/ringpost-sandbox-link");
}

static long hard_link(void)
{
    return link("/etc/shadow", "/tmp/ringpost-sandbox-link");
}

static long new_device(void)
{
    return syscall(SYS_mknodat, AT_FDCWD, "/tmp/ringpost-sandbox-node", S_IFCHR | 0600, 1);
}

static long shorten(void)
{
    return syscall(SYS_truncate, "/tmp/ringpost-sandbox-none", 0);
}

static long attribute(void)
{
    return syscall(SYS_setxattr, "/tmp", "user.x", "x", 1, 0);
}

static long old_time(void)
{
    return utimensat(AT_FDCWD, "/tmp", NULL, 0);
}

static long other_folder(void)
{
    return chdir("/");
}

static long socket_raw_ip(void)
{
    return socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
}

static long socket_ping(void)
{
    return socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP);
}

static long socket_sctp(void)
{
    return socket(AF_INET6, SOCK_STREAM, IPPROTO_SCTP);
}

static long socket_seqpacket(void)
{
    return socket(AF_INET, SOCK_SEQPACKET, 0);
}

static long socket_crypto(void)
{
    return socket(AF_ALG, SOCK_SEQPACKET, 0);
}

static long socket_audit(void)
{
    return socket(AF_NETLINK, SOCK_RAW, 9 /* audit */);
}

static long socket_routes(void)
{
    return socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0 /* routes: getifaddrs */);
}

static long socket_pair(void)
{
    int fds[2];
    return socketpair(AF_UNIX, SOCK_STREAM, 0, fds);
}

static long signals_by_file(void)
{
    return fcntl(0, F_SETOWN, getppid());
}

static long leases(void)
{
    return fcntl(0, F_SETLEASE, F_RDLCK);
}

static long code_of_file(void)
{
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    void *at = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
    return at == MAP_FAILED ? -1 : 0;
}

static long code_by_key(void)
{
    return syscall(SYS_pkey_mprotect, NULL, 0, PROT_READ | PROT_EXEC, -1);
}

static long shared_memory(void)
{
    return syscall(SYS_shmget, 0 /* private */, 4096, 01600);
}

static long kernel_memory(void)
{
    return syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0);
}

static long kernel_keys(void)
{
    return syscall(SYS_add_key, "user", "x", "x", 1, -2);
}

static long page_faults(void)
{
    return syscall(SYS_userfaultfd, 0);
}

static long same_addresses(void)
{
    return syscall(SYS_personality, 0x0040000 /* no randomization */);
}

static long room_of_socket(void)
{
    int bytes, fd = socket(AF_INET, SOCK_STREAM, 0);
    return ioctl(fd, TIOCOUTQ, &bytes); /* SIOCOUTQ */
}

#ifdef __x86_64__
static long calls_of_32_bit(void)
{
    long rc = 20; /* getpid */
    __asm__ volatile("int $0x80" : "+a"(rc) : : "r8", "r9", "r10", "r11", "memory");
    return rc;
}

static long calls_of_x32(void)
{
    return syscall(0x40000000 | SYS_getpid);
}
#endif

static const struct attempt attempts[] = {
    {"registering with a ring", end_of_ring, EPERM, 0},
    {"writing another process's memory", memory_of_others, DIES, 0},
    {"another process's files", file_of_others, DIES, 0},
    {"a handle of another process", handle_of_others, EPERM, 0},
    {"a mount", new_mount, DIES, 0},
    {"a namespace", new_namespace, DIES, 0},
    {"a mode", new_mode, EPERM, 0},
    {"a mode by descriptor", new_mode_of_file, EPERM, 0},
    {"an owner", new_owner, EPERM, 0},
    {"a symbolic link", new_link, EPERM, 0},
    {"a hard link", hard_link, EPERM, 0},
    {"a device", new_device, EPERM, 0},
    {"a shorter file", shorten, EPERM, 0},
    {"an attribute", attribute, EPERM, 0},
    {"another time", old_time, EPERM, 0},
    {"another folder", other_folder, EPERM, 0},
    {"raw IP", socket_raw_ip, EPERM, 0},
    {"ping", socket_ping, EPERM, 0},
    {"another protocol", socket_sctp, EPERM, 0},
    {"another type", socket_seqpacket, EPERM, 0},
    {"the kernel's ciphers", socket_crypto, EPERM, 0},
    {"the audit log", socket_audit, EPERM, 0},
    {"our addresses", socket_routes, WORKS, 0},
    {"a pair of local sockets", socket_pair, EPERM, 0},
    {"signals by a descriptor", signals_by_file, EPERM, 0},
    {"leases", leases, EPERM, 0},
    {"code of a file", code_of_file, EPERM, 0},
    {"code by a key", code_by_key, EPERM, 0},
    {"shared memory", shared_memory, EPERM, 0},
    {"performance counters", kernel_memory, DIES, 0},
    {"the kernel's keys", kernel_keys, DIES, 0},
    {"page faults", page_faults, DIES, 0},
    {"addresses that are known", same_addresses, DIES, 0},
    {"bytes not acknowledged", room_of_socket, WORKS, 0},
#ifdef __x86_64__
    {"32-bit calls", calls_of_32_bit, DIES, 0},
    {"x32 calls", calls_of_x32, DIES, 0},
#endif
};

START_TEST(production)
{
    attempts_judge(0, attempts, ARRAY_COUNT(attempts));
}
END_TEST

START_TEST(with_sanitizers)
{
    attempts_judge(SANDBOX_SANITIZER, attempts, ARRAY_COUNT(attempts));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {production, with_sanitizers};
    return testing_run("sandbox escapes", tests, ARRAY_COUNT(tests));
}
