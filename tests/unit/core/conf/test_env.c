/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Names of variables, --set paths, and what they do to lists.
 */
#include "core/base/must.h"
#include "core/conf/env.h"
#include "tests/unit/core/conf/conf_testing.h"

/* ---- names --------------------------------------------------------------------------------- */

static const struct conf_key *key_of(const char *path)
{
    const struct conf_key *k = conf_table_key(&conf_table, slice_str(path));
    ck_assert_ptr_nonnull(k);
    return k;
}

/* The name of a key's variable with an index for "<n>" and, for lists, an item behind it. */
static void name_add(struct buf *out, const struct conf_key *k, unsigned index, bool item)
{
    struct buf pattern;
    buf_init(&pattern, 256);
    conf_env_name_add(&pattern, k);
    struct slice rest = buf_slice(&pattern);
    buf_add(out, slice_cut(&rest, '<'));
    if (rest.len) {
        buf_addf(out, "%u%.*s", index, SLICE_ARG(slice_skip(rest, 2)));
    }
    if (item) {
        buf_addf(out, "_%u", index);
    }
    buf_deinit(&pattern);
}

static size_t matches(struct slice name)
{
    size_t n = 0;
    for (size_t i = 0; i < conf_table.key_count; i++) {
        struct conf_table one = conf_table;
        struct conf_target t;
        one.keys = &conf_table.keys[i];
        one.key_count = 1;
        n += conf_env_match(&one, name, &t);
    }
    return n;
}

START_TEST(every_name_belongs_to_one_key)
{
    static const unsigned indexes[] = {0, 7, 63, 999};
    for (size_t i = 0; i < conf_table.key_count; i++) {
        const struct conf_key *k = &conf_table.keys[i];
        for (size_t j = 0; j < 2 * ARRAY_COUNT(indexes); j++) {
            bool item = j % 2 == 1;
            struct conf_target t;
            struct buf name;
            if (item && k->shape == CONF_ONE) {
                continue;
            }
            buf_init(&name, 256);
            name_add(&name, k, indexes[j / 2], item);
            ck_assert_msg(matches(buf_slice(&name)) == 1, "%.*s", SLICE_ARG(buf_slice(&name)));
            ck_assert(conf_env_match(&conf_table, buf_slice(&name), &t));
            ck_assert_ptr_eq(t.key, k);
            ck_assert(t.has_item == item && (!item || t.item == indexes[j / 2]));
            ck_assert(!conf_env_reserved(buf_slice(&name)));
            buf_deinit(&name);
        }
    }
}
END_TEST

START_TEST(every_row_is_complete)
{
    for (size_t i = 0; i < conf_table.key_count; i++) {
        const struct conf_key *k = &conf_table.keys[i];
        const char *path = k->path.ptr;
        ck_assert_msg(k->doc && slice_ends_nocase(slice_str(k->doc), SLICE(".")), "%s", path);
        ck_assert_msg(k->fallback != NULL, "%s", path);
        ck_assert_msg(k->size > 0 && (k->max == 0 || k->min <= k->max), "%s", path);
        ck_assert_msg((k->shape == CONF_ONE) == (k->items_max == 0), "%s", path);
        ck_assert_msg(k->items_min <= 1, "%s", path); /* env.c: one item is judged alone */
        ck_assert_msg(!(k->flags & CONF_EMPTY_OK) || k->empty, "%s", path);
        ck_assert_msg(!(k->flags & CONF_SECRET) || (k->flags & CONF_RELOAD), "%s", path);
        ck_assert_msg((k->type == CONF_ENUM) == (k->choices != NULL), "%s", path);
        ck_assert_msg(slice_find_byte(k->path, '.') < 0 || conf_key_group(&conf_table, k), "%s",
                      path);
        for (size_t j = 0; j < i; j++) {
            ck_assert_msg(!slice_eq(conf_table.keys[j].path, k->path), "%s", path);
            const struct conf_group *a = conf_key_group(&conf_table, k);
            const struct conf_group *b = conf_key_group(&conf_table, &conf_table.keys[j]);
            bool a_item = a && conf_group_is_list(a), b_item = b && conf_group_is_list(b);
            bool same_struct = a_item || b_item ? a == b : true;
            ck_assert_msg(!same_struct || conf_table.keys[j].offset != k->offset, "%s", path);
        }
    }
}
END_TEST

