/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What the drivers derive from a configuration, and how long it lives.
 */
#include "core/relay/settings.h"
#include "tests/unit/core/base/testing.h"

#include <pthread.h>

static struct buf errors, warnings;

static struct relay_settings *settings(const char *const *sets, size_t count)
{
    struct conf_source src = {.set = sets, .set_count = count};
    const struct relay_settings_messages to = {&errors, &warnings};
    buf_init(&errors, 65536);
    buf_init(&warnings, 65536);
    struct conf *conf = conf_load(&src, &errors, NULL);
    ck_assert_msg(conf != NULL, "%.*s", SLICE_ARG(buf_slice(&errors)));
    struct relay_settings *s = relay_settings_new(conf, NULL, &to);
    if (!s) {
        conf_free(conf);
    }
    return s;
}

static void done(struct relay_settings *s)
{
    relay_settings_put(&s);
    ck_assert_ptr_null(s);
    buf_deinit(&errors);
    buf_deinit(&warnings);
}

#define SETTINGS(...)                                                                              \
    settings((const char *const[]){__VA_ARGS__}, ARRAY_COUNT(((const char *const[]){__VA_ARGS__})))

/* The fields of attributes are removed from all mail, and read; those of headers.strip are only removed. */
START_TEST(fields_to_take_and_to_strip)
{
    struct relay_settings *s = SETTINGS("identity.hostname=relay.example.test",
                                        "headers.strip=X-Mailer,Received",
                                        "headers.tenant=", "headers.expire=X-End");
    static const char *const want[] = {"X-Ringpost-Priority",
                                       "X-Ringpost-Campaign",
                                       "X-Ringpost-Send-At",
                                       "X-End",
                                       "X-Ringpost-Source",
                                       "X-Mailer",
                                       "Received"};
    ck_assert_msg(s != NULL, "%.*s", SLICE_ARG(buf_slice(&errors)));
    ck_assert_uint_eq(s->headers.strip_count, ARRAY_COUNT(want));
    ck_assert_uint_eq(s->headers.take_count, 5);
    for (size_t i = 0; i < ARRAY_COUNT(want); i++) {
        ck_assert(slice_eq(s->headers.strip[i], slice_str(want[i])));
    }
    done(s);
}
END_TEST

START_TEST(times_are_offered_where_they_are_configured)
{
    struct relay_settings *s = SETTINGS("identity.hostname=relay.example.test",
                                        "listeners.0.port=2525", "listeners.1.port=2526",
                                        "listeners.1.mode=submission", "smtp.future_release=2h",
                                        "smtp.deliver_by=1500ms");
    enum { HOLD = SMTP_FEATURE_FUTURERELEASE, BY = SMTP_FEATURE_DELIVERBY };
    ck_assert_msg(s != NULL, "%.*s", SLICE_ARG(buf_slice(&errors)));
    ck_assert_uint_eq(s->listeners[0].server.features & (HOLD | BY), BY);
    ck_assert_uint_eq(s->listeners[1].server.features & (HOLD | BY), HOLD | BY);
    ck_assert_uint_eq(s->listeners[1].server.future_release_s, 7200);
    ck_assert_uint_eq(s->listeners[1].server.deliver_by_s, 2);
    done(s);
    s = SETTINGS("identity.hostname=relay.example.test", "listeners.0.mode=submission");
    ck_assert_uint_eq(s->listeners[0].server.features & (HOLD | BY), 0);
    done(s);
}
END_TEST

