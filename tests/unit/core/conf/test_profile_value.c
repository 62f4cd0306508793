/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * How Postfix, Exim and the shell write things.
 */
#include "core/conf/profile_tables.h"
#include "tests/unit/core/conf/profile_testing.h"

struct text_case {
    const char *in;
    const char *out; /* items separated by '|'; NULL: refused */
};

static void items_add(struct buf *out, struct slice item)
{
    buf_addf(out, out->len ? "|%.*s" : "%.*s", SLICE_ARG(item));
}

static const struct text_case lists[] = {
    {"", ""}, {"a", "a"}, {"a,b", "a|b"}, {" a , b\t,, c ", "a|b|c"}, {",,,", ""},
};

START_TEST(list)
{
    struct slice rest = slice_str(lists[_i].in), item;
    struct buf out;
    buf_init(&out, 256);
    while (conf_list_next(&rest, ", \t", &item)) {
        items_add(&out, item);
    }
    buf_expect(&out, lists[_i].out);
    buf_deinit(&out);
}
END_TEST

static const struct text_case exim_lists[] = {
    {"a : b:c", "a|b|c"}, {":a:", "a"},   {"a;b", "a|b"}, {"<, a, b:c ,d", "a|b:c|d"},
    {"<; a ; b", "a|b"},  {" <; a", "a"}, {"<", "<"},     {"", ""},
};

START_TEST(exim_list)
{
    char separator;
    struct slice rest = conf_exim_list(slice_str(exim_lists[_i].in), &separator), item;
    struct buf out;
    buf_init(&out, 256);
    while (conf_exim_list_next(&rest, separator, &item)) {
        items_add(&out, item);
    }
    buf_expect(&out, exim_lists[_i].out);
    buf_deinit(&out);
}
END_TEST

static const struct text_case exim_nets[] = {
    {":192.168.0.0/24", "192.168.0.0/24"},
    {":192.168.0.0/24:10.0.0.0/16", "192.168.0.0/24|10.0.0.0/16"},
    {"192.168.0.0/24 : 10.0.0.0/16 ", "192.168.0.0/24|10.0.0.0/16"},
    {":::10.0.0.0/8::192.0.2.1", "10.0.0.0/8|192.0.2.1/32"},
    {"fd00::/8:10.0.0.0/8", "fd00::/8|10.0.0.0/8"},
    {"10.0.0.0/8:fd00::/8", "10.0.0.0/8|fd00::/8"},
    {":fd00::1:2/128:fe80::/10", "fd00::1:2/128|fe80::/10"},
    {"::1", "::1/128"},
    {":::::1", "::1/128"}, /* ":" and Exim's "::::1" */
    {"fd00::::/8:10.0.0.1", "fd00::/8|10.0.0.1/32"},
    {"<; fd00::/8 ; 10.0.0.0/8", "fd00::/8|10.0.0.0/8"},
    {"10.0.0.0/8;192.0.2.0/24", "10.0.0.0/8|192.0.2.0/24"},
    {"10.0.0.0/8::::/32", "10.0.0.0/8|/32"}, /* never ::/32 */
    {"mail.example.org:10.0.0.0/8", "mail.example.org|10.0.0.0/8"},
    {"", ""},
};

START_TEST(exim_net)
{
    char separator;
    struct slice rest = conf_exim_list(slice_str(exim_nets[_i].in), &separator), item;
    struct buf out, net;
    buf_init(&out, 256);
    buf_init(&net, 64);
    while (conf_exim_net_next(&rest, separator, &item)) {
        buf_clear(&net);
        items_add(&out, conf_net_add(&net, item) ? buf_slice(&net) : item);
    }
    buf_expect(&out, exim_nets[_i].out);
    buf_deinit(&out);
    buf_deinit(&net);
}
END_TEST

static const struct text_case nets[] = {
    {"10.0.0.0/8", "10.0.0.0/8"},
    {"10.1.2.3/8", "10.0.0.0/8"},
    {"10.1.2.3", "10.1.2.3/32"},
    {"[::1]/128", "::1/128"},
    {"[2001:db8::1]", "2001:db8::1/128"},
    {"2001:db8::/32", "2001:db8::/32"},
    {"10.0.0.0/33", NULL},
    {"hash:/etc/nets", NULL},
    {"!10.0.0.1", NULL},
    {"", NULL},
    {"[]", NULL},
};

START_TEST(net)
{
    struct buf out;
    buf_init(&out, 256);
    bool ok = conf_net_add(&out, slice_str(nets[_i].in));
    ck_assert(ok == (nets[_i].out != NULL));
    buf_expect(&out, nets[_i].out ? nets[_i].out : "");
    buf_deinit(&out);
}
END_TEST

static const struct text_case relays[] = {
    {"a.example", "a.example"},
    {"a.example:25", "a.example:25"},
    {"a.example:smtp", "a.example:25"},
    {"a.example:Submission", "a.example:587"},
    {"[a.example]", "[a.example]"},
    {"[a.example]:587", "[a.example]:587"},
    {"[a.example]:smtps", "[a.example]:465"},
    {"[mailhog:1025]", "[mailhog]:1025"},
    {"[2001:db8::1]", "[2001:db8::1]"},
    {"[2001:db8::1]:25", "[2001:db8::1]:25"},
    {"[IPv6:2001:db8::1]", "[2001:db8::1]"},
    {"[ipv6:2001:db8::1]:25", "[2001:db8::1]:25"},
    {"2001:db8::1", "2001:db8::1"},
    {"[192.0.2.1]:25", "[192.0.2.1]:25"},
    {"[a", "[a"},
    {"[]", "[]"},
    {"[a]b", "[a]:b"},
    {"a:", "a"},
};

