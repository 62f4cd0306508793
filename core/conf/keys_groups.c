/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The groups of the key table, in the order of every output.
 */
#include "core/base/limits.h"
#include "core/conf/conf.h"
#include "core/conf/keys.h"
#include "core/conf/warmup.h"

const struct conf_group conf_groups[CONF_GROUPS] = {
    {SLICE_INIT("identity"), "Who we are.", 0, 0, 0, 0},
    {SLICE_INIT("io"), "The kernel interface.", 0, 0, 0, 0},
    {SLICE_INIT("spool"), "The message log on disk.", 0, 0, 0, 0},
    {SLICE_INIT("listeners"), "Where mail comes in.", 1, LIMIT_LISTENERS,
     offsetof(struct conf, listeners), sizeof(struct conf_listener)},
    {SLICE_INIT("access"), "Who may send.", 0, 0, 0, 0},
    {SLICE_INIT("local"), "Mailboxes on this machine.", 0, 0, 0, 0},
    {SLICE_INIT("tls"), "Certificates.", 0, 0, 0, 0},
    {SLICE_INIT("proxy"), "Load balancers in front.", 0, 0, 0, 0},
    {SLICE_INIT("auth"), "Logins of clients.", 0, 0, 0, 0},
    {SLICE_INIT("users"), "Who may log in.", 0, 10000, offsetof(struct conf, users),
     sizeof(struct conf_user)},
    {SLICE_INIT("sender"), "Which senders are allowed.", 0, 0, 0, 0},
    {SLICE_INIT("domains"), "Our domains and their keys.", 0, 10000, offsetof(struct conf, domains),
     sizeof(struct conf_domain)},
    {SLICE_INIT("dkim"), "Signatures.", 0, 0, 0, 0},
    {SLICE_INIT("limits"), "What a client may ask of us.", 0, 0, 0, 0},
    {SLICE_INIT("smtp"), "What we offer to clients.", 0, 0, 0, 0},
    {SLICE_INIT("headers"), "What we change in a message.", 0, 0, 0, 0},
    {SLICE_INIT("relay"), "The next server for all mail.", 0, 0, 0, 0},
    {SLICE_INIT("delivery"), "How mail goes out.", 0, 0, 0, 0},
    {SLICE_INIT("sources"), "Addresses that mail leaves by, see [SOURCES.md](SOURCES.md).", 0,
     CONF_EGRESS_MAX, offsetof(struct conf, sources), sizeof(struct conf_egress_source)},
    {SLICE_INIT("source_pools"), "Sources that share mail by weight.", 0, CONF_EGRESS_MAX,
     offsetof(struct conf, source_pools), sizeof(struct conf_egress_pool)},
    {SLICE_INIT("source_rules"),
     "Which mail leaves by which pool: the first rule that matches. All that a rule names must match; "
     "one that names nothing matches all mail. Without a match mail has no source: "
     "delivery.source_address4 and its like hold.",
     0, CONF_EGRESS_MAX, offsetof(struct conf, source_rules), sizeof(struct conf_egress_rule)},
    {SLICE_INIT("warmup_plans"), "How new sources begin, see [SOURCES.md](SOURCES.md).", 0,
     CONF_WARMUP_PLANS_MAX, offsetof(struct conf, warmup_plans), sizeof(struct conf_warmup_plan)},
    {SLICE_INIT("dns"), "Name lookups.", 0, 0, 0, 0},
    {SLICE_INIT("queue"), "Retries.", 0, 0, 0, 0},
    {SLICE_INIT("dsn"), "Delivery reports.", 0, 0, 0, 0},
    {SLICE_INIT("log"), "Event log on standard output.", 0, 0, 0, 0},
    {SLICE_INIT("admin"), "The running engine's control interface.", 0, 0, 0, 0},
    {SLICE_INIT("sandbox"),
     "What the running engine can still do, see [OPERATIONS.md](OPERATIONS.md#sandbox).", 0, 0, 0,
     0},
    {SLICE_INIT("shutdown"), "SIGTERM.", 0, 0, 0, 0},
    {SLICE_INIT("shaping"),
     "How fast, and to whom: this key and rules, see [SHAPING.md](SHAPING.md).", 0, 0, 0, 0},
    {SLICE_INIT("automation"),
     "What replies make the engine do: this key and rules, see [AUTOMATION.md](AUTOMATION.md).", 0,
     0, 0, 0},
};
