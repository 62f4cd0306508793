/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Shaping rules as files say them: options, merging of files, unset, and every error with its place.
 */
#include "core/base/must.h"
#include "core/conf/shaping_option.h"
#include "tests/unit/core/conf/conf_testing.h"

/* Two files of shaping.d may follow t.yaml. */
static struct loaded load_files(const char *main_text, const char *first, const char *second)
{
    if (first) {
        ck_assert_int_eq(mkdir("shaping.d", 0700), 0);
        file_write("shaping.d/10.yaml", first, slice_str(first).len);
    }
    if (second) {
        file_write("shaping.d/20.yaml", second, slice_str(second).len);
    }
    return load_text(main_text);
}

static void rules_expect(const struct conf *c, const char *want)
{
    struct buf out;
    buf_init(&out, 1 << 20);
    ck_assert_ptr_nonnull(c);
    conf_shaping_print(c->shaping.rules, &out);
    buf_expect(&out, want);
    buf_deinit(&out);
}

#define NO_BUILTIN "shaping:\n  builtin: false\n"
#define SOURCES "sources: [{name: ip1, addresses: 192.0.2.1}, {name: ip2, addresses: 192.0.2.2}]\n"

/* ---- merging ------------------------------------------------------------------------------- */

struct merge_case {
    const char *about;
    const char *files[3]; /* t.yaml, shaping.d/10.yaml, shaping.d/20.yaml */
    const char *rules;
};

static const struct merge_case merge_cases[] = {
    {"nothing", {NO_BUILTIN}, ""},
    {"empty groups say nothing",
     {NO_BUILTIN "  default:\n  providers:\n  domains: {}\n  tenants: ~\n"},
     ""},
    {"the example of the issue",
     {NO_BUILTIN
      "  default: {connections: 10, connection_rate: 100/min, messages_per_connection: 100,\n"
      "    message_rate: {limit: 100/s, burst: 10}, chunking_window: 4, tls: may}\n"
      "  providers:\n"
      "    google: {match: {mx_suffix: [google.com, googlemail.com]},\n"
      "      connections: {limit: 5, shared: true}, messages_per_connection: 50, tls: encrypt}\n"
      "  domains:\n"
      "    example.org: {message_rate: {limit: 30/min, burst: 1}}\n"
      "  tenants:\n"
      "    newsletter: {message_rate: {limit: 1000/s}, weight: 1}\n"},
     "  default: {connections: 10, connection_rate: 100/min, message_rate: 100/s, "
     "messages_per_connection: 100, chunking_window: 4, tls: may}\n"
     "  providers:\n"
     "    \"google\": {match: {mx_suffix: [\"google.com\", \"googlemail.com\"]}, connections: {limit: "
     "5, shared: true}, messages_per_connection: 50, tls: encrypt}\n"
     "  domains:\n"
     "    \"example.org\": {message_rate: 30/min}\n"
     "  tenants:\n"
     "    \"newsletter\": {message_rate: 1000/s, weight: 1}\n"},
    {"a later file wins, option by option; a value is one piece",
     {NO_BUILTIN "  default: {connections: 1, message_rate: {limit: 10/s, burst: 10}}\n",
      "default: {connections: 2, idle_timeout: 3s}\n", "default: {message_rate: 20/s}\n"},
     "  default: {connections: 2, message_rate: 20/s, idle_timeout: 3s}\n"},
    {"shaping around the rules of a file",
     {NO_BUILTIN, "shaping:\n  default: {connections: 2}\n"},
     "  default: {connections: 2}\n"},
    {"unset and null, of an option and of a group of options",
     {NO_BUILTIN "  default: {connections: 1, tls: ~, timeouts: {connect: 5s, rcpt: 1m}}\n",
      "default: {connections: unset, timeouts: unset}\n", "default: {timeouts: {rcpt: 7s}}\n"},
     "  default: {connections: unset, tls: unset, timeouts: {connect: unset, greeting: unset, ehlo: "
     "unset, mail: unset, rcpt: 7s, data: unset, body: unset, data_done: unset}}\n"},
    {"unset of a rule",
     {NO_BUILTIN "  domains: {a.example: {connections: 1}, b.example: {connections: 2}}\n",
      "domains: {a.example: unset}\n"},
     "  domains:\n    \"b.example\": {connections: 2}\n"},
    {"replace",
     {NO_BUILTIN "  providers: {p: {match: {domain: [x.example]}, connections: 1, tls: none}}\n",
      "providers: {p: {connections: 3, replace: true, match: {domain: y.example}}}\n"},
     "  providers:\n"
     "    \"p\": {replace: true, match: {domain: [\"y.example\"]}, connections: 3}\n"},
    {"a list of matches is one piece; names lose case and outer dots",
     {NO_BUILTIN
      "  providers: {p: {match: {mx_suffix: [.A.Example., b.example], domain: [c.example]}}}\n",
      "providers: {p: {match: {mx_suffix: .D.example}}}\n",
      "providers: {p: {match: {domain: unset}}}\n"},
     "  providers:\n    \"p\": {match: {mx_suffix: [\"d.example\"], domain: unset}}\n"},
    {"domains are one whatever their case; sources of their own",
     {SOURCES NO_BUILTIN "  domains: {A.example: {connections: 1}}\n",
      "domains: {a.Example.: {sources: {ip1: {connections: 2}}}}\n",
      "domains: {a.example: {sources: {ip1: {tls: none}, ip2: {byte_rate: 1MB/s}}}}\n"},
     "  domains:\n    \"a.example\": {connections: 1, sources: {\"ip1\": {connections: 2, tls: none}, "
     "\"ip2\": {byte_rate: 1MB/s}}}\n"},
    {"totals",
     {SOURCES NO_BUILTIN
      "  sources: {ip1: {connections: 9, message_rate: {limit: 1000/day, burst: 5}}}\n"
      "  campaigns: {summer@shop: {weight: 7}}\n"},
     "  sources:\n    \"ip1\": {connections: 9, message_rate: {limit: 1000/day, burst: 5}}\n"
     "  campaigns:\n    \"summer@shop\": {weight: 7}\n"},
};