struct name_case {
    const char *name;
    const char *key; /* NULL: none */
    bool has_index, has_item;
    uint64_t index, item;
};

static const struct name_case env_cases[] = {
    {"RINGPOST_WORKERS", "workers", false, false, 0, 0},
    {"RINGPOST_SPOOL_DIR", "spool.dir", false, false, 0, 0},
    {"RINGPOST_LISTENERS_0_PORT", "listeners[].port", true, false, 0, 0},
    {"RINGPOST_LISTENERS_12_NORMALIZE_BARE_LF", "listeners[].normalize_bare_lf", true, false, 12,
     0},
    {"RINGPOST_ACCESS_NETWORKS", "access.networks", false, false, 0, 0},
    {"RINGPOST_ACCESS_NETWORKS_3", "access.networks", false, true, 0, 3},
    {"RINGPOST_LIMITS_CONNECTIONS_PER_IP", "limits.connections_per_ip", false, false, 0, 0},
    {"RINGPOST_", NULL, false, false, 0, 0},
    {"RINGPOST_SPOOL", NULL, false, false, 0, 0},
    {"RINGPOST_SPOOL_DIR_", NULL, false, false, 0, 0},
    {"RINGPOST_SPOOL_DIR_0", NULL, false, false, 0, 0},
    {"RINGPOST_SPOOL_DIR_FILE", NULL, false, false, 0, 0},
    {"RINGPOST_spool_dir", NULL, false, false, 0, 0},
    {"RINGPOST_LISTENERS_PORT", NULL, false, false, 0, 0},
    {"RINGPOST_LISTENERS__PORT", NULL, false, false, 0, 0},
    {"RINGPOST_LISTENERS_00_PORT", NULL, false, false, 0, 0},
    {"RINGPOST_LISTENERS_-1_PORT", NULL, false, false, 0, 0},
    {"RINGPOST_LISTENERS_9999999999_PORT", NULL, false, false, 0, 0},
    {"RINGPOST_LISTENERS_0_PORT_0", NULL, false, false, 0, 0},
    {"RINGPOST_ACCESS_NETWORKS_", NULL, false, false, 0, 0},
    {"RINGPOST_ACCESS_NETWORKS_01", NULL, false, false, 0, 0},
    {"ringpost_WORKERS", NULL, false, false, 0, 0},
};

static const struct name_case set_cases[] = {
    {"workers", "workers", false, false, 0, 0},
    {"listeners[0].port", "listeners[].port", true, false, 0, 0},
    {"listeners.10.port", "listeners[].port", true, false, 10, 0},
    {"access.networks[2]", "access.networks", false, true, 0, 2},
    {"access.networks.2", "access.networks", false, true, 0, 2},
    {"relay.host", "relay.host", false, false, 0, 0},
    {"listeners[].port", NULL, false, false, 0, 0},
    {"listeners[0]port", NULL, false, false, 0, 0},
    {"listeners[0", NULL, false, false, 0, 0},
    {"listeners[0].port[0]", NULL, false, false, 0, 0},
    {"Workers", NULL, false, false, 0, 0},
    {"workers.", NULL, false, false, 0, 0},
    {"workers[0]", NULL, false, false, 0, 0},
    {"", NULL, false, false, 0, 0},
};

static void name_check(const struct name_case *c, bool found, const struct conf_target *t)
{
    ck_assert_msg(found == (c->key != NULL), "%s", c->name);
    if (found) {
        ck_assert_ptr_eq(t->key, key_of(c->key));
        ck_assert(t->has_index == c->has_index && t->has_item == c->has_item);
        ck_assert_uint_eq(t->index, c->index);
        ck_assert_uint_eq(t->item, c->item);
    }
}

