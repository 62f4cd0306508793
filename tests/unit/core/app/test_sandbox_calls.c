/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Each row: a child installs the filter that production has, and tries to break out of it.
 */
#include "tests/unit/core/app/sandbox_child.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>

static long run_program(void)
{
    char *argv[] = {"true", NULL};
    return execve("/bin/true", argv, argv + 1);
}

static long new_process(void)
{
    return syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

static long new_process3(void)
{
    return syscall(SYS_clone3, NULL, 0);
}

static long be_traced(void)
{
    return ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static long read_memory(void)
{
    return syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0);
}

static long free_ring(void)
{
    char params[256] = {0};
    return syscall(SYS_io_uring_setup, 1, params);
}

static long relax_ring(void)
{
    return syscall(SYS_io_uring_register, 0, 9 /* personality */, NULL, 0);
}

static long be_root(void)
{
    return syscall(SYS_setuid, 0);
}

static long new_root(void)
{
    return syscall(SYS_chroot, "/");
}

static long another_filter(void)
{
    return syscall(SYS_seccomp, 0, 0, NULL);
}

static long file_in_memory(void)
{
    return syscall(SYS_memfd_create, "x", 0);
}

static long socket_raw(void)
{
    return socket(AF_PACKET, SOCK_RAW, 0);
}

static long socket_unix(void)
{
    return socket(AF_UNIX, SOCK_STREAM, 0);
}

static long socket_vsock(void)
{
    return socket(AF_VSOCK, SOCK_STREAM, 0);
}

static long socket_tcp(void)
{
    return socket(AF_INET, SOCK_STREAM, 0);
}

static long socket_udp6(void)
{
    return socket(AF_INET6, SOCK_DGRAM, 0);
}

static long socket_listen(void)
{
    return listen(0, 1);
}

static long map(int protection)
{
    void *at = mmap(NULL, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return at == MAP_FAILED ? -1 : 0;
}

static long memory(void)
{
    return map(PROT_READ | PROT_WRITE);
}

/* glibc looks only whether the new end is below the wanted one, and an error is above all: who refuses this call sends
 * malloc into memory that is not there. */
static long memory_of_old(void)
{
    char *at = sbrk(1 << 20);
    at[(1 << 20) - 1] = 1;
    return 0;
}

static long memory_of_code(void)
{
    return map(PROT_READ | PROT_WRITE | PROT_EXEC);
}

static long code_of_memory(void)
{
    static char page[8192] __attribute__((aligned(4096)));
    return mprotect(page, 4096, PROT_READ | PROT_EXEC);
}

static long signal_parent(void)
{
    return kill(getppid(), SIGTERM);
}

static long signal_thread_of_parent(void)
{
    return syscall(SYS_tgkill, getppid(), getppid(), SIGTERM);
}

static long signal_self(void)
{
    return syscall(SYS_tgkill, getpid(), getpid(), 0);
}

static long terminal_input(void)
{
    char c = 'x';
    return ioctl(0, TIOCSTI, &c);
}

static long new_call(void)
{
    return syscall(100000, 0);
}

static long other_limits(void)
{
    return syscall(SYS_prlimit64, 0, 0, NULL, NULL);
}

static long dumpable(void)
{
    return syscall(SYS_prctl, 4 /* PR_SET_DUMPABLE */, 1, 0, 0, 0);
}

static long epoll(void)
{
    return syscall(SYS_epoll_ctl, -1, 2 /* DEL */, 0, NULL);
}

static const struct attempt attempts[] = {
    {"a program", run_program, DIES, 0},
    {"a process", new_process, EPERM, 1},
    {"a process, the new way", new_process3, ENOSYS, 0},
    {"ptrace", be_traced, DIES, 1},
    {"another process's memory", read_memory, DIES, 0},
    {"a ring without restrictions", free_ring, DIES, 0},
    {"another user for a ring", relax_ring, EPERM, 0},
    {"root", be_root, DIES, 0},
    {"another root", new_root, DIES, 0},
    {"another filter", another_filter, DIES, 0},
    {"a program in memory", file_in_memory, DIES, 0},
    {"raw packets", socket_raw, EPERM, 0},
    {"local services", socket_unix, EPERM, 0},
    {"the hypervisor", socket_vsock, EPERM, 0},
    {"TCP", socket_tcp, WORKS, 0},
    {"UDP", socket_udp6, WORKS, 0},
    {"a new port", socket_listen, EPERM, 0},
    {"memory", memory, WORKS, 0},
    {"memory, the old way", memory_of_old, WORKS, 0},
    {"memory to write and run", memory_of_code, EPERM, 0},
    {"code out of data", code_of_memory, EPERM, 1},
    {"a signal to others", signal_parent, EPERM, 0},
    {"a signal to a thread of others", signal_thread_of_parent, EPERM, 0},
    {"a signal to ourselves", signal_self, WORKS, 0},
    {"typing on the terminal", terminal_input, EPERM, 0},
    {"a call of tomorrow", new_call, EPERM, 0},
    {"other limits", other_limits, EPERM, 0},
    {"core files", dumpable, EPERM, 1},
    {"epoll, with rings", epoll, EPERM, 0},
};

START_TEST(production)
{
    attempts_judge(0, attempts, ARRAY_COUNT(attempts));
}
END_TEST

/* The build that the end-to-end tests run in gives nothing away but what its row says. */
START_TEST(with_sanitizers)
{
    attempts_judge(SANDBOX_SANITIZER, attempts, ARRAY_COUNT(attempts));
}
END_TEST

START_TEST(epoll_has_its_own)
{
    ck_assert_int_eq(outcome(SANDBOX_EPOLL, epoll), EBADF);
    ck_assert_int_eq(outcome(SANDBOX_EPOLL, run_program), DIES);
}
END_TEST

/* ---- all threads ---- */

struct other {
    pthread_mutex_t mutex; /* held until the filter is there */
    int error;
};

static void *other_main(void *arg)
{
    struct other *o = arg;
    pthread_mutex_lock(&o->mutex);
    errno = 0;
    o->error = socket_unix() < 0 ? errno : 0;
    pthread_mutex_unlock(&o->mutex);
    return NULL;
}

START_TEST(holds_for_threads_that_were_there_before)
{
    int status = 0;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        struct other o = {.mutex = PTHREAD_MUTEX_INITIALIZER, .error = -1};
        pthread_t thread;
        struct buf why;
        buf_init(&why, 256);
        pthread_mutex_lock(&o.mutex);
        if (pthread_create(&thread, NULL, other_main, &o) != 0 ||
            !sandbox_calls_load(SANDBOX_SANITIZER, &why)) {
            _exit(CHILD_NO_FILTER);
        }
        pthread_mutex_unlock(&o.mutex);
        pthread_join(thread, NULL);
        leave(CHILD_ERRNO + o.error);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status),
                     CHILD_ERRNO + EPERM);
}
END_TEST