START_TEST(relay)
{
    struct buf out;
    buf_init(&out, 256);
    conf_relay_add(&out, slice_str(relays[_i].in));
    buf_expect(&out, relays[_i].out);
    buf_deinit(&out);
}
END_TEST

static const struct text_case times[] = {
    {"300s", "300s"}, {"300", "300s"},
    {"5m", "5m"},     {"4h", "4h"},
    {"5d", "5d"},     {"1w", "7d"},
    {"0", "0"},       {"0d", "0"},
    {"", NULL},       {"s", NULL},
    {"-1s", NULL},    {"1y", NULL},
    {"1m30s", NULL},  {"99999999999s", NULL},
};

START_TEST(time_text)
{
    struct buf out;
    buf_init(&out, 256);
    bool ok = conf_postfix_time_add(&out, slice_str(times[_i].in), 's');
    ck_assert(ok == (times[_i].out != NULL));
    buf_expect(&out, times[_i].out ? times[_i].out : "");
    buf_deinit(&out);
}
END_TEST

static char *environment[] = {(char *)"A=value",
                              (char *)"EMPTY=", (char *)"K_PORT=tcp://10.0.0.1:25", NULL};
static const struct conf_profile_source source = {environment, NULL};

static const struct text_case templates[] = {
    {"plain", "plain"},    {"[${A}]:${P:-25}", "[value]:25"},
    {"${A:-x}", "value"},  {"${EMPTY:-x}", "x"},
    {"${K_PORT:-x}", "x"}, /* Kubernetes' own */
    {"${NONE}", ""},       {"${NONE:-}", ""},
};

START_TEST(template)
{
    struct buf out;
    buf_init(&out, 256);
    conf_template_add(&out, &source, templates[_i].in);
    buf_expect(&out, templates[_i].out);
    buf_deinit(&out);
}
END_TEST

/* NULL: a command, or unfinished. */
static const struct text_case shell[] = {
    {"", ""},
    {"  -e a=b  ", "-e|a=b"},
    {"-e a=\"b c\" -e d='e f'", "-e|a=b c|-e|d=e f"},
    {"a\\ b \"c\\\"d\" \"e\\f\" 'g\\h'", "a b|c\"d|e\\f|g\\h"},
    {"$A ${A}x \"$A\" '$A' $NONE", "value|valuex|value|$A|"},
    {"$APP_CONF/x", "/etc/smarthost/x"},
    {"a# # b", "a#"},
    {"# all", ""},
    {"a\"b\"'c'", "abc"},
    {"\"\"", ""},
    {"$ a$", "$|a$"},
    {"a;b", NULL},
    {"a | b", NULL},
    {"`id`", NULL},
    {"$(id)", NULL},
    {"\"$(id)\"", NULL},
    {"\"`id`\"", NULL},
    {"${A:-x}", NULL},
    {"'open", NULL},
    {"\"open", NULL},
    {"a > /etc/passwd", NULL},
    {"a\\", "a"},
};

START_TEST(shell_words)
{
    struct slice rest = slice_str(shell[_i].in);
    struct buf out, word;
    int got;
    size_t count = 0;
    buf_init(&out, 256);
    buf_init(&word, 256);
    while ((got = conf_shell_word(&rest, &source, &word)) > 0) {
        buf_addf(&out, count++ ? "|%.*s" : "%.*s", SLICE_ARG(buf_slice(&word)));
        buf_clear(&word);
    }
    ck_assert_int_eq(got, shell[_i].out ? 0 : -1);
    if (shell[_i].out) {
        buf_expect(&out, shell[_i].out);
    }
    buf_deinit(&out);
    buf_deinit(&word);
}
END_TEST

START_TEST(interfaces)
{
    struct buf out;
    buf_init(&out, 4096);
    ck_assert(conf_interface_nets(SLICE("lo"), &out));
    buf_expect(&out, "127.0.0.0/8");
    buf_clear(&out);
    ck_assert(!conf_interface_nets(SLICE("none0"), &out));
    ck_assert_uint_eq(out.len, 0);
    buf_deinit(&out);
}
END_TEST

/* A value may be as large as the environment, and files as large as they like: an error, no crash. */
START_TEST(too_much_is_an_error)
{
    size_t len = 3 << 20;
    char *text = malloc(len + 64);
    ck_assert_ptr_nonnull(text);
    struct slice lead = SLICE("SH_ALLOWED_NETWORKS=");
    memcpy(text, lead.ptr, lead.len);
    for (size_t i = lead.len; i < len; i++) {
        text[i] = i % 11 == 10 ? ',' : '1';
    }
    text[len] = '\0';
    struct variables v = {{text, "SH_HOSTNAME=a.example"}};
    struct loaded l = load_profile(&v, NULL);
    ck_assert_ptr_null(l.conf);
    unload(&l);
    free(text);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("core/conf/profile_value");
    TCase *c = tcase_create("all");
    tcase_add_checked_fixture(c, root_enter, root_leave);
    tcase_add_loop_test(c, list, 0, ARRAY_COUNT(lists));
    tcase_add_loop_test(c, exim_list, 0, ARRAY_COUNT(exim_lists));
    tcase_add_loop_test(c, exim_net, 0, ARRAY_COUNT(exim_nets));
    tcase_add_loop_test(c, net, 0, ARRAY_COUNT(nets));
    tcase_add_loop_test(c, relay, 0, ARRAY_COUNT(relays));
    tcase_add_loop_test(c, time_text, 0, ARRAY_COUNT(times));
    tcase_add_loop_test(c, template, 0, ARRAY_COUNT(templates));
    tcase_add_loop_test(c, shell_words, 0, ARRAY_COUNT(shell));
    tcase_add_test(c, interfaces);
    tcase_add_test(c, too_much_is_an_error);
    suite_add_tcase(s, c);
    return suite_run(s);
}