START_TEST(files_are_merged)
{
    const struct merge_case *m = &merge_cases[_i];
    struct loaded l = load_files(m->files[0], m->files[1], m->files[2]);
    ck_assert_msg(l.conf != NULL, "%s: %.*s", m->about, SLICE_ARG(buf_slice(&l.errors)));
    rules_expect(l.conf, m->rules);
    ck_assert_uint_eq(l.warnings.len, 0);
    unload(&l);
}
END_TEST

START_TEST(a_line_is_remembered)
{
    struct loaded l = load_files(NO_BUILTIN "  default:\n    connections: 1\n    tls: none\n",
                                 "default:\n  message_rate:\n    limit: 5/s\n  tls: may\n", NULL);
    const struct conf_shaping_rule *base = &l.conf->shaping.rules->base;
    const struct conf_shaping_setting *s = conf_shaping_find(base, CONF_SHAPING_CONNECTIONS);
    slice_expect(s->at.name, "t.yaml");
    ck_assert_uint_eq(s->at.line, 4);
    s = conf_shaping_find(base, CONF_SHAPING_TLS);
    ck_assert_uint_eq(s->value.number, CONF_TLS_MAY);
    slice_expect(s->at.name, "shaping.d/10.yaml");
    ck_assert_uint_eq(s->at.line, 4);
    ck_assert_uint_eq(conf_shaping_find(base, CONF_SHAPING_MESSAGE_RATE)->at.line, 2);
    ck_assert_ptr_null(conf_shaping_find(base, CONF_SHAPING_BYTE_RATE));
    unload(&l);
}
END_TEST

/* ---- the built-in rules -------------------------------------------------------------------- */

