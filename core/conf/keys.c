/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Order of the rows = order in every output. Ranges are as wide as the engine really works; where a
 * default follows a standard, the sentence names it.
 */
#include "core/conf/keys.h"
#include "core/base/limits.h"
#include "core/conf/conf.h"
#include "core/conf/mailbox.h"
#include "core/conf/value_names.h"

#define AT(member)                                                                                 \
    .offset = offsetof(struct conf, member), .size = sizeof(((struct conf *)0)->member)
#define AT_LISTENER(member)                                                                        \
    .offset = offsetof(struct conf_listener, member),                                              \
    .size = sizeof(((struct conf_listener *)0)->member)

#define AT_USER(member)                                                                            \
    .offset = offsetof(struct conf_user, member), .size = sizeof(((struct conf_user *)0)->member)
#define AT_DOMAIN(member)                                                                          \
    .offset = offsetof(struct conf_domain, member),                                                \
    .size = sizeof(((struct conf_domain *)0)->member)

#define SECOND 1000ull
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define KIB 1024ull
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define TIB (1024 * GIB)

/* What every row of a kind has in common. */
#define KEY(name) .path = SLICE_INIT(name)
#define BOOL(text) .type = CONF_BOOL, .fallback = text
#define COUNT(lo, hi, text) .type = CONF_COUNT, .min = lo, .max = hi, .fallback = text
#define PORT(text) .type = CONF_PORT, .min = 1, .max = UINT16_MAX, .fallback = text
#define DURATION(lo, hi, text) .type = CONF_DURATION, .min = lo, .max = hi, .fallback = text
#define SIZE(lo, hi, text) .type = CONF_SIZE, .min = lo, .max = hi, .fallback = text
#define ENUM(names, text) .type = CONF_ENUM, .choices = names, .fallback = text
#define DOC(text) .doc = text
/* Optional: empty unless set. */
#define FILE_PATH .type = CONF_PATH, .max = 3800, .fallback = ""
#define FILE_PATHS                                                                                 \
    .type = CONF_PATH, .shape = CONF_ONE_OR_LIST, .min = 1, .max = 3800, .items_max = 16,          \
    .fallback = ""
#define DOMAINS                                                                                    \
    .type = CONF_DOMAIN, .shape = CONF_LIST, .min = 1, .max = LIMIT_DOMAIN_BYTES,                  \
    .items_max = 10000, .fallback = ""
#define SECRET(most) .type = CONF_TEXT, .max = most, .fallback = ""
#define LABEL .type = CONF_LABEL, .min = 1, .max = CONF_LABEL_BYTES_MAX, .fallback = ""
#define FIELD(text) .type = CONF_FIELD_NAME, .max = 76, .fallback = text
#define PRIORITY ENUM("auto|urgent|normal|bulk", "auto")
#define TLS_POLICY "none|may|encrypt|verify"
#define DKIM_CANON "relaxed/relaxed|relaxed/simple|simple/relaxed|simple/simple"

