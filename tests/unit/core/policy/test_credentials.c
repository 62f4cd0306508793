/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/policy/credentials.h"
#include "tests/unit/core/base/testing.h"
#include "tls/dkim_hash.h"

#include <crypt.h>

#define SHA256_OF_SECRET "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"

struct fixture {
    struct credentials *c;
    struct buf errors;
};

static struct fixture f;

static void setup(void)
{
    f.c = credentials_new(7);
    ck_assert_ptr_nonnull(f.c);
    buf_init(&f.errors, 1 << 16);
}

static void teardown(void)
{
    credentials_free(&f.c);
    buf_deinit(&f.errors);
}

static bool logs_in(const char *login, const char *password)
{
    const struct credential *u = credentials_find(f.c, slice_str(login),
                                                  SLICE("relay.example.test"));
    return u && credential_check(u->kind, u->secret, slice_str(password), dkim_hash_sha256());
}

static bool add(const char *name, const char *password)
{
    struct conf_user user = {.name = slice_str(name), .password = slice_str(password)};
    return credentials_add(f.c, &user, "users[0]", &f.errors);
}

static void errors_are(const char *want)
{
    ck_assert_msg(slice_eq(buf_slice(&f.errors), slice_str(want)), "is: %.*s\nshould be: %s",
                  SLICE_ARG(buf_slice(&f.errors)), want);
}

START_TEST(every_kind_of_secret)
{
    setup();
    ck_assert(add("clear", "secret"));
    ck_assert(add("sha", "{SHA256}" SHA256_OF_SECRET));
    ck_assert(add("nobody", ""));
    ck_assert(logs_in("clear", "secret"));
    ck_assert(logs_in("sha", "secret"));
    ck_assert(logs_in("sha@relay.example.test", "secret"));
    ck_assert(!logs_in("sha@other.example.test", "secret"));
    ck_assert(!logs_in("SHA", "secret"));
    ck_assert(!logs_in("nobody", ""));
    static const char *const wrong[] = {"",       "secre",        "secret ",
                                        "Secret", "secretsecret", SHA256_OF_SECRET};
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        ck_assert_msg(!logs_in("clear", wrong[i]), "%s", wrong[i]);
        ck_assert_msg(!logs_in("sha", wrong[i]), "%s", wrong[i]);
    }
    errors_are("");
    teardown();
}
END_TEST

/* What profiles write before a password that looks like a hash. */
START_TEST(clear_whatever_it_looks_like)
{
    setup();
    ck_assert(add("dollar", "{PLAIN}$6$x"));
    ck_assert(add("brace", "{plain}{SHA256}y"));
    ck_assert(add("nobody", "{PLAIN}"));
    ck_assert(logs_in("dollar", "$6$x"));
    ck_assert(logs_in("brace", "{SHA256}y"));
    ck_assert(!logs_in("dollar", "{PLAIN}$6$x"));
    ck_assert(!logs_in("nobody", ""));
    ck_assert_int_eq(credentials_find(f.c, SLICE("dollar"), SLICE("h"))->kind, CREDENTIAL_CLEAR);
    ck_assert_ptr_nonnull(credentials_find(f.c, SLICE("dollar@h"), SLICE("h")));
    ck_assert_ptr_null(credentials_find(f.c, SLICE("dollar@"), SLICE("")));
    errors_are("");
    teardown();
}
END_TEST

START_TEST(hashes_of_crypt)
{
    /* Made here, so that the system's own library is what is tested against. */
    static const struct {
        const char *prefix;
        unsigned long rounds;
    } methods[] = {{"$6$", 1000}, {"$2b$", 4}, {"$y$", 1}};
    for (size_t i = 0; i < ARRAY_COUNT(methods); i++) {
        setup();
        char *salt = crypt_gensalt(methods[i].prefix, methods[i].rounds, NULL, 0);
        ck_assert_ptr_nonnull(salt);
        const char *hash = crypt("pass:w ord", salt);
        ck_assert_ptr_nonnull(hash);
        ck_assert_msg(add("u", hash), "%.*s", SLICE_ARG(buf_slice(&f.errors)));
        ck_assert(logs_in("u", "pass:w ord"));
        ck_assert(!logs_in("u", "pass:w orD"));
        ck_assert(!logs_in("u", ""));
        ck_assert(!logs_in("u", hash));
        ck_assert_int_eq(credentials_decoy(f.c)->kind, CREDENTIAL_CRYPT);
        teardown();
    }
}
END_TEST