START_TEST(limits_reach_the_server)
{
    struct relay_settings *s = SETTINGS("identity.hostname=relay.example.test",
                                        "listeners.0.port=2525", "listeners.1.port=2526",
                                        "listeners.1.normalize_bare_lf=true",
                                        "limits.message_size=3MiB", "limits.recipients=7",
                                        "limits.header_size=8KiB", "limits.hops=9",
                                        "limits.errors=5", "limits.junk=6", "smtp.banner=hello",
                                        "limits.line_length=2000");
    ck_assert_msg(s != NULL, "%.*s", SLICE_ARG(buf_slice(&errors)));
    ck_assert_uint_eq(s->listener_count, 2);
    for (size_t i = 0; i < 2; i++) {
        const struct smtp_server_config *c = &s->listeners[i].server;
        ck_assert(slice_eq(c->hostname, SLICE("relay.example.test")));
        ck_assert(slice_eq(c->greeting, SLICE("hello")));
        ck_assert_uint_eq(c->size_max, 3 * 1024 * 1024);
        ck_assert_uint_eq(c->recipients_max, 7);
        ck_assert_uint_eq(c->header_bytes_max, 8 * 1024);
        ck_assert_uint_eq(c->hops_max, 9);
        ck_assert_uint_eq(c->errors_max, 5);
        ck_assert_uint_eq(c->junk_max, 6);
        ck_assert_int_eq(c->normalize_bare_lf, i == 1);
    }
    done(s);
}
END_TEST

/* An extension that is switched off is not offered, and the others are. */
START_TEST(features)
{
    static const struct {
        const char *key;
        uint32_t feature;
    } rows[] = {
        {"smtp.pipelining", SMTP_FEATURE_PIPELINING},
        {"smtp.chunking", SMTP_FEATURE_CHUNKING},
        {"smtp.smtputf8", SMTP_FEATURE_SMTPUTF8},
        {"smtp.dsn", SMTP_FEATURE_DSN},
    };
    uint32_t all = 0;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        all |= rows[i].feature;
    }
    struct relay_settings *s = SETTINGS("listeners.0.port=2525");
    ck_assert_uint_eq(s->listeners[0].server.features & all, all);
    ck_assert_uint_eq(s->listeners[0].server.features & SMTP_FEATURE_AUTH, 0); /* nobody could */
    done(s);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        char off[64];
        snprintf(off, sizeof(off), "%s=false", rows[i].key);
        s = SETTINGS("listeners.0.port=2525", off);
        ck_assert_uint_eq(s->listeners[0].server.features & all, all & ~rows[i].feature);
        done(s);
    }
}
END_TEST

START_TEST(long_lines)
{
    static const struct {
        const char *action;
        uint32_t max;
    } rows[] = {{"limits.line_length_action=reject", 1500}, {"limits.line_length_action=pass", 0}};
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct relay_settings *s = SETTINGS("listeners.0.port=2525", "limits.line_length=1500",
                                            rows[i].action);
        ck_assert_uint_eq(s->listeners[0].server.line_length_max, rows[i].max);
        done(s);
    }
}
END_TEST

START_TEST(the_client_side)
{
    struct relay_settings *s = SETTINGS("identity.hostname=relay.example.test",
                                        "delivery.helo_name=out.example.test",
                                        "delivery.pipelining=false");
    for (size_t i = 0; i < RELAY_ROUTES; i++) {
        const struct smtp_client_config *c = &s->routes[i].client;
        ck_assert(slice_eq(c->helo_name, SLICE("out.example.test")));
        ck_assert(!c->pipelining);
        ck_assert(c->chunking);
    }
    done(s);
    s = SETTINGS("identity.hostname=relay.example.test");
    ck_assert(slice_eq(s->routes[RELAY_ROUTE_MX].client.helo_name, SLICE("relay.example.test")));
    done(s);
}
END_TEST

START_TEST(headers)
{
    static const struct {
        const char *received, *missing;
        bool adds;
    } rows[] = {
        {"headers.received=add", "headers.add_missing=false", true},
        {"headers.received=add", "headers.add_missing=true", true},
        {"headers.received=none", "headers.add_missing=true", true},
        {"headers.received=none", "headers.add_missing=false", false}, /* P5: byte-identical */
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct relay_settings *s = SETTINGS(rows[i].received, rows[i].missing,
                                            "headers.strip=X-Secret,Bcc");
        ck_assert_msg(s->headers.adds_fields == rows[i].adds, "row %zu", i);
        ck_assert_uint_eq(s->headers.strip_count, ATTRIBUTES_FIELDS + 2);
        ck_assert(slice_eq(s->headers.strip[ATTRIBUTES_FIELDS], SLICE("X-Secret")));
        done(s);
    }
}
END_TEST