START_TEST(no_new_privileges)
{
    int status = 0;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        struct buf why;
        char text[8192];
        buf_init(&why, 256);
        bool ok = sandbox_calls_load(SANDBOX_SANITIZER, &why);
        FILE *f = fopen("/proc/self/status", "r");
        size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;
        text[n] = '\0';
        _exit(ok && strstr(text, "NoNewPrivs:\t1") && strstr(text, "Seccomp:\t2") ? 0 : 1);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}
END_TEST

/* ---- the list ---- */

START_TEST(it_is_short)
{
    unsigned uring = sandbox_calls_count(0), epolls = sandbox_calls_count(SANDBOX_EPOLL);
    ck_assert_uint_ge(uring, 30);
    ck_assert_msg(uring <= 46, "%u system calls", uring);
    ck_assert_uint_gt(epolls, uring);
    ck_assert_uint_le(epolls, uring + 10);
}
END_TEST

START_TEST(it_is_published)
{
    struct buf made;
    buf_init(&made, 64 * 1024);
    sandbox_calls_print(&made);
    FILE *f = fopen("docs/SYSCALLS.md", "r");
    ck_assert_msg(f != NULL, "docs/SYSCALLS.md is missing");
    char *text = calloc(1, made.len + 2);
    size_t n = fread(text, 1, made.len + 1, f);
    fclose(f);
    ck_assert_msg(n == made.len && memcmp(text, made.ptr, n) == 0,
                  "docs/SYSCALLS.md: ringpost config --syscalls > docs/SYSCALLS.md");
    free(text);
    buf_deinit(&made);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        production,        with_sanitizers,
        epoll_has_its_own, holds_for_threads_that_were_there_before,
        no_new_privileges, it_is_short,
        it_is_published,
    };
    return testing_run("sandbox_calls", tests, ARRAY_COUNT(tests));
}
