/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/conf/check.h"
#include "core/base/must.h"
#include "core/base/units.h"
#include "core/conf/egress.h"
#include "core/conf/mailbox.h"
#include "core/conf/value_names.h"
#include "core/conf/warmup.h"

struct check {
    const struct conf_apply *a;
    const struct conf_node *root;
    const struct conf *c;
    struct conf_report *report;
};

/* ---- derived values ------------------------------------------------------------------------ */

static struct slice join(struct conf_arena *arena, struct slice a, struct slice b)
{
    char *p = conf_arena_take(arena, a.len + b.len);
    memcpy(p, a.ptr, a.len);
    memcpy(p + a.len, b.ptr, b.len);
    return slice_of(p, a.len + b.len);
}

static struct slice machine_name(struct conf_apply *a)
{
    struct slice name = conf_machine_name(a->machine);
    struct conf_origin from = {.kind = CONF_FROM_DEFAULT};
    if (conf_domain_valid(name)) {
        return conf_arena_copy(a->arena, name);
    }
    conf_report_warning(a->report, &from, SLICE("identity.hostname"),
                        "the machine's name is no host name, using \"localhost\"");
    return conf_arena_copy(a->arena, SLICE("localhost"));
}

static void derive_listeners(struct conf_listener *l, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bool submission = l[i].mode == CONF_MODE_SUBMISSION;
        if (l[i].access == CONF_ACCESS_AUTO) {
            l[i].access = submission ? CONF_ACCESS_AUTH : CONF_ACCESS_NETWORK;
        }
        if (l[i].reject_at == CONF_REJECT_AT_AUTO) {
            l[i].reject_at = submission ? CONF_REJECT_AT_MAIL : CONF_REJECT_AT_RCPT;
        }
    }
}

void conf_derive(struct conf_apply *a, struct conf *c)
{
    must(a->conf == c);
    if (c->identity.hostname.len == 0) {
        c->identity.hostname = machine_name(a);
    }
    if (c->delivery.helo_name.len == 0) {
        c->delivery.helo_name = c->identity.hostname;
    }
    if (c->dsn.from.len == 0) {
        c->dsn.from = join(a->arena, SLICE("MAILER-DAEMON@"), c->identity.hostname);
    }
    if (c->admin.socket.len == 0) {
        bool slash = c->spool.dir.ptr[c->spool.dir.len - 1] == '/';
        c->admin.socket = join(a->arena, c->spool.dir,
                               slash ? SLICE("admin.sock") : SLICE("/admin.sock"));
    }
    /* The items were made by this load and nobody else has seen them yet. */
    conf_egress_derive(c);
    derive_listeners((struct conf_listener *)c->listeners.items, c->listeners.count);
    struct conf_relay_host *hosts = (struct conf_relay_host *)c->relay.host.items;
    for (size_t i = 0; i < c->relay.host.count; i++) {
        struct conf_relay_host *h = &hosts[i];
        h->port = h->has_port ? h->port : c->relay.port;
        h->use_mx = c->relay.lookup == CONF_LOOKUP_MX && !h->bracketed && h->addr.family == IP_NONE;
    }
}

/* ---- relations ----------------------------------------------------------------------------- */

static bool good(const struct check *k, struct slice path)
{
    const struct conf_key *key = conf_table_key(k->a->table, path);
    must(key != NULL);
    return !k->a->bad_keys[key - k->a->table->keys];
}

static bool both_good(const struct check *k, struct slice a, struct slice b)
{
    return good(k, a) && good(k, b);
}

/* Where a key was set; a key left out has no place. */
static struct conf_origin place_of(const struct check *k, struct slice path)
{
    struct conf_origin none = {.kind = CONF_FROM_DEFAULT};
    struct slice leaf = path;
    const struct conf_node *g = conf_node_find(k->root, slice_cut(&leaf, '.'));
    if (!g || g->kind != CONF_NODE_MAP) {
        return none;
    }
    const struct conf_node *n = conf_node_find(g, leaf);
    return n ? n->origin : none;
}

static void number_add(struct buf *out, const struct check *k, struct slice path, uint64_t v)
{
    union conf_value value = {.number = v};
    conf_value_print(conf_table_key(k->a->table, path), &value, out);
}

