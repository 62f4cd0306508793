/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What is said about a bad file: every message with its place, word for word.
 */
#include "core/base/must.h"
#include "tests/unit/core/conf/conf_testing.h"

struct bad_case {
    const char *text;
    size_t len;
    const char *messages; /* each line without "t.yaml:" */
};

#define TEXT(lit) lit, sizeof(lit) - 1

/* clang-format off */
static const struct bad_case bad_cases[] = {
    {TEXT("relay: {port: 70000}\n"),
     "1:15: relay.port: 70000 is not a port (1–65535)\n"},
    {TEXT("relay:\n"
     "  port: 0\n"),
     "2:9: relay.port: 0 is not a port (1–65535)\n"},
    {TEXT("relay:\n"
     "  port: -1\n"),
     "2:9: relay.port: -1 is not a port (1–65535)\n"},
    {TEXT("relay:\n"
     "  port: \"25\"\n"),
     "2:9: relay.port: \"25\" is quoted text, must be a port (1–65535) without quotes\n"},
    {TEXT("relay:\n"
     "  port: 25.5\n"),
     "2:9: relay.port: 25.5 is not a port (1–65535)\n"},
    {TEXT("relay:\n"
     "  port: 0x19\n"),
     "2:9: relay.port: 0x19 is not a port (1–65535)\n"},
    {TEXT("relay:\n"
     "  port:\n"),
     "2:3: relay.port: has no value, must be a port (1–65535)\n"},
    {TEXT("relay:\n"
     "  port: ~\n"),
     "2:9: relay.port: has no value, must be a port (1–65535)\n"},
    {TEXT("relay:\n"
     "  port: [25]\n"),
     "2:9: relay.port: is a list, must be a port (1–65535)\n"},
    {TEXT("relay:\n"
     "  port: {a: 1}\n"),
     "2:9: relay.port: is a group, must be a port (1–65535)\n"},
    {TEXT("workers: 257\n"),
     "1:10: workers: 257 is out of range (0–256)\n"},
    {TEXT("workers: many\n"),
     "1:10: workers: \"many\" is not a whole number (0–256)\n"},
    {TEXT("workers: 99999999999999999999999\n"),
     "1:10: workers: 99999999999999999999999 is out of range (0–256)\n"},
    {TEXT("limits: {recipients: 0}\n"),
     "1:22: limits.recipients: 0 is out of range (1–100000)\n"},
    {TEXT("limits: {line_length: 500}\n"),
     "1:23: limits.line_length: 500 is out of range (998–1048576)\n"},
    {TEXT("limits: {hops: 101}\n"),
     "1:16: limits.hops: 101 is out of range (1–100)\n"},
    {TEXT("io: {ring_entries: 1000}\n"),
     "1:20: io.ring_entries: 1000 is not a power of two (64–32768, a power of two)\n"},
    {TEXT("queue: {jitter: 51}\n"),
     "1:17: queue.jitter: 51 is out of range (0–50)\n"},
    {TEXT("headers: {add_missing: yes}\n"),
     "1:24: headers.add_missing: \"yes\" is not true or false\n"},
    {TEXT("headers: {add_missing: \"true\"}\n"),
     "1:24: headers.add_missing: \"true\" is quoted text, must be true or false without "
     "quotes\n"},
    {TEXT("delivery: {ipv6: 1}\n"),
     "1:18: delivery.ipv6: 1 is not true or false\n"},
    {TEXT("queue: {max_age: 5}\n"),
     "1:18: queue.max_age: 5 has no unit, write for example 250ms, 30s, 1m30s, 4h, 5d (1"
     "s–60d)\n"},
    {TEXT("queue: {max_age: 5days}\n"),
     "1:18: queue.max_age: 5days is not a duration, write for example 250ms, 30s, 1m30s,"
     " 4h, 5d (1s–60d)\n"},
    {TEXT("queue: {max_age: 61d}\n"),
     "1:18: queue.max_age: 61d is out of range (1s–60d)\n"},
    {TEXT("queue: {max_age: 1s1d}\n"),
     "1:18: queue.max_age: 1s1d is not a duration, write for example 250ms, 30s, 1m30s, "
     "4h, 5d (1s–60d)\n"},
    {TEXT("queue: {max_age: ''}\n"),
     "1:18: queue.max_age: is empty, must be a duration\n"},
    {TEXT("queue: {schedule: [1m, 5x, 0]}\n"),
     "1:24: queue.schedule[1]: 5x is not a duration, write for example 250ms, 30s, 1m30s"
     ", 4h, 5d (1s–30d)\n"
     "1:28: queue.schedule[2]: 0 is out of range (1s–30d)\n"},
    {TEXT("queue: {schedule: []}\n"),
     "1:19: queue.schedule: has 0 items, allowed are 1–100\n"},
    {TEXT("queue: {schedule: 5m}\n"),
     "1:19: queue.schedule: is a single value, must be a list, each item a duration (1s–"
     "30d)\n"},
    {TEXT("queue: {schedule: [[1m]]}\n"),
     "1:20: queue.schedule[0]: is a list, must be a duration (1s–30d)\n"},
    {TEXT("queue: {schedule: ~}\n"),
     "1:19: queue.schedule: has no value; write [] for an empty list\n"},
    {TEXT("delivery: {connect_timeout: 99999999999999999999d}\n"),
     "1:29: delivery.connect_timeout: 99999999999999999999d is not a duration, write for"
     " example 250ms, 30s, 1m30s, 4h, 5d (100ms–10m)\n"},
    {TEXT("limits: {message_size: 25M}\n"),
     "1:24: limits.message_size: 25M is not a size, write for example 65536, 64KiB, 25MB"
     ", 1GiB (64KiB–1GiB)\n"},
    {TEXT("limits: {message_size: 25 Mib}\n"
     "limts: {}\n"),
     "2:1: limts: unknown key; did you mean limits?\n"},
    {TEXT("limits: {message_size: 1.5GiB}\n"),
     "1:24: limits.message_size: 1.5GiB is not a size, write for example 65536, 64KiB, 2"
     "5MB, 1GiB (64KiB–1GiB)\n"},
    {TEXT("limits: {message_size: 2GiB}\n"),
     "1:24: limits.message_size: 2GiB is out of range (64KiB–1GiB)\n"},
    {TEXT("spool: {segment_size: 1048577}\n"),
     "1:23: spool.segment_size: 1048577 is not a multiple of 1MiB (1MiB–1GiB, a multiple"
     " of 1MiB)\n"},
    {TEXT("spool: {segment_size: 64KiB}\n"),
     "1:23: spool.segment_size: 64KiB is out of range (1MiB–1GiB, a multiple of 1MiB)\n"},
    {TEXT("spool: {max_size: 1}\n"),
     "1:19: spool.max_size: 1 is out of range (0 or 16MiB–1024TiB)\n"},
    {TEXT("log: {level: loud}\n"),
     "1:14: log.level: \"loud\" is not one of: debug, info, warn, error\n"},
    {TEXT("log: {format: xml}\n"),
     "1:15: log.format: \"xml\" is not known, only: json\n"},
    {TEXT("listeners: [{mode: Relay}]\n"),
     "1:20: listeners[0].mode: \"Relay\" is not one of: relay, submission\n"},
    {TEXT("identity: {hostname: a..b}\n"),
     "1:22: identity.hostname: \"a..b\" is not a host name, like mail.example.org (lette"
     "rs, digits, hyphens; names outside ASCII in their xn-- form)\n"},
    {TEXT("identity: {hostname: mail_1.example.org}\n"),
     "1:22: identity.hostname: \"mail_1.example.org\" is not a host name, like mail.exam"
     "ple.org (letters, digits, hyphens; names outside ASCII in their xn-- form)\n"},
    {TEXT("identity: {hostname: 127.0.0.1}\n"),
     "1:22: identity.hostname: 127.0.0.1 is not a host name, like mail.example.org (lett"
     "ers, digits, hyphens; names outside ASCII in their xn-- form)\n"},
    {TEXT("identity: {hostname: \"bücher.example\"}\n"),
     "1:22: identity.hostname: \"bücher.example\" is not a host name, like mail.example."
     "org (letters, digits, hyphens; names outside ASCII in their xn-- form)\n"},
    {TEXT("identity: {hostname: example.org.}\n"),
     "1:22: identity.hostname: \"example.org.\" is not a host name, like mail.example.or"
     "g (letters, digits, hyphens; names outside ASCII in their xn-- form)\n"},
    {TEXT("delivery: {helo_name: \"[::1]\"}\n"),
     "1:23: delivery.helo_name: \"[::1]\" is not an address literal, like [192.0.2.1] or"
     " [IPv6:2001:db8::1]\n"},
    {TEXT("smtp: {banner: \"a\\r\\nb\"}\n"),
     "1:16: smtp.banner: \"a\\x0d\\x0ab\" holds more than printable ASCII characters\n"},
    {TEXT("smtp: {banner: \"\"}\n"),
     "1:16: smtp.banner: is empty, must be a text\n"},
    {TEXT("spool: {dir: \"\"}\n"),
     "1:14: spool.dir: is empty, must be a path\n"},
    {TEXT("spool: {dir: \"a\\0b\"}\n"),
     "1:14: spool.dir: \"a\\x00b\" is not a path: control characters are not allowed\n"},
    {TEXT("headers: {strip: [Received, \"X Y\", \"A:\"]}\n"),
     "1:29: headers.strip[1]: \"X Y\" is not a header field name, like X-Mailer (no colo"
     "n, no spaces)\n"
     "1:36: headers.strip[2]: \"A:\" is not a header field name, like X-Mailer (no colon"
     ", no spaces)\n"},
    {TEXT("headers: {campaign: X-Ringpost-TENANT}\n"),
     "1:21: headers.campaign: the same as headers.tenant\n"},
    {TEXT("listeners: [{port: 25, priority: high}]\n"),
     "1:34: listeners[0].priority: \"high\" is not one of: auto, urgent, normal, bulk\n"},
    {TEXT("users: [{name: a, password: b, tenant: \"a b\"}]\n"),
     "1:40: users[0].tenant: \"a b\" is not a name (letters, digits, - _ . @ +)\n"},
    {TEXT("smtp: {future_release: 400d}\n"),
     "1:24: smtp.future_release: 400d is out of range (0 or 1s–366d)\n"},
    {TEXT("headers: {strip: Received}\n"),
     "1:18: headers.strip: is a single value, must be a list, each item a header field n"
     "ame\n"},
    {TEXT("dsn: {from: postmaster}\n"),
     "1:13: dsn.from: \"postmaster\" is not a mail address, like mailer-daemon@example.o"
     "rg\n"},
    {TEXT("dsn: {from: a@@b}\n"),
     "1:13: dsn.from: \"a@@b\" is not a mail address, like mailer-daemon@example.org\n"},
    {TEXT("access: {networks: [10.0.0.1/8]}\n"),
     "1:21: access.networks[0]: \"10.0.0.1/8\" has bits behind its prefix; the network i"
     "s 10.0.0.0/8\n"},
    {TEXT("access: {networks: [10.0.0.0/33, 300.0.0.0/8, \"::1/129\", example.org]}\n"),
     "1:21: access.networks[0]: \"10.0.0.0/33\" is not a network, like 192.0.2.0/24 or 2"
     "001:db8::/32\n"
     "1:34: access.networks[1]: \"300.0.0.0/8\" is not a network, like 192.0.2.0/24 or 2"
     "001:db8::/32\n"
     "1:47: access.networks[2]: \"::1/129\" is not a network, like 192.0.2.0/24 or 2001:"
     "db8::/32\n"
     "1:58: access.networks[3]: \"example.org\" is not a network, like 192.0.2.0/24 or 2"
     "001:db8::/32\n"},
    {TEXT("access: {networks: [127.0.0.0/8,\n"
     "  01.2.3.4]}\n"),
     "2:3: access.networks[1]: 01.2.3.4 is not a network, like 192.0.2.0/24 or 2001:db8:"
     ":/32\n"},
    {TEXT("listeners: [{address: localhost}]\n"),
     "1:23: listeners[0].address: \"localhost\" is not an IP address, like 192.0.2.1 or "
     "2001:db8::1\n"},
    {TEXT("listeners: [{address: \"*\", port: 25}]\n"),
     "1:23: listeners[0].address: \"*\" is not an IP address, like 192.0.2.1 or 2001:db8"
     "::1\n"},
    {TEXT("delivery: {source_address4: \"::1\"}\n"),
     "1:29: delivery.source_address4: \"::1\" is not an IPv4 address, like 192.0.2.1\n"},
    {TEXT("delivery: {source_address6: 10.0.0.1}\n"),
     "1:29: delivery.source_address6: 10.0.0.1 is not an IPv6 address, like 2001:db8::1"
     "\n"},
    {TEXT("dns: {servers: [resolver.example]}\n"),
     "1:17: dns.servers[0]: \"resolver.example\" is not an IP address with a port, like "
     "192.0.2.1:53 or [2001:db8::1]:53\n"},
    {TEXT("dns: {servers: [\"127.0.0.1:0\", \"::1\", \"[::1]:99999\"]}\n"),
     "1:17: dns.servers[0]: \"127.0.0.1:0\" is not an IP address with a port, like 192.0"
     ".2.1:53 or [2001:db8::1]:53\n"
     "1:39: dns.servers[2]: \"[::1]:99999\" is not an IP address with a port, like 192.0"
     ".2.1:53 or [2001:db8::1]:53\n"},
    {TEXT("relay: {host: \"[127.0.0.1\"}\n"),
     "1:15: relay.host: \"[127.0.0.1\" is not a relay host, like smtp.example.org:587, ["
     "smtp.example.org]:587 or [192.0.2.1]\n"},
    {TEXT("relay: {host: \"smtp.example.org:smtp\"}\n"),
     "1:15: relay.host: \"smtp.example.org:smtp\": \"smtp\" is not a port (1–65535)\n"},
    {TEXT("relay: {host: [\"ok.example\", \"no~good\", \"[x.example]:0\"]}\n"),
     "1:30: relay.host[1]: \"no~good\" is not a relay host, like smtp.example.org:587, ["
     "smtp.example.org]:587 or [192.0.2.1]\n"
     "1:41: relay.host[2]: \"[x.example]:0\": 0 is not a port (1–65535)\n"},
    {TEXT("relay: {host: \"\"}\n"),
     "1:15: relay.host: is empty, must be a relay host\n"},
    {TEXT("relay: {host: \"[]\"}\n"),
     "1:15: relay.host: \"[]\" is not a relay host, like smtp.example.org:587, [smtp.exa"
     "mple.org]:587 or [192.0.2.1]\n"},
    {TEXT("limits: 5\n"),
     "1:9: limits: is a single value, must be a group with the keys: message_size, recip"
     "ients, connections, connections_per_ip, line_length, line_length_action, header_si"
     "ze, hops, errors, junk, memory, command_timeout, data_timeout, data_rate_min, data"
     "_rate_grace\n"},
    {TEXT("limits: [1]\n"),
     "1:9: limits: is a list, must be a group with the keys: message_size, recipients, c"
     "onnections, connections_per_ip, line_length, line_length_action, header_size, hops"
     ", errors, junk, memory, command_timeout, data_timeout, data_rate_min, data_rate_gr"
     "ace\n"},
    {TEXT("listeners: {port: 25}\n"),
     "1:12: listeners: is a group, must be a list of groups with the keys: address, port"
     ", mode, normalize_bare_lf, "
     "tls, cert_file, key_file, client_ca_file, proxy_protocol, access, reject_at, attributes, priority, tenant\n"},
    {TEXT("listeners: []\n"),
     "1:12: listeners: has 0 items, allowed are 1–64\n"},
    {TEXT("listeners: [25]\n"),
     "1:13: listeners[0]: is a single value, must be a group with the keys: address, por"
     "t, mode, normalize_bare_lf, "
     "tls, cert_file, key_file, client_ca_file, proxy_protocol, access, reject_at, attributes, priority, tenant\n"},
    {TEXT("listeners:\n"
     "  - port: 25\n"
     "    prot: 1\n"),
     "3:5: listeners[0].prot: unknown key; did you mean port?\n"},
    {TEXT("limit: {recipients: 5}\n"),
     "1:1: limit: unknown key; did you mean limits?\n"},
    {TEXT("recipients: 5\n"),
     "1:1: recipients: unknown key; did you mean limits.recipients?\n"},
    {TEXT("limits.recipients: 5\n"),
     "1:1: limits.recipients: unknown key; write it in its group, limits: {recipients: …"
     "}\n"},
    {TEXT("limits:\n"
     "  recipient: 5\n"),
     "2:3: limits.recipient: unknown key; did you mean recipients?\n"},
    {TEXT("shutdown: {zzzzzz: 1}\n"),
     "1:12: shutdown.zzzzzz: unknown key; known here: deadline\n"},
    {TEXT("colour: blue\n"),
     "1:1: colour: unknown key; known here: workers, identity, io, spool, listeners, acc"
     "ess, local, tls, proxy, auth, users, sender, domains, dkim, limits, "
     "smtp, headers, relay, delivery, sources, source_pools, source_rules, warmup_plans, dns, queue, dsn, log, admin, sandbox, shutdown, shaping, automation"
     "\n"},
    {TEXT("\"a\\x1b[31mb\": 1\n"),
     "1:1: a\\x1b[31mb: unknown key; known here: workers, identity, io, spool, listeners"
     ", access, local, tls, proxy, auth, users, sender, "
     "domains, dkim, limits, smtp, headers, relay, delivery, sources, source_pools, source_rules, warmup_plans, dns, queue, dsn, log, admin, sandbox, shu"
     "tdown, shaping, automation\n"},
    {TEXT("limits:\n"
     "  recipients: 5\n"
     "  recipients: 6\n"),
     "3:3: limits.recipients: given twice, first at line 2\n"},
    {TEXT("limits: {hops: 5}\n"
     "limits: {errors: 6}\n"),
     "2:1: limits: given twice, first at line 1\n"},
    {TEXT("listeners:\n"
     "  - {port: 1, port: 2}\n"),
     "2:15: listeners[0].port: given twice, first at line 2\n"},
    {TEXT("- a\n"
     "- b\n"),
     "1:1: the top level must be a group of keys, like \"workers: 2\"\n"},
    {TEXT("just text\n"),
     "1:1: the top level must be a group of keys, like \"workers: 2\"\n"},
    {TEXT("workers: 1\n"
     "---\n"
     "workers: 2\n"),
     "2:1: a second document (---); only one per file is allowed\n"},
    {TEXT("workers: &a 1\n"),
     "1:13: anchors (&name) are not supported; write the value out\n"},
    {TEXT("a: &a [1]\n"
     "b: *a\n"),
     "1:7: anchors (&name) are not supported; write the value out\n"},
    {TEXT("workers: *a\n"),
     "1:11: aliases (*name) are not supported; write the value out\n"},
    {TEXT("workers: !!int 1\n"),
     "1:16: tags (!type) are not supported; leave it out\n"},
    {TEXT("? [a, b]\n"
     ": c\n"),
     "1:3: a list or a group cannot be a key\n"},
    {TEXT("{a: 1}: 2\n"),
     "1:1: a list or a group cannot be a key\n"},
    {TEXT("workers: [1\n"),
     "2:1: not valid YAML: flow sequence without a closing bracket\n"},
    {TEXT("workers: \"1\n"),
     "1:11: not valid YAML: double-quoted scalar without closing quote\n"},
    {TEXT("workers: 1\n"
     "  port: 2\n"),
     "1:10: not valid YAML: invalid multiline plain key\n"},
    {TEXT("\011workers: 1\n"),
     "1:1: not valid YAML: invalid tab as indendation in a mapping\n"},
    {TEXT("workers: 1\n"
     "log: {level: \377}\n"),
     "2:14: byte 0xff is not UTF-8; save the file as UTF-8\n"},
    {TEXT("\377\376w\000o\000"),
     "1:1: byte 0xff is not UTF-8; save the file as UTF-8\n"},
    {TEXT("workers: 1\000\n"),
     "1:11: control character 0x00; only tabs and line ends are allowed\n"},
    {TEXT("# café\n"
     "workers: \001\n"),
     "2:10: control character 0x01; only tabs and line ends are allowed\n"},
    {TEXT("a: [[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]\n"),
     "1:19: nested deeper than 16 levels\n"},
    {TEXT("listeners:\n"
     "  - {address: 127.0.0.1, port: 25}\n"
     "  - {address: \"::ffff:127.0.0.1\", port: 25}\n"),
     "3:5: listeners[1]: 127.0.0.1:25 is used by listeners[0] already\n"},
    {TEXT("queue:\n"
     "  schedule: [2h]\n"
     "  max_age: 1h\n"),
     "3:12: queue.max_age: 1h is less than the first wait of queue.schedule (2h)\n"},
    {TEXT("dns: {ttl_min: 1h, ttl_max: 1m}\n"),
     "1:16: dns.ttl_min: 1h is more than dns.ttl_max (1m)\n"},
    {TEXT("delivery:\n"
     "  ipv4: false\n"
     "  ipv6: false\n"),
     "2:9: delivery.ipv4: false, and delivery.ipv6 too: one of them must be true\n"},
    {TEXT("spool: {max_size: 100MiB}\n"),
     "1:19: spool.max_size: 100MiB is less than two times spool.segment_size (64MiB)\n"},
    {TEXT("workers: x\n"
     "queue: {max_age: 1}\n"
     "listeners:\n"
     "  - {port: 99999}\n"
     "nope: 1\n"),
     "1:10: workers: \"x\" is not a whole number (0–256)\n"
     "2:18: queue.max_age: 1 has no unit, write for example 250ms, 30s, 1m30s, 4h, 5d (1"
     "s–60d)\n"
     "4:12: listeners[0].port: 99999 is not a port (1–65535)\n"
     "5:1: nope: unknown key; known here: workers, identity, io, spool, listeners, acces"
     "s, local, tls, proxy, auth, users, sender, domains, dkim, limits, "
     "smtp, headers, relay, delivery, sources, source_pools, source_rules, warmup_plans, dns, queue, dsn, log, admin, sandbox, shutdown, shaping, automation\n"},
    {TEXT("dns: {ttl_max: 1s}\n"),
     "1:16: dns.ttl_min: 5s is more than dns.ttl_max (1s)\n"},
    {TEXT("queue: {max_age: 30s}\n"),
     "1:18: queue.max_age: 30s is less than the first wait of queue.schedule (1m)\n"},
    {TEXT("log: null\n"
     "limits:\n"
     "access: ~\n"
     "listners: ~\n"),
     "4:1: listners: unknown key; did you mean listeners?\n"},
    {TEXT("relay: {host: [a.example, [b.example]]}\n"),
     "1:27: relay.host[1]: is a list, must be a relay host\n"},
    {TEXT("listeners:\n"
     "  - {port: 25}\n"
     "  - ~\n"),
     "3:5: listeners[1]: is a single value, must be a group with the keys: address, port"
     ", mode, normalize_bare_lf, "
     "tls, cert_file, key_file, client_ca_file, proxy_protocol, access, reject_at, attributes, priority, tenant\n"},
    {TEXT("dns: {servers: [127.0.0.1, 127.0.0.1, 127.0.0.1, 127.0.0.1, 127.0.0.1, 127.0.0.1, "
     "127.0.0.1, 127.0.0.1, 127.0.0.1]}\n"),
     "1:16: dns.servers: has 9 items, allowed are 0–8\n"},
};
/* clang-format on */

