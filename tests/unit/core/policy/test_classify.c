/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/policy/classify.h"
#include "tests/unit/core/base/testing.h"

struct rig {
    struct buf errors;
    struct conf_report report;
    struct classifier *c;
    struct classify_scratch scratch;
};

static void rig_open(struct rig *r, const struct classify_row *rows, size_t count, bool builtin)
{
    const struct classify_rows extra = {rows, count};
    buf_init(&r->errors, 64 * 1024);
    r->report = (struct conf_report){.errors = &r->errors};
    r->c = classifier_new(&extra, builtin, &r->report);
    ck_assert(classify_scratch_open(&r->scratch, 3));
}

static void rig_close(struct rig *r)
{
    classify_scratch_close(&r->scratch);
    classifier_free(r->c);
    buf_deinit(&r->errors);
}

static struct classify_result ask(struct rig *r, const char *line, enum outcome_stage stage)
{
    struct outcome o;
    char text[REPLY_TEXT_BYTES];
    ck_assert_msg(reply_sample_parse(slice_str(line), stage, &o), "%s", line);
    const struct reply_seen seen = {&o, slice_of(text, reply_normalise(text, o.text))};
    return classify(r->c, &r->scratch, &seen);
}

START_TEST(built_in_rows_fit_their_samples)
{
    struct rig r;
    rig_open(&r, NULL, 0, true);
    ck_assert_msg(r.c != NULL, "%.*s", SLICE_ARG(buf_slice(&r.errors)));
    ck_assert_uint_eq(r.errors.len, 0);
    uint64_t classes = 0;
    struct classify_rows rows = classify_builtin();
    for (size_t i = 0; i < rows.count; i++) {
        enum bounce_class class;
        ck_assert(bounce_class_find(rows.items[i].class, &class));
        classes |= UINT64_C(1) << class;
    }
    ck_assert_int_ge(__builtin_popcountll(classes), 29);
    rig_close(&r);
}
END_TEST

/* Replies that no row was written with. */
START_TEST(replies_of_many_servers)
{
    static const struct {
        const char *line;
        enum bounce_class class;
    } rows[] = {
        {"550 5.1.1 <x@example.org>: Recipient address rejected: User unknown in local recipient table",
         BOUNCE_INVALID_RECIPIENT},
        {"550 No such user here", BOUNCE_INVALID_RECIPIENT},
        {"550 5.1.1 User does not exist - psmtp", BOUNCE_INVALID_RECIPIENT},
        {"553 5.3.0 <x@example.org>... No such user", BOUNCE_INVALID_RECIPIENT},
        {"550 5.4.1 Recipient address rejected: Access denied. [DB3EUR04FT033.eop-eur04.prod.protection.outlook.com]",
         BOUNCE_INVALID_RECIPIENT},
        {"550 Unknown recipient", BOUNCE_INVALID_RECIPIENT},
        {"552 5.2.2 This message is larger than the current system limit or the recipient's mailbox is full.",
         BOUNCE_MESSAGE_TOO_LARGE},
        {"452 4.2.2 Mailbox full", BOUNCE_MAILBOX_FULL},
        {"550 5.2.1 The email account that you tried to reach is inactive",
         BOUNCE_INACTIVE_MAILBOX},
        {"552 5.3.4 Message too big for system", BOUNCE_MESSAGE_TOO_LARGE},
        {"450 4.2.0 Greylisted, please try again in 300 seconds", BOUNCE_GREYLISTED},
        {"451 Greylisted; try later", BOUNCE_GREYLISTED},
        {"550 5.7.1 Relaying denied", BOUNCE_RELAYING_DENIED},
        {"554 5.7.1 Relay access denied", BOUNCE_RELAYING_DENIED},
        {"421 4.7.0 Too many connections from your host", BOUNCE_TOO_MANY_CONNECTIONS},
        {"452 4.5.3 Too many recipients", BOUNCE_TOO_MANY_RECIPIENTS},
        {"550 5.7.1 Email rejected per SPF policy", BOUNCE_AUTHENTICATION},
        {"550 5.7.1 DKIM signature verification failed", BOUNCE_AUTHENTICATION},
        {"550 5.7.509 Access denied, sending domain example.com does not pass DMARC verification and has a DMARC policy of reject.",
         BOUNCE_AUTHENTICATION},
        {"554 5.7.1 Your IP 192.0.2.1 has no PTR record", BOUNCE_REVERSE_DNS},
        {"550 5.7.1 Mail from IP 192.0.2.1 was rejected due to listing in Spamhaus SBL",
         BOUNCE_BLOCKLIST},
        {"554 5.7.1 Spam message rejected", BOUNCE_SPAM_CONTENT},
        {"550 High probability of spam", BOUNCE_SPAM_CONTENT},
        {"451 4.3.0 Temporary server error. Please try again later. PRX2", BOUNCE_SYSTEM},
        {"554 5.4.6 Too many hops", BOUNCE_ROUTING},
        {"530 5.7.0 Must issue a STARTTLS command first", BOUNCE_TLS},
        {"451 4.7.1 Please try again later", BOUNCE_TRY_LATER},
        {"421 Service not available, closing transmission channel", BOUNCE_TRY_LATER},
        {"550 5.1.8 Sender address rejected: domain not found", BOUNCE_INVALID_SENDER},
        {"550 5.7.1 [AS] banned content: executable attachment", BOUNCE_CONTENT},
        {"501 5.1.3 Bad recipient address syntax", BOUNCE_INVALID_RECIPIENT},
    };
    struct rig r;
    rig_open(&r, NULL, 0, true);
    ck_assert(r.c != NULL);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct classify_result got = ask(&r, rows[i].line, OUTCOME_STAGE_RCPT);
        ck_assert_msg(got.class == rows[i].class, "%s: %.*s (line %u)", rows[i].line,
                      SLICE_ARG(bounce_class_name(got.class)),
                      got.row == CLASSIFY_NO_ROW ? 0 : classify_row_origin(r.c, got.row).line);
    }
    rig_close(&r);
}
END_TEST