static void *holder_main(void *arg)
{
    struct relay_settings *s = arg;
    for (unsigned i = 0; i < 20000; i++) {
        struct relay_settings *mine = relay_settings_ref(s);
        testing_that(mine->listener_count == 1);
        relay_settings_put(&mine);
    }
    relay_settings_put(&s); /* the one it was given */
    return NULL;
}

/* Sessions of all workers hold it; the last one frees it, once (ASan would tell). */
START_TEST(references_between_threads)
{
    struct relay_settings *s = SETTINGS("listeners.0.port=2525"), *none = NULL;
    pthread_t threads[4];
    for (size_t i = 0; i < ARRAY_COUNT(threads); i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, holder_main, relay_settings_ref(s)), 0);
    }
    done(s);
    for (size_t i = 0; i < ARRAY_COUNT(threads); i++) {
        pthread_join(threads[i], NULL);
    }
    relay_settings_put(&none); /* nothing */
}
END_TEST

static struct relay_settings *successor(const struct relay_settings *old, const char *host)
{
    char name[128];
    snprintf(name, sizeof(name), "identity.hostname=%s", host);
    const char *sets[] = {"listeners.0.port=2525",      "listeners.1.port=2526",
                          "listeners.0.tls=may",        "listeners.1.tls=implicit",
                          "tls.on_missing=self_signed", name};
    struct conf_source src = {.set = sets, .set_count = ARRAY_COUNT(sets)};
    struct relay_settings_messages to = {&errors, &warnings};
    struct conf *conf = conf_load(&src, &errors, NULL);
    ck_assert_msg(conf != NULL, "%.*s", SLICE_ARG(buf_slice(&errors)));
    struct relay_settings *s = relay_settings_new(conf, old, &to);
    ck_assert_msg(s != NULL, "%.*s", SLICE_ARG(buf_slice(&errors)));
    return s;
}

/* Clients that were told to trust it are not asked again by a reload; another name needs another one. */
START_TEST(self_signed_stays)
{
    buf_init(&errors, 65536);
    buf_init(&warnings, 65536);
    struct relay_settings *first = successor(NULL, "a.example.test");
    struct relay_settings *second = successor(first, "A.example.test");
    struct slice made = buf_slice(&first->made_chain);
    ck_assert(made.len > 0 && second->listeners[0].tls && second->listeners[1].tls);
    ck_assert(slice_eq(made, buf_slice(&second->made_chain)));
    ck_assert(slice_eq(buf_slice(&first->made_key), buf_slice(&second->made_key)));
    struct relay_settings *third = successor(second, "b.example.test");
    ck_assert(third->made_chain.len > 0 && !slice_eq(made, buf_slice(&third->made_chain)));
    relay_settings_put(&first);
    relay_settings_put(&second);
    done(third);
}
END_TEST

/* What a configuration names must be there: all problems are told, nothing is half made. */
START_TEST(files_that_are_not_there)
{
    struct relay_settings *s = SETTINGS("listeners.0.port=2525", "auth.users_file=/none/users",
                                        "relay.host=smart.test", "relay.username=u",
                                        "relay.token_file=/none/token");
    ck_assert_ptr_null(s);
    struct slice text = buf_slice(&errors);
    ck_assert_msg(memmem(text.ptr, text.len, "/none/users", 11) != NULL, "%.*s", SLICE_ARG(text));
    ck_assert_msg(memmem(text.ptr, text.len, "/none/token", 11) != NULL, "%.*s", SLICE_ARG(text));
    buf_deinit(&errors);
    buf_deinit(&warnings);
}
END_TEST

