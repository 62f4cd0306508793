/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/app/sandbox_paths.h"
#include "tests/unit/core/base/testing.h"

#include <limits.h>
#include <string.h>
#include <sys/stat.h>

struct found {
    char text[4096];
};

static void on_path(void *ctx, struct slice path, enum landlock_access access)
{
    struct found *f = ctx;
    static const char marks[] = {
        [LANDLOCK_READ] = 'r', [LANDLOCK_WRITE] = 'w', [LANDLOCK_SOCKET] = 's'};
    size_t n = strnlen(f->text, sizeof(f->text));
    snprintf(f->text + n, sizeof(f->text) - n, "%c %.*s\n", marks[access], SLICE_ARG(path));
}

static void check_reach(enum sandbox_reach reach, const char *file, const char *want)
{
    struct found f = {""};
    sandbox_path_replaceable(slice_str(file), reach, &(struct sandbox_path_sink){on_path, &f});
    ck_assert_str_eq(f.text, want);
}

static void check(const char *file, const char *want)
{
    check_reach(SANDBOX_FOLDER, file, want);
}

static void write_file(const char *path)
{
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fclose(file);
}

/* live/a -> ../archive/a1, as certbot has it. */
START_TEST(files_and_links)
{
    char root[] = "/tmp/ringpost-paths-XXXXXX", want[512], command[64];
    ck_assert_ptr_nonnull(mkdtemp(root));
    ck_assert_int_eq(chdir(root), 0);
    ck_assert_int_eq(mkdir("live", 0700), 0);
    ck_assert_int_eq(mkdir("archive", 0700), 0);
    write_file("archive/a1");
    ck_assert_int_eq(symlink("../archive/a1", "live/a"), 0);
    char path[512];
    snprintf(path, sizeof(path), "%s/live/a", root);
    snprintf(want, sizeof(want), "r %s/live\nr %s/archive\n", root, root);
    check(path, want);
    snprintf(want, sizeof(want), "r %s\nr %s\n", root, root);
    check_reach(SANDBOX_FAMILY, path, want);
    snprintf(path, sizeof(path), "%s/a", root); /* above: /tmp */
    snprintf(want, sizeof(want), "r %s\n", root);
    check_reach(SANDBOX_FAMILY, path, want);
    snprintf(path, sizeof(path), "%s/live/missing", root);
    snprintf(want, sizeof(want), "r %s/live\n", root);
    check(path, want);
    /* relative: of where we are */
    snprintf(want, sizeof(want), "r %s\n", root);
    check("missing", want);
    snprintf(command, sizeof(command), "rm -rf %s", root);
    ck_assert_int_eq(chdir("/"), 0);
    ck_assert_int_eq(system(command), 0);
}
END_TEST

/* ca/a -> ../store/a, as ca-certificates has it in /etc/ssl/certs: a reload reads what is in the store. */
START_TEST(folder_of_links)
{
    char root[] = "/tmp/ringpost-paths-XXXXXX", path[512], want[512], command[64];
    ck_assert_ptr_nonnull(mkdtemp(root));
    ck_assert_int_eq(chdir(root), 0);
    ck_assert_int_eq(mkdir("ca", 0700), 0);
    ck_assert_int_eq(mkdir("store", 0700), 0);
    write_file("store/a");
    write_file("ca/own");
    ck_assert_int_eq(symlink("../store/a", "ca/a"), 0);
    ck_assert_int_eq(symlink("../store/a", "ca/b"), 0);
    ck_assert_int_eq(symlink("own", "ca/c"), 0);
    ck_assert_int_eq(symlink("nowhere", "ca/d"), 0);
    snprintf(path, sizeof(path), "%s/ca", root);
    snprintf(want, sizeof(want), "r %s\nr %s/store\n", root, root);
    check(path, want);
    snprintf(command, sizeof(command), "rm -rf %s", root);
    ck_assert_int_eq(chdir("/"), 0);
    ck_assert_int_eq(system(command), 0);
}
END_TEST

