/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * sender.check_header: in whose name a client may write, under every rule for senders.
 */
#include "core/policy/author.h"
#include "tests/unit/core/base/testing.h"

#define ANN "ann@own.test"

static struct conf *load(const char *restrict_to, const char *extra)
{
    char rule[64];
    snprintf(rule, sizeof(rule), "sender.restrict=%s", restrict_to);
    const char *const sets[] = {
        "identity.hostname=relay.example.test",
        "listeners.0.access=auth_or_network",
        "sender.check_header=true",
        "users.0.name=ann",
        "users.0.password=x",
        "users.0.allowed_from=ann@own.test,@team.test",
        "users.1.name=ben",
        "users.1.password=x",
        "domains.0.name=own.test",
        rule,
        extra ? extra : "workers=1",
    };
    struct conf_source src = {.set = sets, .set_count = ARRAY_COUNT(sets)};
    struct buf errors;
    buf_init(&errors, 65536);
    struct conf *conf = conf_load(&src, &errors, NULL);
    ck_assert_msg(conf != NULL, "%.*s", SLICE_ARG(buf_slice(&errors)));
    buf_deinit(&errors);
    return conf;
}

/* user: "ann", "ben", NULL: in the network. */
static struct access_client client(const struct conf *conf, const char *user)
{
    struct access_client c = {.listener = &conf->listeners.items[0], .authenticated = user != NULL};
    ck_assert(ip_addr_parse(SLICE("127.0.0.1"), &c.addr));
    if (user) {
        c.user = slice_str(user);
        c.allowed_from = &conf->users.items[user[0] == 'b'].allowed_from;
    }
    return c;
}

static const struct row {
    const char *restrict_to, *user, *header;
    const char *want; /* NULL: fine; else the reply's text */
} rows[] = {
    {"email", "ann", "From: " ANN "\r\n", NULL},
    {"email", "ann", "From: Ann <ANN@OWN.test>\r\nSender: x@team.test\r\n", NULL},
    {"email", "ann", "From: Team: " ANN ", x@team.test;\r\n", NULL},
    {"email", "ann", "From: =?utf-8?q?Ann?= (c) <ann@own.test>\r\n", NULL},
    {"email", "ann", "From: \"ceo@far.test\" <" ANN ">\r\n", NULL},
    {"email", "ann", "From: " ANN " <" ANN ">\r\n", NULL},
    {"email", "ann", "From: ceo@far.test\r\n",
     "<ceo@far.test>: From or Sender address rejected: not owned by user ann"},
    {"email", "ann", "From: ceo@far.test <" ANN ">\r\n",
     "<ceo@far.test>: From or Sender address rejected: not owned by user ann"},
    {"email", "ann", "From: " ANN ", ceo@far.test\r\n",
     "<ceo@far.test>: From or Sender address rejected: not owned by user ann"},
    {"email", "ann", "From: " ANN "\r\nFrom: ceo@far.test\r\n",
     "<ceo@far.test>: From or Sender address rejected: not owned by user ann"},
    {"email", "ann", "From: " ANN "\r\nSender: ceo@far.test\r\n",
     "<ceo@far.test>: From or Sender address rejected: not owned by user ann"},
    {"email", "ann", "From: x@sub.team.test\r\n",
     "<x@sub.team.test>: From or Sender address rejected: not owned by user ann"},
    {"email", "ann", "From: \"ann\"@own.test\r\n",
     "<\"ann\"@own.test>: From or Sender address rejected: not owned by user ann"},
    {"email", "ann", "From: =?utf-8?q?ceo?=@team.test\r\n",
     "<=?utf-8?q?ceo?=@team.test>: From or Sender address rejected: cannot be read for certain"},
    {"email", "ann", "From: the ann@own.test\r\n",
     "<theann@own.test>: From or Sender address rejected: cannot be read for certain"},
    {"email", "ann", "Subject: x\r\n", "The message has no From field"},
    {"email", "ann", "From: \r\n", "A From or Sender field cannot be read"},
    {"email", "ann", "From: undisclosed:;\r\n", "A From or Sender field cannot be read"},
    {"email", "ann", "From: <ann@own.test\r\n", "A From or Sender field cannot be read"},
    {"email", "ann", "From: " ANN "\r\nSender: ann\r\n", "A From or Sender field cannot be read"},
    {"email", "ben", "From: ceo@far.test\r\n", NULL}, /* no list: any sender */
    {"email", NULL, "From: ceo@far.test\r\n", NULL},  /* in a trusted network: what is nobody's */
    {"email", NULL, "From: " ANN "\r\n", "<" ANN ">: From or Sender address rejected: not allowed"},
    {"domain", NULL, "From: a@own.test, b@sub.OWN.test\r\n", NULL},
    {"domain", NULL, "From: a@notown.test\r\n",
     "<a@notown.test>: From or Sender address rejected: not allowed"},
    {"domain", "ann", "From: x@team.test\r\n",
     "<x@team.test>: From or Sender address rejected: not owned by user ann"},
    {"domain", "ann", "From: a@own.test\r\nSender: \r\n", "A From or Sender field cannot be read"},
};

