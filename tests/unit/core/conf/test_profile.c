/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Which profile is chosen, what the tables promise, and docs/PROFILES.md.
 */
#include "core/conf/profile_tables.h"
#include "tests/unit/core/conf/profile_testing.h"

/* ---- the choice ---------------------------------------------------------------------------- */

struct choice {
    struct variables set;
    const char *profile; /* "": native; NULL: it is not clear */
    const char *why;     /* in the error */
};

static const struct choice choices[] = {
    {{{"HOME=/root", "PATH=/bin", "PORT=25", "HOSTNAME=x", "VERBOSE=true"}}, "", NULL},
    {{{"SMTP_USERNAME=x"}}, "000", NULL},
    {{{"SMTP_PASSWORD=x"}}, "000", NULL},
    {{{"SMTP_USERNAME="}}, "000", NULL},
    {{{"SMTP_PASSWORD_FILE=/x"}}, "000", NULL},
    {{{"SMTP_RELAY_HOST=x"}}, "000", NULL},
    {{{"SMTP_RELAY_USERNAME=x"}}, "000", NULL},
    {{{"MYHOSTNAME=x"}}, "000", NULL},
    {{{"TLS_CERT_PATH=x"}}, "000", NULL},
    {{{"TLS_KEY_PATH=x"}}, "000", NULL},
    {{{"RELAYHOST=x"}}, "000", NULL},
    {{{"RELAYHOST="}}, "", NULL},
    {{{"MESSAGE_SIZE_LIMIT=5"}}, "", NULL},
    {{{"RELAYHOST=x", "ALLOWED_SENDER_DOMAINS=x"}}, "bokysan", NULL},
    {{{"RELAYHOST_USERNAME=x"}}, "bokysan", NULL},
    {{{"POSTFIX_myhostname=x"}}, "bokysan", NULL},
    {{{"POSTFIX_DEBUG=1"}}, "", NULL},
    {{{"SMTP_USERNAME=x", "POSTFIX_DEBUG=1"}}, "000", NULL},
    {{{"SH_HOSTNAME=x"}}, "003", NULL},
    {{{"SH_ANYTHING=x"}}, "003", NULL},
    {{{"SHLVL=1"}}, "", NULL},
    {{{"MAILNAME=x"}}, "001", NULL},
    {{{"RELAY_NETWORKS=:10.0.0.0/8"}}, "001", NULL},
    {{{"GMAIL_USER_FILE=x"}}, "001", NULL},
    {{{"SMARTHOST_ADDRESS=x"}}, "001", NULL},
    {{{"DKIM_SELECTOR=x"}}, "", NULL},
    /* Services named mta, smtp, smtp-relay, sh, smarthost, postfix. */
    {{{"MTA_SERVICE_HOST=10.0.0.1", "MTA_PORT=tcp://10.0.0.1:587",
       "MTA_PORT_587_TCP=tcp://10.0.0.1:587", "SMTP_PORT=tcp://10.0.0.1:25",
       "SMTP_RELAY_SERVICE_HOST=10.0.0.1", "SMTP_RELAY_PORT=tcp://10.0.0.1:25",
       "SH_SERVICE_HOST=10.0.0.1", "SH_PORT_587_TCP_ADDR=10.0.0.1",
       "SMARTHOST_PORT=tcp://10.0.0.1:25", "POSTFIX_SERVICE_PORT=587"}},
     "",
     NULL},
    {{{"RINGPOST_PROFILE=native", "SMTP_USERNAME=x"}}, "", NULL},
    {{{"RINGPOST_PROFILE=000"}}, "000", NULL},
    {{{"RINGPOST_PROFILE=Messages"}}, "000", NULL},
    {{{"MTA_PROFILE=003"}}, "003", NULL},
    {{{"RINGPOST_PROFILE=001", "MTA_PROFILE=exim-relay"}}, "001", NULL},
    {{{"RINGPOST_PROFILE=001", "SH_AUTH=a:b", "SMTP_USERNAME=x"}}, "001", NULL},
    {{{"RINGPOST_PROFILE=001", "MTA_PROFILE=003"}},
     NULL,
     "RINGPOST_PROFILE and MTA_PROFILE name different profiles"},
    {{{"RINGPOST_PROFILE=004"}},
     NULL,
     "RINGPOST_PROFILE: \"004\" is not one of: native, 000 (messages), 001 (exim-relay), 003 "
     "(smarthost), bokysan (docker-postfix)"},
    {{{"SMTP_USERNAME=x", "SH_AUTH=a:b"}},
     NULL,
     "SMTP_USERNAME (000), SH_AUTH (003): settings of several systems at once; remove one side, or "
     "set RINGPOST_PROFILE to one of: native, 000 (messages), 001 (exim-relay), 003 (smarthost), "
     "bokysan (docker-postfix)"},
    {{{"MAILNAME=x", "ALLOWED_SENDER_DOMAINS=a", "MYHOSTNAME=x"}},
     NULL,
     "MYHOSTNAME (000), MAILNAME (001), ALLOWED_SENDER_DOMAINS (bokysan): settings of several "
     "systems at once; remove one side, or set RINGPOST_PROFILE to one of: native, 000 (messages), "
     "001 (exim-relay), 003 (smarthost), bokysan (docker-postfix)"},
};