START_TEST(built_in_rules_can_be_changed)
{
    struct loaded l = load_files("shaping: {providers: {google: {connections: 2}, qq: unset}}\n",
                                 "providers: {kpn: unset}\n",
                                 "providers: {kpn: {match: {mx_suffix: kpn.example}}}\n");
    ck_assert_ptr_nonnull(l.conf);
    struct buf out;
    buf_init(&out, 1 << 20);
    conf_shaping_print(l.conf->shaping.rules, &out);
    static const char *const lines[] = {
        "\"google\": {match: {mx_suffix: [\"google.com\", \"googlemail.com\"]}, connections: 2, "
        "messages_per_connection: 50,",
        "    \"qq\": unset\n",
        "    \"kpn\": {replace: true, match: {mx_suffix: [\"kpn.example\"]}}\n",
    };
    buf_add_byte(&out, '\0');
    for (size_t i = 0; i < ARRAY_COUNT(lines); i++) {
        ck_assert_msg(memmem(out.ptr, out.len, lines[i], slice_str(lines[i]).len) != NULL,
                      "%s not in:\n%s", lines[i], out.ptr);
    }
    buf_deinit(&out);
    unload(&l);
}
END_TEST

/* Read again, also over the built-in rules, what is printed is the same. */
START_TEST(what_is_printed_reads_back)
{
    static const char *const texts[] = {
        "",
        "shaping: {builtin: false}\n",
        "shaping: {providers: {google: {match: {mx_suffix: unset, domain: x.example}}, qq: unset}}\n",
        "shaping: {providers: {yahoo: {replace: true, match: {domain: [x.example]}, byte_rate: "
        "{limit: 1MB/min, burst: 1500, shared: true}}}}\n",
        "shaping: {default: {ramp_up: {first: 3, interval: 1m}, back_off: unset, sources: {a: "
        "{connections: 1}}}, tenants: {t: {message_rate: {limit: 5/30s, burst: 2}}}}\n",
        "shaping: {domains: {x.example: {message_rate: {limit: 86400/h, burst: 3}}}}\n",
    };
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        struct buf once, twice;
        buf_init(&once, 1 << 20);
        buf_init(&twice, 1 << 20);
        struct loaded a = load_text(texts[i]);
        ck_assert_msg(a.conf != NULL, "%.*s", SLICE_ARG(buf_slice(&a.errors)));
        conf_print_yaml(a.conf, &once);
        file_write("t.yaml", once.ptr, once.len);
        struct conf_source src = {.file = "t.yaml"};
        struct loaded b = load(&src);
        ck_assert_msg(b.conf != NULL, "%.*s\n%.*s", SLICE_ARG(buf_slice(&b.errors)),
                      SLICE_ARG(buf_slice(&once)));
        conf_print_yaml(b.conf, &twice);
        ck_assert_msg(slice_eq(buf_slice(&once), buf_slice(&twice)), "%.*s\n---\n%.*s",
                      SLICE_ARG(buf_slice(&once)), SLICE_ARG(buf_slice(&twice)));
        buf_deinit(&once);
        buf_deinit(&twice);
        unload(&a);
        unload(&b);
    }
}
END_TEST

/* They tighten what the keys say by default, and nothing else; no two lines of one are the same. */
START_TEST(built_in_rules_only_tighten)
{
    struct loaded l = load_text("");
    const struct conf_shaping *s = l.conf->shaping.rules;
    ck_assert_uint_eq(s->base.count, 0);
    ck_assert_uint_ge(s->by[CONF_SHAPING_PROVIDER].count, 15);
    for (size_t scope = CONF_SHAPING_DOMAIN; scope < CONF_SHAPING_SCOPES; scope++) {
        ck_assert_uint_eq(s->by[scope].count, 0);
    }
    for (size_t i = 0; i < s->by[CONF_SHAPING_PROVIDER].count; i++) {
        const struct conf_shaping_rule *rule = &s->by[CONF_SHAPING_PROVIDER].items[i];
        slice_expect(rule->at.name, "built-in");
        for (size_t k = 0; k < rule->count; k++) {
            const struct conf_shaping_setting *set = &rule->settings[k];
            const char *key;
            struct conf_shaping_value d = conf_shaping_default(l.conf, set->option, false, &key);
            bool limit = set->option == CONF_SHAPING_CONNECTIONS ||
                         set->option == CONF_SHAPING_MESSAGES_PER_CONNECTION;
            ck_assert_msg(!limit || set->value.number < d.number, "%.*s", SLICE_ARG(rule->name));
        }
    }
    unload(&l);
}
END_TEST

