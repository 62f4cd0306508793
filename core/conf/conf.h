/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * conf - the effective configuration
 *
 * Purpose:   one struct with every setting, read from (in this order, later wins) defaults, the file,
 *            conf.d/<name>.yaml beside the file (sorted by name), the environment, --set.
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

enum conf_io_backend { CONF_IO_AUTO, CONF_IO_URING };
enum conf_listener_mode { CONF_MODE_RELAY, CONF_MODE_SUBMISSION };
enum conf_line_action { CONF_LINE_REJECT, CONF_LINE_PASS };
enum conf_received { CONF_RECEIVED_ADD, CONF_RECEIVED_NONE };
enum conf_relay_lookup { CONF_LOOKUP_HOST, CONF_LOOKUP_MX };
enum conf_private_targets { CONF_PRIVATE_DENY, CONF_PRIVATE_ALLOW };
enum conf_log_format { CONF_LOG_JSON };
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

struct conf_listener {
    struct ip_addr address;
    uint16_t port;
    enum conf_listener_mode mode;
    bool normalize_bare_lf;
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
};

struct conf_headers {
    enum conf_received received;
    struct conf_names strip; /* field names without colon */
    bool add_missing;
};

struct conf_relay {
    struct conf_relay_hosts host; /* empty: deliver by MX */
    uint16_t port;
    enum conf_relay_lookup lookup;
};

struct conf_delivery {
    uint16_t mx_port;
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
    struct conf_identity identity;
    uint32_t workers; /* 0: one per core */
    struct conf_io io;
    struct conf_spool spool;
    struct conf_listeners listeners;
    struct conf_access access;
    struct conf_limits limits;
    struct conf_smtp smtp;
    struct conf_headers headers;
    struct conf_relay relay;
    struct conf_delivery delivery;
    struct conf_dns dns;
    struct conf_queue queue;
    struct conf_dsn dsn;
    struct conf_log log;
    struct conf_admin admin;
    struct conf_shutdown shutdown;
    struct conf_arena *arena;
};

/* Where to read from. NULL or 0: that source is not used. */
struct conf_source {
    const char *file;         /* -c FILE; conf.d is looked for in its folder */
    char *const *environment; /* environ-like: "NAME=value", NULL-terminated */
    const char *const *set;   /* "path=value" */
    size_t set_count;
};

/* `warnings` may be NULL. Both buffers get whole lines, each ending in '\n'; give them room (64 KiB):
 * what does not fit is dropped, the result stays NULL. */
struct conf *conf_load(const struct conf_source *src, struct buf *errors, struct buf *warnings);
void conf_free(struct conf *c);

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

#endif