/* "a: 5m is less than b (1h)" */
static void less_report(const struct check *k, struct slice a, uint64_t va, const char *relation,
                        struct slice b, uint64_t vb)
{
    struct buf text;
    struct conf_origin at = place_of(k, a);
    buf_init(&text, 512);
    if (at.kind == CONF_FROM_DEFAULT) {
        /* Our default does not fit what was set. */
        at = place_of(k, b);
        if (at.kind == CONF_FROM_ENV || at.kind == CONF_FROM_SET) {
            buf_addf(&text, "%.*s: ", SLICE_ARG(a));
        }
    }
    number_add(&text, k, a, va);
    buf_addf(&text, " %s %.*s (", relation, SLICE_ARG(b));
    number_add(&text, k, b, vb);
    buf_add_byte(&text, ')');
    conf_report_error(k->report, &at, a, "%.*s", SLICE_ARG(buf_slice(&text)));
    buf_deinit(&text);
}

/* a must not be above b. */
static void check_order(const struct check *k, struct slice a, uint64_t va, struct slice b,
                        uint64_t vb)
{
    if (va > vb && both_good(k, a, b)) {
        less_report(k, a, va, "is more than", b, vb);
    }
}

/* The same place: an address and port can be bound once. */
static void check_listeners(const struct check *k)
{
    const struct conf_listeners *l = &k->c->listeners;
    const struct conf_node *list = conf_node_find(k->root, SLICE("listeners"));
    if (!both_good(k, SLICE("listeners[].address"), SLICE("listeners[].port"))) {
        return;
    }
    for (size_t i = 0; i < l->count; i++) {
        for (size_t j = 0; j < i; j++) {
            const struct ip_endpoint a = {l->items[i].address, l->items[i].port};
            const struct ip_endpoint b = {l->items[j].address, l->items[j].port};
            if (!ip_endpoint_eq(&a, &b)) {
                continue;
            }
            char text[IP_ENDPOINT_TEXT_MAX], path[64];
            struct buf shown;
            const struct conf_node *n = list ? conf_node_at(list, i) : NULL;
            struct conf_origin none = {.kind = CONF_FROM_DEFAULT};
            buf_init(&shown, sizeof(path));
            buf_addf(&shown, "listeners[%zu]", i);
            conf_report_error(k->report, n ? &n->origin : &none, buf_slice(&shown),
                              "%s is used by listeners[%zu] already", ip_endpoint_text(&a, text),
                              j);
            buf_deinit(&shown);
            break;
        }
    }
}

static void check_queue(const struct check *k)
{
    const struct conf_queue *q = &k->c->queue;
    struct conf_origin at = place_of(k, SLICE("dsn.delay_after"));
    if (both_good(k, SLICE("queue.schedule"), SLICE("queue.max_age")) &&
        q->max_age_ms < q->schedule.items[0]) {
        less_report(k, SLICE("queue.max_age"), q->max_age_ms, "is less than the first wait of",
                    SLICE("queue.schedule"), q->schedule.items[0]);
    }
    if (both_good(k, SLICE("dsn.delay_after"), SLICE("queue.max_age")) &&
        at.kind != CONF_FROM_DEFAULT && k->c->dsn.delay_after_ms >= q->max_age_ms) {
        conf_report_warning(k->report, &at, SLICE("dsn.delay_after"),
                            "is not less than queue.max_age: no delay report will be sent");
    }
}

static void check_delivery(const struct check *k)
{
    const struct conf_delivery *d = &k->c->delivery;
    struct conf_origin at = place_of(k, SLICE("delivery.ipv4"));
    if (at.kind == CONF_FROM_DEFAULT) {
        at = place_of(k, SLICE("delivery.ipv6"));
    }
    if (!d->ipv4 && !d->ipv6 && both_good(k, SLICE("delivery.ipv4"), SLICE("delivery.ipv6"))) {
        conf_report_error(k->report, &at, SLICE("delivery.ipv4"),
                          "false, and delivery.ipv6 too: one of them must be true");
    }
}

/* Port 465 speaks TLS from the first byte (RFC 8314 7.3), and a client that waits for a greeting there
 * waits in vain: nothing is guessed, but something is said. */