/* RFC 5321 4.5.3.1.10: 552 at RCPT is about that mailbox, later it is the message. */
START_TEST(the_stage_decides_where_a_code_means_two_things)
{
    struct rig r;
    rig_open(&r, NULL, 0, true);
    ck_assert(r.c != NULL);
    ck_assert(ask(&r, "552 x", OUTCOME_STAGE_RCPT).class == BOUNCE_MAILBOX_FULL);
    ck_assert(ask(&r, "552 x", OUTCOME_STAGE_FINAL_DOT).class == BOUNCE_MESSAGE_TOO_LARGE);
    ck_assert(ask(&r, "550 x", OUTCOME_STAGE_RCPT).class == BOUNCE_INVALID_RECIPIENT);
    ck_assert(ask(&r, "550 x", OUTCOME_STAGE_FINAL_DOT).class == BOUNCE_POLICY);
    ck_assert(ask(&r, "550 x", OUTCOME_STAGE_MAIL).class == BOUNCE_UNCLASSIFIED);
    rig_close(&r);
}
END_TEST

START_TEST(rows_of_the_configuration_come_first)
{
    const struct classify_row rows[] = {
        {.at = {CONF_FROM_FILE, SLICE_INIT("my.yaml"), 7, 1},
         .class = SLICE_INIT("virus"),
         .match = {.pattern = SLICE_INIT("user unknown"),
                   .sample = SLICE_INIT("550 5.1.1 User unknown")}},
    };
    struct rig r;
    rig_open(&r, rows, 1, true);
    ck_assert_msg(r.c != NULL, "%.*s", SLICE_ARG(buf_slice(&r.errors)));
    struct classify_result got = ask(&r, "550 5.1.1 <x@y.example>: user unknown",
                                     OUTCOME_STAGE_RCPT);
    ck_assert(got.class == BOUNCE_VIRUS && got.row == 0);
    ck_assert_uint_eq(classify_row_origin(r.c, got.row).line, 7);
    ck_assert(ask(&r, "550 no such user", OUTCOME_STAGE_RCPT).row >= 1);
    rig_close(&r);
}
END_TEST

static void refused(const struct classify_row *rows, size_t count, const char *why)
{
    struct rig r;
    rig_open(&r, rows, count, false);
    ck_assert_ptr_null(r.c);
    buf_add_byte(&r.errors, '\0');
    ck_assert_msg(strstr(r.errors.ptr, why) != NULL, "\"%s\" is not in: %s", why, r.errors.ptr);
    ck_assert_msg(strstr(r.errors.ptr, "my.yaml:") != NULL, "%s", r.errors.ptr);
    rig_close(&r);
}