START_TEST(what_is_refused_when_adding)
{
    setup();
    ck_assert(!add("", "x"));
    ck_assert(!add("u", "$9$nonsense"));
    ck_assert(!add("u", "{SHA256}abc"));
    ck_assert(!add("u", "{SSHA}abc"));
    errors_are(
        "users[0]: user \"\": the name must have 1–255 bytes\n"
        "users[0]: user \"u\": begins with $ but is no hash that this system knows (yescrypt "
        "$y$, bcrypt $2b$, SHA-512 $6$)\n"
        "users[0]: user \"u\": {SHA256} must be followed by 64 hex digits\n"
        "users[0]: user \"u\": this kind of hash is not known; use {SHA256} or a crypt(5) "
        "hash\n");
    ck_assert_uint_eq(credentials_count(f.c), 0);
    teardown();
}
END_TEST

struct file_case {
    const char *text;
    const char *user;
    const char *password; /* of user; NULL: must not exist */
    size_t count;
    const char *errors;
};

static const struct file_case files[] = {
    {"# comment\n\nalice  wonder land \nbob:pass:word\n", "alice", "wonder land", 2, ""},
    {"# comment\n\nalice  wonder land \nbob:pass:word\n", "bob", "pass:word", 2, ""},
    {"a one\r\na two\r\n", "a", "two", 1, ""}, /* the later one wins */
    {"a #hash\n", "a", "#hash", 1, ""},
    {"alice\n:x\nb c\n", "b", "c", 1,
     "f:1: must be \"name password\" or \"name:password\"\n"
     "f:2: must be \"name password\" or \"name:password\"\n"},
    {"{\"u@d\": {\"password_hash\": \"" SHA256_OF_SECRET
     "\", \"enabled\": true, \"rate_limit\": 5}}",
     "u@d", "secret", 1, ""},
    {" {\"u\": {\"password_hash\": \"" SHA256_OF_SECRET "\"}}\n", "u", "secret", 1, ""},
    {"{\"users\": [{\"username\": \"x\", \"password\": \"p\", \"type\": \"plaintext\"}]}", "x", "p",
     1, ""},
    {"{\"users\": {\"password\": \"odd name\"}}", "users", "odd name", 1, ""},
    {"{\"u\": 5}", "u", NULL, 0, "f: each user must be an object with password_hash or password\n"},
    {"{\"u\": ", "u", NULL, 0, "f: is not JSON of users: continue\n"},
    {"{\"u\": {\"password_hash\": \"12\"}}", "u", NULL, 0,
     "f: user \"u\": {SHA256} must be followed by 64 hex digits\n"},
    {"", "u", NULL, 0, ""},
};

START_TEST(users_files)
{
    const struct file_case *c = &files[_i];
    setup();
    bool ok = credentials_read(f.c, slice_str(c->text), "f", &f.errors);
    errors_are(c->errors);
    ck_assert(ok == (c->errors[0] == '\0'));
    ck_assert_uint_eq(credentials_count(f.c), c->count);
    ck_assert(c->password ? logs_in(c->user, c->password)
                          : !credentials_find(f.c, slice_str(c->user), SLICE("h")));
    teardown();
}
END_TEST

START_TEST(a_disabled_user_stays_known_and_cannot_log_in)
{
    setup();
    ck_assert(credentials_read(f.c,
                               SLICE("{\"u\": {\"password_hash\": \"" SHA256_OF_SECRET
                                     "\", \"enabled\": false}}"),
                               "f", &f.errors));
    ck_assert_ptr_nonnull(credentials_find(f.c, SLICE("u"), SLICE("h")));
    ck_assert(!logs_in("u", "secret"));
    teardown();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core/policy/credentials");
    TCase *tc = tcase_create("all");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, every_kind_of_secret);
    tcase_add_test(tc, clear_whatever_it_looks_like);
    tcase_add_test(tc, hashes_of_crypt);
    tcase_add_test(tc, what_is_refused_when_adding);
    tcase_add_loop_test(tc, users_files, 0, (int)ARRAY_COUNT(files));
    tcase_add_test(tc, a_disabled_user_stays_known_and_cannot_log_in);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
