/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bench/source_session.h"

void source_totals_add_json(const struct source_totals *t, struct buf *out)
{
    static const struct {
        const char *name;
        size_t offset;
    } rows[] = {
        {"tried", offsetof(struct source_totals, tried)},
        {"accepted", offsetof(struct source_totals, accepted)},
        {"accepted_recipients", offsetof(struct source_totals, accepted_recipients)},
        {"refused_recipients", offsetof(struct source_totals, refused_recipients)},
        {"refused_4xx", offsetof(struct source_totals, refused_4xx)},
        {"refused_5xx", offsetof(struct source_totals, refused_5xx)},
        {"unknown", offsetof(struct source_totals, unknown)},
        {"not_sent", offsetof(struct source_totals, not_sent)},
        {"connections", offsetof(struct source_totals, connections)},
        {"secured", offsetof(struct source_totals, secured)},
        {"connect_errors", offsetof(struct source_totals, connect_errors)},
        {"connections_lost", offsetof(struct source_totals, connections_lost)},
        {"held", offsetof(struct source_totals, held)},
        {"bytes", offsetof(struct source_totals, bytes)},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        const char *field = (const char *)t + rows[i].offset;
        buf_addf(out, ",\"%s\":%llu", rows[i].name,
                 (unsigned long long)*(const uint64_t *)(const void *)field);
    }
    if (t->tls_version != NULL && t->tls_cipher != NULL) {
        buf_addf(out, ",\"tls\":\"%s %s\"", t->tls_version, t->tls_cipher);
    }
    buf_add(out, SLICE(",\"codes\":{"));
    const char *comma = "";
    for (unsigned code = 0; code < SOURCE_CODES; code++) {
        if (t->codes[code] > 0) {
            buf_addf(out, "%s\"%u\":%llu", comma, code, (unsigned long long)t->codes[code]);
            comma = ",";
        }
    }
    buf_add_byte(out, '}');
}
