/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The doctor on prepared machines: each row is a configuration and a line that must be among the
 * findings. What the machine itself is like (kernel, clock) is only required to be said.
 */
#include "core/app/cli.h"
#include "core/base/must.h"
#include "tests/unit/core/io/backend.h"

#include <arpa/inet.h>
#include <check.h>
#include <json-c/json.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

struct rig {
    char dir[64];
    int tcp; /* listens on a free port of 127.0.0.1 */
    unsigned tcp_port;
    unsigned free_port; /* nobody listens */
};

static unsigned port_of(int fd)
{
    struct sockaddr_in a;
    socklen_t len = sizeof(a);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    return ntohs(a.sin_port);
}

static int bind_any(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    return fd;
}

static void rig_open(struct rig *r)
{
    *r = (struct rig){.dir = "/tmp/ringpost-doctor-XXXXXX"};
    ck_assert_ptr_nonnull(mkdtemp(r->dir));
    r->tcp = bind_any();
    ck_assert_int_eq(listen(r->tcp, 8), 0);
    r->tcp_port = port_of(r->tcp);
    int other = bind_any();
    r->free_port = port_of(other);
    close(other);
}

static void rig_close(struct rig *r)
{
    close(r->tcp);
    ck_assert_int_eq(rmdir(r->dir), 0); /* the doctor left nothing */
}

/* Every key that would reach out of this machine is set. */
static int doctor(struct rig *r, const char *extra, bool json, char **text)
{
    char sets[5][160], *err = NULL;
    size_t size, err_size;
    snprintf(sets[0], sizeof(sets[0]), "spool.dir=%s/spool", r->dir);
    snprintf(sets[1], sizeof(sets[1]), "listeners.0.port=%u", r->free_port);
    snprintf(sets[2], sizeof(sets[2]), "dns.servers=127.0.0.1:%u", r->free_port);
    snprintf(sets[3], sizeof(sets[3]), "identity.hostname=host.invalid");
    snprintf(sets[4], sizeof(sets[4]), "%s", extra);
    char *argv[] = {"ringpost",
                    "doctor",
                    "--set",
                    sets[0],
                    "--set",
                    sets[1],
                    "--set",
                    sets[2],
                    "--set",
                    sets[3],
                    "--set",
                    sets[4],
                    json ? "--json" : NULL};
    static char *const no_environment[] = {NULL};
    struct cli cli = {.out = open_memstream(text, &size),
                      .err = open_memstream(&err, &err_size),
                      .environment = no_environment};
    int status = cli_main(&cli, json ? 13 : 12, argv);
    fclose(cli.out);
    fclose(cli.err);
    ck_assert_msg(err[0] == '\0', "%s", err);
    free(err);
    return status;
}