START_TEST(rows_that_can_never_be_right_are_refused)
{
    const struct conf_origin at = {CONF_FROM_FILE, SLICE("my.yaml"), 3, 1};
    const struct conf_origin at2 = {CONF_FROM_FILE, SLICE("my.yaml"), 9, 1};
    struct classify_row row = {.at = at, .class = SLICE("policy")};
#define WITH(member, value)                                                                        \
    row = (struct classify_row){.at = at,                                                          \
                                .class = SLICE("policy"),                                          \
                                .match = {.sample = SLICE("550 5.7.1 no")}};                       \
    row.member = SLICE(value)
    WITH(class, "polcy");
    refused(&row, 1, "is none that a reply has");
    WITH(class, "expired");
    refused(&row, 1, "is none that a reply has");
    WITH(match.code, "250");
    refused(&row, 1, "must be one of a failure");
    WITH(match.code, "5x0");
    refused(&row, 1, "must be one of a failure");
    WITH(match.enhanced, "5.7");
    refused(&row, 1, "must be like");
    WITH(match.enhanced, "2.0.0");
    refused(&row, 1, "must be like");
    WITH(match.stage, "rcpt dta");
    refused(&row, 1, "\"dta\"");
    WITH(match.stage, "connect");
    refused(&row, 1, "is none that replies come in");
    WITH(match.pattern, "a(");
    refused(&row, 1, "parenthesis");
    WITH(match.pattern, "yes");
    refused(&row, 1, "does not match its own sample");
    WITH(match.code, "4xx");
    refused(&row, 1, "does not match its own sample");
    WITH(match.sample, "no");
    refused(&row, 1, "must be a reply that refuses");
    WITH(match.sample, "250 ok");
    refused(&row, 1, "must be a reply that refuses");
    WITH(match.sample, "");
    refused(&row, 1, "needs a sample");
#undef WITH
    /* The number is replaced before a pattern sees it. */
    row = (struct classify_row){.at = at,
                                .class = SLICE("policy"),
                                .match = {.pattern = SLICE("error [0-9]+"),
                                          .sample = SLICE("550 error 1234")}};
    refused(&row, 1, "550 error <n>");
    const struct classify_row two[] = {
        {.at = at,
         .class = SLICE("policy"),
         .match = {.code = SLICE("5xx"), .sample = SLICE("550 no")}},
        {.at = at2,
         .class = SLICE("virus"),
         .match = {.pattern = SLICE("virus"), .sample = SLICE("554 virus found")}},
    };
    refused(two, 2, "my.yaml:9:1: virus: can never apply");
    refused(two, 2, "my.yaml:3 (policy)");
}
END_TEST

