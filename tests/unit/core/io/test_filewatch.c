/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/io/filewatch.h"
#include "tests/unit/core/base/testing.h"

#include <poll.h>
#include <sys/stat.h>

static char folder[64];

static void setup(void)
{
    strcpy(folder, "/tmp/ringpost-watch-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_assert_int_eq(chdir(folder), 0);
}

static void teardown(void)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", folder);
    ck_assert_int_eq(system(command), 0);
}

static void run(const char *command)
{
    ck_assert_int_eq(system(command), 0);
}

static bool wakes(struct filewatch *w)
{
    struct pollfd p = {filewatch_fd(w), POLLIN, 0};
    return poll(&p, 1, 0) == 1;
}

START_TEST(a_file_that_is_written_or_renamed_is_told_once)
{
    setup();
    run("echo a > cert.pem");
    struct filewatch *w = filewatch_open();
    ck_assert_ptr_nonnull(w);
    filewatch_add(w, SLICE("cert.pem"));
    ck_assert(!filewatch_changed(w));
    ck_assert(!wakes(w));
    run("echo longer > cert.pem");
    ck_assert(wakes(w));
    ck_assert(filewatch_changed(w));
    ck_assert(!filewatch_changed(w));
    run("echo other > new; mv new cert.pem");
    ck_assert(wakes(w));
    ck_assert(filewatch_changed(w));
    run("echo x > unrelated");
    ck_assert(wakes(w));
    ck_assert(!filewatch_changed(w));
    run("rm cert.pem");
    ck_assert(filewatch_changed(w));
    filewatch_close(&w);
    teardown();
}
END_TEST

START_TEST(the_link_that_kubernetes_turns)
{
    setup();
    run("mkdir ..1 ..2; echo a > ..1/tls.crt; echo a > ..2/tls.crt; ln -s ..1 ..data; "
        "ln -s ..data/tls.crt tls.crt");
    struct filewatch *w = filewatch_open();
    filewatch_add(w, SLICE("tls.crt"));
    ck_assert(!filewatch_changed(w));
    run("ln -s ..2 ..data_tmp; mv -T ..data_tmp ..data");
    ck_assert(wakes(w));
    ck_assert(filewatch_changed(w));
    filewatch_clear(w);
    run("echo b > ..2/tls.crt");
    ck_assert(!filewatch_changed(w)); /* nothing is watched any more */
    filewatch_close(&w);
    teardown();
}
END_TEST

int main(void)
{
    const TTest *tests[] = {a_file_that_is_written_or_renamed_is_told_once,
                            the_link_that_kubernetes_turns};
    return testing_run("core/io/filewatch", tests, ARRAY_COUNT(tests));
}
