/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * conf - the effective configuration
 *
 * Purpose:   one struct with every setting, read from (in this order, later wins) defaults, the file,
 *            conf.d/<name>.yaml beside the file (sorted by name), the environment, --set; for shaping also
 *            shaping.d/<name>.yaml, for automation automation.d/<name>.yaml. Profiles
 *            (core/conf/profile.h) bring the variables and files of other systems in between.
 *            What exists, its range, default and documentation is core/conf/keys.c: one row per key.
 * Owner:     conf_load makes it, conf_free ends it; the caller owns it. All text and lists inside
 *            live in an arena of the conf and end with it. Every slice has a NUL behind its last byte
 *            and none inside, so .ptr may go to an API that wants a C string.
 * Thread:    immutable after conf_load: any number of threads may read it. A reload makes a new one.
 * Units:     durations in milliseconds (_ms), sizes in bytes (_bytes), everything else a count.
 * Limits:    a file is at most 1 MiB, 16 levels deep, 50,000 nodes; no anchors, aliases or tags.
 * Errors:    conf_load returns NULL and has written one line per error to `errors`, each
 *            "file:line:col: key: what is wrong, what is allowed" ("RINGPOST_X: …", "--set x: …").
 *            All errors are found in one go. Warnings never stop the start.
 */
#ifndef RINGPOST_CONF_CONF_H
#define RINGPOST_CONF_CONF_H

#include "core/base/ipaddr.h"
#include "core/base/slice.h"

enum conf_io_backend { CONF_IO_AUTO, CONF_IO_URING, CONF_IO_EPOLL };
enum conf_listener_mode { CONF_MODE_RELAY, CONF_MODE_SUBMISSION };
enum conf_listener_tls {
    CONF_LISTENER_TLS_NONE,
    CONF_LISTENER_TLS_MAY,
    CONF_LISTENER_TLS_ENCRYPT,
    CONF_LISTENER_TLS_IMPLICIT
};
enum conf_proxy { CONF_PROXY_OFF, CONF_PROXY_REQUIRED };
enum conf_access_rule {
    CONF_ACCESS_NETWORK,
    CONF_ACCESS_AUTH,
    CONF_ACCESS_AUTH_AND_NETWORK,
    CONF_ACCESS_AUTH_OR_NETWORK,
    CONF_ACCESS_AUTO /* by mode; one of the others after loading */
};
enum conf_reject_at {
    CONF_REJECT_AT_RCPT,
    CONF_REJECT_AT_MAIL,
    CONF_REJECT_AT_AUTO /* by mode; one of the others after loading */
};
/* Whose word on priority, tenant, campaign and times counts. */
enum conf_attributes { CONF_ATTRIBUTES_CLIENTS, CONF_ATTRIBUTES_AUTH, CONF_ATTRIBUTES_NOBODY };
enum conf_priority {
    CONF_PRIORITY_AUTO, /* not said: what comes next decides, at the end NORMAL */
    CONF_PRIORITY_URGENT,
    CONF_PRIORITY_NORMAL,
    CONF_PRIORITY_BULK
};
enum conf_refuse_code { CONF_REFUSE_554, CONF_REFUSE_550 };
enum conf_tls_missing {
    CONF_TLS_MISSING_FAIL,
    CONF_TLS_MISSING_DISABLE,
    CONF_TLS_MISSING_SELF_SIGNED
};
enum conf_sender_restrict { CONF_SENDER_ANY, CONF_SENDER_DOMAIN, CONF_SENDER_EMAIL };
enum conf_tls_policy {
    CONF_TLS_NONE,
    CONF_TLS_MAY,
    CONF_TLS_ENCRYPT,
    CONF_TLS_VERIFY,
    CONF_TLS_POLICIES
};
enum conf_dkim_canon {
    CONF_DKIM_RELAXED_RELAXED,
    CONF_DKIM_RELAXED_SIMPLE,
    CONF_DKIM_SIMPLE_RELAXED,
    CONF_DKIM_SIMPLE_SIMPLE
};
enum conf_line_action { CONF_LINE_REJECT, CONF_LINE_PASS };
enum conf_received { CONF_RECEIVED_ADD, CONF_RECEIVED_NONE };
enum conf_relay_lookup { CONF_LOOKUP_HOST, CONF_LOOKUP_MX };
enum conf_private_targets { CONF_PRIVATE_DENY, CONF_PRIVATE_ALLOW };
enum conf_log_format { CONF_LOG_JSON };
enum conf_sandbox_mode { CONF_SANDBOX_AUTO, CONF_SANDBOX_ENFORCE, CONF_SANDBOX_OFF };
enum conf_egress_proxy_kind { CONF_EGRESS_DIRECT, CONF_EGRESS_SOCKS5, CONF_EGRESS_PROXY_V2 };

