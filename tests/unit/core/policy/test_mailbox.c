/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Which folder a recipient's mailbox is, above all for addresses that would like it to be another one.
 */
#include "core/policy/mailbox.h"
#include "core/conf/mailbox.h"
#include "tests/unit/core/base/testing.h"

static struct conf *load(const char *pattern)
{
    char set[MAILBOX_PATH_BYTES];
    snprintf(set, sizeof(set), "local.maildir=%s", pattern);
    const char *const sets[] = {"identity.hostname=Relay.example.test", set,
                                "access.local_domains=here.test,xn--bcher-kva.test"};
    struct conf_source src = {.set = sets, .set_count = ARRAY_COUNT(sets)};
    struct buf errors;
    buf_init(&errors, 65536);
    struct conf *conf = conf_load(&src, &errors, NULL);
    ck_assert_msg(conf != NULL, "%.*s", SLICE_ARG(buf_slice(&errors)));
    buf_deinit(&errors);
    return conf;
}

/* "base|name|name"; "-" when there is none. */
static const char *find(const struct conf *conf, struct slice address)
{
    static char text[MAILBOX_PATH_BYTES + 8];
    static struct mailbox_path path;
    memset(&path, 0x5a, sizeof(path));
    if (!mailbox_find(conf, address, &path)) {
        return "-";
    }
    size_t n = (size_t)snprintf(text, sizeof(text), "%s", path.text);
    uint32_t at = 0;
    const char *name;
    ck_assert_uint_eq(n, path.base_bytes);
    while (mailbox_path_more(&path, at)) {
        name = mailbox_path_name(&path, &at);
        ck_assert_ptr_nonnull(name);
        n += (size_t)snprintf(text + n, sizeof(text) - n, "|%s", name);
    }
    ck_assert_ptr_null(mailbox_path_name(&path, &at));
    return text;
}

#define LOCAL64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

START_TEST(addresses)
{
    static const struct {
        struct slice address;
        const char *want;
    } rows[] = {
        {SLICE_INIT("user@here.test"), "/var/mail|here.test|user"},
        {SLICE_INIT("User.Name@HERE.Test"), "/var/mail|here.test|user.name"},
        {SLICE_INIT("user+tag@here.test"), "/var/mail|here.test|user"},
        {SLICE_INIT("user+a+b@here.test"), "/var/mail|here.test|user"},
        {SLICE_INIT("+tag@here.test"), "/var/mail|here.test|+tag"},
        {SLICE_INIT("\"user\"@here.test"), "/var/mail|here.test|user"},
        {SLICE_INIT("\"us\\er+x\"@here.test"), "/var/mail|here.test|user"},
        {SLICE_INIT("\"a b@c\"@here.test"), "/var/mail|here.test|a b@c"},
        {SLICE_INIT("b\xc3\xbc"
                    "cher@here.test"),
         "/var/mail|here.test|b\xc3\xbc"
         "cher"},
        {SLICE_INIT("postmaster"), "/var/mail|relay.example.test|postmaster"},
        {SLICE_INIT("a%b!c~d@here.test"), "/var/mail|here.test|a%b!c~d"},
        {SLICE_INIT("-rf@here.test"), "/var/mail|here.test|-rf"},
        {SLICE_INIT("a..b@here.test"), "/var/mail|here.test|a..b"},
        {SLICE_INIT(LOCAL64 "@here.test"), "/var/mail|here.test|" LOCAL64},
        {SLICE_INIT("{domain}@here.test"), "/var/mail|here.test|{domain}"}, /* filled in once */
        /* No name. */
        {SLICE_INIT(""), "-"},
        {SLICE_INIT("@here.test"), "-"},
        {SLICE_INIT("\"\"@here.test"), "-"},
        {SLICE_INIT("\""), "/var/mail|relay.example.test|\""}, /* no parser lets it through */
        {SLICE_INIT("user@"), "-"},
        {SLICE_INIT(".@here.test"), "-"},
        {SLICE_INIT("..@here.test"), "-"},
        {SLICE_INIT(".ssh@here.test"), "-"},
        {SLICE_INIT("\"..\"@here.test"), "-"},
        {SLICE_INIT("\"\\.\\.\"@here.test"), "-"},
        {SLICE_INIT("\"..+x\"@here.test"), "-"},
        {SLICE_INIT("a/b@here.test"), "-"},
        {SLICE_INIT("/etc@here.test"), "-"},
        {SLICE_INIT("\"a\\/b\"@here.test"), "-"},
        {SLICE_INIT("../../etc/x@here.test"), "-"},
        {SLICE_INIT("user@.."), "-"},
        {SLICE_INIT("user@../x"), "-"},
        {SLICE_INIT("user@/"), "-"},
        {SLICE_INIT("a\0b@here.test"), "-"},
        {SLICE_INIT("a\nb@here.test"), "-"},
        {SLICE_INIT("\"a\tb\"@here.test"), "-"},
        {SLICE_INIT("a\x7f@here.test"), "-"},
        {SLICE_INIT("a\xc2\x85@here.test"), "-"}, /* U+0085, a line end to some */
        {SLICE_INIT("a\xc0\xaf@here.test"), "-"}, /* an overlong slash */
        {SLICE_INIT("a\xff@here.test"), "-"},
        {SLICE_INIT("a\xc2"), "-"},
    };
    struct conf *conf = load("/var/mail/{domain}/{local}");
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        const char *got = find(conf, rows[i].address);
        ck_assert_msg(strcmp(got, rows[i].want) == 0, "%.*s: %s", SLICE_ARG(rows[i].address), got);
    }
    conf_free(conf);
}
END_TEST