START_TEST(variable_names)
{
    const struct name_case *c = &env_cases[_i];
    struct conf_target t;
    name_check(c, conf_env_match(&conf_table, slice_str(c->name), &t), &t);
}
END_TEST

START_TEST(set_paths)
{
    const struct name_case *c = &set_cases[_i];
    struct conf_target t;
    name_check(c, conf_set_match(&conf_table, slice_str(c->name), &t), &t);
}
END_TEST

/* ---- values -------------------------------------------------------------------------------- */

struct apply_case {
    const char *file; /* or NULL */
    const char *env[6];
    const char *set[4];
    const char *expect; /* a line of `ringpost config`, or the errors when it ends in '\n' */
};

static const struct apply_case apply_cases[] = {
    {NULL, {"RINGPOST_LISTENERS_0_PORT=2600"}, {0}, "port: 2600"},
    {NULL, {"RINGPOST_LISTENERS_1_PORT=26", "RINGPOST_LISTENERS_0_PORT=25"}, {0}, "port: 26"},
    {NULL,
     {"RINGPOST_LISTENERS_2_PORT=26"},
     {0},
     "RINGPOST_LISTENERS_2_PORT: index 2 is not possible, the list has 1 items (0–1)\n"},
    {NULL,
     {"RINGPOST_LISTENERS_64_PORT=26"},
     {0},
     "RINGPOST_LISTENERS_64_PORT: index 64 is not possible, the list has 1 items (0–1)\n"},
    {"listeners: [{port: 1}, {port: 2}]\n",
     {"RINGPOST_LISTENERS_1_ADDRESS=::1"},
     {0},
     "- address: \"::1\""},
    {NULL,
     {"RINGPOST_ACCESS_NETWORKS=127.0.0.0/8,::1/128"},
     {0},
     "networks: [\"127.0.0.0/8\", \"::1/128\"]"},
    {NULL,
     {"RINGPOST_ACCESS_NETWORKS= 10.0.0.0/8 , 192.0.2.1"},
     {0},
     "networks: [\"10.0.0.0/8\", \"192.0.2.1/32\"]"},
    {NULL, {"RINGPOST_ACCESS_NETWORKS="}, {0}, "networks: []"},
    {NULL,
     {"RINGPOST_ACCESS_NETWORKS=10.0.0.0/8,"},
     {0},
     "RINGPOST_ACCESS_NETWORKS: is empty, must be a network\n"},
    {NULL,
     {"RINGPOST_ACCESS_NETWORKS_0=10.0.0.0/8"},
     {0},
     "networks: [\"10.0.0.0/8\", \"::1/128\"]"},
    {NULL,
     {"RINGPOST_ACCESS_NETWORKS_2=10.0.0.0/8"},
     {0},
     "networks: [\"127.0.0.0/8\", \"::1/128\", \"10.0.0.0/8\"]"},
    {NULL,
     {"RINGPOST_ACCESS_NETWORKS_1=::2", "RINGPOST_ACCESS_NETWORKS=10.0.0.0/8"},
     {0},
     "networks: [\"10.0.0.0/8\", \"::2/128\"]"},
    {NULL,
     {"RINGPOST_ACCESS_NETWORKS_3=10.0.0.0/8"},
     {0},
     "RINGPOST_ACCESS_NETWORKS_3: index 3 is not possible, the list has 2 items (0–2)\n"},
    {"queue: {schedule: [1m, 2m]}\n",
     {"RINGPOST_QUEUE_SCHEDULE_0=30s"},
     {0},
     "schedule: [30s, 2m]"},
    {"relay: {host: a.example}\n",
     {"RINGPOST_RELAY_HOST_1=b.example:26"},
     {0},
     "host: [\"a.example\", \"b.example:26\"]"},
    {NULL,
     {"RINGPOST_RELAY_HOST=[127.0.0.1]:2600,[::1]:2600"},
     {0},
     "host: [\"[127.0.0.1]:2600\", \"[::1]:2600\"]"},
    {"relay: {host: a.example}\n", {"RINGPOST_RELAY_HOST="}, {0}, "host: []"},
    {NULL,
     {"RINGPOST_RELAY_PORT=70000", "RINGPOST_IO_BACKEND=kqueue"},
     {0},
     "RINGPOST_IO_BACKEND: \"kqueue\" is not one of: auto, uring, epoll\n"
     "RINGPOST_RELAY_PORT: 70000 is not a port (1–65535)\n"},
    {NULL, {"RINGPOST_RELAY_PORT="}, {0}, "RINGPOST_RELAY_PORT: is empty, must be a port\n"},
    {NULL, {"RINGPOST_HEADERS_ADD_MISSING=true"}, {0}, "add_missing: true"},
    {NULL, {"RINGPOST_SPOOL_DIR=null"}, {0}, "dir: \"null\""},
    {NULL, {"RINGPOST_SPOOL_DIR=a=b"}, {0}, "dir: \"a=b\""},
    {"limits: {message_size: 1MiB}\n",
     {"RINGPOST_LIMITS_MESSAGE_SIZE=2MiB"},
     {"limits.message_size=3MiB"},
     "message_size: 3MiB"},
    {NULL, {0}, {"listeners[0].port=1", "listeners[1].port=2"}, "port: 2"},
    {NULL,
     {0},
     {"listeners[1].port=2525"},
     "--set listeners[1].port: 127.0.0.1:2525 is used by "
     "listeners[0] already\n"},
    {NULL, {0}, {"access.networks=10.0.0.0/8,::1"}, "networks: [\"10.0.0.0/8\", \"::1/128\"]"},
    {NULL, {0}, {"headers.strip[0]=X-A", "headers.strip[1]=X-B"}, "strip: [\"X-A\", \"X-B\"]"},
    {NULL, {0}, {"workers"}, "--set workers: must be written path=value\n"},
    {NULL,
     {0},
     {"limits=1"},
     "--set limits: not a key; set one of limits: message_size, "
     "recipients, connections, connections_per_ip, line_length, "
     "line_length_action, header_size, hops, errors, junk, memory, "
     "command_timeout, data_timeout, data_rate_min, data_rate_grace\n"},
    {NULL,
     {0},
     {"listeners.port=1"},
     "--set listeners.port: not a key; set one of listeners[0]: "
     "address, port, mode, normalize_bare_lf, "
     "tls, cert_file, key_file, client_ca_file, proxy_protocol, access, reject_at, attributes, priority, tenant\n"},
    {NULL, {0}, {"limits.hop=1"}, "--set limits.hop: unknown key; did you mean hops?\n"},
    {NULL, {0}, {"limit.hops=1"}, "--set limit.hops: unknown key; did you mean limits?\n"},
    {NULL,
     {0},
     {"listener[0].port=1"},
     "--set listener[0].port: unknown key; did you mean "
     "listeners?\n"},
    {NULL,
     {0},
     {"recipients=1"},
     "--set recipients: unknown key; did you mean "
     "limits.recipients?\n"},
    {NULL,
     {0},
     {"=1"},
     "--set : unknown key; known here: workers, identity, io, spool, listeners, "
     "access, local, tls, proxy, auth, users, sender, "
     "domains, dkim, limits, smtp, headers, relay, delivery, sources, source_pools, source_rules, warmup_plans, dns, queue, dsn, log, "
     "admin, sandbox, shutdown, shaping, automation\n"},
};

