/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A name that this architecture does not have is skipped, so one table serves all of them.
 */
#include "core/app/sandbox_calls.h"
#include "core/base/must.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ARGUMENTS_MAX = 3 };

struct sandbox_call {
    const char *name;
    enum sandbox_verdict verdict;
    unsigned extras;    /* a row of these only */
    bool own_pid;       /* only for this process */
    bool otherwise;     /* only where the call of the row above does not exist */
    unsigned arg_count; /* only with these arguments */
    struct scmp_arg_cmp args[ARGUMENTS_MAX];
    const char *why;
};

#define ALLOW(call, text)                                                                          \
    {                                                                                              \
        .name = call, .why = text                                                                  \
    }
#define ALLOW_IF(call, condition, text)                                                            \
    {                                                                                              \
        .name = call, .arg_count = 1, .args = {condition}, .why = text                             \
    }
#define FCNTL(command)                                                                             \
    ALLOW_IF("fcntl", SCMP_A1(SCMP_CMP_EQ, command), "files, sockets: flags, a copy")
/* type without its flags; protocol 0: the type's own. */
#define SOCKET(family, type, protocol)                                                             \
    {                                                                                              \
        .name = "socket", .why = "TCP and UDP; our own addresses, at a reload", .arg_count = 3,    \
        .args =                                                                                    \
        { SCMP_A0(SCMP_CMP_EQ, family),                                                            \
          SCMP_A1(SCMP_CMP_MASKED_EQ, 0xf, type),                                                  \
          SCMP_A2(SCMP_CMP_EQ, protocol) }                                                         \
    }
#define OTHERWISE(call, text)                                                                      \
    {                                                                                              \
        .name = call, .otherwise = true, .why = text                                               \
    }
#define EPOLL(call, text)                                                                          \
    {                                                                                              \
        .name = call, .extras = SANDBOX_EPOLL, .why = text                                         \
    }
#define KILL(call)                                                                                 \
    {                                                                                              \
        .name = call, .verdict = SANDBOX_KILL                                                      \
    }
#define ABSENT(call)                                                                               \
    {                                                                                              \
        .name = call, .verdict = SANDBOX_ABSENT                                                    \
    }
#define SANITIZER(call)                                                                            \
    {                                                                                              \
        .name = call, .extras = SANDBOX_SANITIZER                                                  \
    }