START_TEST(patterns)
{
    static const struct {
        const char *pattern, *address, *want;
    } rows[] = {
        {"/var/mail/all", "anybody@here.test", "/var/mail|all"},
        {"/var/mail/all/", "../x@here.test", "/var/mail|all"}, /* nothing of the address is in it */
        {"/home/{local}/Maildir/", "u@here.test", "/home|u|Maildir"},
        {"/srv/m/x-{local}@{domain}", "U+t@here.test", "/srv/m|x-u@here.test"},
        {"/srv/m/x{local}", "..@here.test", "-"},
        {"/srv/m/.{local}", "u@here.test", "/srv/m|.u"},
        {"/srv/m/.{local}", ".@here.test", "-"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct conf *conf = load(rows[i].pattern);
        const char *got = find(conf, slice_str(rows[i].address));
        ck_assert_msg(strcmp(got, rows[i].want) == 0, "%s %s: %s", rows[i].pattern, rows[i].address,
                      got);
        conf_free(conf);
    }
}
END_TEST

/* A name has at most 255 bytes, a path what its struct holds. */
START_TEST(lengths)
{
    char local[260], address[300], pattern[MAILBOX_PATTERN_BYTES + 1] = "/base";
    struct conf *conf = load("/base/ab{local}");
    for (size_t n = 250; n <= 256; n++) {
        memset(local, 'x', n);
        snprintf(address, sizeof(address), "%.*s@here.test", (int)n, local);
        ck_assert_int_eq(strcmp(find(conf, slice_str(address)), "-") != 0, n <= 253);
    }
    conf_free(conf);
    for (size_t i = 0; i < 40; i++) { /* 40 × 200 bytes */
        snprintf(pattern + strlen(pattern), sizeof(pattern) - strlen(pattern), "/{local}");
    }
    snprintf(address, sizeof(address), "%.*s@here.test", 200, local);
    conf = load(pattern);
    ck_assert_str_eq(find(conf, slice_str(address)), "-");
    ck_assert_str_ne(find(conf, SLICE("short@here.test")), "-");
    conf_free(conf);
}
END_TEST

START_TEST(local_domains)
{
    struct conf *conf = load("/var/mail/{local}");
    ck_assert(mailbox_is_local(conf, SLICE("here.test")));
    ck_assert(mailbox_is_local(conf, SLICE("HERE.test")));
    ck_assert(!mailbox_is_local(conf, SLICE("sub.here.test")));
    ck_assert(!mailbox_is_local(conf, SLICE("")));
    conf_free(conf);
    conf = load("");
    ck_assert(!mailbox_is_local(conf, SLICE("here.test"))); /* no mailboxes here */
    conf_free(conf);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {addresses, patterns, lengths, local_domains};
    return testing_run("core/policy/mailbox", tests, ARRAY_COUNT(tests));
}
