/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/policy/access.h"

static bool refuse(struct access_refusal *out, uint16_t code, const char *enhanced,
                   struct slice text)
{
    out->verdict =
        (struct smtp_verdict){.code = code, .enhanced = slice_str(enhanced), .text = text};
    return false;
}

bool access_domain_in(const struct conf_names *domains, struct slice domain)
{
    for (size_t i = 0; i < domains->count; i++) {
        if (slice_eq_nocase(domains->items[i], domain)) {
            return true;
        }
    }
    return false;
}

/* ---- who ---- */

bool access_may_relay(const struct conf *conf, const struct access_client *c)
{
    bool network = ip_nets_contain(conf->access.networks.items, conf->access.networks.count,
                                   &c->addr);
    switch (c->listener->access) {
    case CONF_ACCESS_NETWORK:
        return network;
    case CONF_ACCESS_AUTH:
        return c->authenticated;
    case CONF_ACCESS_AUTH_AND_NETWORK:
        return c->authenticated && network;
    case CONF_ACCESS_AUTH_OR_NETWORK:
        return c->authenticated || network;
    case CONF_ACCESS_AUTO:
        break;
    }
    return false;
}

static bool refuse_relay(const struct conf *conf, struct access_refusal *out)
{
    switch (conf->access.refuse_code) {
    case CONF_REFUSE_550:
        return refuse(out, 550, "5.7.1", SLICE("Relay not permitted"));
    case CONF_REFUSE_554:
        break;
    }
    return refuse(out, 554, "5.7.1", SLICE("Relay access denied"));
}

/* Would logging in change the answer? */
static bool auth_would_help(const struct conf *conf, const struct access_client *c)
{
    struct access_client logged_in = *c;
    logged_in.authenticated = true;
    return !c->authenticated && access_may_relay(conf, &logged_in);
}

static struct slice domain_of(struct slice address)
{
    size_t i = address.len;
    while (i > 0 && address.ptr[i - 1] != '@') {
        i--;
    }
    return i ? slice_skip(address, i) : slice_of("", 0);
}

/* RFC 6409 4.2: on a submission port all domains must be full ones. Without any: the null sender, and
 * postmaster, who needs none (RFC 5321 4.5.1). */
static bool domain_serves(const struct access_client *c, struct slice domain)
{
    return c->listener->mode != CONF_MODE_SUBMISSION || domain.len == 0 || domain.ptr[0] == '[' ||
           slice_find_byte(domain, '.') >= 0;
}

bool access_check_mail(const struct conf *conf, const struct access_client *c, struct slice sender,
                       struct access_refusal *out)
{
    if (c->listener->reject_at == CONF_REJECT_AT_MAIL && !access_may_relay(conf, c)) {
        return auth_would_help(conf, c)
                   ? refuse(out, 530, "5.7.0", SLICE("Authentication required"))
                   : refuse_relay(conf, out);
    }
    return domain_serves(c, domain_of(sender)) ||
           refuse(out, 554, "5.1.8", SLICE("Sender address needs a full domain"));
}

/* ---- in whose name ---- */

/* example.org, and everything below it. */
static bool domain_covers(struct slice name, struct slice domain)
{
    return slice_eq_nocase(name, domain) ||
           (domain.len > name.len && domain.ptr[domain.len - name.len - 1] == '.' &&
            slice_ends_nocase(domain, name));
}

static bool domain_listed(const struct conf *conf, struct slice domain)
{
    for (size_t i = 0; i < conf->domains.count; i++) {
        if (domain_covers(conf->domains.items[i].name, domain)) {
            return true;
        }
    }
    return false;
}

/* "user@example.org" or "@example.org": that domain only, not what is below it. */
static bool owns(const struct conf_names *allowed, struct slice sender)
{
    struct slice domain = domain_of(sender);
    for (size_t i = 0; i < allowed->count; i++) {
        struct slice item = allowed->items[i];
        bool whole = item.len && item.ptr[0] == '@' && slice_eq_nocase(slice_skip(item, 1), domain);
        if (whole || slice_eq_nocase(item, sender)) {
            return true;
        }
    }
    return false;
}

static bool owned_by_someone(const struct conf *conf, struct slice sender)
{
    for (size_t i = 0; i < conf->users.count; i++) {
        if (owns(&conf->users.items[i].allowed_from, sender)) {
            return true;
        }
    }
    return false;
}

static bool refuse_sender(struct access_refusal *out, uint16_t code, struct slice sender,
                          const char *why, struct slice user)
{
    struct buf text;
    buf_init(&text, 4096);
    buf_addf(&text, "<%.*s>: Sender address rejected: %s%.*s",
             SLICE_ARG(slice_first(sender, sizeof(out->text) / 2)), why,
             SLICE_ARG(slice_first(user, 64)));
    struct slice shown = slice_first(buf_slice(&text), sizeof(out->text));
    memcpy(out->text, shown.ptr, shown.len);
    buf_deinit(&text);
    return refuse(out, code, "5.7.1", slice_of(out->text, shown.len));
}

bool access_check_sender(const struct conf *conf, const struct access_client *c,
                         struct slice sender, struct access_refusal *out)
{
    struct slice nobody = slice_of("", 0);
    switch (conf->sender.restrict_to) {
    case CONF_SENDER_ANY:
        return true;
    case CONF_SENDER_DOMAIN:
        return domain_listed(conf, domain_of(sender)) ||
               refuse_sender(out, 554, sender, "Access denied", nobody);
    case CONF_SENDER_EMAIL:
        if (sender.len == 0 || conf->users.count == 0) {
            return true; /* the null sender; and without users there is nothing to own */
        }
        if (!c->authenticated) {
            return !owned_by_someone(conf, sender) ||
                   refuse_sender(out, 553, sender, "not logged in", nobody);
        }
        if (!c->allowed_from) {
            return !owned_by_someone(conf, sender) ||
                   refuse_sender(out, 553, sender, "not owned by user ", c->user);
        }
        return c->allowed_from->count == 0 || owns(c->allowed_from, sender) ||
               refuse_sender(out, 553, sender, "not owned by user ", c->user);
    }
    return false;
}

/* ---- to whom ---- */

/* "u%far@us", "far!u@us", "\"u@far\"@us": to us such a local part is only a name. But the server that we
 * are the backup of trusts us, and may send it on to `far` (the oldest hole of open relays). */
static bool routed_by_sender(struct slice local)
{
    return slice_find_byte(local, '%') >= 0 || slice_find_byte(local, '!') >= 0 ||
           slice_find_byte(local, '@') >= 0;
}

bool access_check_rcpt(const struct conf *conf, const struct access_client *c, struct slice sender,
                       const struct smtp_address *rcpt, struct access_refusal *out)
{
    bool trusted = access_may_relay(conf, c);
    bool local = access_domain_in(&conf->access.local_domains, rcpt->domain);
    if (local && conf->local.maildir.len == 0) {
        return refuse(out, 550, "5.1.1", SLICE("No such user here"));
    }
    if (!trusted && !local &&
        (!access_domain_in(&conf->access.relay_domains, rcpt->domain) ||
         routed_by_sender(rcpt->local))) {
        return refuse_relay(conf, out);
    }
    if (!local && !domain_serves(c, rcpt->domain)) {
        return refuse(out, 554, "5.1.2", SLICE("Recipient address needs a full domain"));
    }
    /* Strangers who send to a relay domain have their own senders, but none that belong to a user. */
    if (!trusted && conf->sender.restrict_to != CONF_SENDER_EMAIL) {
        return true;
    }
    return access_check_sender(conf, c, sender, out);
}