/* The first row of a name that applies decides; further ones add arguments. */
static const struct sandbox_call calls[] = {
    SANITIZER("clone"),
    SANITIZER("prctl"),
    SANITIZER("ptrace"),
    SANITIZER("sigaltstack"),
    SANITIZER("wait4"),
    SANITIZER("sched_getaffinity"),
    SANITIZER("getppid"),
    SANITIZER("mremap"),
    SANITIZER("open"),
    SANITIZER("stat"),
    SANITIZER("lstat"),
    SANITIZER("getdents"),
    SANITIZER("sched_yield"),
    SANITIZER("getrusage"),
    SANITIZER("arch_prctl"),
    SANITIZER("mprotect"),
    SANITIZER("sysinfo"),
    SANITIZER("rt_sigreturn"),
    SANITIZER("rt_sigaction"),
    SANITIZER("rt_sigprocmask"),
    SANITIZER("set_robust_list"),
    SANITIZER("rseq"),

    ALLOW("io_uring_enter", "all reading, writing, sending, receiving of the workers"),

    ALLOW_IF("mmap", SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0), "memory, never executable"),
    ALLOW("munmap", "memory"),
    ALLOW("madvise", "memory"),
    ALLOW("brk", "memory; the C library takes a refusal for success"),

    ALLOW("futex", "threads"),
    ALLOW("restart_syscall", "a wait after SIGSTOP and SIGCONT"),
    ALLOW("clock_gettime", "the clock, where the kernel does not answer in user space"),
    ALLOW("getrandom", "random numbers"),
    ALLOW("getpid", "abort()"),
    ALLOW("gettid", "abort()"),

    ALLOW("read", "signals, configuration"),
    ALLOW("write", "the log; waking a worker"),
    ALLOW("writev", "what the C library says before abort()"),
    ALLOW("lseek", "/etc/hosts"),
    ALLOW("pread64", "segments, memory in use"),
    ALLOW("openat", "segments, mailboxes, configuration: where Landlock allows it"),
    ALLOW("close", "files, sockets"),
    ALLOW("fstat", "files"),
    ALLOW("newfstatat", "watched files"),
    FCNTL(F_GETFD), /* not F_SETOWN: it sends signals */
    FCNTL(F_SETFD),
    FCNTL(F_GETFL),
    FCNTL(F_SETFL),
    FCNTL(F_DUPFD_CLOEXEC),
    ALLOW("fsync", "mailboxes"),
    ALLOW("fstatfs", "room on the disk"),
    ALLOW("getdents64", "folders of the configuration"),
    ALLOW("mkdirat", "mailboxes"),
    ALLOW("readlink", "watched files"),
    OTHERWISE("readlinkat", "watched files"),
    ALLOW("renameat", "segments, mailboxes"),
    OTHERWISE("renameat2", "segments, mailboxes"),
    ALLOW("unlinkat", "segments, mailboxes, the admin socket"),
    ALLOW("inotify_add_watch", "watched files"),
    ALLOW("inotify_rm_watch", "watched files"),

    SOCKET(AF_INET, SOCK_STREAM, 0),
    SOCKET(AF_INET, SOCK_STREAM, IPPROTO_TCP),
    SOCKET(AF_INET, SOCK_DGRAM, 0),
    SOCKET(AF_INET, SOCK_DGRAM, IPPROTO_UDP),
    SOCKET(AF_INET6, SOCK_STREAM, 0),
    SOCKET(AF_INET6, SOCK_STREAM, IPPROTO_TCP),
    SOCKET(AF_INET6, SOCK_DGRAM, 0),
    SOCKET(AF_INET6, SOCK_DGRAM, IPPROTO_UDP),
    SOCKET(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE),
    ALLOW("bind", "source addresses"),
    ALLOW("connect", "resolvers"),
    ALLOW("accept4", "clients to be turned away"),
    ALLOW("sendto", "resolvers; clients to be turned away"),
    ALLOW("recvfrom", "resolvers"),
    ALLOW("recvmsg", "our own addresses"),
    ALLOW("getsockname", "sockets"),
    ALLOW("getpeername", "sockets"),
    ALLOW("setsockopt", "sockets"),
    ALLOW("shutdown", "sockets"),
    ALLOW_IF("ioctl", SCMP_A1(SCMP_CMP_EQ, SIOCOUTQ), "bytes a peer, or we, have not taken"),
    ALLOW_IF("ioctl", SCMP_A1(SCMP_CMP_EQ, SIOCINQ), "bytes a peer, or we, have not taken"),
    ALLOW("poll", "the log's reader"),
    OTHERWISE("ppoll", "the log's reader"),

    {.name = "tgkill", .own_pid = true, .why = "abort(): this process only"},
    ALLOW("exit", "the end of a thread"),
    ALLOW("exit_group", "the end"),

    EPOLL("epoll_wait", "readiness"),
    EPOLL("epoll_pwait", "readiness"),
    EPOLL("epoll_pwait2", "readiness"),
    EPOLL("epoll_ctl", "readiness"),
    EPOLL("sendmsg", "sending"),
    EPOLL("getsockopt", "did it connect?"),
    EPOLL("pwrite64", "segments"),
    EPOLL("pwritev2", "segments"),
    EPOLL("fdatasync", "segments"),
    EPOLL("fallocate", "segments"),

    /* Newer ways of what is allowed, or of making threads. */
    ABSENT("clone3"),
    ABSENT("faccessat2"),
    ABSENT("fchmodat2"),
    ABSENT("statx"),

    /* Other programs, other processes. A new thread or process is refused (clone): libraries try that. */
    KILL("execve"),
    KILL("execveat"),
    KILL("ptrace"),
    KILL("process_vm_readv"),
    KILL("process_vm_writev"),
    KILL("process_madvise"),
    KILL("pidfd_getfd"),
    KILL("pidfd_send_signal"),
    KILL("kcmp"),
    /* A way around this list. */
    KILL("io_uring_setup"),
    KILL("open_by_handle_at"),
    KILL("memfd_create"),
    KILL("userfaultfd"),
    KILL("personality"),
    KILL("modify_ldt"),
    KILL("seccomp"),
    /* Other users, other roots. */
    KILL("setuid"),
    KILL("setgid"),
    KILL("setreuid"),
    KILL("setregid"),
    KILL("setresuid"),
    KILL("setresgid"),
    KILL("setgroups"),
    KILL("capset"),
    KILL("chroot"),
    KILL("pivot_root"),
    KILL("mount"),
    KILL("umount2"),
    KILL("move_mount"),
    KILL("open_tree"),
    KILL("fsopen"),
    KILL("fsmount"),
    KILL("setns"),
    KILL("unshare"),
    /* The kernel. */
    KILL("bpf"),
    KILL("perf_event_open"),
    KILL("init_module"),
    KILL("finit_module"),
    KILL("delete_module"),
    KILL("kexec_load"),
    KILL("kexec_file_load"),
    KILL("keyctl"),
    KILL("add_key"),
    KILL("request_key"),
    KILL("reboot"),
    KILL("swapon"),
    KILL("iopl"),
    KILL("ioperm"),
};

static bool call_exists(const struct sandbox_call *c)
{
    return seccomp_syscall_resolve_name(c->name) >= 0;
}

static bool call_applies(const struct sandbox_call *c, unsigned extras)
{
    return call_exists(c) && (c->extras & extras) == c->extras &&
           !(c->otherwise && call_exists(c - 1));
}