START_TEST(choice)
{
    const struct choice *c = &choices[_i];
    char *environment[VARIABLES_MAX + 1];
    for (size_t i = 0; i <= VARIABLES_MAX; i++) {
        environment[i] = (char *)c->set.items[i];
    }
    const struct conf_profile_source source = {environment, test_folder};
    const struct conf_profile *found = NULL;
    struct buf why;
    buf_init(&why, 4096);
    bool clear = conf_profile_choose(&source, &found, &why);
    ck_assert_msg(clear == (c->profile != NULL), "%.*s", SLICE_ARG(buf_slice(&why)));
    if (clear) {
        ck_assert_msg(slice_eq(found ? found->name : SLICE(""), slice_str(c->profile)),
                      "%s, should be %s", found ? found->name.ptr : "native", c->profile);
        ck_assert_uint_eq(why.len, 0);
    } else {
        ck_assert_ptr_null(found);
        buf_expect(&why, c->why);
    }
    buf_deinit(&why);
}
END_TEST

START_TEST(without_an_environment_nothing_is_chosen)
{
    root_file("/etc/smarthost/yaml.d/a.yaml", "config: {}\n");
    const struct conf_profile_source source = {NULL, test_folder};
    const struct conf_profile *found = &conf_profile_000;
    struct buf why;
    buf_init(&why, 64);
    ck_assert(conf_profile_choose(&source, &found, &why));
    ck_assert_ptr_null(found);
    buf_deinit(&why);
}
END_TEST

START_TEST(files_choose)
{
    char *environment[] = {(char *)"HOME=/root", NULL, NULL};
    const struct conf_profile_source source = {environment, test_folder};
    const struct conf_profile *found = NULL;
    struct buf why;
    buf_init(&why, 4096);
    root_file("/etc/smarthost/users.d/.hidden", "x\n");
    ck_assert(conf_profile_choose(&source, &found, &why) && !found);
    root_file("/etc/smarthost/users.d/a.conf", "a b\n");
    ck_assert(conf_profile_choose(&source, &found, &why) && found == &conf_profile_003);
    environment[1] = (char *)"RELAYHOST=x"; /* a hint, weaker than files */
    ck_assert(conf_profile_choose(&source, &found, &why) && found == &conf_profile_003);
    environment[1] = (char *)"SMTP_USERNAME=x";
    ck_assert(!conf_profile_choose(&source, &found, &why));
    environment[1] = (char *)"RINGPOST_PROFILE=000";
    ck_assert(conf_profile_choose(&source, &found, &why) && found == &conf_profile_000);
    buf_deinit(&why);
}
END_TEST

/* A profile that was named ignores the variables of others, and says so. */
START_TEST(others_are_named)
{
    struct variables v = {{"RINGPOST_PROFILE=003", "SMTP_USERNAME=x", "RELAYHOST=y", "PORT=25",
                           "MTA_SERVICE_HOST=x", "GMAIL_USER="}};
    struct loaded l = load_profile(&v, NULL);
    ck_assert_ptr_nonnull(l.conf);
    buf_expect(&l.warnings, "SMTP_USERNAME: belongs to profile 000; this is profile 003, ignored\n"
                            "RELAYHOST: belongs to profile 000; this is profile 003, ignored\n");
    unload(&l);
}
END_TEST

START_TEST(an_unclear_choice_stops_the_start)
{
    struct variables v = {{"SMTP_USERNAME=x", "SH_AUTH=a:b"}};
    struct loaded l = load_profile(&v, NULL);
    ck_assert_ptr_null(l.conf);
    buf_expect(&l.warnings, "");
    unload(&l);
}
END_TEST

START_TEST(the_profile_is_printed)
{
    struct variables v = {{"RINGPOST_PROFILE=001", "NET_DEV=lo"}};
    struct loaded l = load_profile(&v, NULL);
    struct buf text;
    buf_init(&text, 1 << 20);
    conf_print_yaml(l.conf, &text);
    ck_assert(slice_starts_nocase(buf_slice(&text), SLICE("# profile: 001\nidentity:\n")));
    buf_deinit(&text);
    unload(&l);
}
END_TEST

/* ---- the tables ---------------------------------------------------------------------------- */

static void keys_check(const struct conf_variable *v)
{
    struct slice rest = slice_str(v->keys);
    while (rest.len) {
        struct slice key = slice_cut(&rest, ' ');
        char path[128];
        size_t n = 0;
        for (size_t i = 0; i < key.len && n < sizeof(path) - 1; i++) {
            if (key.ptr[i] != '*') {
                path[n++] = key.ptr[i];
            }
        }
        bool group = conf_table_group(&conf_table, key) != NULL;
        ck_assert_msg(group || conf_table_key(&conf_table, slice_of(path, n)) ||
                          conf_set_match(&conf_table, slice_of(path, n), &(struct conf_target){0}),
                      "%s: no key %.*s", v->name.ptr, SLICE_ARG(key));
    }
}