static const struct conf_key keys[] = {
    {KEY("identity.hostname"), .type = CONF_DOMAIN, .max = LIMIT_DOMAIN_BYTES, .fallback = "",
     .flags = CONF_RELOAD | CONF_EMPTY_OK, .empty = "the machine's host name",
     AT(identity.hostname),
     DOC("The name of this server: greeting, EHLO, Received and Message-ID.")},

    {KEY("workers"), COUNT(1, LIMIT_WORKERS, "0"), .flags = CONF_ZERO_OFF, AT(workers),
     DOC("Worker threads, each with its own ring and log; 0: one per core.")},

    {KEY("io.backend"), ENUM("auto|uring", "auto"), AT(io.backend),
     DOC("`auto` takes the best the kernel allows, `uring` nothing but io_uring. io_uring is the "
         "only one so far, so both need it.")},
    {KEY("io.ring_entries"), COUNT(64, 32768, "4096"), .flags = CONF_POWER_OF_2,
     AT(io.ring_entries), DOC("Size of each worker's submission queue, a power of two.")},

    {KEY("spool.dir"), .type = CONF_PATH, .min = 1, .max = 3800, .fallback = "./var/spool",
     AT(spool.dir),
     DOC("Folder of the message log. One engine per folder; it is made when missing.")},
    {KEY("spool.segment_size"), SIZE(1 * MIB, 1 * GIB, "64MiB"), .flags = CONF_MULTIPLE_1M,
     AT(spool.segment_bytes), DOC("Size of one file of the log, a multiple of 1MiB.")},
    {KEY("spool.max_size"), SIZE(16 * MIB, 1024 * TIB, "0"), .flags = CONF_ZERO_OFF | CONF_RELOAD,
     AT(spool.max_bytes),
     DOC("New mail gets 452 while the log is larger than this, until it is a segment smaller; never less "
         "than two segments per worker and one. 0: only the disk limits it.")},
    {KEY("spool.min_free"), SIZE(1 * MIB, 1024 * TIB, "128MiB"),
     .flags = CONF_ZERO_OFF | CONF_RELOAD, AT(spool.min_free_bytes),
     DOC("New mail gets 452 while the file system has less than this left, until it has a segment more. "
         "Results and a start after it need some: keep a segment per worker. 0: off.")},

    {KEY("listeners[].address"), .type = CONF_ADDRESS, .fallback = "127.0.0.1",
     AT_LISTENER(address), DOC("Address to listen on; 0.0.0.0 or :: for all.")},
    {KEY("listeners[].port"), PORT("2525"), AT_LISTENER(port), DOC("TCP port to listen on.")},
    {KEY("listeners[].mode"), ENUM("relay|submission", "relay"), AT_LISTENER(mode),
     DOC("`relay`: from servers (RFC 5321), or programs whose mail is taken as it is. `submission`: from "
         "programs that write mail (RFC 6409): who may send must have logged in and is refused at MAIL "
         "unless access and reject_at say otherwise; Date and Message-ID are added to mail that has "
         "none; a sender or recipient whose domain has no dot is refused (554 5.1.8, 5.1.2).")},
    {KEY("listeners[].normalize_bare_lf"), BOOL("false"), AT_LISTENER(normalize_bare_lf),
     DOC("Turn a bare LF into CRLF before storing, for old clients; otherwise such a message is "
         "refused (550 5.5.2). Only CRLF.CRLF ends a message either way.")},
    {KEY("listeners[].tls"), ENUM("none|may|encrypt|implicit", "none"), AT_LISTENER(tls),
     DOC("`may`: STARTTLS is offered; `encrypt`: nothing works before it (530 5.7.0); `implicit`: "
         "TLS from the first byte, as on port 465.")},
    {KEY("listeners[].cert_file"), FILE_PATHS, .flags = CONF_RELOAD, .empty = "tls.cert_file",
     AT_LISTENER(cert_file), DOC("This listener's own certificates.")},
    {KEY("listeners[].key_file"), FILE_PATHS, .flags = CONF_RELOAD, .empty = "tls.key_file",
     AT_LISTENER(key_file), DOC("Their private keys.")},
    {KEY("listeners[].client_ca_file"), FILE_PATH, .flags = CONF_RELOAD | CONF_EMPTY_OK,
     .empty = "none are asked for", AT_LISTENER(client_ca_file),
     DOC("A client with a certificate from these authorities counts as logged in.")},
    {KEY("listeners[].proxy_protocol"), ENUM("off|required", "off"), AT_LISTENER(proxy_protocol),
     DOC("`required`: each connection begins with a PROXY header, version 1 or 2, from one of "
         "proxy.networks.")},
    {KEY("listeners[].access"), ENUM("network|auth|auth_and_network|auth_or_network|auto", "auto"),
     .flags = CONF_RELOAD, AT_LISTENER(access),
     DOC("Who may send to any recipient: clients in access.networks, clients that logged in, or "
         "both conditions, or either. `auto`: `network`, in mode submission `auth`.")},
    {KEY("listeners[].reject_at"), ENUM("rcpt|mail|auto", "auto"), .flags = CONF_RELOAD,
     AT_LISTENER(reject_at),
     DOC("At which command the others are refused. `auto`: `rcpt`, in mode submission `mail`.")},
    {KEY("listeners[].attributes"), ENUM("clients|authenticated|nobody", "clients"),
     .flags = CONF_RELOAD, AT_LISTENER(attributes),
     DOC("Whose word counts on a message's priority, tenant, campaign and times (headers.priority and its "
         "like, FUTURERELEASE, DELIVERBY): `clients` in access.networks or logged in. The fields of all "
         "others are removed too, and mean nothing.")},
    {KEY("listeners[].priority"), PRIORITY, .flags = CONF_RELOAD, AT_LISTENER(priority),
     DOC("Class of mail that neither its header nor its user gives one. `auto`: `normal`.")},
    {KEY("listeners[].tenant"), LABEL, .flags = CONF_RELOAD | CONF_EMPTY_OK, .empty = "none",
     AT_LISTENER(tenant), DOC("Tenant of mail that neither its header nor its user gives one.")},

    {KEY("access.networks"), .type = CONF_NET, .shape = CONF_LIST, .items_max = 1000,
     .fallback = "127.0.0.0/8,::1/128", .flags = CONF_RELOAD, .empty = "nobody may send",
     AT(access.networks),
     DOC("Clients in these networks may send mail through this server; all others are refused.")},

    {KEY("access.refuse_code"), ENUM("554|550", "554"), .flags = CONF_RELOAD,
     AT(access.refuse_code), DOC("How the RCPT of a client that may not send is refused.")},
    {KEY("access.relay_domains"), DOMAINS, .flags = CONF_RELOAD, .empty = "none",
     AT(access.relay_domains),
     DOC("Mail for these domains is taken from anybody and sent to their MX hosts that are nearer "
         "than this one (backup MX); from strangers not when `%`, `!` or `@` is in the local part, "
         "which could be a route through those hosts (554).")},
    {KEY("access.local_domains"), DOMAINS, .flags = CONF_RELOAD, .empty = "none",
     AT(access.local_domains),
     DOC("Mail for these domains is delivered to local.maildir, taken from anybody; without one it is "
         "refused (550 5.1.1). It is never relayed.")},

    {KEY("local.maildir"), .type = CONF_PATH, .max = MAILBOX_PATTERN_BYTES, .fallback = "",
     .flags = CONF_EMPTY_OK, .empty = "no mailboxes here", AT(local.maildir),
     DOC("Where mail for access.local_domains goes, in Maildir format: an absolute path with `{domain}` "
         "and `{local}`, such as `/var/mail/{domain}/{local}`. Without them it is one mailbox for "
         "all recipients, made when it is missing.")},
    {KEY("local.create"), BOOL("false"), .flags = CONF_RELOAD, AT(local.create),
     DOC("Make the mailbox of any recipient, and the folders above it. Else a recipient exists when the "
         "folder does; others are refused (550 5.1.1).")},

    {KEY("tls.cert_file"), FILE_PATHS, .flags = CONF_RELOAD, .empty = "no certificate",
     AT(tls.cert_file),
     DOC("Certificate chains in PEM, for all listeners. Of several the client's SNI and algorithms "
         "choose; the first is the default.")},
    {KEY("tls.key_file"), FILE_PATHS, .flags = CONF_RELOAD, .empty = "no key", AT(tls.key_file),
     DOC("The private keys, in the order of tls.cert_file.")},
    {KEY("tls.cert_pem"), SECRET(65536), .flags = CONF_RELOAD | CONF_SECRET | CONF_EMPTY_OK,
     .empty = "none", AT(tls.cert_pem),
     DOC("A certificate chain itself instead of a file; used when tls.cert_file is empty.")},
    {KEY("tls.key_pem"), SECRET(65536), .flags = CONF_RELOAD | CONF_SECRET | CONF_EMPTY_OK,
     .empty = "none", AT(tls.key_pem), DOC("Its private key.")},
    {KEY("tls.on_missing"), ENUM("fail|disable|self_signed", "fail"), .flags = CONF_RELOAD,
     AT(tls.on_missing),
     DOC("A listener wants TLS and there is no certificate: stop the start, do not offer TLS, or "
         "make a self-signed one.")},
    {KEY("tls.ca_file"), .type = CONF_PATH, .max = 3800,
     .fallback = "/etc/ssl/certs/ca-certificates.crt", .flags = CONF_RELOAD | CONF_EMPTY_OK,
     .empty = "nobody is trusted", AT(tls.ca_file),
     DOC("Certificate authorities trusted for outgoing connections, PEM.")},
    {KEY("tls.client_cert_file"), FILE_PATH, .flags = CONF_RELOAD | CONF_EMPTY_OK, .empty = "none",
     AT(tls.client_cert_file), DOC("Our certificate towards servers that ask for one.")},
    {KEY("tls.client_key_file"), FILE_PATH, .flags = CONF_RELOAD | CONF_EMPTY_OK, .empty = "none",
     AT(tls.client_key_file), DOC("Its private key.")},

    {KEY("proxy.networks"), .type = CONF_NET, .shape = CONF_LIST, .items_max = 1000,
     .fallback = "127.0.0.0/8,::1/128,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,fc00::/7",
     .flags = CONF_RELOAD, .empty = "nobody", AT(proxy.networks),
     DOC("Load balancers whose PROXY header is believed; others are cut off on listeners that "
         "require one.")},
    {KEY("proxy.timeout"), DURATION(100, 1 * MINUTE, "5s"), .flags = CONF_RELOAD,
     AT(proxy.timeout_ms), DOC("Longest wait for the PROXY header.")},

    {KEY("auth.require_tls"), BOOL("true"), .flags = CONF_RELOAD, AT(auth.require_tls),
     DOC("AUTH is offered and taken only under TLS.")},
    {KEY("auth.cram_md5"), BOOL("false"), .flags = CONF_RELOAD, AT(auth.cram_md5),
     DOC("Offer CRAM-MD5 beside PLAIN and LOGIN. Works for users whose password is known in "
         "clear.")},
    {KEY("auth.users_file"), FILE_PATHS, .flags = CONF_RELOAD, .empty = "none", AT(auth.users_file),
     DOC("More users: lines `user password` or `user:hash`, or a users.json.")},
    {KEY("auth.session_failures_max"), COUNT(1, 1000, "3"), .flags = CONF_RELOAD | CONF_ZERO_OFF,
     AT(auth.session_failures_max),
     DOC("Failed logins of one session (535 5.7.8); the next one is not looked at any more but ends the "
         "session (421 4.7.0). A client that tries its mechanisms one after the other with the same "
         "password has failed once. 0: only limits.errors counts.")},
    {KEY("auth.failures_max"), COUNT(1, 10000, "0"), .flags = CONF_RELOAD | CONF_ZERO_OFF,
     AT(auth.failures_max),
     DOC("Failed logins of one user from one address, in all sessions, after which that pair is locked "
         "out: 421 4.7.0, whatever the password. 0: off.")},
    {KEY("auth.lockout"), DURATION(1 * SECOND, 1 * DAY, "5m"), .flags = CONF_RELOAD,
     AT(auth.lockout_ms), DOC("How long failures are counted, and how long a lockout lasts.")},

    {KEY("users[].name"), .type = CONF_TEXT, .min = 1, .max = 255, .fallback = "",
     .flags = CONF_RELOAD | CONF_EMPTY_OK, .empty = "must be given", AT_USER(name),
     DOC("Login name.")},
    {KEY("users[].password"), SECRET(512), .flags = CONF_RELOAD | CONF_SECRET | CONF_EMPTY_OK,
     .empty = "this user cannot log in", AT_USER(password),
     DOC("In clear, as a crypt(5) hash (`$y$…`, `$2b$…`, `$6$…`) or as `{SHA256}` and hex digits. "
         "`{PLAIN}` stands before a clear one that begins with `$` or `{`.")},
    {KEY("users[].allowed_from"), .type = CONF_TEXT, .shape = CONF_LIST, .min = 1,
     .max = LIMIT_ADDRESS_BYTES, .items_max = 1000, .fallback = "", .flags = CONF_RELOAD,
     .empty = "any sender", AT_USER(allowed_from),
     DOC("Senders this user may use: `user@example.org`, `@example.org`. See sender.restrict.")},
    {KEY("users[].priority"), PRIORITY, .flags = CONF_RELOAD, AT_USER(priority),
     DOC("Class of this user's mail, unless its header says another. `auto`: listeners[].priority.")},
    {KEY("users[].tenant"), LABEL, .flags = CONF_RELOAD | CONF_EMPTY_OK,
     .empty = "listeners[].tenant", AT_USER(tenant),
     DOC("Tenant of this user's mail, unless its header says another.")},

    {KEY("sender.restrict"), ENUM("none|domain|email", "none"), .flags = CONF_RELOAD,
     AT(sender.restrict_to),
     DOC("`domain`: envelope senders must be in `domains` or below one of them. `email`: each user "
         "has its own users[].allowed_from.")},
    {KEY("sender.check_header"), BOOL("false"), .flags = CONF_RELOAD, AT(sender.check_header),
     DOC("sender.restrict also holds for each address of the From and Sender fields of clients that may "
         "send to anybody; a message without From, or with one that cannot be read, is refused "
         "(550 5.7.1).")},

    {KEY("domains[].name"), .type = CONF_DOMAIN, .max = LIMIT_DOMAIN_BYTES, .fallback = "",
     .flags = CONF_RELOAD | CONF_EMPTY_OK, .empty = "must be given", AT_DOMAIN(name),
     DOC("The domain.")},
    {KEY("domains[].dkim_selector"), .type = CONF_DOMAIN, .max = 63, .fallback = "",
     .flags = CONF_RELOAD | CONF_EMPTY_OK, .empty = "dkim.selector", AT_DOMAIN(dkim_selector),
     DOC("Selector of its key.")},
    {KEY("domains[].dkim_key_file"), FILE_PATH, .flags = CONF_RELOAD | CONF_EMPTY_OK,
     .empty = "not signed with a key of its own", AT_DOMAIN(dkim_key_file),
     DOC("Private key in PEM: RSA or Ed25519.")},
    {KEY("domains[].dkim_key_pem"), SECRET(16384),
     .flags = CONF_RELOAD | CONF_SECRET | CONF_EMPTY_OK, .empty = "none", AT_DOMAIN(dkim_key_pem),
     DOC("The private key itself instead of a file.")},
    {KEY("domains[].dkim_canonicalization"), ENUM(DKIM_CANON, "relaxed/relaxed"),
     .flags = CONF_RELOAD, AT_DOMAIN(dkim_canonicalization),
     DOC("Header and body (RFC 6376 3.4).")},

    {KEY("dkim.selector"), .type = CONF_DOMAIN, .max = 63, .fallback = "dkim", .flags = CONF_RELOAD,
     AT(dkim.selector), DOC("Selector of the default key, and of domains that name none.")},
    {KEY("dkim.key_file"), FILE_PATH, .flags = CONF_RELOAD | CONF_EMPTY_OK,
     .empty = "only `domains` with a key are signed", AT(dkim.key_file),
     DOC("Default key: signs for every From domain that has none of its own.")},
    {KEY("dkim.key_pem"), SECRET(16384), .flags = CONF_RELOAD | CONF_SECRET | CONF_EMPTY_OK,
     .empty = "none", AT(dkim.key_pem), DOC("The default key itself instead of a file.")},
    {KEY("dkim.canonicalization"), ENUM(DKIM_CANON, "relaxed/relaxed"), .flags = CONF_RELOAD,
     AT(dkim.canonicalization), DOC("Of the default key.")},
    {KEY("dkim.subdomains"), BOOL("false"), .flags = CONF_RELOAD, AT(dkim.subdomains),
     DOC("A domain's key also signs mail from the domains below it.")},
    {KEY("dkim.signing_table"), FILE_PATH, .flags = CONF_RELOAD | CONF_EMPTY_OK, .empty = "none",
     AT(dkim.signing_table), DOC("OpenDKIM's SigningTable: lines `domain keyname`.")},
    {KEY("dkim.key_table"), FILE_PATH, .flags = CONF_RELOAD | CONF_EMPTY_OK, .empty = "none",
     AT(dkim.key_table), DOC("OpenDKIM's KeyTable: lines `keyname domain:selector:path`.")},

    {KEY("limits.message_size"), SIZE(64 * KIB, 1 * GIB, "25MiB"), .flags = CONF_RELOAD,
     AT(limits.message_bytes), DOC("Largest message taken, announced as SIZE (RFC 1870).")},
    {KEY("limits.recipients"), COUNT(1, LIMIT_RECIPIENTS, "1000"), .flags = CONF_RELOAD,
     AT(limits.recipients),
     DOC("Recipients per message; RFC 5321 asks for at least 100. Beyond, and beyond 448KiB of "
         "envelope in all: 452 4.5.3.")},
    {KEY("limits.connections"), COUNT(1, 1000000, "10000"), AT(limits.connections),
     DOC("Open client connections of the whole engine. Beyond: 421 4.3.2.")},
    {KEY("limits.connections_per_ip"), COUNT(1, 1000000, "1000"), .flags = CONF_RELOAD,
     AT(limits.connections_per_ip), DOC("Open connections per client address. Beyond: 421 4.7.0.")},
    {KEY("limits.line_length"), COUNT(998, 1048576, "998"), .unit = "bytes", .flags = CONF_RELOAD,
     AT(limits.line_bytes), DOC("Longest text line without its CRLF (RFC 5321 4.5.3.1.6).")},
    {KEY("limits.line_length_action"), ENUM("reject|pass", "reject"), .flags = CONF_RELOAD,
     AT(limits.line_action),
     DOC("What happens to a message with a longer line: 554 5.6.0, or taken as it is.")},
    {KEY("limits.header_size"), SIZE(4 * KIB, LIMIT_HEADER_BYTES, "100KiB"), .flags = CONF_RELOAD,
     AT(limits.header_bytes), DOC("Largest message header. Beyond: 552 5.3.4.")},
    {KEY("limits.hops"), COUNT(1, LIMIT_HOPS, "100"), .flags = CONF_RELOAD, AT(limits.hops),
     DOC("This many Received fields in what comes are a loop: 554 5.4.6 (RFC 5321 6.3).")},
    {KEY("limits.errors"), COUNT(1, 10000, "20"), .flags = CONF_RELOAD, AT(limits.errors),
     DOC("Error replies after which a session ends with 421 4.7.0.")},
    {KEY("limits.junk"), COUNT(1, 1000000, "100"), .flags = CONF_RELOAD, AT(limits.junk),
     DOC("NOOP, RSET, VRFY and the like without a message between; each beyond counts as an "
         "error.")},
    {KEY("limits.memory"), SIZE(16 * MIB, 1 * TIB, "256MiB"), AT(limits.memory_bytes),
     DOC("Message bodies kept in memory, whole engine. Beyond: they are read from the log again, "
         "and new mail waits or gets 452 4.3.1.")},
    {KEY("limits.command_timeout"), DURATION(1 * SECOND, 1 * HOUR, "5m"), .flags = CONF_RELOAD,
     AT(limits.command_timeout_ms),
     DOC("Longest wait for a whole command line (RFC 5321 4.5.3.2.7: 5 minutes). A TLS handshake "
         "has this time as a whole, but never more than 30 s.")},
    {KEY("limits.data_timeout"), DURATION(1 * SECOND, 1 * HOUR, "5m"), .flags = CONF_RELOAD,
     AT(limits.data_timeout_ms), DOC("Longest silence while a message is being sent.")},
    {KEY("limits.data_rate_min"), COUNT(1, 1000000000, "100"), .unit = "bytes per second",
     .flags = CONF_RELOAD | CONF_ZERO_OFF, AT(limits.data_rate_min),
     DOC("A client that sends its message more slowly than this is cut off; 0: off.")},
    {KEY("limits.data_rate_grace"), DURATION(1 * SECOND, 1 * HOUR, "1m"), .flags = CONF_RELOAD,
     AT(limits.data_rate_grace_ms), DOC("The rate is judged only after this time.")},

    {KEY("smtp.banner"), .type = CONF_TEXT, .min = 1, .max = 200, .fallback = "Ringpost",
     .flags = CONF_RELOAD, AT(smtp.banner),
     DOC("Text of the greeting behind host name and ESMTP.")},
    {KEY("smtp.pipelining"), BOOL("true"), .flags = CONF_RELOAD, AT(smtp.pipelining),
     DOC("Offer PIPELINING (RFC 2920).")},
    {KEY("smtp.chunking"), BOOL("true"), .flags = CONF_RELOAD, AT(smtp.chunking),
     DOC("Offer CHUNKING: BDAT (RFC 3030).")},
    {KEY("smtp.smtputf8"), BOOL("true"), .flags = CONF_RELOAD, AT(smtp.smtputf8),
     DOC("Offer SMTPUTF8 (RFC 6531).")},
    {KEY("smtp.dsn"), BOOL("true"), .flags = CONF_RELOAD, AT(smtp.dsn),
     DOC("Offer DSN: RET, ENVID, NOTIFY, ORCPT (RFC 3461).")},
    {KEY("smtp.vrfy"), BOOL("true"), .flags = CONF_RELOAD, AT(smtp.vrfy),
     DOC("Answer VRFY with 252, which says nothing; otherwise with 502.")},
    {KEY("smtp.auth_equals"), BOOL("false"), .flags = CONF_RELOAD, AT(smtp.auth_equals),
     DOC("Say `AUTH=` beside `AUTH` in EHLO, for clients older than RFC 2554.")},
    {KEY("smtp.future_release"), DURATION(1 * SECOND, 366 * DAY, "0"),
     .flags = CONF_RELOAD | CONF_ZERO_OFF, AT(smtp.future_release_ms),
     DOC("Offer FUTURERELEASE (RFC 4865) in mode submission: mail may be held for so long. 0: off.")},
    {KEY("smtp.deliver_by"), DURATION(1 * SECOND, 1 * DAY, "0"),
     .flags = CONF_RELOAD | CONF_ZERO_OFF, AT(smtp.deliver_by_ms),
     DOC("Offer DELIVERBY (RFC 2852); the value is the shortest time that `BY=…;R` may name. 0: off.")},

    {KEY("headers.received"), ENUM("add|none", "add"), .flags = CONF_RELOAD, AT(headers.received),
     DOC("Whether our Received field is added. Without it loops are not found.")},
    {KEY("headers.strip"), .type = CONF_FIELD_NAME, .shape = CONF_LIST, .min = 1, .max = 76,
     .items_max = 100, .fallback = "", .flags = CONF_RELOAD, .empty = "nothing is removed",
     AT(headers.strip), DOC("Header fields to remove, by name.")},
    {KEY("headers.add_missing"), BOOL("false"), .flags = CONF_RELOAD, AT(headers.add_missing),
     DOC("Add Date, From and Message-ID when a message has none. See listeners[].mode.")},
    {KEY("headers.priority"), FIELD("X-Ringpost-Priority"), .flags = CONF_RELOAD | CONF_EMPTY_OK,
     .empty = "no such field", AT(headers.priority),
     DOC("Field with the message's class, `urgent`, `normal` or `bulk`. Like the four below it is removed from "
         "every message and believed only of listeners[].attributes; a value that is none is refused (550 "
         "5.6.0).")},
    {KEY("headers.tenant"), FIELD("X-Ringpost-Tenant"), .flags = CONF_RELOAD | CONF_EMPTY_OK,
     .empty = "no such field", AT(headers.tenant),
     DOC("Field with whom the message is sent for: up to 64 letters, digits, - _ . @ +.")},
    {KEY("headers.campaign"), FIELD("X-Ringpost-Campaign"), .flags = CONF_RELOAD | CONF_EMPTY_OK,
     .empty = "no such field", AT(headers.campaign),
     DOC("Field with the mailing it belongs to: the same characters.")},
    {KEY("headers.send_at"), FIELD("X-Ringpost-Send-At"), .flags = CONF_RELOAD | CONF_EMPTY_OK,
     .empty = "no such field", AT(headers.send_at),
     DOC("Field with the time of the first attempt: RFC 3339 like `2026-12-24T18:00:00+01:00`, or from now on "
         "`+3600` (seconds), `+1h30m`; a year ahead at most.")},
    {KEY("headers.expire"), FIELD("X-Ringpost-Expire"), .flags = CONF_RELOAD | CONF_EMPTY_OK,
     .empty = "no such field", AT(headers.expire),
     DOC("Field with the time after which the message is not sent any more, in the same forms.")},

    {KEY("relay.host"), .type = CONF_RELAY_HOST, .shape = CONF_ONE_OR_LIST,
     .max = LIMIT_DOMAIN_BYTES, .items_max = 16, .fallback = "", .flags = CONF_RELOAD,
     .empty = "deliver to the recipients' MX hosts", AT(relay.host),
     DOC("All mail goes to this server: `host`, `host:port`, `[host]:port`, `[address]:port`. Several "
         "are tried in order. Brackets: never an MX lookup.")},
    {KEY("relay.tls"), ENUM(TLS_POLICY, "may"), .flags = CONF_RELOAD, AT(relay.tls),
     DOC("TLS to the relay hosts, as delivery.tls.")},
    {KEY("relay.implicit_tls"), BOOL("false"), .flags = CONF_RELOAD, AT(relay.implicit_tls),
     DOC("TLS from the first byte, as usual at port 465 (RFC 8314), instead of STARTTLS. `may` is then "
         "`encrypt`.")},
    {KEY("relay.username"), .type = CONF_TEXT, .max = 255, .fallback = "",
     .flags = CONF_RELOAD | CONF_EMPTY_OK, .empty = "no login", AT(relay.username),
     DOC("Login at the relay hosts.")},
    {KEY("relay.password"), SECRET(4096), .flags = CONF_RELOAD | CONF_SECRET | CONF_EMPTY_OK,
     .empty = "none", AT(relay.password), DOC("Its password.")},
    {KEY("relay.token_file"), FILE_PATH, .flags = CONF_RELOAD | CONF_EMPTY_OK,
     .empty = "no XOAUTH2", AT(relay.token_file),
     DOC("File with an OAuth 2 access token for XOAUTH2; read again when it changes.")},
    {KEY("relay.auth_without_tls"), BOOL("false"), .flags = CONF_RELOAD, AT(relay.auth_without_tls),
     DOC("Log in even when the connection is not encrypted.")},
    {KEY("relay.auth_hosts"), .type = CONF_TEXT, .shape = CONF_LIST, .min = 1, .max = 255,
     .items_max = 100, .fallback = "", .flags = CONF_RELOAD, .empty = "all relay hosts",
     AT(relay.auth_hosts),
     DOC("Log in only at hosts of these names; `*.example.org` matches below, `*` everywhere.")},
    {KEY("relay.port"), PORT("25"), .flags = CONF_RELOAD, AT(relay.port),
     DOC("Port of the relay hosts that name none.")},
    {KEY("relay.lookup"), ENUM("host|mx", "host"), .flags = CONF_RELOAD, AT(relay.lookup),
     DOC("`mx`: a relay host without brackets is a domain whose MX hosts are meant.")},

    {KEY("delivery.mx_port"), PORT("25"), .flags = CONF_RELOAD, AT(delivery.mx_port),
     DOC("Port of MX hosts; anything but 25 is for tests.")},
    {KEY("delivery.tls"), ENUM(TLS_POLICY, "may"), .flags = CONF_RELOAD, AT(delivery.tls),
     DOC("`may`: when the host offers it, whatever its certificate; `encrypt`: always, whatever its "
         "certificate; `verify`: always, with a valid certificate for the host's name.")},
    {KEY("delivery.private_targets"), ENUM("deny|allow", "deny"), .flags = CONF_RELOAD,
     AT(delivery.private_targets),
     DOC("Whether an MX host may have a loopback, private, link-local or reserved address. Relay "
         "hosts always may.")},
    {KEY("delivery.ipv4"), BOOL("true"), .flags = CONF_RELOAD, AT(delivery.ipv4),
     DOC("Deliver over IPv4.")},
    {KEY("delivery.ipv6"), BOOL("true"), .flags = CONF_RELOAD, AT(delivery.ipv6),
     DOC("Deliver over IPv6.")},
    {KEY("delivery.source_address4"), .type = CONF_ADDRESS4, .fallback = "",
     .flags = CONF_RELOAD | CONF_EMPTY_OK, .empty = "the kernel chooses",
     AT(delivery.source_address4), DOC("Own IPv4 address for outgoing connections.")},
    {KEY("delivery.source_address6"), .type = CONF_ADDRESS6, .fallback = "",
     .flags = CONF_RELOAD | CONF_EMPTY_OK, .empty = "the kernel chooses",
     AT(delivery.source_address6), DOC("Own IPv6 address for outgoing connections.")},
    {KEY("delivery.helo_name"), .type = CONF_EHLO_NAME, .max = LIMIT_DOMAIN_BYTES, .fallback = "",
     .flags = CONF_RELOAD | CONF_EMPTY_OK, .empty = "identity.hostname", AT(delivery.helo_name),
     DOC("Name in our EHLO: a host name or an address literal like [192.0.2.1].")},
    {KEY("delivery.connections_total"), COUNT(1, 1000000, "5000"), AT(delivery.connections_total),
     DOC("Open outgoing connections of the whole engine.")},
    {KEY("delivery.connections_per_site"), COUNT(1, 10000, "20"), .flags = CONF_RELOAD,
     AT(delivery.connections_per_site),
     DOC("Open connections to one destination (a set of MX hosts, or the relay), whole engine.")},
    {KEY("delivery.messages_per_connection"), COUNT(1, 1000000, "1000"), .flags = CONF_RELOAD,
     AT(delivery.messages_per_connection), DOC("Messages after which a connection is renewed.")},
    {KEY("delivery.recipients_per_transaction"), COUNT(1, LIMIT_RECIPIENTS_PER_TRANSACTION, "100"),
     .flags = CONF_RELOAD, AT(delivery.recipients_per_transaction),
     DOC("Recipients of one message sent in one transaction.")},
    {KEY("delivery.pipelining"), BOOL("true"), .flags = CONF_RELOAD, AT(delivery.pipelining),
     DOC("Use PIPELINING where it is offered.")},
    {KEY("delivery.chunking"), BOOL("true"), .flags = CONF_RELOAD, AT(delivery.chunking),
     DOC("Use BDAT where CHUNKING is offered.")},
    {KEY("delivery.idle_timeout"), DURATION(1 * SECOND, 5 * MINUTE, "10s"), .flags = CONF_RELOAD,
     AT(delivery.idle_timeout_ms),
     DOC("How long a connection without work is kept for the next message.")},
    {KEY("delivery.connect_timeout"), DURATION(100, 10 * MINUTE, "30s"), .flags = CONF_RELOAD,
     AT(delivery.connect_timeout_ms), DOC("Longest wait for a TCP connection.")},
    {KEY("delivery.greeting_timeout"), DURATION(100, 1 * HOUR, "5m"), .flags = CONF_RELOAD,
     AT(delivery.greeting_timeout_ms), DOC("Wait for the 220 greeting (RFC 5321 4.5.3.2.1).")},
    {KEY("delivery.ehlo_timeout"), DURATION(100, 1 * HOUR, "5m"), .flags = CONF_RELOAD,
     AT(delivery.ehlo_timeout_ms), DOC("Wait for the answer to EHLO, HELO, RSET or QUIT.")},
    {KEY("delivery.mail_timeout"), DURATION(100, 1 * HOUR, "5m"), .flags = CONF_RELOAD,
     AT(delivery.mail_timeout_ms), DOC("Wait for the answer to MAIL (RFC 5321 4.5.3.2.2).")},
    {KEY("delivery.rcpt_timeout"), DURATION(100, 1 * HOUR, "5m"), .flags = CONF_RELOAD,
     AT(delivery.rcpt_timeout_ms), DOC("Wait for the answer to RCPT (RFC 5321 4.5.3.2.3).")},
    {KEY("delivery.data_timeout"), DURATION(100, 1 * HOUR, "2m"), .flags = CONF_RELOAD,
     AT(delivery.data_timeout_ms), DOC("Wait for the 354 after DATA (RFC 5321 4.5.3.2.4).")},
    {KEY("delivery.body_timeout"), DURATION(100, 1 * HOUR, "3m"), .flags = CONF_RELOAD,
     AT(delivery.body_timeout_ms),
     DOC("Longest time in which the peer takes no byte of the message (RFC 5321 4.5.3.2.5). "
         "Found by looking at intervals of it: a peer that stops is given up after one to two.")},
    {KEY("delivery.data_done_timeout"), DURATION(100, 1 * HOUR, "10m"), .flags = CONF_RELOAD,
     AT(delivery.data_done_timeout_ms),
     DOC("Wait for the answer to the end of the message (RFC 5321 4.5.3.2.6). Shorter makes "
         "duplicates likelier.")},

    {KEY("dns.servers"), .type = CONF_ENDPOINT, .shape = CONF_LIST, .min = 53, .items_max = 8,
     .fallback = "", .empty = "those of /etc/resolv.conf", AT(dns.servers),
     DOC("Resolvers: `address`, `address:port`, `[address]:port`.")},
    {KEY("dns.timeout"), DURATION(100, 1 * MINUTE, "5s"), AT(dns.timeout_ms),
     DOC("Wait for the answer of one server to one query.")},
    {KEY("dns.tries"), COUNT(1, 10, "3"), AT(dns.tries),
     DOC("How often the servers are asked before a lookup counts as failed for now.")},
    {KEY("dns.cache_entries"), COUNT(1, 10000000, "100000"), AT(dns.cache_entries),
     DOC("Answers kept, per worker.")},
    {KEY("dns.ttl_min"), DURATION(1 * SECOND, 1 * HOUR, "5s"), .flags = CONF_ZERO_OFF,
     AT(dns.ttl_min_ms), DOC("An answer is kept at least this long.")},
    {KEY("dns.ttl_max"), DURATION(1 * SECOND, 7 * DAY, "1d"), AT(dns.ttl_max_ms),
     DOC("An answer is kept at most this long.")},
    {KEY("dns.negative_ttl_max"), DURATION(1 * SECOND, 3 * HOUR, "5m"), AT(dns.negative_ttl_max_ms),
     DOC("\"There is no such name\" is kept at most this long (RFC 2308).")},

    {KEY("queue.schedule"), .type = CONF_DURATION, .shape = CONF_LIST, .min = 1 * SECOND,
     .max = 30 * DAY, .items_min = 1, .items_max = 100, .fallback = "1m,5m,15m,1h,4h",
     .flags = CONF_RELOAD, AT(queue.schedule),
     DOC("Waits between delivery attempts; the last one repeats. The first attempt is at once.")},
    {KEY("queue.jitter"), COUNT(1, 50, "20"), .unit = "percent",
     .flags = CONF_RELOAD | CONF_ZERO_OFF, AT(queue.jitter_percent),
     DOC("Each wait is made longer or shorter by up to this much, by chance.")},
    {KEY("queue.max_age"), DURATION(1 * SECOND, 60 * DAY, "5d"), .flags = CONF_RELOAD,
     AT(queue.max_age_ms),
     DOC("Undelivered recipients are given up after this time (RFC 5321 4.5.4.1: 4 to 5 days).")},
    {KEY("queue.max_attempts"), COUNT(1, 10000, "0"), .flags = CONF_RELOAD | CONF_ZERO_OFF,
     AT(queue.max_attempts), DOC("Give up after so many attempts; 0: only max_age counts.")},
    {KEY("queue.recipients_max"), COUNT(1000, 100000000, "10000000"), AT(queue.recipients_max),
     DOC("Recipients in the queue of the whole engine. Beyond: 452 4.3.1.")},

    {KEY("dsn.from"), .type = CONF_MAILBOX, .max = LIMIT_ADDRESS_BYTES, .fallback = "",
     .flags = CONF_RELOAD | CONF_EMPTY_OK, .empty = "MAILER-DAEMON@ identity.hostname",
     AT(dsn.from), DOC("From field of delivery reports. Their envelope sender is always empty.")},
    {KEY("dsn.delay_after"), DURATION(1 * SECOND, 30 * DAY, "4h"),
     .flags = CONF_RELOAD | CONF_ZERO_OFF, AT(dsn.delay_after_ms),
     DOC("Tell the sender once when a recipient still waits after this time; 0: never.")},
    {KEY("dsn.original_size_max"), SIZE(1 * KIB, 10 * MIB, "50KiB"),
     .flags = CONF_RELOAD | CONF_ZERO_OFF, AT(dsn.original_bytes_max),
     DOC("A report holds the whole original up to this size, only its header above.")},

    {KEY("log.format"), ENUM("json", "json"), AT(log.format), DOC("One JSON object per line.")},
    {KEY("log.level"), ENUM("debug|info|warn|error", "info"), .flags = CONF_RELOAD, AT(log.level),
     DOC("Events below this level are left out.")},

    {KEY("admin.socket"), .type = CONF_PATH, .max = 3900, .fallback = "", .flags = CONF_EMPTY_OK,
     .empty = "admin.sock in spool.dir", AT(admin.socket),
     DOC("Unix socket for `ringpost queue`.")},

    {KEY("shutdown.deadline"), DURATION(100, 1 * HOUR, "30s"), .flags = CONF_RELOAD,
     AT(shutdown.deadline_ms),
     DOC("After SIGTERM, sessions may finish their message within this time.")},

    /* Last: the rules follow it where the configuration is printed. */
    {KEY("shaping.builtin"), BOOL("true"), .flags = CONF_RELOAD, AT(shaping.builtin),
     DOC("Begin with the limits that ship for large providers.")},
};

const struct conf_table conf_table = {
    keys, ARRAY_COUNT(keys), conf_groups, CONF_GROUPS, sizeof(struct conf),
};
