/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * event - the table of log events and their fields
 *
 * Purpose:   one row per event and per field name: what the log can say is listed here and nowhere
 *            else. An event is one JSON object on one line: {"time":…,"level":…,"event":…, fields…}.
 * Thread:    constants.
 */
#ifndef RINGPOST_OBS_EVENT_H
#define RINGPOST_OBS_EVENT_H

enum obs_level { OBS_DEBUG, OBS_INFO, OBS_WARN, OBS_ERROR };

/* X(enumerator, "event", level) */
#define OBS_EVENTS(X)                                                                              \
    X(OBS_STARTED, "started", OBS_INFO)                                                            \
    X(OBS_IO_FALLBACK, "io_fallback", OBS_WARN)                                                    \
    X(OBS_LISTENING, "listening", OBS_INFO)                                                        \
    X(OBS_SANDBOX, "sandbox", OBS_INFO)                                                            \
    X(OBS_RECOVERED, "recovered", OBS_INFO)                                                        \
    X(OBS_READY, "ready", OBS_INFO)                                                                \
    X(OBS_RELOADED, "reloaded", OBS_INFO)                                                          \
    X(OBS_RELOAD_REFUSED, "reload_refused", OBS_ERROR)                                             \
    X(OBS_STOPPING, "stopping", OBS_INFO)                                                          \
    X(OBS_STOPPED, "stopped", OBS_INFO)                                                            \
    X(OBS_CONFIG_WARNING, "config_warning", OBS_WARN)                                              \
    X(OBS_ACCEPTED, "accepted", OBS_INFO)                                                          \
    X(OBS_REJECTED, "rejected", OBS_INFO)                                                          \
    X(OBS_DELIVERED, "delivered", OBS_INFO)                                                        \
    X(OBS_DEFERRED, "deferred", OBS_INFO)                                                          \
    X(OBS_BOUNCED, "bounced", OBS_INFO)                                                            \
    X(OBS_EXPIRED, "expired", OBS_INFO)                                                            \
    X(OBS_CANCELLED, "cancelled", OBS_INFO)                                                        \
    X(OBS_ORDER, "order", OBS_INFO)                                                                \
    X(OBS_DSN, "dsn", OBS_INFO)                                                                    \
    X(OBS_DSN_DROPPED, "dsn_dropped", OBS_WARN)                                                    \
    X(OBS_INBOUND_OPEN, "inbound_open", OBS_DEBUG)                                                 \
    X(OBS_INBOUND_CLOSE, "inbound_close", OBS_DEBUG)                                               \
    X(OBS_INBOUND_REFUSED, "inbound_refused", OBS_WARN)                                            \
    X(OBS_INBOUND_TROUBLE, "inbound_trouble", OBS_WARN)                                            \
    X(OBS_INBOUND_TLS, "inbound_tls", OBS_DEBUG)                                                   \
    X(OBS_LOGIN, "login", OBS_INFO)                                                                \
    X(OBS_LOGIN_FAILED, "login_failed", OBS_WARN)                                                  \
    X(OBS_OUTBOUND_TLS, "outbound_tls", OBS_INFO)                                                  \
    X(OBS_OUTBOUND_OPEN, "outbound_open", OBS_DEBUG)                                               \
    X(OBS_OUTBOUND_CLOSE, "outbound_close", OBS_DEBUG)                                             \
    X(OBS_OUTBOUND_TROUBLE, "outbound_trouble", OBS_WARN)                                          \
    X(OBS_OUTBOUND_LEARNED, "outbound_learned", OBS_INFO)                                          \
    X(OBS_OVERRIDE, "override", OBS_WARN)                                                          \
    X(OBS_SOURCE_PAUSED, "source_paused", OBS_ERROR)                                               \
    X(OBS_SOURCE_RESUMED, "source_resumed", OBS_INFO)                                              \
    X(OBS_ACCEPT_PAUSED, "accept_paused", OBS_WARN)                                                \
    X(OBS_SPOOL_STATE, "spool_state", OBS_WARN)                                                    \
    X(OBS_SPOOL_DAMAGE, "spool_damage", OBS_ERROR)                                                 \
    X(OBS_SPOOL_NOTE, "spool_note", OBS_INFO)                                                      \
    X(OBS_LOG_DROPPED, "log_dropped", OBS_WARN)

