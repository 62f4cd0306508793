/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What may be meant, but puts a password at risk or shuts everybody out: one line each at the start and by
 * `ringpost check`. Loopback is no risk.
 */
#include "core/relay/settings.h"

static bool listener_demands_login(const struct conf_listener *l)
{
    return l->access == CONF_ACCESS_AUTH || l->access == CONF_ACCESS_AUTH_AND_NETWORK;
}

/* Can somebody on the way read what is said there? */
static bool listener_in_clear(const struct conf_listener *l)
{
    bool encrypted = l->tls == CONF_LISTENER_TLS_ENCRYPT || l->tls == CONF_LISTENER_TLS_IMPLICIT;
    return !encrypted && !ip_addr_is_loopback(&l->address);
}

static void warn_listeners(const struct relay_settings *s, struct buf *to)
{
    const struct conf *conf = s->conf;
    bool users = credentials_count(s->credentials) > 0;
    bool said = false;
    for (size_t i = 0; i < conf->listeners.count; i++) {
        const struct conf_listener *l = &conf->listeners.items[i];
        if (!users && listener_demands_login(l) && l->client_ca_file.len == 0) {
            buf_addf(to,
                     "listeners[%zu].access: who may send must log in, and there are no users: "
                     "nobody can\n",
                     i);
        }
        if (users && !conf->auth.require_tls && !said && listener_in_clear(l)) {
            char text[IP_ENDPOINT_TEXT_MAX];
            const struct ip_endpoint at = {l->address, l->port};
            buf_addf(to,
                     "auth.require_tls: false: passwords may come in clear to listeners[%zu] (%s); "
                     "true, or its tls: encrypt, protects them\n",
                     i, ip_endpoint_text(&at, text));
            said = true;
        }
    }
}

static bool relay_is_near(const struct conf_relay *r)
{
    size_t i = 0;
    while (i < r->host.count && ip_addr_is_loopback(&r->host.items[i].addr)) {
        i++;
    }
    return i == r->host.count; /* none at all: nobody to log in to */
}

static void warn_relay(const struct relay_settings *s, struct buf *to)
{
    const struct conf_relay *r = &s->conf->relay;
    bool may = r->tls == CONF_TLS_MAY && !r->implicit_tls;
    if (r->username.len == 0 || relay_is_near(r) || !(may || r->tls == CONF_TLS_NONE)) {
        return;
    }
    if (r->auth_without_tls && s->conf->profile.len) {
        return; /* the profile has said it, with the name of its variable */
    }
    if (r->auth_without_tls) {
        buf_addf(
            to,
            "relay.auth_without_tls: true: with relay.tls: %s the password may go out in clear "
            "for anybody on the way; relay.tls: verify protects it\n",
            may ? "may" : "none");
    } else if (may) {
        buf_add(to, SLICE("relay.tls: may: the password is not sent in clear "
                          "(relay.auth_without_tls: false), but under TLS to whoever answers, "
                          "whatever the certificate; relay.tls: verify protects it\n"));
    }
}

static void warn_sender(const struct relay_settings *s, struct buf *to)
{
    const struct conf_sender *sender = &s->conf->sender;
    if (sender->check_header && sender->restrict_to == CONF_SENDER_ANY) {
        buf_add(to, SLICE("sender.check_header: true has no effect: sender.restrict is none\n"));
    }
}

/* net_own_addresses knows what interfaces have; all of 127/8 is ours all the same. */
static bool own_address(const struct conf_addresses *own, const struct ip_addr *a)
{
    bool found = own->count == 0 || ip_addr_is_loopback(a);
    for (size_t i = 0; i < own->count && !found; i++) {
        found = ip_addr_eq(&own->items[i], a);
    }
    return found;
}

static void warn_sources(const struct relay_settings *s, struct buf *to)
{
    const struct conf *conf = s->conf;
    for (size_t i = 0; i < conf->sources.count; i++) {
        const struct conf_egress_source *source = &conf->sources.items[i];
        bool direct = source->proxy.kind == CONF_EGRESS_DIRECT;
        for (size_t a = 0; direct && a < source->addresses.count; a++) {
            const struct ip_addr *address = &source->addresses.items[a];
            char text[IP_TEXT_MAX];
            if (!own_address(&conf->own, address)) {
                buf_addf(to,
                         "sources[%zu].addresses: %s is not on this machine: %.*s pauses until it "
                         "is\n",
                         i, ip_addr_text(address, text), SLICE_ARG(source->name));
            }
        }
    }
}

void relay_settings_warn(const struct relay_settings *s, struct buf *to)
{
    warn_listeners(s, to);
    warn_relay(s, to);
    warn_sender(s, to);
    warn_sources(s, to);
}
