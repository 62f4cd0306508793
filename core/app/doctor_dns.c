/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Name servers, our own name, the relay hosts: asked with the engine's own resolver on an io of its
 * own. Nothing here fails the doctor: a machine may be checked before it has a network.
 */
#include "core/app/doctor_check.h"
#include "core/app/lookup.h"
#include "core/base/must.h"
#include "dns/dns.h"

#include <errno.h>

enum {
    RELAY_CONNECT_MS = 3000,
    RELAY_ADDRESSES_MAX = 3,
};

/* A plan's text names what was asked for; our own reasons do not. */
static struct slice lookup_reason(const struct dns_plan *plan, struct slice name, struct buf *why)
{
    if (plan && plan->text.len) {
        return plan->text;
    }
    buf_addf(why, "%s%.*s", why->len ? " for " : "not found: ", SLICE_ARG(name));
    return buf_slice(why);
}

/* ---- servers ---- */

/* The relay host, if it is a name, is what will be asked for; else our own name. */
static struct slice dns_test_name(const struct conf *conf)
{
    for (size_t i = 0; i < conf->relay.host.count; i++) {
        if (conf->relay.host.items[i].addr.family == IP_NONE) {
            return conf->relay.host.items[i].name;
        }
    }
    return conf->identity.hostname;
}

static void dns_check_server(struct doctor *d, const struct ip_endpoint *server)
{
    char text[IP_ENDPOINT_TEXT_MAX] = "the servers of /etc/resolv.conf";
    struct slice name = dns_test_name(d->conf);
    struct buf why;
    buf_init(&why, 1024);
    if (server) {
        ip_endpoint_text(server, text);
    }
    uint64_t start = clock_read().mono_ms;
    /* MX and not A: an address may come from /etc/hosts. */
    const struct dns_plan *plan = lookup_hosts(d->conf, server, name, true, &why);
    if (plan && plan->status != DNS_TEMPORARY) {
        doctor_say(d, DOCTOR_PASS, "dns", "", "%s: answered for %.*s in %llu ms (%s)", text,
                   SLICE_ARG(name), (unsigned long long)(clock_read().mono_ms - start),
                   dns_status_name(plan->status));
    } else {
        doctor_say(d, DOCTOR_WARN, "dns",
                   "delivery by name waits until it answers: correct dns.servers or "
                   "/etc/resolv.conf, or open UDP and TCP port 53",
                   "%s: %.*s", text, SLICE_ARG(plan ? plan->text : buf_slice(&why)));
    }
    dns_plan_put(&plan);
    buf_deinit(&why);
}

void doctor_check_dns(struct doctor *d)
{
    if (d->conf->dns.servers.count == 0) {
        dns_check_server(d, NULL);
    }
    for (size_t i = 0; i < d->conf->dns.servers.count; i++) {
        dns_check_server(d, &d->conf->dns.servers.items[i]);
    }
}

void doctor_check_hostname(struct doctor *d)
{
    struct slice name = d->conf->identity.hostname;
    struct buf why;
    buf_init(&why, 1024);
    const struct dns_plan *plan = lookup_hosts(d->conf, NULL, name, false, &why);
    if (slice_find_byte(name, '.') < 0) {
        doctor_say(d, DOCTOR_WARN, "hostname",
                   "set identity.hostname to this host's full name: many servers refuse others",
                   "%.*s is not a full name", SLICE_ARG(name));
    } else if (plan && plan->status == DNS_OK) {
        char text[IP_TEXT_MAX];
        must(plan->host_count == 1 && plan->hosts[0].address_count > 0);
        doctor_say(d, DOCTOR_PASS, "hostname", "", "%.*s is %s", SLICE_ARG(name),
                   ip_addr_text(&plan->hosts[0].addresses[0], text));
    } else {
        struct slice reason = lookup_reason(plan, name, &why);
        doctor_say(d, DOCTOR_WARN, "hostname",
                   "give identity.hostname an address record: many servers check it", "%.*s",
                   SLICE_ARG(reason));
    }
    dns_plan_put(&plan);
    buf_deinit(&why);
}

/* ---- relay ---- */

static bool relay_try(struct doctor *d, struct slice name, const struct ip_addr *addr,
                      uint16_t port)
{
    struct ip_endpoint to = {*addr, port};
    char text[IP_ENDPOINT_TEXT_MAX];
    ip_endpoint_text(&to, text);
    if (doctor_connect(&to, RELAY_CONNECT_MS)) {
        doctor_say(d, DOCTOR_PASS, "relay", "", "%.*s: %s takes connections", SLICE_ARG(name),
                   text);
        return true;
    }
    doctor_say(d, DOCTOR_WARN, "relay",
               "start that server, correct relay.host, or open the way to it", "%.*s: %s: %s",
               SLICE_ARG(name), text, strerror(errno));
    return false;
}

static void relay_check_name(struct doctor *d, const struct conf_relay_host *h)
{
    struct buf why;
    unsigned tried = 0;
    buf_init(&why, 1024);
    const struct dns_plan *plan = lookup_hosts(d->conf, NULL, h->name, h->use_mx, &why);
    if (!plan || plan->status != DNS_OK) {
        struct slice reason = lookup_reason(plan, h->name, &why);
        doctor_say(d, DOCTOR_WARN, "relay", "correct relay.host or the name server's data", "%.*s",
                   SLICE_ARG(reason));
    }
    bool reached = !plan || plan->status != DNS_OK;
    for (unsigned i = 0; plan && i < plan->host_count; i++) {
        for (unsigned k = 0; k < plan->hosts[i].address_count && !reached; k++) {
            if (tried++ == RELAY_ADDRESSES_MAX) {
                reached = true;
                break;
            }
            reached = relay_try(d, h->name, &plan->hosts[i].addresses[k], h->port);
        }
    }
    dns_plan_put(&plan);
    buf_deinit(&why);
}

void doctor_check_relay(struct doctor *d)
{
    const struct conf_relay_hosts *hosts = &d->conf->relay.host;
    if (hosts->count == 0) {
        doctor_say(d, DOCTOR_PASS, "relay", "", "none: mail goes to the recipients' MX hosts");
        return;
    }
    for (size_t i = 0; i < hosts->count; i++) {
        const struct conf_relay_host *h = &hosts->items[i];
        if (h->addr.family != IP_NONE) {
            relay_try(d, h->name, &h->addr, h->port);
        } else {
            relay_check_name(d, h);
        }
    }
}