enum obs_event {
#define X(id, name, level) id,
    OBS_EVENTS(X)
#undef X
        OBS_EVENT_COUNT
};

/* X(enumerator, "field") */
#define OBS_FIELDS(X)                                                                              \
    X(OBS_F_ID, "id")                                                                              \
    X(OBS_F_SESSION, "session")                                                                    \
    X(OBS_F_WORKER, "worker")                                                                      \
    X(OBS_F_FROM, "from")                                                                          \
    X(OBS_F_TO, "to")                                                                              \
    X(OBS_F_RECIPIENTS, "recipients")                                                              \
    X(OBS_F_TENANT, "tenant")                                                                      \
    X(OBS_F_CAMPAIGN, "campaign")                                                                  \
    X(OBS_F_PRIORITY, "priority")                                                                  \
    X(OBS_F_SEND_AT, "send_at")                                                                    \
    X(OBS_F_EXPIRES, "expires")                                                                    \
    X(OBS_F_SIZE, "size")                                                                          \
    X(OBS_F_FREE, "free")                                                                          \
    X(OBS_F_CLIENT, "client")                                                                      \
    X(OBS_F_HELO, "helo")                                                                          \
    X(OBS_F_USER, "user")                                                                          \
    X(OBS_F_TLS, "tls")                                                                            \
    X(OBS_F_CIPHER, "cipher")                                                                      \
    X(OBS_F_VERDICT, "certificate")                                                                \
    X(OBS_F_MECHANISM, "mechanism")                                                                \
    X(OBS_F_LISTENER, "listener")                                                                  \
    X(OBS_F_PROTOCOL, "protocol")                                                                  \
    X(OBS_F_PEER, "peer")                                                                          \
    X(OBS_F_PEER_NAME, "peer_name")                                                                \
    X(OBS_F_SITE, "site")                                                                          \
    X(OBS_F_SOURCE, "source")                                                                      \
    X(OBS_F_ADDRESS, "address")                                                                    \
    X(OBS_F_STAGE, "stage")                                                                        \
    X(OBS_F_CODE, "code")                                                                          \
    X(OBS_F_STATUS, "status")                                                                      \
    X(OBS_F_REPLY, "reply")                                                                        \
    X(OBS_F_CLASS, "class")                                                                        \
    X(OBS_F_RULE, "rule")                                                                          \
    X(OBS_F_HINT, "hint")                                                                          \
    X(OBS_F_REMOTE, "remote")                                                                      \
    X(OBS_F_UNKNOWN, "outcome_unknown")                                                            \
    X(OBS_F_ATTEMPT, "attempt")                                                                    \
    X(OBS_F_NEXT, "next_attempt_seconds")                                                          \
    X(OBS_F_DELAY_MS, "delay_ms")                                                                  \
    X(OBS_F_REASON, "reason")                                                                      \
    X(OBS_F_COUNT, "count")                                                                        \
    X(OBS_F_MESSAGES, "messages")                                                                  \
    X(OBS_F_DAMAGED, "damaged")                                                                    \
    X(OBS_F_PORT, "port")                                                                          \
    X(OBS_F_PATH, "path")                                                                          \
    X(OBS_F_VERSION, "version")                                                                    \
    X(OBS_F_BACKEND, "io_backend")                                                                 \
    X(OBS_F_KIND, "kind")                                                                          \
    X(OBS_F_LANDLOCK, "landlock")                                                                  \
    X(OBS_F_PATHS, "paths")                                                                        \
    X(OBS_F_SYSCALLS, "syscalls")                                                                  \
    X(OBS_F_RINGS, "rings_restricted")                                                             \
    X(OBS_F_PID, "pid")

enum obs_field {
#define X(id, name) id,
    OBS_FIELDS(X)
#undef X
        OBS_FIELD_COUNT
};

#endif