START_TEST(bad_files)
{
    const struct bad_case *c = &bad_cases[_i];
    struct conf_source src = {.file = "t.yaml"};
    struct buf want;
    file_write("t.yaml", c->text, c->len);
    buf_init(&want, 1 << 16);
    for (struct slice rest = slice_str(c->messages); rest.len;) {
        struct slice line = slice_cut(&rest, '\n');
        buf_addf(&want, "t.yaml:%.*s\n", SLICE_ARG(line));
    }
    buf_add_byte(&want, '\0');
    struct loaded l = load(&src);
    ck_assert_ptr_null(l.conf);
    buf_expect(&l.errors, want.ptr);
    unload(&l);
    buf_deinit(&want);
}
END_TEST

/* ---- good files that look odd --------------------------------------------------------------- */

static const char *const good_cases[] = {
    "",
    "\n",
    "# nothing\n",
    "---\n",
    "--- {}\n",
    "~\n",
    "\xef\xbb\xbfworkers: 1\n", /* byte order mark */
    "workers: 1\r\n",
    "{\"workers\": 1}\n",
    "%YAML 1.2\n---\nworkers: 1\n...\n",
    "limits:\n",
    "limits: {}\n",
    "\"limits\": {'recipients': 5}\n",
    "spool:\n  dir: >-\n    /var/spool\n    x\n",
    "smtp: {banner: \"\\x41\"}\n",
    "limits: {message_size: 1048576}\n",
    "limits: {message_size: \"1MiB\"}\n",
    "queue: {max_attempts: 0, schedule: [\"1m\"]}\n",
    "headers: {strip: []}\n",
    "relay: {host: []}\n",
    "relay: {host: \"::1\"}\n",
    "relay: {host: \"[2001:db8::1]:26\"}\n",
    "access: {networks: []}\n",
    "delivery: {source_address4: \"\"}\n",
    "delivery: {helo_name: \"[IPv6:2001:db8::1]\"}\n",
    "listeners: [{}, {port: 25}]\n",
};