START_TEST(a_variable_switches_them_off)
{
    char variable[] = "RINGPOST_SHAPING_BUILTIN=false";
    char *environment[] = {variable, NULL};
    struct conf_source src = {.environment = environment};
    struct loaded l = load(&src);
    rules_expect(l.conf, "");
    unload(&l);
}
END_TEST

/* ---- errors -------------------------------------------------------------------------------- */

struct error_case {
    const char *text;  /* t.yaml */
    const char *first; /* shaping.d/10.yaml, or NULL */
    const char *errors;
};

static const struct error_case error_cases[] = {
    {"shaping: 7\n", NULL,
     "t.yaml:1:10: shaping: must be a group: default, providers, domains, sources, tenants, "
     "campaigns, builtin\n"},
    {"shaping: {provider: {}}\n", NULL,
     "t.yaml:1:11: shaping.provider: unknown key; did you mean providers?\n"},
    {"shaping: {default: {conections: 1}}\n", NULL,
     "t.yaml:1:21: shaping.default.conections: unknown key; did you mean connections?\n"},
    {"shaping: {default: {connections: 0}}\n", NULL,
     "t.yaml:1:34: shaping.default.connections: 0 is out of range (1–10000)\n"},
    {"shaping: {providers: {google: {connections: 10001}}}\n", NULL,
     "t.yaml:1:45: shaping.providers.google.connections: 10001 is out of range (1–10000)\n"},
    {"shaping: {default: {connections: [1]}}\n", NULL,
     "t.yaml:1:34: shaping.default.connections: is a list, must be a whole number (1–10000) or "
     "{limit: …}, or unset\n"},
    {"shaping: {default: {tls: {limit: may}}}\n", NULL,
     "t.yaml:1:26: shaping.default.tls: is a group, must be a word (none, may, encrypt, verify), or "
     "unset\n"},
    {"shaping: {default: {tls: opportunistic}}\n", NULL,
     "t.yaml:1:26: shaping.default.tls: \"opportunistic\" is not one of: none, may, encrypt, "
     "verify\n"},
    {"shaping: {default: {message_rate: 5}}\n", NULL,
     "t.yaml:1:35: shaping.default.message_rate: 5 is not a rate, write for example 100/s, 30/min, "
     "5/30s, 200/h, 1000/day (1/day–1000000/s)\n"},
    {"shaping: {default: {message_rate: 5/m, connection_rate: 0/s, byte_rate: 10/s}}\n", NULL,
     "t.yaml:1:35: shaping.default.message_rate: \"5/m\" is not a rate, write for example 100/s, "
     "30/min, 5/30s, 200/h, 1000/day (1/day–1000000/s)\n"
     "t.yaml:1:57: shaping.default.connection_rate: \"0/s\" is out of range, write for example 100/s, "
     "30/min, 5/30s, 200/h, 1000/day (1/day–1000000/s)\n"
     "t.yaml:1:73: shaping.default.byte_rate: \"10/s\" is out of range, write for example 1MB/s, "
     "64KiB/min, 10GB/day (1KB/day–1000MB/s)\n"},
    {"shaping: {default: {message_rate: {limit: 5/s, burst: 6}}}\n", NULL,
     "t.yaml:1:55: shaping.default.message_rate.burst: 6 is out of range (1–5)\n"},
    {"shaping: {default: {message_rate: {burst: 6}, connections: {limit: 2, burst: 1}}}\n", NULL,
     "t.yaml:1:35: shaping.default.message_rate: limit is missing\n"
     "t.yaml:1:71: shaping.default.connections.burst: unknown key; known here: limit, shared\n"},
    {"shaping: {default: {connections: {limit: 5, shared: true}}}\n", NULL,
     "t.yaml:1:53: shaping.default.connections.shared: only the sites of a provider share a limit\n"},
    {"shaping: {providers: {google: {connections: {limit: 5, shared: yes}}}}\n", NULL,
     "t.yaml:1:64: shaping.providers.google.connections.shared: \"yes\" is not true or false\n"},
    {"shaping: {default: {timeouts: {connct: 1s, rcpt: 1}, idle_timeout: 1h}}\n", NULL,
     "t.yaml:1:32: shaping.default.timeouts.connct: unknown key; did you mean connect?\n"
     "t.yaml:1:50: shaping.default.timeouts.rcpt: 1 has no unit, write for example 250ms, 30s, 1m30s, "
     "4h, 5d (100ms–1h)\n"
     "t.yaml:1:68: shaping.default.idle_timeout: 1h is out of range (1s–5m)\n"},
    {"shaping: {tenants: {t: {connections: 1, sources: {}}}}\n", NULL,
     "t.yaml:1:25: shaping.tenants.t.connections: unknown key; known here: message_rate, byte_rate, "
     "weight, replace\n"
     "t.yaml:1:41: shaping.tenants.t.sources: unknown key; known here: message_rate, byte_rate, "
     "weight, replace\n"},
    {"shaping: {default: {match: {domain: x.example}}, domains: {'*.example': {}, x_y.example: 1}}\n",
     NULL,
     "t.yaml:1:21: shaping.default.match: unknown key; known here: connections, connection_rate, "
     "message_rate, byte_rate, messages_per_connection, recipients_per_transaction, "
     "chunking_window, tls, idle_timeout, timeouts, back_off, ramp_up, sources, replace\n"
     "t.yaml:1:60: shaping.domains.*.example: \"*.example\" is not a domain name, like example.com; "
     "for all below one write a provider with domain_suffix\n"
     "t.yaml:1:77: shaping.domains.x_y.example: \"x_y.example\" is not a domain name, like "
     "example.com; for all below one write a provider with domain_suffix\n"},
    {"shaping: {sources: {\"a b\": {}}}\n", NULL,
     "t.yaml:1:21: shaping.sources.a b: \"a b\" is not a name (letters, digits, - _ . @ +, at most "
     "64)\n"},
    /* Rules that can never apply. */
    {"shaping: {providers: {gogle: {connections: 1}}}\n", NULL,
     "t.yaml:1:23: shaping.providers.gogle: can never apply: it has no match; did you mean "
     "google?\n"},
    {"shaping:\n  providers:\n    mine: {match: {mx_suffix: []}}\n", NULL,
     "t.yaml:3:5: shaping.providers.mine: can never apply: it has no match (mx_suffix, mx_host, "
     "domain, domain_suffix)\n"},
    {"shaping: {providers: {mine: {match: {mx_suffix: [.Google.com.]}}}}\n", NULL,
     "t.yaml:1:50: shaping.providers.mine.match.mx_suffix: google.com can never apply here: provider "
     "google has it (built-in:11); give it to one of them, or unset the other\n"},
    {"shaping: {providers: {mine: {match: {domain: [a.example, A.example]}}}}\n", NULL,
     "t.yaml:1:58: shaping.providers.mine.match.domain: a.example is given twice\n"},
    {"shaping: {domains: {a.example: {}, A.example: {}}}\n", NULL,
     "t.yaml:1:36: shaping.domains.A.example: given twice in this file, the same name in other "
     "letters\n"},
    {"shaping: {domains: {a.example: {}, a.example: {}}}\n", NULL,
     "t.yaml:1:36: shaping.domains.a.example: given twice, first at line 1\n"},
    {"shaping: {domains: {a.example: unset}}\n", NULL,
     "t.yaml:1:32: shaping.domains.a.example: no earlier file has such a rule, so nothing can be "
     "unset\n"},
    /* Files of shaping.d. */
    {"", "workers: 3\n",
     "shaping.d/10.yaml:1:1: shaping.workers: unknown key; known here: default, providers, domains, "
     "sources, tenants, campaigns\n"},
    {"", "shaping: {}\ndefault: {}\n",
     "shaping.d/10.yaml:1:10: shaping: in shaping.d it must be a group that holds everything, or be "
     "left out\n"},
    /* All at once, beside other errors. */
    {"workers: x\nshaping: {default: {connections: x}}\n", "tenants: {t: {weight: 0}}\n",
     "t.yaml:1:10: workers: \"x\" is not a whole number (0–256)\n"
     "t.yaml:2:34: shaping.default.connections: \"x\" is not a whole number (1–10000)\n"
     "shaping.d/10.yaml:1:23: shaping.tenants.t.weight: 0 is out of range (1–1000)\n"},
};