static void check_implicit_tls(const struct check *k)
{
    const struct conf_relay *r = &k->c->relay;
    struct slice key = SLICE("relay.implicit_tls"), tls = SLICE("relay.tls");
    struct conf_origin at = place_of(k, key);
    if (!good(k, key) || !both_good(k, tls, SLICE("relay.host")) || !good(k, SLICE("relay.port"))) {
        return;
    }
    if (r->implicit_tls && r->tls == CONF_TLS_NONE) {
        conf_report_error(k->report, &at, key, "true, and relay.tls is none");
    }
    for (size_t i = 0; i < r->host.count && !r->implicit_tls; i++) {
        if (r->host.items[i].port == 465) {
            at = place_of(k, SLICE("relay.host"));
            conf_report_warning(k->report, &at, SLICE("relay.host"),
                                "port 465 usually needs relay.implicit_tls: true");
            return;
        }
    }
}

static void check_spool(const struct check *k)
{
    const struct conf_spool *s = &k->c->spool;
    if (s->max_bytes && s->max_bytes < 2 * s->segment_bytes &&
        both_good(k, SLICE("spool.max_size"), SLICE("spool.segment_size"))) {
        less_report(k, SLICE("spool.max_size"), s->max_bytes, "is less than two times",
                    SLICE("spool.segment_size"), s->segment_bytes);
    }
}

/* Items of a list group are told apart by a name: it must be there, and once. */
static void check_names(const struct check *k, struct slice group, size_t count,
                        struct slice (*name_of)(const struct conf *c, size_t i),
                        bool (*same)(const struct conf *c, size_t i, size_t j))
{
    const struct conf_node *list = conf_node_find(k->root, group);
    struct buf path;
    buf_init(&path, 128);
    buf_addf(&path, "%.*s[].name", SLICE_ARG(group));
    bool readable = good(k, buf_slice(&path));
    for (size_t i = 0; i < count && readable; i++) {
        struct slice name = name_of(k->c, i);
        const struct conf_node *n = list ? conf_node_at(list, i) : NULL;
        struct conf_origin none = {.kind = CONF_FROM_DEFAULT};
        size_t j = 0;
        while (j < i && !same(k->c, i, j)) {
            j++;
        }
        buf_clear(&path);
        buf_addf(&path, "%.*s[%zu].name", SLICE_ARG(group), i);
        if (name.len == 0) {
            conf_report_error(k->report, n ? &n->origin : &none, buf_slice(&path), "is missing");
        } else if (j < i) {
            conf_report_error(k->report, n ? &n->origin : &none, buf_slice(&path),
                              "\"%.*s\" is %.*s[%zu] already", SLICE_ARG(name), SLICE_ARG(group),
                              j);
        }
    }
    buf_deinit(&path);
}

static struct slice user_name(const struct conf *c, size_t i)
{
    return c->users.items[i].name;
}

static struct slice domain_name(const struct conf *c, size_t i)
{
    return c->domains.items[i].name;
}

static bool user_same(const struct conf *c, size_t i, size_t j)
{
    return slice_eq_nocase(user_name(c, i), user_name(c, j));
}

/* A domain may stand there once per selector: RSA and Ed25519, the old key and the next one. */
static bool domain_same(const struct conf *c, size_t i, size_t j)
{
    const struct conf_domain *a = &c->domains.items[i], *b = &c->domains.items[j];
    struct slice sa = a->dkim_selector.len ? a->dkim_selector : c->dkim.selector;
    struct slice sb = b->dkim_selector.len ? b->dkim_selector : c->dkim.selector;
    return slice_eq_nocase(a->name, b->name) && slice_eq_nocase(sa, sb);
}

static void check_pair(const struct check *k, struct slice a, bool a_set, struct slice b,
                       bool b_set)
{
    if (a_set && !b_set) {
        struct conf_origin at = place_of(k, a);
        conf_report_error(k->report, &at, a, "needs %.*s too", SLICE_ARG(b));
    }
}