START_TEST(odd_but_good_files)
{
    struct loaded l = load_text(good_cases[_i]);
    ck_assert_msg(l.conf != NULL, "%s: %.*s", good_cases[_i], SLICE_ARG(buf_slice(&l.errors)));
    unload(&l);
}
END_TEST

/* ---- files as such -------------------------------------------------------------------------- */

START_TEST(a_missing_file_is_an_error)
{
    struct conf_source src = {.file = "nothere.yaml"};
    struct loaded l = load(&src);
    buf_expect(&l.errors, "nothere.yaml: cannot be read: No such file or directory\n");
    unload(&l);
}
END_TEST

START_TEST(a_folder_is_no_file)
{
    struct conf_source src = {.file = "/tmp"};
    struct loaded l = load(&src);
    buf_expect(&l.errors, "/tmp: is a folder, must be a file\n");
    unload(&l);
}
END_TEST

START_TEST(an_unreadable_file_is_an_error)
{
    struct conf_source src = {.file = "t.yaml"};
    file_write("t.yaml", "workers: 1\n", 11);
    ck_assert_int_eq(chmod("t.yaml", 0), 0);
    bool root = access("t.yaml", R_OK) == 0;
    struct loaded l = load(&src);
    if (root) {
        ck_assert_ptr_nonnull(l.conf); /* root reads everything */
    } else {
        buf_expect(&l.errors, "t.yaml: cannot be read: Permission denied\n");
    }
    unload(&l);
}
END_TEST