static void row_check(const struct conf_profile *p, const struct conf_variable *v)
{
    bool needs_text = v->kind == CONF_VAR_CONST || v->kind == CONF_VAR_TRUE ||
                      v->kind == CONF_VAR_SWITCH || v->kind == CONF_VAR_WORDS ||
                      v->kind == CONF_VAR_LIST || v->kind == CONF_VAR_NETS ||
                      v->kind == CONF_VAR_TEMPLATE || v->kind == CONF_VAR_PATH ||
                      v->kind == CONF_VAR_POSTFIX_TIME || v->kind == CONF_VAR_USER ||
                      v->kind == CONF_VAR_USERS;
    ck_assert_msg(!needs_text || v->text, "%s: no text", v->name.ptr);
    ck_assert_msg(v->kind != CONF_VAR_NONE || v->note, "%s: no reason", v->name.ptr);
    ck_assert_msg(!v->note || !slice_ends_nocase(slice_str(v->note), SLICE(".")) ||
                      v->kind != CONF_VAR_NONE,
                  "%s: the reason ends in a full stop", v->name.ptr);
    keys_check(v);
    /* Conditions name variables that are there. */
    struct slice rest = slice_str(v->needs);
    while (rest.len && p) {
        struct slice words = slice_cut(&rest, ' ');
        while (words.len) {
            struct slice word = slice_cut(&words, '|');
            word = slice_skip(word, word.ptr[0] == '!' || word.ptr[0] == '@');
            ck_assert_msg(conf_vars_row(p, word) != NULL, "%s needs %.*s", v->name.ptr,
                          SLICE_ARG(word));
        }
    }
}

START_TEST(every_row_is_sound)
{
    for (size_t i = 0; i < conf_profile_count; i++) {
        const struct conf_profile *p = conf_profiles[i];
        for (size_t k = 0; k < p->variable_count; k++) {
            row_check(p, &p->variables[k]);
        }
        for (size_t k = 0; k < p->preset_count; k++) {
            struct conf_target t;
            ck_assert_msg(conf_set_match(&conf_table, slice_str(p->presets[k].path), &t), "%s",
                          p->presets[k].path);
        }
    }
    for (size_t k = 0; k < conf_postfix_parameter_count; k++) {
        row_check(NULL, &conf_postfix_parameters[k]);
    }
    for (size_t k = 0; k < conf_yaml_name_count; k++) {
        row_check(NULL, &conf_yaml_names[k]);
    }
}
END_TEST

/* Whose rows choose a profile must not stand in two profiles: it could not choose then. */
START_TEST(what_chooses_is_unique)
{
    for (size_t i = 0; i < conf_profile_count; i++) {
        for (size_t k = 0; k < conf_profiles[i]->variable_count; k++) {
            const struct conf_variable *v = &conf_profiles[i]->variables[k];
            for (size_t j = 0; j < i && (v->flags & CONF_VAR_SELECTS); j++) {
                const struct conf_variable *other = conf_vars_row(conf_profiles[j], v->name);
                ck_assert_msg(!other || !(other->flags & CONF_VAR_SELECTS), "%s", v->name.ptr);
            }
        }
    }
}
END_TEST

START_TEST(the_documentation_is_up_to_date)
{
    char path[512];
    const char *source = getenv("RINGPOST_TEST_SOURCE");
    struct buf want, is;
    buf_init(&want, 1 << 20);
    buf_init(&is, 1 << 20);
    snprintf(path, sizeof(path), "%s/docs/PROFILES.md", source ? source : ".");
    conf_print_profiles(&want);
    ck_assert(!want.overflow);
    FILE *f = fopen(path, "r");
    ck_assert_msg(f != NULL, "%s", path);
    for (int c = fgetc(f); c != EOF; c = fgetc(f)) {
        buf_add_byte(&is, (char)c);
    }
    fclose(f);
    ck_assert_msg(slice_eq(buf_slice(&is), buf_slice(&want)),
                  "docs/PROFILES.md differs from core/conf/profile_*.c: "
                  "ringpost config --profiles > docs/PROFILES.md");
    buf_deinit(&want);
    buf_deinit(&is);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("core/conf/profile");
    TCase *doc = tcase_create("documentation");
    tcase_add_test(doc, the_documentation_is_up_to_date);
    suite_add_tcase(s, doc);
    TCase *c = tcase_create("all");
    tcase_add_checked_fixture(c, root_enter, root_leave);
    tcase_add_loop_test(c, choice, 0, ARRAY_COUNT(choices));
    tcase_add_test(c, without_an_environment_nothing_is_chosen);
    tcase_add_test(c, files_choose);
    tcase_add_test(c, others_are_named);
    tcase_add_test(c, an_unclear_choice_stops_the_start);
    tcase_add_test(c, the_profile_is_printed);
    tcase_add_test(c, every_row_is_sound);
    tcase_add_test(c, what_chooses_is_unique);
    suite_add_tcase(s, c);
    return suite_run(s);
}