START_TEST(table)
{
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct conf *conf = load(rows[i].restrict_to, NULL);
        struct access_client c = client(conf, rows[i].user);
        struct access_refusal r;
        struct mail_authors a;
        mail_authors_init(&a, 65536);
        mail_authors_add(&a, slice_str(rows[i].header));
        ck_assert(author_is_checked(conf, &c));
        bool ok = author_check(conf, &c, &a, &r);
        ck_assert_msg(ok == !rows[i].want, "row %zu", i);
        if (!ok) {
            ck_assert_uint_eq(r.verdict.code, 550);
            ck_assert(slice_eq(r.verdict.enhanced, SLICE("5.7.1")));
            ck_assert_msg(slice_eq(r.verdict.text, slice_str(rows[i].want)), "row %zu: %.*s", i,
                          SLICE_ARG(r.verdict.text));
        }
        mail_authors_deinit(&a);
        conf_free(conf);
    }
}
END_TEST

/* Only where senders are restricted, and only of clients that may send to anybody. */
START_TEST(who_is_checked)
{
    struct conf *conf = load("none", NULL);
    struct access_client c = client(conf, "ann");
    ck_assert(!author_is_checked(conf, &c));
    conf_free(conf);
    conf = load("email", NULL);
    c = client(conf, NULL);
    ck_assert(author_is_checked(conf, &c));
    ck_assert(ip_addr_parse(SLICE("192.0.2.1"), &c.addr));
    ck_assert(!author_is_checked(conf, &c));
    conf_free(conf);
    conf = load("email", "sender.check_header=false");
    c = client(conf, "ann");
    ck_assert(!author_is_checked(conf, &c));
    conf_free(conf);
}
END_TEST

/* Where a missing From field is added it is the envelope's sender, which was judged already. */
START_TEST(a_missing_field_may_be_added)
{
    struct conf *conf = load("email", "headers.add_missing=true");
    struct access_client c = client(conf, "ann");
    struct access_refusal r;
    struct mail_authors a;
    mail_authors_init(&a, 65536);
    mail_authors_add(&a, SLICE("Subject: x\r\n"));
    ck_assert(author_check(conf, &c, &a, &r));
    mail_authors_deinit(&a);
    conf_free(conf);
}
END_TEST

/* What is quoted in the reply is short. */
START_TEST(long_address)
{
    struct conf *conf = load("email", NULL);
    struct access_client c = client(conf, "ann");
    struct access_refusal r;
    struct mail_authors a;
    mail_authors_init(&a, 65536);
    mail_authors_add(&a, SLICE("From: "));
    for (int i = 0; i < 500; i++) {
        mail_authors_add(&a, SLICE("xxxxxxxxxxxxxxxxxxxxxxxxx"));
    }
    mail_authors_add(&a, SLICE("@far.test\r\n"));
    ck_assert(!author_check(conf, &c, &a, &r));
    ck_assert_uint_le(r.verdict.text.len, sizeof(r.text));
    mail_authors_deinit(&a);
    conf_free(conf);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {table, who_is_checked, a_missing_field_may_be_added, long_address};
    return testing_run("core/policy/author", tests, ARRAY_COUNT(tests));
}
