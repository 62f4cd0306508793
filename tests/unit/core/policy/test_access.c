/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Who may hand us mail: every rule with every kind of client, and the holes open relays are made of.
 */
#include "core/policy/access.h"
#include "tests/unit/core/base/testing.h"

static struct conf *conf;

static void load(const char *const *sets, size_t count)
{
    struct conf_source src = {.set = sets, .set_count = count};
    struct buf errors;
    buf_init(&errors, 65536);
    conf = conf_load(&src, &errors, NULL);
    ck_assert_msg(conf != NULL, "%.*s", SLICE_ARG(buf_slice(&errors)));
    buf_deinit(&errors);
}

#define LOAD(...)                                                                                  \
    load((const char *const[]){"identity.hostname=relay.example.test", __VA_ARGS__},               \
         1 + ARRAY_COUNT(((const char *const[]){__VA_ARGS__})))

static struct access_client client(const char *addr, bool authenticated)
{
    struct access_client c = {.listener = &conf->listeners.items[0],
                              .authenticated = authenticated,
                              .user = authenticated ? SLICE("u") : (struct slice){NULL, 0}};
    ck_assert(ip_addr_parse(slice_str(addr), &c.addr));
    return c;
}

/* "250", or code and enhanced code of the refusal. */
static const char *answer(bool ok, const struct access_refusal *r)
{
    static char text[32];
    if (ok) {
        return "250"; /* there is nothing in r */
    }
    snprintf(text, sizeof(text), "%u %.*s", r->verdict.code, SLICE_ARG(r->verdict.enhanced));
    return text;
}

static const char *rcpt_answer(const struct access_client *c, const char *sender, const char *rcpt)
{
    static struct access_refusal r;
    const char *at = strrchr(rcpt, '@');
    struct smtp_address a = {.local = slice_of(rcpt, (size_t)(at - rcpt)),
                             .domain = slice_str(at + 1)};
    return answer(access_check_rcpt(conf, c, slice_str(sender), &a, &r), &r);
}

/* With no configuration nobody outside loopback can relay (DESIGN 6). */
START_TEST(defaults)
{
    static const struct {
        const char *addr, *want;
    } rows[] = {
        {"127.0.0.1", "250"},
        {"127.255.255.254", "250"},
        {"::1", "250"},
        {"126.255.255.255", "554 5.7.1"},
        {"128.0.0.0", "554 5.7.1"},
        {"10.0.0.1", "554 5.7.1"},
        {"192.168.1.1", "554 5.7.1"},
        {"0.0.0.0", "554 5.7.1"},
        {"::", "554 5.7.1"},
        {"::2", "554 5.7.1"},
        {"8.8.8.8", "554 5.7.1"},
        {"2001:db8::1", "554 5.7.1"},
    };
    LOAD("listeners.0.port=2525");
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct access_client c = client(rows[i].addr, false);
        ck_assert_msg(strcmp(rcpt_answer(&c, "a@b.test", "x@far.test"), rows[i].want) == 0,
                      "%s: %s", rows[i].addr, rcpt_answer(&c, "a@b.test", "x@far.test"));
    }
    conf_free(conf);
}
END_TEST

START_TEST(rules)
{
    static const struct {
        const char *rule;
        bool in_net, auth, may;
    } rows[] = {
        {"network", false, false, false},
        {"network", true, false, true},
        {"network", false, true, false},
        {"network", true, true, true},
        {"auth", false, false, false},
        {"auth", true, false, false},
        {"auth", false, true, true},
        {"auth", true, true, true},
        {"auth_and_network", false, false, false},
        {"auth_and_network", true, false, false},
        {"auth_and_network", false, true, false},
        {"auth_and_network", true, true, true},
        {"auth_or_network", false, false, false},
        {"auth_or_network", true, false, true},
        {"auth_or_network", false, true, true},
        {"auth_or_network", true, true, true},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        char rule[64];
        snprintf(rule, sizeof(rule), "listeners.0.access=%s", rows[i].rule);
        LOAD("listeners.0.port=2525", rule, "access.networks=192.0.2.0/24,2001:db8::/32",
             "users.0.name=u", "users.0.password=p", "auth.require_tls=false");
        struct access_client c = client(rows[i].in_net ? "192.0.2.77" : "192.0.3.1", rows[i].auth);
        ck_assert_msg(access_may_relay(conf, &c) == rows[i].may, "row %zu", i);
        const char *got = rcpt_answer(&c, "a@b.test", "x@far.test");
        ck_assert_msg((strcmp(got, "250") == 0) == rows[i].may, "row %zu: %s", i, got);
        conf_free(conf);
    }
}
END_TEST

