/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/conf/machine.h"
#include "core/conf/conf.h"
#include "tests/unit/core/base/testing.h"

#include <string.h>
#include <unistd.h>

static struct conf *load(struct conf_machine *m, char **environment)
{
    struct conf_source src = {.environment = environment, .root = "/nonexistent", .machine = m};
    struct buf errors;
    buf_init(&errors, 65536);
    struct conf *c = conf_load(&src, &errors, NULL);
    ck_assert_msg(c != NULL, "%.*s", SLICE_ARG(buf_slice(&errors)));
    buf_deinit(&errors);
    return c;
}

static void expect_name(const struct conf *c, const char *name)
{
    ck_assert_msg(slice_eq(c->identity.hostname, slice_str(name)), "%.*s",
                  SLICE_ARG(c->identity.hostname));
}

START_TEST(the_host_name_is_asked_for_once)
{
    struct conf_machine m = {0};
    char name[CONF_MACHINE_NAME_BYTES] = "";
    ck_assert_int_eq(gethostname(name, sizeof(name) - 1), 0);
    ck_assert(slice_eq(conf_machine_name(&m), slice_str(name)));
    memcpy(m.name, "kept.example", sizeof("kept.example"));
    ck_assert(slice_eq(conf_machine_name(&m), SLICE("kept.example")));
}
END_TEST

/* What a reload uses is what the start was told. */
START_TEST(a_load_takes_what_is_kept)
{
    struct conf_machine m = {.name_asked = true, .name = "kept.example"};
    struct conf *c = load(&m, NULL);
    expect_name(c, "kept.example");
    conf_free(c);
}
END_TEST

/* Even where the profile takes no other name at first: the next load may. */
START_TEST(every_load_asks)
{
    char *environment[] = {(char *)"RINGPOST_IDENTITY_HOSTNAME=own.example", NULL};
    struct conf_machine m = {0};
    struct conf *c = load(&m, environment);
    expect_name(c, "own.example");
    ck_assert(m.name_asked && !m.reverse_asked);
    conf_free(c);
}
END_TEST

START_TEST(a_profile_takes_the_reverse_name_that_is_kept)
{
    char *environment[] = {(char *)"RINGPOST_PROFILE=000", (char *)"SMTP_USERNAME=me",
                           (char *)"SMTP_PASSWORD=x", NULL};
    struct conf_machine m = {.reverse_asked = true, .reverse = "mail.public.example"};
    struct conf *c = load(&m, environment);
    expect_name(c, "mail.public.example");
    conf_free(c);
    m.reverse[0] = '\0'; /* it was asked for, and there is none */
    c = load(&m, environment);
    ck_assert(!slice_eq(c->identity.hostname, SLICE("mail.public.example")));
    conf_free(c);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {the_host_name_is_asked_for_once, a_load_takes_what_is_kept,
                                  every_load_asks, a_profile_takes_the_reverse_name_that_is_kept};
    return testing_run("machine", tests, ARRAY_COUNT(tests));
}