START_TEST(own_findings_have_classes_and_no_rows)
{
    static const struct {
        enum outcome_kind kind;
        enum outcome_stage stage;
        struct enhanced e;
        const char *text;
        enum bounce_class class;
    } rows[] = {
        {OUTCOME_PERMANENT,
         OUTCOME_STAGE_ROUTE,
         {5, 1, 2},
         "the domain does not exist",
         BOUNCE_BAD_DOMAIN},
        {OUTCOME_PERMANENT, OUTCOME_STAGE_ROUTE, {5, 1, 10}, "null MX", BOUNCE_BAD_DOMAIN},
        {OUTCOME_TEMPORARY, OUTCOME_STAGE_ROUTE, {4, 4, 3}, "the name service failed", BOUNCE_DNS},
        {OUTCOME_PERMANENT, OUTCOME_STAGE_ROUTE, {5, 4, 6}, "mail loops", BOUNCE_ROUTING},
        {OUTCOME_TEMPORARY,
         OUTCOME_STAGE_CONNECT,
         {4, 4, 1},
         "connection refused",
         BOUNCE_NO_ANSWER},
        {OUTCOME_TEMPORARY,
         OUTCOME_STAGE_RCPT,
         {4, 4, 2},
         "peer did not answer in time",
         BOUNCE_TIMEOUT},
        {OUTCOME_TEMPORARY,
         OUTCOME_STAGE_BODY,
         {4, 4, 2},
         "connection to peer lost",
         BOUNCE_CONNECTION_LOST},
        {OUTCOME_TEMPORARY,
         OUTCOME_STAGE_EHLO,
         {4, 5, 0},
         "peer sent a reply that answers nothing",
         BOUNCE_PROTOCOL},
        {OUTCOME_TEMPORARY, OUTCOME_STAGE_STARTTLS, {4, 7, 5}, "certificate", BOUNCE_TLS},
        {OUTCOME_TEMPORARY, OUTCOME_STAGE_AUTH, {4, 7, 0}, "no AUTH", BOUNCE_LOGIN},
        {OUTCOME_PERMANENT,
         OUTCOME_STAGE_MAIL,
         {5, 3, 4},
         "larger than the peer accepts",
         BOUNCE_MESSAGE_TOO_LARGE},
        {OUTCOME_PERMANENT, OUTCOME_STAGE_MAIL, {5, 6, 7}, "needs SMTPUTF8", BOUNCE_CONTENT},
        {OUTCOME_PERMANENT, OUTCOME_STAGE_MAILBOX, {5, 2, 2}, "full", BOUNCE_MAILBOX_FULL},
        {OUTCOME_PERMANENT, OUTCOME_STAGE_NONE, {5, 4, 7}, "expired", BOUNCE_EXPIRED},
    };
    struct rig r;
    rig_open(&r, NULL, 0, true);
    ck_assert(r.c != NULL);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct outcome o = outcome_local(rows[i].kind, OUTCOME_SITE, rows[i].stage, rows[i].e,
                                         slice_str(rows[i].text));
        const struct reply_seen seen = {&o, o.text};
        struct classify_result got = classify(r.c, &r.scratch, &seen);
        ck_assert_msg(got.class == rows[i].class && got.row == CLASSIFY_NO_ROW, "%s: %.*s",
                      rows[i].text, SLICE_ARG(bounce_class_name(got.class)));
    }
    ck_assert_uint_eq(r.scratch.matcher.tried, 0);
    rig_close(&r);
}
END_TEST

START_TEST(answers_are_remembered_by_all_that_rows_see)
{
    struct rig r;
    rig_open(&r, NULL, 0, true);
    ck_assert(r.c != NULL);
    ask(&r, "550 5.1.1 <a@example.com>: user unknown", OUTCOME_STAGE_RCPT);
    uint64_t tried = r.scratch.matcher.tried;
    ask(&r, "550 5.1.1 <b@example.org>: user unknown", OUTCOME_STAGE_RCPT);
    ck_assert_uint_eq(r.scratch.matcher.tried, tried);
    ck_assert_uint_eq(r.scratch.cached, 1);
    ask(&r, "550 5.1.0 <b@example.org>: user unknown", OUTCOME_STAGE_RCPT);
    ask(&r, "551 5.1.1 <b@example.org>: user unknown", OUTCOME_STAGE_RCPT);
    ask(&r, "550 5.1.1 <b@example.org>: user unknown", OUTCOME_STAGE_FINAL_DOT);
    ck_assert_uint_eq(r.scratch.cached, 1);
    rig_close(&r);
}
END_TEST

START_TEST(a_scratch_serves_the_next_rows_too)
{
    struct rig r;
    struct rig next;
    const struct classify_row rows[] = {
        {.at = {CONF_FROM_FILE, SLICE_INIT("my.yaml"), 1, 1},
         .class = SLICE_INIT("moved"),
         .match = {.code = SLICE_INIT("550"), .sample = SLICE_INIT("550 x")}}};
    rig_open(&r, NULL, 0, true);
    ck_assert(ask(&r, "550 x", OUTCOME_STAGE_RCPT).class == BOUNCE_INVALID_RECIPIENT);
    rig_open(&next, rows, 1, true);
    classifier_free(r.c);
    r.c = next.c;
    next.c = NULL;
    ck_assert(ask(&r, "550 x", OUTCOME_STAGE_RCPT).class == BOUNCE_MOVED);
    rig_close(&next);
    rig_close(&r);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {built_in_rows_fit_their_samples,
                            replies_of_many_servers,
                            the_stage_decides_where_a_code_means_two_things,
                            rows_of_the_configuration_come_first,
                            rows_that_can_never_be_right_are_refused,
                            own_findings_have_classes_and_no_rows,
                            answers_are_remembered_by_all_that_rows_see,
                            a_scratch_serves_the_next_rows_too};
    return testing_run("core/policy/classify", tests, ARRAY_COUNT(tests));
}