/* Exim's code for the profile that replaces it; everything else is refused as ever. */
START_TEST(refused_with_550)
{
    LOAD("listeners.0.port=2525", "access.refuse_code=550", "access.networks=192.0.2.0/24",
         "access.local_domains=here.test", "listeners.1.port=2526", "listeners.1.reject_at=mail");
    struct access_client c = client("192.0.3.1", false);
    struct access_refusal r;
    ck_assert_str_eq(rcpt_answer(&c, "a@b.test", "x@far.test"), "550 5.7.1");
    ck_assert_str_eq(rcpt_answer(&c, "a@b.test", "x@here.test"), "550 5.1.1");
    c.listener = &conf->listeners.items[1];
    ck_assert(!access_check_mail(conf, &c, SLICE("a@b.test"), &r));
    ck_assert_uint_eq(r.verdict.code, 550);
    conf_free(conf);
}
END_TEST

/* Where refusals are wished at MAIL: 530 to who could log in, 554 to who could not either. */
START_TEST(refused_at_mail)
{
    static const struct {
        const char *at, *rule, *addr;
        bool auth;
        const char *want;
    } rows[] = {
        {"mail", "auth", "192.0.2.1", false, "530 5.7.0"},
        {"mail", "auth", "192.0.2.1", true, "250"},
        {"mail", "network", "192.0.2.1", false, "250"},
        {"mail", "network", "192.0.3.1", false, "554 5.7.1"},
        {"mail", "auth_and_network", "192.0.3.1", false, "554 5.7.1"},
        {"mail", "auth_and_network", "192.0.2.1", false, "530 5.7.0"},
        {"rcpt", "auth", "192.0.2.1", false, "250"},
        {"rcpt", "network", "192.0.3.1", false, "250"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        char rule[64], at[64];
        struct access_refusal r;
        snprintf(rule, sizeof(rule), "listeners.0.access=%s", rows[i].rule);
        snprintf(at, sizeof(at), "listeners.0.reject_at=%s", rows[i].at);
        LOAD("listeners.0.port=2525", rule, at, "access.networks=192.0.2.0/24", "users.0.name=u",
             "users.0.password=p", "auth.require_tls=false");
        struct access_client c = client(rows[i].addr, rows[i].auth);
        const char *got = answer(access_check_mail(conf, &c, SLICE("a@b.test"), &r), &r);
        ck_assert_msg(strcmp(got, rows[i].want) == 0, "row %zu: %s", i, got);
        conf_free(conf);
    }
}
END_TEST

/* RFC 6409: who writes mail logs in, and names full domains. What is said goes before what follows from
 * the mode. */
START_TEST(submission)
{
    static const struct {
        const char *mode, *access, *addr;
        bool auth;
        const char *sender, *rcpt, *mail_want, *rcpt_want;
    } rows[] = {
        {"submission", NULL, "127.0.0.1", false, "a@b.test", "x@far.test", "530 5.7.0",
         "554 5.7.1"},
        {"submission", NULL, "192.0.3.1", false, "a@b.test", "x@far.test", "530 5.7.0",
         "554 5.7.1"},
        {"submission", NULL, "192.0.3.1", true, "a@b.test", "x@far.test", "250", "250"},
        {"submission", NULL, "192.0.3.1", true, "", "x@[192.0.2.9]", "250", "250"},
        {"submission", NULL, "192.0.3.1", true, "a@[192.0.2.9]", "x@b.c", "250", "250"},
        {"submission", NULL, "192.0.3.1", true, "a@localhost", "x@far", "554 5.1.8", "554 5.1.2"},
        {"submission", NULL, "192.0.3.1", true, "\"a.b@c.d\"@localhost", "\"x@y.z\"@far",
         "554 5.1.8", "554 5.1.2"},
        {"submission", NULL, "192.0.3.1", true, "a@b.test", "postmaster@", "250", "250"},
        {"submission", NULL, "192.0.3.1", true, "a@b.test", "x@here", "250", "550 5.1.1"},
        {"submission", NULL, "192.0.3.1", false, "a@localhost", "x@far", "530 5.7.0", "554 5.7.1"},
        {"submission", "network", "127.0.0.1", false, "a@b.test", "x@far.test", "250", "250"},
        {"submission", "network", "127.0.0.1", false, "a@localhost", "x@far", "554 5.1.8",
         "554 5.1.2"},
        {"submission", "network", "192.0.3.1", false, "a@b.test", "x@far.test", "554 5.7.1",
         "554 5.7.1"},
        {"relay", NULL, "127.0.0.1", false, "a@localhost", "x@far", "250", "250"},
        {"relay", NULL, "192.0.3.1", true, "a@localhost", "x@far", "250", "554 5.7.1"},
        {"relay", "auth", "192.0.3.1", false, "a@localhost", "x@far", "250", "554 5.7.1"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        char mode[64], access[64];
        struct access_refusal r;
        snprintf(mode, sizeof(mode), "listeners.0.mode=%s", rows[i].mode);
        snprintf(access, sizeof(access), "listeners.0.access=%s",
                 rows[i].access ? rows[i].access : "auto");
        LOAD(mode, access, "access.local_domains=here");
        struct access_client c = client(rows[i].addr, rows[i].auth);
        const char *got = answer(access_check_mail(conf, &c, slice_str(rows[i].sender), &r), &r);
        ck_assert_msg(strcmp(got, rows[i].mail_want) == 0, "row %zu: mail %s", i, got);
        got = rcpt_answer(&c, rows[i].sender, rows[i].rcpt);
        ck_assert_msg(strcmp(got, rows[i].rcpt_want) == 0, "row %zu: rcpt %s", i, got);
        conf_free(conf);
    }
}
END_TEST

START_TEST(domains)
{
    static const struct {
        const char *addr, *rcpt, *want;
    } rows[] = {
        {"8.8.8.8", "x@backup.test", "250"},
        {"8.8.8.8", "x@BACKUP.Test", "250"},
        {"8.8.8.8", "x@sub.backup.test", "554 5.7.1"}, /* that name, not what is below it */
        {"8.8.8.8", "x@xbackup.test", "554 5.7.1"},
        {"8.8.8.8", "x@far.test", "554 5.7.1"},
        /* The server we are the backup of trusts us: a route in the local part is no name to it. */
        {"8.8.8.8", "x%far.test@backup.test", "554 5.7.1"},
        {"8.8.8.8", "far.test!x@backup.test", "554 5.7.1"},
        {"8.8.8.8", "x@far.test@backup.test", "554 5.7.1"},
        {"127.0.0.1", "x%far.test@backup.test", "250"}, /* who may send anywhere may write that */
        {"127.0.0.1", "x@here.test", "550 5.1.1"},      /* no mailboxes here */
        {"8.8.8.8", "x@HERE.test", "550 5.1.1"},
        {"127.0.0.1", "x@far.test", "250"},
    };
    LOAD("listeners.0.port=2525", "access.relay_domains=backup.test",
         "access.local_domains=here.test");
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct access_client c = client(rows[i].addr, false);
        const char *got = rcpt_answer(&c, "a@b.test", rows[i].rcpt);
        ck_assert_msg(strcmp(got, rows[i].want) == 0, "%s %s: %s", rows[i].addr, rows[i].rcpt, got);
    }
    conf_free(conf);
}
END_TEST

/* Whose address a sender is, is decided by the users; a certificate (no list at all) is none of them. */
START_TEST(senders_of_users)
{
    static const struct conf_names no_list;
    LOAD("listeners.0.port=2525", "sender.restrict=email", "users.0.name=u",
         "users.0.allowed_from=u@own.test,@team.test", "users.1.name=free", "users.1.password=p",
         "auth.require_tls=false");
    const struct conf_names *list = &conf->users.items[0].allowed_from;
    const struct {
        bool authenticated;
        const struct conf_names *allowed_from;
        const char *sender, *want;
    } rows[] = {
        {true, list, "u@own.test", "250"},        {true, list, "x@team.test", "250"},
        {true, list, "x@far.test", "553 5.7.1"},  {true, list, "", "250"},
        {true, &no_list, "u@own.test", "250"},    {true, &no_list, "x@far.test", "250"},
        {true, NULL, "u@own.test", "553 5.7.1"},  {true, NULL, "X@TEAM.test", "553 5.7.1"},
        {true, NULL, "x@far.test", "250"},        {true, NULL, "", "250"},
        {false, NULL, "u@own.test", "553 5.7.1"}, {false, NULL, "x@far.test", "250"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct access_client c = client("127.0.0.1", rows[i].authenticated);
        struct access_refusal r;
        c.allowed_from = rows[i].allowed_from;
        const char *got = answer(access_check_sender(conf, &c, slice_str(rows[i].sender), &r), &r);
        ck_assert_msg(strcmp(got, rows[i].want) == 0, "row %zu: %s", i, got);
    }
    conf_free(conf);
}
END_TEST

/* With mailboxes: taken from everybody, for these domains and no others; in whose name is asked as ever. */
START_TEST(mailboxes)
{
    static const struct {
        const char *addr, *sender, *rcpt, *want;
    } rows[] = {
        {"8.8.8.8", "a@b.test", "x@here.test", "250"},
        {"8.8.8.8", "", "x@HERE.test", "250"},
        {"8.8.8.8", "a@b.test", "x%far.test@here.test", "250"}, /* only a name */
        {"8.8.8.8", "a@b.test", "x@sub.here.test", "554 5.7.1"},
        {"8.8.8.8", "a@b.test", "x@far.test", "554 5.7.1"},
        {"8.8.8.8", "u@ours.test", "x@here.test", "553 5.7.1"},
        {"127.0.0.1", "a@b.test", "x@here.test", "250"},
    };
    LOAD("listeners.0.port=2525", "access.local_domains=here.test",
         "local.maildir=/var/mail/{local}", "sender.restrict=email", "users.0.name=u",
         "users.0.password=p", "users.0.allowed_from=u@ours.test", "auth.require_tls=false");
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct access_client c = client(rows[i].addr, false);
        const char *got = rcpt_answer(&c, rows[i].sender, rows[i].rcpt);
        ck_assert_msg(strcmp(got, rows[i].want) == 0, "%s %s: %s", rows[i].addr, rows[i].rcpt, got);
    }
    conf_free(conf);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {defaults,   rules,   refused_at_mail,  refused_with_550,
                            submission, domains, senders_of_users, mailboxes};
    return testing_run("core/policy/access", tests, ARRAY_COUNT(tests));
}