enum { CONF_EGRESS_MAX = 1000, CONF_WEIGHT_MAX = 1000000 };
enum conf_log_level { CONF_LOG_DEBUG, CONF_LOG_INFO, CONF_LOG_WARN, CONF_LOG_ERROR };

/* Lists: items is NULL when count is 0. */
struct conf_nets {
    const struct ip_net *items;
    size_t count;
};
struct conf_endpoints {
    const struct ip_endpoint *items;
    size_t count;
};
struct conf_addresses {
    const struct ip_addr *items;
    size_t count;
};
struct conf_durations {
    const uint64_t *items; /* milliseconds */
    size_t count;
};
struct conf_names {
    const struct slice *items;
    size_t count;
};

/* A smarthost. A literal address has addr set (family not IP_NONE) and its text in name. */
struct conf_relay_host {
    struct slice name;
    struct ip_addr addr;
    uint16_t port;  /* relay.port where the text named none */
    bool use_mx;    /* look up MX of name first (unbracketed name and relay.lookup: mx) */
    bool bracketed; /* written as [name] */
    bool has_port;  /* the text named one */
};
struct conf_relay_hosts {
    const struct conf_relay_host *items;
    size_t count;
};

/* A name with its share: "ip1:3". */
struct conf_weight {
    struct slice name;
    uint32_t weight;
};
struct conf_weights {
    const struct conf_weight *items;
    size_t count;
};

struct conf_egress_proxy {
    enum conf_egress_proxy_kind kind;
    struct ip_endpoint at;
};

struct conf_egress_source {
    struct slice name;
    struct conf_addresses addresses; /* at most one of each family */
    struct slice ehlo;               /* never empty: delivery.helo_name unless set */
    struct conf_egress_proxy proxy;
    struct slice proxy_user;
    struct slice proxy_password;
    struct slice warmup; /* a plan; empty: none */
    uint32_t warmup_start_day;
};
struct conf_warmup_plans {
    const struct conf_warmup_plan *items; /* core/conf/warmup_plan.h */
    size_t count;
};

struct conf_egress_sources {
    const struct conf_egress_source *items;
    size_t count;
};

struct conf_egress_pool {
    struct slice name;
    struct conf_weights sources;
};
struct conf_egress_pools {
    const struct conf_egress_pool *items;
    size_t count;
};

/* All that is set must match. */
struct conf_egress_rule {
    struct slice tenant;
    struct slice campaign;
    struct slice sender_domain;
    struct slice pool; /* or a source */
};
struct conf_egress_rules {
    const struct conf_egress_rule *items;
    size_t count;
};

struct conf_listener {
    struct ip_addr address;
    uint16_t port;
    enum conf_listener_mode mode;
    bool normalize_bare_lf;
    enum conf_listener_tls tls;
    struct conf_names cert_file; /* empty: tls.cert_file */
    struct conf_names key_file;
    struct slice client_ca_file; /* empty: no client certificates are asked for */
    enum conf_proxy proxy_protocol;
    enum conf_access_rule access;
    enum conf_reject_at reject_at;
    enum conf_attributes attributes;
    enum conf_priority priority;
    struct slice tenant; /* empty: none */
};
struct conf_listeners {
    const struct conf_listener *items;
    size_t count;
};

struct conf_identity {
    struct slice hostname; /* never empty */
};

struct conf_io {
    enum conf_io_backend backend;
    uint32_t ring_entries; /* power of two */
};

struct conf_spool {
    struct slice dir;
    uint64_t segment_bytes; /* multiple of 1 MiB */
    uint64_t max_bytes;     /* 0: no limit of our own */
    uint64_t min_free_bytes;
};

struct conf_access {
    struct conf_nets networks;
    struct conf_names relay_domains;   /* mail for these is taken from anybody */
    struct conf_names local_domains;   /* never relayed */
    enum conf_refuse_code refuse_code; /* of those who may not relay */
};

struct conf_local {
    struct slice maildir; /* pattern, see core/conf/mailbox.h; empty: no mailboxes here */
    bool create;
};

struct conf_tls {
    struct conf_names cert_file; /* PEM chains; several: the first is the default, SNI chooses */
    struct conf_names key_file;  /* one per certificate */
    struct slice cert_pem;
    struct slice key_pem;
    enum conf_tls_missing on_missing;
    struct slice ca_file; /* trusted for outgoing connections */
    struct slice client_cert_file;
    struct slice client_key_file;
};