/* A certificate without its key, a password without its user. */
static void check_pairs(const struct check *k)
{
    const struct conf_tls *t = &k->c->tls;
    const struct conf_relay *r = &k->c->relay;
    struct slice cert = SLICE("tls.cert_file"), key = SLICE("tls.key_file");
    struct slice client_cert = SLICE("tls.client_cert_file");
    struct slice client_key = SLICE("tls.client_key_file");
    struct slice signing = SLICE("dkim.signing_table"), keys = SLICE("dkim.key_table");
    if (both_good(k, cert, key) && t->cert_file.count != t->key_file.count) {
        struct conf_origin at = place_of(k, t->cert_file.count ? cert : key);
        conf_report_error(k->report, &at, t->cert_file.count ? cert : key,
                          "%zu certificates and %zu keys: each certificate needs its key",
                          t->cert_file.count, t->key_file.count);
    }
    check_pair(k, client_cert, t->client_cert_file.len > 0, client_key, t->client_key_file.len > 0);
    check_pair(k, client_key, t->client_key_file.len > 0, client_cert, t->client_cert_file.len > 0);
    check_pair(k, signing, k->c->dkim.signing_table.len > 0, keys, k->c->dkim.key_table.len > 0);
    check_pair(k, SLICE("relay.username"), r->username.len > 0, SLICE("relay.password"),
               r->password.len > 0 || r->token_file.len > 0);
    check_pair(k, SLICE("relay.password"), r->password.len > 0, SLICE("relay.username"),
               r->username.len > 0);
    check_pair(k, SLICE("relay.token_file"), r->token_file.len > 0, SLICE("relay.username"),
               r->username.len > 0);
}

static void check_access(const struct check *k)
{
    const struct conf_nets *nets = &k->c->access.networks;
    struct conf_origin at = place_of(k, SLICE("access.networks"));
    for (size_t i = 0; i < nets->count; i++) {
        if (nets->items[i].prefix_bits == 0) {
            conf_report_warning(k->report, &at, SLICE("access.networks"),
                                "a /0 lets the whole Internet send through this server");
            return;
        }
    }
}

/* One field cannot say two things. */
static void check_attribute_fields(const struct check *k)
{
    const struct conf_headers *h = &k->c->headers;
    const struct {
        struct slice key, name;
    } fields[] = {
        {SLICE("headers.priority"), h->priority}, {SLICE("headers.tenant"), h->tenant},
        {SLICE("headers.campaign"), h->campaign}, {SLICE("headers.send_at"), h->send_at},
        {SLICE("headers.expire"), h->expire},     {SLICE("headers.source"), h->source},
    };
    for (size_t i = 0; i < ARRAY_COUNT(fields); i++) {
        for (size_t j = 0; j < i; j++) {
            if (fields[i].name.len && both_good(k, fields[i].key, fields[j].key) &&
                slice_eq_nocase(fields[i].name, fields[j].name)) {
                struct conf_origin at = place_of(k, fields[i].key);
                conf_report_error(k->report, &at, fields[i].key, "the same as %.*s",
                                  SLICE_ARG(fields[j].key));
            }
        }
    }
}

/* One refused value may be the name that others are missing. */
static void check_egress(const struct check *k)
{
    const struct conf_table *t = k->a->table;
    bool bad = false;
    for (size_t i = 0; i < t->key_count; i++) {
        const struct conf_group *g = conf_key_group(t, &t->keys[i]);
        bool mine = g && (g->offset == offsetof(struct conf, sources) ||
                          g->offset == offsetof(struct conf, source_pools) ||
                          g->offset == offsetof(struct conf, source_rules) ||
                          g->offset == offsetof(struct conf, warmup_plans));
        bad = bad || (mine && k->a->bad_keys[i]);
    }
    conf_egress_check(k->report, k->root, k->c, bad);
    if (!bad) {
        conf_warmup_check(k->report, k->root, k->c);
    }
}

static void check_local(const struct check *k)
{
    struct slice key = SLICE("local.maildir");
    const char *why;
    if (k->c->local.maildir.len && good(k, key) &&
        !mailbox_pattern_valid(k->c->local.maildir, &why)) {
        struct conf_origin at = place_of(k, key);
        conf_report_error(k->report, &at, key, "%s", why);
    }
}

void conf_check(const struct conf_apply *a, const struct conf_node *root, const struct conf *c)
{
    const struct check k = {a, root, c, a->report};
    must(c->queue.schedule.count > 0);
    check_spool(&k);
    check_listeners(&k);
    check_access(&k);
    check_local(&k);
    check_egress(&k);
    check_attribute_fields(&k);
    check_pairs(&k);
    check_names(&k, SLICE("users"), c->users.count, user_name, user_same);
    check_names(&k, SLICE("domains"), c->domains.count, domain_name, domain_same);
    check_delivery(&k);
    check_implicit_tls(&k);
    check_order(&k, SLICE("dns.ttl_min"), c->dns.ttl_min_ms, SLICE("dns.ttl_max"),
                c->dns.ttl_max_ms);
    check_queue(&k);
}