START_TEST(errors_name_the_place)
{
    const struct error_case *e = &error_cases[_i];
    struct loaded l = load_files(e->text, e->first, NULL);
    buf_expect(&l.errors, e->errors);
    unload(&l);
}
END_TEST

/* ---- values -------------------------------------------------------------------------------- */

START_TEST(rates_read_and_print)
{
    static const struct {
        enum conf_shaping_option option;
        const char *text;
        uint64_t count;
        uint64_t period_s;
        uint64_t burst;
        const char *printed;
    } cases[] = {
        {CONF_SHAPING_MESSAGE_RATE, "30/min", 30, 60, 1, "30/min"},
        {CONF_SHAPING_MESSAGE_RATE, "100/s", 100, 1, 10, "100/s"},
        {CONF_SHAPING_MESSAGE_RATE, "1000/day", 1000, 86400, 1, "1000/day"},
        {CONF_SHAPING_MESSAGE_RATE, "5/30s", 5, 30, 1, "5/30s"},
        {CONF_SHAPING_MESSAGE_RATE, "7/60s", 7, 60, 1, "7/min"},
        {CONF_SHAPING_MESSAGE_RATE, "1/day", 1, 86400, 1, "1/day"},
        {CONF_SHAPING_MESSAGE_RATE, "1/24h", 1, 86400, 1, "1/day"},
        {CONF_SHAPING_MESSAGE_RATE, "1000000/s", 1000000, 1, 100000, "1000000/s"},
        {CONF_SHAPING_MESSAGE_RATE, "86400000000/day", 86400000000, 86400, 100000,
         "86400000000/day"},
        {CONF_SHAPING_BYTE_RATE, "10MB/min", 10000000, 60, 16666, "10MB/min"},
        {CONF_SHAPING_BYTE_RATE, "1KiB/day", 1024, 86400, 1, "1KiB/day"},
        {CONF_SHAPING_BYTE_RATE, "1000MB/s", 1000000000, 1, 100000000, "1GB/s"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct conf_shaping_value v;
        struct buf out, why;
        buf_init(&out, 1000);
        buf_init(&why, 1000);
        ck_assert_msg(conf_shaping_parse(cases[i].option, slice_str(cases[i].text), &v, &why), "%s",
                      cases[i].text);
        ck_assert_uint_eq(v.rate.count, cases[i].count);
        ck_assert_uint_eq(v.rate.period_us, cases[i].period_s * 1000000);
        ck_assert_uint_eq(v.rate.burst, cases[i].burst);
        conf_shaping_value_add(&out, cases[i].option, &v);
        buf_expect(&out, cases[i].printed);
        buf_deinit(&out);
        buf_deinit(&why);
    }
}
END_TEST

START_TEST(rates_that_are_none)
{
    static const char *const texts[] = {
        "/s",
        "1/",
        "1",
        "1/0s",
        "-1/s",
        "1/s/s",
        " 1/s",
        "1/ s",
        "1/S",
        "1/25h",
        "1/2day",
        "1/m",
        "1/ms",
        "1.5/s",
        "1000001/s",
        "0/day",
        "1/99999999999999999999s",
        "99999999999999999999/s",
        "1/18446744073709551615s",
    };
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        struct conf_shaping_value v;
        struct buf why;
        buf_init(&why, 1000);
        ck_assert_msg(!conf_shaping_parse(CONF_SHAPING_MESSAGE_RATE, slice_str(texts[i]), &v, &why),
                      "%s", texts[i]);
        ck_assert(why.len > 0);
        buf_deinit(&why);
    }
}
END_TEST