START_TEST(values_from_environment_and_set)
{
    const struct apply_case *c = &apply_cases[_i];
    struct conf_source src = {.environment = (char *const *)c->env, .set = c->set};
    struct buf out;
    while (c->set[src.set_count]) {
        src.set_count++;
    }
    if (c->file) {
        file_write("t.yaml", c->file, slice_str(c->file).len);
        src.file = "t.yaml";
    }
    struct loaded l = load(&src);
    struct slice want = slice_str(c->expect);
    if (want.ptr[want.len - 1] == '\n') {
        buf_expect(&l.errors, c->expect);
    } else {
        ck_assert_msg(l.conf != NULL, "%.*s", SLICE_ARG(buf_slice(&l.errors)));
        buf_init(&out, 1 << 16);
        conf_print_yaml(l.conf, &out);
        buf_add_byte(&out, '\0');
        ck_assert_msg(strstr(out.ptr, c->expect) != NULL, "no \"%s\" in:\n%s", c->expect, out.ptr);
        buf_deinit(&out);
    }
    unload(&l);
}
END_TEST

/* ---- what is not ours ----------------------------------------------------------------------- */

START_TEST(unknown_names_are_warned_about_and_foreign_ones_are_not)
{
    char *environment[] = {(char *)"RINGPOST_WORKER=2",
                           (char *)"RINGPOST_CACHE=/x",
                           (char *)"RINGPOST_BIN=/x",
                           (char *)"RINGPOST_PEERS=x",
                           (char *)"RINGPOST_TEST_X=1",
                           (char *)"RINGPOST_COLOUR=red",
                           (char *)"RINGPOST_PORT=tcp://10.0.0.1:25",
                           (char *)"RINGPOST_SERVICE_HOST=10.0.0.1",
                           (char *)"RINGPOST_PORT_25_TCP_ADDR=10.0.0.1",
                           (char *)"RINGPOST_A_SERVICE_PORT_SMTP=25",
                           (char *)"RINGPOST_RELAY_PORT=tcp://10.0.0.1:25",
                           (char *)"RINGPOSTX=1",
                           (char *)"=x",
                           (char *)"RINGPOST_NOVALUE",
                           NULL};
    struct conf_source src = {.environment = environment};
    struct loaded l = load(&src);
    ck_assert_ptr_nonnull(l.conf);
    ck_assert_uint_eq(l.conf->relay.port, 25);
    buf_expect(&l.warnings,
               "RINGPOST_COLOUR: no key has this name, ignored\n"
               "RINGPOST_NOVALUE: no key has this name, ignored\n"
               "RINGPOST_RELAY_PORT: looks like a Kubernetes service variable, ignored\n"
               "RINGPOST_WORKER: no key has this name, ignored; did you mean RINGPOST_WORKERS?\n");
    unload(&l);
}
END_TEST

