/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Everything that is printed from the table reads back, or is what is checked in.
 */
#include "core/base/must.h"
#include "core/conf/print.h"
#include "tests/unit/core/conf/conf_testing.h"

#include <json-c/json.h>

typedef void print_fn(struct buf *out);

static struct buf printed(print_fn *print)
{
    struct buf out;
    buf_init(&out, 1 << 20);
    print(&out);
    ck_assert(!out.overflow);
    ck_assert(out.len > 0 && out.ptr[out.len - 1] == '\n');
    return out;
}

static struct buf yaml_of(const struct conf *c)
{
    struct buf out;
    buf_init(&out, 1 << 20);
    conf_print_yaml(c, &out);
    ck_assert(!out.overflow);
    return out;
}

/* Loads what was printed and prints it again. */
static void same_after_reading(const struct buf *text)
{
    file_write("t.yaml", text->ptr, text->len);
    struct conf_source src = {.file = "t.yaml"};
    struct loaded l = load(&src);
    ck_assert_msg(l.conf != NULL, "%.*s\n%.*s", SLICE_ARG(buf_slice(&l.errors)),
                  SLICE_ARG(buf_slice(text)));
    struct buf again = yaml_of(l.conf);
    ck_assert_msg(slice_eq(buf_slice(text), buf_slice(&again)), "%.*s\n---\n%.*s",
                  SLICE_ARG(buf_slice(text)), SLICE_ARG(buf_slice(&again)));
    buf_deinit(&again);
    unload(&l);
}

static const char *const round_cases[] = {
    "",
    "workers: 5\nlog: {level: error}\n",
    "identity: {hostname: a.example}\nrelay: {host: [\"[::1]:26\", b.example, \"c.example:1\"], "
    "port: 99, lookup: mx}\n",
    "relay: {host: \"2001:db8::1\"}\n",
    "listeners: [{address: \"::\", port: 25}, {port: 587, mode: submission}]\n",
    "access: {networks: [\"2001:db8::/32\", 10.0.0.0/8, \"::ffff:10.0.0.1\"]}\n",
    "queue: {schedule: [90s, 1d12h, 1500ms], max_age: 36h, jitter: 0}\n",
    "limits: {message_size: 10000000, memory: 1000MB, header_size: 65537}\n",
    "delivery: {source_address4: 192.0.2.1, source_address6: \"2001:db8::1\", ipv6: false}\n",
    "dns: {servers: [192.0.2.53, \"[2001:db8::53]:5353\"], ttl_min: 0}\n",
    "headers: {received: none, strip: [Received, X-Originating-IP], add_missing: true}\n",
    "smtp: {banner: 'a \"quoted\" \\ text'}\n",
    "spool: {dir: \"/tmp/\\u00e9 #x: [y]\"}\n",
    "admin: {socket: ./a.sock}\ndsn: {from: \"po.st+x@b.example\", delay_after: 0}\n",
    "spool: {max_size: 1TiB, min_free: 0}\n",
};

START_TEST(the_effective_configuration_reads_back)
{
    struct loaded l = load_text(round_cases[_i]);
    ck_assert_msg(l.conf != NULL, "%.*s", SLICE_ARG(buf_slice(&l.errors)));
    struct buf text = yaml_of(l.conf);
    same_after_reading(&text);
    buf_deinit(&text);
    unload(&l);
}
END_TEST

START_TEST(the_printed_defaults_are_the_defaults)
{
    struct conf_source nothing = {0};
    struct loaded none = load(&nothing);
    struct buf want = yaml_of(none.conf);
    struct buf defaults = printed(conf_print_defaults);
    file_write("t.yaml", defaults.ptr, defaults.len);
    struct conf_source src = {.file = "t.yaml"};
    struct loaded l = load(&src);
    ck_assert_msg(l.conf != NULL, "%.*s", SLICE_ARG(buf_slice(&l.errors)));
    struct buf is = yaml_of(l.conf);
    ck_assert(slice_eq(buf_slice(&is), buf_slice(&want)));
    for (size_t i = 0; i < conf_table.key_count; i++) {
        struct slice doc = slice_first(slice_str(conf_table.keys[i].doc), 20);
        ck_assert(memmem(defaults.ptr, defaults.len, doc.ptr, doc.len) != NULL);
    }
    buf_deinit(&is);
    buf_deinit(&want);
    buf_deinit(&defaults);
    unload(&l);
    unload(&none);
}
END_TEST

/* ---- the schema ---------------------------------------------------------------------------- */

static struct json_object *member(struct json_object *o, const char *name)
{
    struct json_object *m = NULL;
    ck_assert_msg(json_object_object_get_ex(o, name, &m), "no \"%s\"", name);
    return m;
}

static struct json_object *schema_parse(void)
{
    struct buf text = printed(conf_print_schema);
    struct json_tokener *tok = json_tokener_new();
    json_tokener_set_flags(tok, JSON_TOKENER_STRICT);
    struct json_object *o = json_tokener_parse_ex(tok, text.ptr, (int)text.len);
    ck_assert_msg(o != NULL, "%s", json_tokener_error_desc(json_tokener_get_error(tok)));
    json_tokener_free(tok);
    buf_deinit(&text);
    return o;
}

/* The schema of a key, by its path. */
static struct json_object *schema_key(struct json_object *root, const struct conf_key *k)
{
    const struct conf_group *g = conf_key_group(&conf_table, k);
    struct json_object *o = member(root, "properties");
    char name[64];
    if (g) {
        ck_assert(slice_to_cstr(g->name, name, sizeof(name)));
        o = member(o, name);
        o = conf_group_is_list(g) ? member(o, "items") : o;
        ck_assert(!json_object_get_boolean(member(o, "additionalProperties")));
        o = member(o, "properties");
    }
    ck_assert(slice_to_cstr(conf_key_leaf(k), name, sizeof(name)));
    return member(o, name);
}