/* Every option has a name, a sentence and a default that its own range allows. */
START_TEST(rows_are_whole)
{
    struct loaded l = load_text("");
    for (int i = 0; i < CONF_SHAPING_OPTIONS; i++) {
        enum conf_shaping_option o = (enum conf_shaping_option)i;
        const struct conf_shaping_row *row = &conf_shaping_rows[o];
        const char *key;
        struct conf_shaping_value v = conf_shaping_default(l.conf, o, false, &key);
        struct conf_shaping_value back;
        struct buf text, why;
        buf_init(&text, 1000);
        buf_init(&why, 1000);
        ck_assert(row->name.len > 0 && row->doc && row->scopes);
        ck_assert(key || conf_shaping_is_rate(o) || v.number == row->fallback);
        ck_assert((o < CONF_SHAPING_BUDGETS) ==
                  (conf_shaping_is_rate(o) || o == CONF_SHAPING_CONNECTIONS));
        if (!conf_shaping_is_rate(o)) {
            conf_shaping_value_add(&text, o, &v);
            ck_assert_msg(conf_shaping_parse(o, buf_slice(&text), &back, &why), "%.*s",
                          SLICE_ARG(row->name));
            ck_assert_uint_eq(back.number, v.number);
        }
        buf_deinit(&text);
        buf_deinit(&why);
    }
    unload(&l);
}
END_TEST