START_TEST(too_many_variables_are_refused)
{
    enum { COUNT = CONF_ENV_VARIABLES_MAX + 1 };
    char *environment[COUNT + 1] = {0};
    for (size_t i = 0; i < COUNT; i++) {
        environment[i] = (char *)"RINGPOST_WORKERS=1";
    }
    struct conf_source src = {.environment = environment};
    struct loaded l = load(&src);
    buf_expect(&l.errors,
               "environment: more than 2000 variables or 1048576 bytes begin with RINGPOST_\n");
    unload(&l);
}
END_TEST

START_TEST(a_long_list_is_bounded)
{
    enum { BYTES = 900000 };
    char *variable = calloc(1, BYTES + 1);
    ck_assert_ptr_nonnull(variable);
    memset(variable, ',', BYTES);
    memcpy(variable, "RINGPOST_ACCESS_NETWORKS=", 25);
    char *environment[] = {variable, NULL};
    struct conf_source src = {.environment = environment};
    struct loaded l = load(&src);
    buf_expect(&l.errors, "RINGPOST_ACCESS_NETWORKS: has 1001 items, allowed are 0–1000\n");
    unload(&l);
    free(variable);
}
END_TEST

/* ---- secrets: a table of the test's own until a key needs one ------------------------------- */

struct secret_conf {
    struct slice password;
};