/* Of folders that much else stands in only the file. */
START_TEST(shared_folders)
{
    check("", "");
    check_reach(SANDBOX_FAMILY, "/etc/passwd", "r /etc/passwd\n");
    check("/etc/passwd", "r /etc/passwd\n");
    check("/etc//passwd", "r /etc//passwd\nr /etc/passwd\n");
    check("/tmp/ringpost-not-there", "r /tmp/ringpost-not-there\n");
    check("/ringpost-not-there.yaml", "r /ringpost-not-there.yaml\n");
    check("/nowhere/at/all", "r /nowhere/at/all\n");
}
END_TEST

/* ---- everything ---- */

static bool has(const struct found *f, const char *line)
{
    return strstr(f->text, line) != NULL;
}

START_TEST(of_a_configuration)
{
    char root[] = "/tmp/ringpost-paths-XXXXXX", secret[64], variable[128], set[5][128], command[64];
    ck_assert_ptr_nonnull(mkdtemp(root));
    snprintf(secret, sizeof(secret), "%s/secret", root);
    write_file(secret);
    snprintf(variable, sizeof(variable), "RINGPOST_RELAY_PASSWORD_FILE=%s", secret);
    snprintf(set[0], sizeof(set[0]), "spool.dir=%s/spool", root);
    snprintf(set[1], sizeof(set[1]), "admin.socket=%s/run/admin.sock", root);
    snprintf(set[2], sizeof(set[2]), "local.maildir=%s/mail/{domain}/{local}", root);
    snprintf(set[3], sizeof(set[3]), "access.local_domains=local.test");
    snprintf(set[4], sizeof(set[4]), "identity.hostname=relay.example.test");
    const char *const sets[] = {set[0], set[1], set[2], set[3], set[4]};
    char *environment[] = {"PATH=/usr/bin", "HOME_FILE=/not/there", variable, NULL};
    struct conf_source source = {.environment = environment, .set = sets, .set_count = 5};
    struct buf errors;
    buf_init(&errors, 8192);
    struct conf *conf = conf_load(&source, &errors, NULL);
    ck_assert_msg(conf != NULL, "%.*s", SLICE_ARG(buf_slice(&errors)));
    struct relay_settings_messages to = {.errors = &errors};
    struct relay_settings *settings = relay_settings_new(conf, NULL, &to);
    ck_assert_msg(settings != NULL, "%.*s", SLICE_ARG(buf_slice(&errors)));

    struct found f = {""};
    char want[128];
    sandbox_paths(settings, &source, &(struct sandbox_path_sink){on_path, &f});
    static const struct {
        char access;
        const char *name;
    } below[] = {{'w', "/spool"}, {'s', "/run"}, {'w', "/mail"}, {'r', ""}};
    for (size_t i = 0; i < ARRAY_COUNT(below); i++) {
        snprintf(want, sizeof(want), "%c %s%s\n", below[i].access, root, below[i].name);
        ck_assert_msg(has(&f, want), "%s not in\n%s", want, f.text);
    }
    ck_assert(has(&f, "r /etc/resolv.conf\n") && has(&f, "r /dev/null\n"));
    ck_assert(has(&f, "r /etc/ssl/certs\n"));
    ck_assert(!has(&f, "/usr/bin") && !has(&f, "/not/there") && !has(&f, "w /etc"));
    ck_assert(!has(&f, " /\n") && !has(&f, " /etc\n") && !has(&f, " /tmp\n"));
    relay_settings_put(&settings);
    buf_deinit(&errors);
    snprintf(command, sizeof(command), "rm -rf %s", root);
    ck_assert_int_eq(system(command), 0);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {files_and_links, folder_of_links, shared_folders,
                                  of_a_configuration};
    return testing_run("sandbox_paths", tests, ARRAY_COUNT(tests));
}