START_TEST(a_file_over_1_mib_is_refused)
{
    enum { BYTES = (1 << 20) + 1 };
    char *text = malloc(BYTES);
    ck_assert_ptr_nonnull(text);
    memset(text, '#', BYTES);
    file_write("t.yaml", text, BYTES);
    struct conf_source src = {.file = "t.yaml"};
    struct loaded l = load(&src);
    buf_expect(&l.errors, "t.yaml: is larger than 1048576 bytes\n");
    unload(&l);
    file_write("t.yaml", text, BYTES - 1);
    l = load(&src);
    ck_assert_ptr_nonnull(l.conf);
    unload(&l);
    free(text);
}
END_TEST

START_TEST(a_device_without_end_is_refused)
{
    struct conf_source src = {.file = "/dev/zero"};
    struct loaded l = load(&src);
    buf_expect(&l.errors, "/dev/zero: is larger than 1048576 bytes\n");
    unload(&l);
}
END_TEST

/* head, then lines "<before>0<after>", "<before>1<after>"… */
static struct loaded load_repeated(const char *head, const char *before, const char *after,
                                   size_t count)
{
    struct buf text;
    buf_init(&text, 1 << 20);
    buf_add(&text, slice_str(head));
    for (size_t i = 0; i < count; i++) {
        buf_addf(&text, "%s%zu%s\n", before, i, after);
    }
    ck_assert(!text.overflow);
    file_write("t.yaml", text.ptr, text.len);
    buf_deinit(&text);
    struct conf_source src = {.file = "t.yaml"};
    return load(&src);
}