/* ---- documentation (in the folder of the source) -------------------------------------------- */

START_TEST(the_documentation_is_what_the_rows_say)
{
    struct buf is;
    buf_init(&is, 1 << 20);
    conf_print_shaping(&is);
    FILE *f = fopen("docs/SHAPING.md", "r");
    ck_assert_msg(f != NULL, "run from the root of the source");
    char *was = malloc(is.len + 2);
    ck_assert_ptr_nonnull(was);
    size_t n = fread(was, 1, is.len + 1, f);
    fclose(f);
    ck_assert_msg(slice_eq(slice_of(was, n), buf_slice(&is)),
                  "docs/SHAPING.md differs: ringpost config --shaping > docs/SHAPING.md");
    free(was);
    buf_deinit(&is);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("core/conf/shaping");
    TCase *files = tcase_create("files");
    tcase_add_checked_fixture(files, folder_enter, folder_leave);
    tcase_add_loop_test(files, files_are_merged, 0, ARRAY_COUNT(merge_cases));
    tcase_add_loop_test(files, errors_name_the_place, 0, ARRAY_COUNT(error_cases));
    tcase_add_test(files, a_line_is_remembered);
    tcase_add_test(files, built_in_rules_can_be_changed);
    tcase_add_test(files, what_is_printed_reads_back);
    tcase_add_test(files, built_in_rules_only_tighten);
    tcase_add_test(files, a_variable_switches_them_off);
    tcase_add_test(files, rows_are_whole);
    suite_add_tcase(s, files);
    TCase *pure = tcase_create("pure");
    tcase_add_test(pure, rates_read_and_print);
    tcase_add_test(pure, rates_that_are_none);
    tcase_add_test(pure, the_documentation_is_what_the_rows_say);
    suite_add_tcase(s, pure);
    return suite_run(s);
}