struct conf_proxy_protocol {
    struct conf_nets networks; /* load balancers that may send a PROXY header */
    uint64_t timeout_ms;
};

struct conf_auth {
    bool require_tls;
    bool cram_md5;
    struct conf_names users_file;
    uint32_t session_failures_max; /* 0: no limit */
    uint32_t failures_max;         /* 0: no limit */
    uint64_t lockout_ms;
};

struct conf_user {
    struct slice name;
    struct slice password;          /* in clear, or a hash of crypt(5), or {SHA256}hex */
    struct conf_names allowed_from; /* address or @domain; empty: no restriction */
    enum conf_priority priority;
    struct slice tenant; /* empty: the listener's */
};
struct conf_users {
    const struct conf_user *items;
    size_t count;
};

struct conf_sender {
    enum conf_sender_restrict restrict_to;
    bool check_header;
};

struct conf_domain {
    struct slice name;
    struct slice dkim_selector;
    struct slice dkim_key_file;
    struct slice dkim_key_pem;
    enum conf_dkim_canon dkim_canonicalization;
};
struct conf_domains {
    const struct conf_domain *items;
    size_t count;
};

struct conf_dkim {
    struct slice selector; /* of the default key, for every domain without its own */
    struct slice key_file;
    struct slice key_pem;
    enum conf_dkim_canon canonicalization;
    bool subdomains; /* a domain's key also signs for the domains below it */
    struct slice signing_table;
    struct slice key_table;
};

struct conf_limits {
    uint64_t message_bytes;
    uint32_t recipients;
    uint32_t connections; /* whole engine */
    uint32_t connections_per_ip;
    uint32_t line_bytes; /* without CRLF */
    enum conf_line_action line_action;
    uint32_t header_bytes;
    uint32_t hops;
    uint32_t errors;
    uint32_t junk;
    uint64_t memory_bytes;
    uint64_t command_timeout_ms;
    uint64_t data_timeout_ms;
    uint64_t data_rate_min; /* bytes per second, 0: off */
    uint64_t data_rate_grace_ms;
};

struct conf_smtp {
    struct slice banner;
    bool pipelining;
    bool chunking;
    bool smtputf8;
    bool dsn;
    bool vrfy;
    bool auth_equals;
    uint64_t future_release_ms; /* 0: not offered */
    uint64_t deliver_by_ms;     /* 0: not offered */
};

struct conf_headers {
    enum conf_received received;
    struct conf_names strip; /* field names without colon */
    bool add_missing;
    /* Names of the fields that say attributes of a message; empty: there is no such field. */
    struct slice priority;
    struct slice tenant;
    struct slice campaign;
    struct slice send_at;
    struct slice expire;
    struct slice source;
};

struct conf_relay {
    struct conf_relay_hosts host; /* empty: deliver by MX */
    uint16_t port;
    enum conf_relay_lookup lookup;
    enum conf_tls_policy tls;
    bool implicit_tls; /* from the first byte; tls is not none, and may is encrypt */
    struct slice username;
    struct slice password;
    struct slice token_file; /* XOAUTH2 */
    bool auth_without_tls;
    struct conf_names auth_hosts; /* patterns; empty: every relay host */
};

struct conf_delivery {
    uint16_t mx_port;
    enum conf_tls_policy tls;
    enum conf_private_targets private_targets;
    bool ipv4;
    bool ipv6;
    struct ip_addr source_address4; /* IP_NONE: the kernel chooses */
    struct ip_addr source_address6;
    struct slice helo_name; /* never empty: identity.hostname unless set */
    uint32_t connections_total;
    uint32_t connections_per_site;
    uint32_t messages_per_connection;
    uint32_t recipients_per_transaction;
    bool pipelining;
    bool chunking;
    uint32_t chunking_window;
    uint64_t idle_timeout_ms;
    uint64_t connect_timeout_ms;
    uint64_t greeting_timeout_ms;
    uint64_t ehlo_timeout_ms;
    uint64_t mail_timeout_ms;
    uint64_t rcpt_timeout_ms;
    uint64_t data_timeout_ms;      /* wait for 354 */
    uint64_t body_timeout_ms;      /* each time the peer takes no bytes */
    uint64_t data_done_timeout_ms; /* wait for the answer to the final dot */
};

struct conf_automation_keys {
    bool builtin;
    const struct conf_automation *rules; /* automation.h; never NULL after conf_load */
};