static bool says(const struct loaded *l, const char *part)
{
    struct slice p = slice_str(part);
    return l->errors.len && memmem(l->errors.ptr, l->errors.len, p.ptr, p.len) != NULL;
}

START_TEST(size_limits_of_the_document)
{
    struct loaded l = load_repeated("", "k", ": 1", 1001);
    ck_assert(says(&l, "more than 1000 keys in one group"));
    unload(&l);
    l = load_repeated("x:\n", "- ", "", 60000);
    ck_assert(says(&l, "too many values in all sources together"));
    unload(&l);
    l = load_repeated("access:\n  networks:\n", "  - 10.0.0.", "", 256);
    ck_assert_ptr_nonnull(l.conf);
    ck_assert_uint_eq(l.conf->access.networks.count, 256);
    unload(&l);
    l = load_repeated("access:\n  networks:\n", "  - 10.0.0.", "", 1001);
    ck_assert(says(&l, "access.networks: has 1001 items, allowed are 0–1000"));
    unload(&l);
}
END_TEST

START_TEST(only_the_first_200_errors_are_shown)
{
    struct loaded l = load_repeated("", "k", ": 1", 900);
    size_t lines = 0;
    for (size_t i = 0; i < l.errors.len; i++) {
        lines += l.errors.ptr[i] == '\n';
    }
    ck_assert_uint_eq(lines, 201);
    ck_assert(says(&l, "\nmore errors are not shown\n"));
    unload(&l);
}
END_TEST