static const struct conf_key secret_keys[] = {
    {.path = SLICE_INIT("auth.password"),
     .type = CONF_TEXT,
     .min = 1,
     .max = 8,
     .fallback = "",
     .flags = CONF_SECRET | CONF_RELOAD | CONF_EMPTY_OK,
     .empty = "none",
     .doc = "Secret.",
     .offset = offsetof(struct secret_conf, password),
     .size = sizeof(struct slice)},
};
static const struct conf_group secret_groups[] = {{SLICE_INIT("auth"), "Auth.", 0, 0, 0, 0}};
static const struct conf_table secret_table = {secret_keys, 1, secret_groups, 1,
                                               sizeof(struct secret_conf)};

/* The password after applying one variable; errors are appended to `errors`. */
static void secret_apply(const char *variable, struct conf_arena *arena, struct secret_conf *out,
                         struct buf *errors)
{
    char *environment[] = {(char *)variable, NULL};
    bool bad[1] = {false};
    size_t nodes = 100;
    struct conf_origin from = {.kind = CONF_FROM_DEFAULT};
    struct conf_report report = {.errors = errors};
    struct conf_machine machine = {0};
    struct conf_apply a = {&secret_table, &report, NULL, arena, bad, 0, &machine};
    struct conf_node *root = conf_node_new(arena, CONF_NODE_MAP, &from);
    conf_env_apply(&a, root, environment, &nodes);
    a.conf = out;
    conf_apply_defaults(&a, NULL, out);
    conf_apply_tree(&a, root);
}

struct secret_case {
    const char *variable;
    const char *file; /* contents of ./secret, or NULL */
    const char *password;
    const char *errors;
};

static const struct secret_case secret_cases[] = {
    {"RINGPOST_AUTH_PASSWORD=hunter2", NULL, "hunter2", ""},
    {"RINGPOST_AUTH_PASSWORD_FILE=secret", "hunter2\n", "hunter2", ""},
    {"RINGPOST_AUTH_PASSWORD_FILE=secret", "hunter2\r\n", "hunter2", ""},
    {"RINGPOST_AUTH_PASSWORD_FILE=secret", "", "", ""},
    {"RINGPOST_AUTH_PASSWORD_FILE=secret", "much-too-long-a-secret", "",
     "RINGPOST_AUTH_PASSWORD_FILE: is not valid, must be a text\n"},
    {"RINGPOST_AUTH_PASSWORD=a \xc3\xbc\n", NULL, "a \xc3\xbc\n", ""},
    {"RINGPOST_AUTH_PASSWORD_FILE=secret", NULL, "",
     "RINGPOST_AUTH_PASSWORD_FILE: secret: cannot be read: No such file or directory\n"},
};

START_TEST(secrets_come_from_files_too_and_are_never_shown)
{
    const struct secret_case *c = &secret_cases[_i];
    struct secret_conf out = {0};
    struct buf errors;
    struct conf_arena *arena = conf_arena_new(1 << 16);
    ck_assert_ptr_nonnull(arena);
    buf_init(&errors, 4096);
    if (c->file) {
        file_write("secret", c->file, slice_str(c->file).len);
    }
    secret_apply(c->variable, arena, &out, &errors);
    slice_expect(out.password, c->password);
    buf_expect(&errors, c->errors);
    buf_deinit(&errors);
    conf_arena_free(arena);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("core/conf/env");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, folder_enter, folder_leave);
    tcase_add_test(t, every_name_belongs_to_one_key);
    tcase_add_test(t, every_row_is_complete);
    tcase_add_loop_test(t, variable_names, 0, (int)ARRAY_COUNT(env_cases));
    tcase_add_loop_test(t, set_paths, 0, (int)ARRAY_COUNT(set_cases));
    tcase_add_loop_test(t, values_from_environment_and_set, 0, (int)ARRAY_COUNT(apply_cases));
    tcase_add_test(t, unknown_names_are_warned_about_and_foreign_ones_are_not);
    tcase_add_test(t, too_many_variables_are_refused);
    tcase_add_test(t, a_long_list_is_bounded);
    tcase_add_loop_test(t, secrets_come_from_files_too_and_are_never_shown, 0,
                        (int)ARRAY_COUNT(secret_cases));
    suite_add_tcase(s, t);
    return suite_run(s);
}