struct conf_shaping_keys {
    bool builtin;
    const struct conf_shaping *rules; /* shaping.h; never NULL after conf_load */
};

struct conf_dns {
    struct conf_endpoints servers; /* empty: /etc/resolv.conf */
    uint64_t timeout_ms;
    uint32_t tries;
    uint32_t cache_entries;
    uint64_t ttl_min_ms;
    uint64_t ttl_max_ms;
    uint64_t negative_ttl_max_ms;
};

struct conf_queue {
    struct conf_durations schedule; /* never empty; the last one repeats */
    uint32_t jitter_percent;        /* each delay is taken from [d*(1-j), d*(1+j)] */
    uint64_t max_age_ms;
    uint32_t max_attempts; /* 0: no limit */
    uint32_t recipients_max;
};

struct conf_dsn {
    struct slice from;       /* header From of reports; the envelope sender is always null */
    uint64_t delay_after_ms; /* 0: no delay reports */
    uint64_t original_bytes_max;
};

struct conf_log {
    enum conf_log_format format;
    enum conf_log_level level;
};

struct conf_admin {
    struct slice socket; /* never empty: <spool.dir>/admin.sock unless set */
};

struct conf_shutdown {
    uint64_t deadline_ms;
};

struct conf_arena;

struct conf {
    struct slice profile; /* "000": whose variables were read; empty: none */
    struct slice root;    /* stands before absolute paths inside files of a profile */
    struct conf_identity identity;
    uint32_t workers; /* 0: one per core */
    struct conf_io io;
    struct conf_spool spool;
    struct conf_listeners listeners;
    struct conf_access access;
    struct conf_local local;
    struct conf_tls tls;
    struct conf_proxy_protocol proxy;
    struct conf_auth auth;
    struct conf_users users;
    struct conf_sender sender;
    struct conf_domains domains;
    struct conf_dkim dkim;
    struct conf_limits limits;
    struct conf_smtp smtp;
    struct conf_headers headers;
    struct conf_relay relay;
    struct conf_delivery delivery;
    struct conf_egress_sources sources;
    struct conf_egress_pools source_pools;
    struct conf_egress_rules source_rules;
    struct conf_warmup_plans warmup_plans;
    struct conf_shaping_keys shaping;
    struct conf_automation_keys automation;
    struct conf_dns dns;
    struct conf_queue queue;
    struct conf_dsn dsn;
    struct conf_log log;
    struct conf_admin admin;
    struct {
        enum conf_sandbox_mode mode;
    } sandbox;
    struct conf_shutdown shutdown;
    /* Not a key: this machine's addresses when the configuration was put to use (relay_settings_new,
     * who owns the list). A listener on all addresses is at each of them. */
    struct conf_addresses own;
    struct conf_arena *arena;
};

struct conf_source {          /* where to read from; NULL or 0: that source is not used */
    const char *file;         /* -c FILE; conf.d is looked for in its folder */
    char *const *environment; /* environ-like: "NAME=value", NULL-terminated */
    const char *const *set;   /* "path=value" */
    size_t set_count;
    const char *root;             /* --root: stands before every absolute path of a profile */
    struct conf_machine *machine; /* kept for the next load; NULL: asked anew */
};

/* `warnings` may be NULL. Both buffers get whole lines, each ending in '\n'; give them room (64 KiB):
 * what does not fit is dropped, the result stays NULL. */
struct conf *conf_load(const struct conf_source *src, struct buf *errors, struct buf *warnings);
void conf_free(struct conf *c);

/* The exit status of a start that fails by its configuration: 78 (EX_CONFIG), or 1 where another
 * system is replaced: its scripts all end so. */
int conf_failure_status(const struct conf_source *src);

/* Writes one line per key that differs and cannot be changed while running; returns how many. */
size_t conf_reload_diff(const struct conf *old, const struct conf *new, struct buf *refused);

/* The effective configuration as YAML that loads again to the same values; secrets are redacted. */
void conf_print_yaml(const struct conf *c, struct buf *out);
/* Every key with its default, commented; loads again to the defaults. */
void conf_print_defaults(struct buf *out);
/* JSON Schema, draft 2020-12, of ringpost.yaml. */
void conf_print_schema(struct buf *out);
/* docs/CONFIG.md. */
void conf_print_markdown(struct buf *out);
/* docs/PROFILES.md. */
void conf_print_profiles(struct buf *out);
/* docs/SHAPING.md. */
void conf_print_shaping(struct buf *out);

#endif