START_TEST(a_small_error_buffer_gets_whole_lines)
{
    struct buf errors;
    struct conf_source src = {.file = "t.yaml"};
    file_write("t.yaml", "workers: x\nrelay: {port: y}\n", 28);
    buf_init(&errors, 80);
    ck_assert_ptr_null(conf_load(&src, &errors, NULL));
    ck_assert(errors.overflow);
    ck_assert(errors.ptr[errors.len - 1] == '\n');
    buf_deinit(&errors);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("core/conf/errors");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, folder_enter, folder_leave);
    tcase_add_loop_test(t, bad_files, 0, (int)ARRAY_COUNT(bad_cases));
    tcase_add_loop_test(t, odd_but_good_files, 0, (int)ARRAY_COUNT(good_cases));
    tcase_add_test(t, a_missing_file_is_an_error);
    tcase_add_test(t, a_folder_is_no_file);
    tcase_add_test(t, an_unreadable_file_is_an_error);
    tcase_add_test(t, a_file_over_1_mib_is_refused);
    tcase_add_test(t, a_device_without_end_is_refused);
    tcase_add_test(t, size_limits_of_the_document);
    tcase_add_test(t, only_the_first_200_errors_are_shown);
    tcase_add_test(t, a_small_error_buffer_gets_whole_lines);
    suite_add_tcase(s, t);
    return suite_run(s);
}