static const struct {
    const char *set; /* %T: the port somebody listens on, %F: a free one, %D: the folder */
    int status;      /* -1: depends on the machine */
    const char *part;
    const char *part_refused; /* instead, where io_uring is refused (./dev test --io eperm) */
} rows[] = {
    {"relay.port=25", 0, "ok    kernel: Linux ", NULL},
    {"relay.port=25", 0, "ok    io_uring: works", "warn  io_uring: set-up: "},
    {"io.backend=epoll", 0, "; not used (io.backend: epoll)\n",
     "; not wanted either (io.backend: epoll)\n"},
    {"relay.port=25", 0, "  open files: ", NULL},
    {"relay.port=25", 0, "  clock: 20", NULL},
    {"relay.port=25", 0, "/spool can be created", NULL},
    {"relay.port=25", 0, "  spool commit: 4 KiB write and fdatasync: p50 ", NULL},
    {"relay.port=25", 0, "engine: none is running", NULL},
    {"relay.port=25", 0, "relay: none: mail goes", NULL},
    {"relay.port=25", 0, "warn  dns: 127.0.0.1:%F: ", NULL},
    {"relay.port=25", 0, "warn  hostname: ", NULL},
    {"relay.port=25", 0, " 0 failures\n", NULL},
    {"spool.dir=%D", 0, "ok    spool folder: %D\n", NULL},
    {"spool.dir=/dev/null/x", 1, "fail  spool folder: /dev/null/x: Not a directory", NULL},
    {"spool.dir=/proc/x", 1, "fail  spool folder: ", NULL},
    {"spool.min_free=900TiB", 1, "fail  spool space: ", NULL},
    {"relay.port=25", 0, "ok    settings: certificates, keys and users can be used", NULL},
    {"listeners.0.tls=may", 1, "fail  settings: listeners[0].tls: needs tls.cert_file", NULL},
    {"auth.users_file=%D/none", 1, "fail  settings: ", NULL},
    {"listeners.0.port=%F", 0, "ok    listener: 127.0.0.1:%F can be bound", NULL},
    {"listeners.0.port=%T", 1, "fail  listener: 127.0.0.1:%T: Address already in use — another",
     NULL},
    {"listeners.0.address=192.0.2.1", 1, "does not have that address", NULL},
    {"relay.host=[127.0.0.1]:%T", 0, "ok    relay: 127.0.0.1: 127.0.0.1:%T takes connections",
     NULL},
    {"relay.host=[127.0.0.1]:%F", 0, "warn  relay: 127.0.0.1: 127.0.0.1:%F: Connection refused",
     NULL},
    {"relay.host=mail.invalid", 0, "warn  relay: ", NULL},
    {"relay.port=25", 0, "ok    sandbox: Landlock ", NULL},
    {"sandbox.mode=off", 0, "warn  sandbox: sandbox.mode is off — set sandbox.mode to auto", NULL},
    {"identity.hostname=single", 0, "warn  hostname: single is not a full name", NULL},
    {"limits.connections=1000000", 0, "warn  open files: ", NULL},
};

static void fill(struct rig *r, const char *in, char *out, size_t size)
{
    size_t at = 0;
    for (; *in && at + 1 < size; in++) {
        if (*in != '%') {
            out[at++] = *in;
            continue;
        }
        in++;
        int n = *in == 'D'
                    ? snprintf(out + at, size - at, "%s", r->dir)
                    : snprintf(out + at, size - at, "%u", *in == 'T' ? r->tcp_port : r->free_port);
        at += (size_t)n;
    }
    out[at] = '\0';
}

START_TEST(finding)
{
    struct rig r;
    char set[160], part[256], *text = NULL;
    rig_open(&r);
    fill(&r, rows[_i].set, set, sizeof(set));
    bool refused = rows[_i].part_refused && testing_ring_refusal();
    fill(&r, refused ? rows[_i].part_refused : rows[_i].part, part, sizeof(part));
    int status = doctor(&r, set, false, &text);
    ck_assert_msg(strstr(text, part) != NULL, "no '%s' in:\n%s", part, text);
    ck_assert_msg(status == rows[_i].status, "status %d:\n%s", status, text);
    free(text);
    rig_close(&r);
}
END_TEST

START_TEST(json_lines)
{
    struct rig r;
    char *text = NULL;
    unsigned lines = 0;
    rig_open(&r);
    ck_assert_int_eq(doctor(&r, "relay.port=25", true, &text), 0);
    for (char *rest = text, *line; (line = strsep(&rest, "\n")) && line[0]; lines++) {
        struct json_object *o = json_tokener_parse(line);
        ck_assert_msg(o != NULL, "%s", line);
        const char *status = json_object_get_string(json_object_object_get(o, "status"));
        struct json_object *change = NULL;
        ck_assert_ptr_nonnull(json_object_object_get(o, "check"));
        ck_assert_ptr_nonnull(json_object_object_get(o, "found"));
        ck_assert(json_object_object_get_ex(o, "change", &change));
        ck_assert(strcmp(status, "ok") == 0 || strcmp(status, "warn") == 0);
        ck_assert_msg((strcmp(status, "ok") == 0) == (change == NULL), "%s", line);
        json_object_put(o);
    }
    ck_assert_uint_ge(lines, 14);
    free(text);
    rig_close(&r);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("core/app/doctor");
    TCase *t = tcase_create("doctor");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, finding, 0, (int)ARRAY_COUNT(rows));
    tcase_add_test(t, json_lines);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