/* Is it the first row of its name that applies? */
static const struct sandbox_call *call_first(const char *name, unsigned extras)
{
    for (size_t i = 0; i < ARRAY_COUNT(calls); i++) {
        if (call_applies(&calls[i], extras) && strcmp(calls[i].name, name) == 0) {
            return &calls[i];
        }
    }
    must_never("a call of the table");
}

static uint32_t call_action(enum sandbox_verdict verdict)
{
    switch (verdict) {
    case SANDBOX_ALLOW:
        return SCMP_ACT_ALLOW;
    case SANDBOX_ABSENT:
        return SCMP_ACT_ERRNO(ENOSYS);
    case SANDBOX_KILL:
        return SCMP_ACT_KILL_PROCESS;
    }
    must_never("a verdict");
}

/* 0 or a negative errno. */
static int call_add(scmp_filter_ctx ctx, const struct sandbox_call *c)
{
    int number = seccomp_syscall_resolve_name(c->name);
    must(number >= 0);
    if (c->own_pid) {
        return seccomp_rule_add(ctx, call_action(c->verdict), number, 1,
                                SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
    }
    return seccomp_rule_add_array(ctx, call_action(c->verdict), number, c->arg_count, c->args);
}

static int calls_add(scmp_filter_ctx ctx, unsigned extras)
{
    int rc = 0;
    for (size_t i = 0; i < ARRAY_COUNT(calls) && rc == 0; i++) {
        const struct sandbox_call *c = &calls[i];
        if (call_applies(c, extras) && call_first(c->name, extras)->verdict == c->verdict) {
            rc = call_add(ctx, c);
        }
    }
    return rc;
}

unsigned sandbox_calls_extras(bool epoll)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    unsigned extras = SANDBOX_SANITIZER;
#else
    unsigned extras = 0;
#endif
    return epoll ? extras | SANDBOX_EPOLL : extras;
}

bool sandbox_calls_load(unsigned extras, struct buf *why)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int rc = ctx ? 0 : -ENOMEM;
    rc = rc ? rc : seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
    rc = rc ? rc : seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree, not a list */
    /* Calls of another architecture (int 0x80, x32). libseccomp would end the thread only, and the engine
     * would live on without a worker. */
    rc = rc ? rc : seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    rc = rc ? rc : calls_add(ctx, extras);
    rc = rc ? rc : seccomp_load(ctx);
    if (ctx) {
        seccomp_release(ctx);
    }
    if (rc) {
        buf_addf(why, "seccomp: %s", strerror(-rc));
    }
    return rc == 0;
}

unsigned sandbox_calls_count(unsigned extras)
{
    unsigned n = 0;
    for (size_t i = 0; i < ARRAY_COUNT(calls); i++) {
        const struct sandbox_call *c = &calls[i];
        n += c->verdict == SANDBOX_ALLOW && call_applies(c, extras) &&
             call_first(c->name, extras) == c;
    }
    return n;
}

/* ---- the list for people ---- */

static void print_allowed(struct buf *out, unsigned extras)
{
    buf_add(out, SLICE("| Call | What for | Only |\n|---|---|---|\n"));
    for (size_t i = 0; i < ARRAY_COUNT(calls); i++) {
        const struct sandbox_call *c = &calls[i];
        bool more = i > 0 && strcmp(c->name, calls[i - 1].name) == 0; /* arguments of the same */
        if (c->verdict == SANDBOX_ALLOW && c->extras == extras && !more) {
            buf_addf(out, "| `%s` | %s | %s |\n", c->name, c->why,
                     c->own_pid     ? "for this process"
                     : c->arg_count ? "with some arguments"
                     : c->otherwise ? "where the one above does not exist"
                                    : "");
        }
    }
}

static void print_verdict(struct buf *out, enum sandbox_verdict verdict)
{
    const char *between = "";
    for (size_t i = 0; i < ARRAY_COUNT(calls); i++) {
        if (calls[i].verdict == verdict) {
            buf_addf(out, "%s`%s`", between, calls[i].name);
            between = " ";
        }
    }
    buf_add_byte(out, '\n');
}

void sandbox_calls_print(struct buf *out)
{
    buf_add(out,
            SLICE("# System calls of the running engine\n\n"
                  "Made by `ringpost config --syscalls` from core/app/sandbox_calls.c. How they "
                  "are enforced: [OPERATIONS.md](OPERATIONS.md#sandbox).\n\n## Allowed\n\n"));
    print_allowed(out, 0);
    buf_add(out, SLICE("\nWith the epoll back end also:\n\n"));
    print_allowed(out, SANDBOX_EPOLL);
    buf_add(out, SLICE("\n## The process is ended\n\n"));
    print_verdict(out, SANDBOX_KILL);
    buf_add(out, SLICE("\nAlso every call of another architecture (32-bit and x32 on x86-64).\n"));
    buf_add(out, SLICE("\n## ENOSYS\n\n"));
    print_verdict(out, SANDBOX_ABSENT);
    buf_add(out, SLICE("\n## EPERM\n\nAll others, and other arguments.\n"));
}