START_TEST(the_schema_has_every_key_and_no_other)
{
    struct json_object *root = schema_parse();
    ck_assert_str_eq(json_object_get_string(member(root, "$schema")),
                     "https://json-schema.org/draft/2020-12/schema");
    ck_assert(!json_object_get_boolean(member(root, "additionalProperties")));
    size_t top = conf_table.group_count;
    for (size_t i = 0; i < conf_table.key_count; i++) {
        const struct conf_key *k = &conf_table.keys[i];
        struct json_object *o = schema_key(root, k);
        ck_assert_str_eq(json_object_get_string(member(o, "description")), k->doc);
        if (!(k->flags & CONF_SECRET)) {
            member(o, "default");
        }
        top += !conf_key_group(&conf_table, k);
    }
    ck_assert_int_eq(json_object_object_length(member(root, "properties")), (int)top);
    json_object_put(root);
}
END_TEST

START_TEST(the_schema_says_the_ranges)
{
    struct json_object *root = schema_parse();
    struct json_object *port = schema_key(root, conf_table_key(&conf_table, SLICE("relay.port")));
    ck_assert_str_eq(json_object_get_string(member(port, "type")), "integer");
    ck_assert_int_eq(json_object_get_int(member(port, "minimum")), 1);
    ck_assert_int_eq(json_object_get_int(member(port, "maximum")), 65535);
    ck_assert_int_eq(json_object_get_int(member(port, "default")), 25);
    struct json_object *level = schema_key(root, conf_table_key(&conf_table, SLICE("log.level")));
    ck_assert_uint_eq(json_object_array_length(member(level, "enum")), 4);
    struct json_object *nets = schema_key(root,
                                          conf_table_key(&conf_table, SLICE("access.networks")));
    ck_assert_str_eq(json_object_get_string(member(nets, "type")), "array");
    ck_assert_uint_eq(json_object_array_length(member(nets, "default")), 2);
    json_object_put(root);
}
END_TEST

/* ---- docs/CONFIG.md ------------------------------------------------------------------------ */

/* Runs before any chdir: in the source folder, or RINGPOST_TEST_SOURCE names it. */
START_TEST(the_documentation_is_what_the_table_says)
{
    const char *source = getenv("RINGPOST_TEST_SOURCE");
    char path[4096];
    static char file[1 << 18];
    snprintf(path, sizeof(path), "%s/docs/CONFIG.md", source ? source : ".");
    struct buf want = printed(conf_print_markdown);
    FILE *f = fopen(path, "r");
    size_t n = f ? fread(file, 1, sizeof(file), f) : 0;
    if (f) {
        fclose(f);
    }
    ck_assert_msg(slice_eq(slice_of(file, n), buf_slice(&want)),
                  "docs/CONFIG.md differs from core/conf/keys.c: "
                  "ringpost config --markdown > docs/CONFIG.md");
    buf_deinit(&want);
}
END_TEST

/* ---- secrets ------------------------------------------------------------------------------- */

struct secret_conf {
    struct slice password;
    uint16_t port;
};

static const struct conf_key secret_keys[] = {
    {.path = SLICE_INIT("auth.password"),
     .type = CONF_TEXT,
     .max = 8,
     .fallback = "",
     .flags = CONF_SECRET,
     .offset = offsetof(struct secret_conf, password),
     .size = sizeof(struct slice)},
    {.path = SLICE_INIT("auth.port"),
     .type = CONF_PORT,
     .min = 1,
     .max = 65535,
     .fallback = "1",
     .offset = offsetof(struct secret_conf, port),
     .size = sizeof(uint16_t)},
};
static const struct conf_group secret_groups[] = {{SLICE_INIT("auth"), "Auth.", 0, 0, 0, 0}};

START_TEST(secrets_are_redacted)
{
    const struct conf_table table = {secret_keys, 2, secret_groups, 1, sizeof(struct secret_conf)};
    struct secret_conf c = {SLICE("hunter2"), 99};
    struct buf out;
    buf_init(&out, 4096);
    conf_print_yaml_table(&table, &c, &out);
    buf_expect(&out, "auth:\n  password: \"(redacted)\"\n  port: 99\n");
    buf_deinit(&out);
}
END_TEST

START_TEST(quoting)
{
    struct buf out;
    buf_init(&out, 256);
    conf_quote_add(&out, SLICE("a\"b\\c\x01\x7f\xc3\xa9\xff"));
    buf_expect(&out, "\"a\\\"b\\\\c\\u0001\\u007f\xc3\xa9\\u00ff\"");
    buf_deinit(&out);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("core/conf/print");
    TCase *t = tcase_create("in a folder");
    tcase_add_checked_fixture(t, folder_enter, folder_leave);
    tcase_add_loop_test(t, the_effective_configuration_reads_back, 0,
                        (int)ARRAY_COUNT(round_cases));
    tcase_add_test(t, the_printed_defaults_are_the_defaults);
    suite_add_tcase(s, t);
    t = tcase_create("pure");
    tcase_add_test(t, the_schema_has_every_key_and_no_other);
    tcase_add_test(t, the_schema_says_the_ranges);
    tcase_add_test(t, the_documentation_is_what_the_table_says);
    tcase_add_test(t, secrets_are_redacted);
    tcase_add_test(t, quoting);
    suite_add_tcase(s, t);
    return suite_run(s);
}