/* Each risk is one line, and what is no risk is none. */
START_TEST(risks)
{
    static const struct {
        const char *sets[8];
        const char *want;
    } rows[] = {
        {{"listeners.0.address=0.0.0.0"}, ""},
        {{"listeners.0.access=auth"},
         "listeners[0].access: who may send must log in, and there are no users: nobody can\n"},
        {{"listeners.0.port=2525", "listeners.1.port=2526", "listeners.1.mode=submission"},
         "listeners[1].access: who may send must log in, and there are no users: nobody can\n"},
        {{"listeners.0.access=auth_and_network", "users.0.name=u", "users.0.password=p"}, ""},
        {{"listeners.0.access=auth_or_network"}, ""},
        {{"listeners.0.address=0.0.0.0", "listeners.1.address=::", "auth.require_tls=false",
          "users.0.name=u", "users.0.password=p"},
         "auth.require_tls: false: passwords may come in clear to listeners[0] (0.0.0.0:2525); "
         "true, or its tls: encrypt, protects them\n"},
        {{"listeners.0.address=127.0.0.1", "listeners.1.address=::1", "auth.require_tls=false",
          "users.0.name=u", "users.0.password=p"},
         ""},
        {{"listeners.0.address=0.0.0.0", "auth.require_tls=false"}, ""}, /* nobody logs in */
        {{"listeners.0.address=0.0.0.0", "users.0.name=u", "users.0.password=p"}, ""},
        {{"relay.host=smtp.example.test", "relay.username=u", "relay.password=p"},
         "relay.tls: may: the password is not sent in clear (relay.auth_without_tls: false), but "
         "under TLS to whoever answers, whatever the certificate; relay.tls: verify protects it\n"},
        {{"relay.host=smtp.example.test", "relay.username=u", "relay.password=p",
          "relay.auth_without_tls=true"},
         "relay.auth_without_tls: true: with relay.tls: may the password may go out in clear for "
         "anybody on the way; relay.tls: verify protects it\n"},
        {{"relay.host=smtp.example.test", "relay.username=u", "relay.password=p",
          "relay.auth_without_tls=true", "relay.tls=none"},
         "relay.auth_without_tls: true: with relay.tls: none the password may go out in clear for "
         "anybody on the way; relay.tls: verify protects it\n"},
        {{"relay.host=smtp.example.test", "relay.username=u", "relay.password=p",
          "relay.auth_without_tls=true", "relay.tls=verify"},
         ""},
        {{"relay.host=127.0.0.1", "relay.username=u", "relay.password=p",
          "relay.auth_without_tls=true"},
         ""},
        {{"relay.auth_without_tls=true"}, ""},
        {{"sender.check_header=true"},
         "sender.check_header: true has no effect: sender.restrict is none\n"},
        {{"sender.check_header=true", "sender.restrict=email"}, ""},
        {{"sources.0.name=ip1", "sources.0.addresses=127.0.0.9,::1"}, ""},
        {{"sources.0.name=ip1", "sources.0.addresses=127.0.0.9,2001:db8::77"},
         "sources[0].addresses: 2001:db8::77 is not on this machine: ip1 pauses until it is\n"},
        {{"sources.0.name=far", "sources.0.addresses=192.0.2.77", /* the proxy's */
          "sources.0.proxy=haproxy://127.0.0.1:2525"},
         ""},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        size_t count = 0;
        while (count < ARRAY_COUNT(rows[i].sets) && rows[i].sets[count]) {
            count++;
        }
        struct relay_settings *s = settings(rows[i].sets, count);
        ck_assert_msg(s != NULL, "row %zu: %.*s", i, SLICE_ARG(buf_slice(&errors)));
        ck_assert_msg(slice_eq(buf_slice(&warnings), slice_str(rows[i].want)), "row %zu: %.*s", i,
                      SLICE_ARG(buf_slice(&warnings)));
        done(s);
    }
}
END_TEST

int main(void)
{
    const TTest *tests[] = {fields_to_take_and_to_strip,
                            times_are_offered_where_they_are_configured,
                            limits_reach_the_server,
                            features,
                            long_lines,
                            the_client_side,
                            headers,
                            references_between_threads,
                            files_that_are_not_there,
                            risks,
                            self_signed_stays};
    return testing_run("core/relay/settings", tests, ARRAY_COUNT(tests));
}
