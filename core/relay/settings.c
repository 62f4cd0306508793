/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/relay/settings.h"
#include "core/base/must.h"

#include <stdatomic.h>
#include <stdlib.h>

static void relay_settings_server(struct smtp_server_config *out, const struct conf *conf,
                                  const struct conf_listener *listener)
{
    smtp_server_config_init(out);
    out->hostname = conf->identity.hostname;
    out->greeting = conf->smtp.banner;
    out->size_max = conf->limits.message_bytes;
    out->recipients_max = conf->limits.recipients;
    out->line_length_max = conf->limits.line_action == CONF_LINE_REJECT ? conf->limits.line_bytes
                                                                        : 0;
    out->header_bytes_max = conf->limits.header_bytes;
    out->hops_max = conf->limits.hops;
    out->errors_max = conf->limits.errors;
    out->junk_max = conf->limits.junk;
    out->normalize_bare_lf = listener->normalize_bare_lf;
    const struct {
        bool on;
        uint32_t feature;
    } features[] = {
        {conf->smtp.pipelining, SMTP_FEATURE_PIPELINING},
        {conf->smtp.chunking, SMTP_FEATURE_CHUNKING},
        {conf->smtp.smtputf8, SMTP_FEATURE_SMTPUTF8},
        {conf->smtp.dsn, SMTP_FEATURE_DSN},
    };
    for (size_t i = 0; i < ARRAY_COUNT(features); i++) {
        out->features = features[i].on ? out->features | features[i].feature
                                       : out->features & ~features[i].feature;
    }
}

struct relay_settings *relay_settings_new(struct conf *conf)
{
    struct relay_settings *s = calloc(1, sizeof(*s) + conf->listeners.count * sizeof(s->server[0]));
    if (!s) {
        return NULL;
    }
    atomic_init(&s->refs, 1);
    s->conf = conf;
    s->headers = (struct mail_headers_config){
        .strip = conf->headers.strip.items,
        .strip_count = conf->headers.strip.count,
        .adds_fields = conf->headers.received == CONF_RECEIVED_ADD || conf->headers.add_missing,
    };
    s->client = (struct smtp_client_config){
        .helo_name = conf->delivery.helo_name,
        .pipelining = conf->delivery.pipelining,
        .chunking = conf->delivery.chunking,
        .window = 2,
    };
    for (size_t i = 0; i < conf->listeners.count; i++) {
        relay_settings_server(&s->server[i], conf, &conf->listeners.items[i]);
    }
    return s;
}

struct relay_settings *relay_settings_ref(struct relay_settings *s)
{
    uint32_t before = atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    must(before > 0);
    return s;
}

void relay_settings_put(struct relay_settings **s)
{
    if (*s && atomic_fetch_sub_explicit(&(*s)->refs, 1, memory_order_acq_rel) == 1) {
        conf_free((*s)->conf);
        free(*s);
    }
    *s = NULL;
}
