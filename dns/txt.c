/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A channel of its own with c-ares' event thread: a command asks one question, so neither the cache nor
 * the ring of dns/channel would earn anything here.
 */
#include "dns/txt.h"

#include "core/base/must.h"

#include <ares.h>
#include <stdio.h>

enum {
    TXT_EDNS_BYTES = 1232,
    TXT_NAME_BYTES = 254,
    TXT_SERVERS_TEXT = DNS_SERVERS_MAX * (IP_ENDPOINT_TEXT_MAX + 1),
};

struct txt_question {
    struct dns_txt *out;
    struct buf *why;
    enum dns_status status;
    bool done;
};

void dns_txt_init(struct dns_txt *t)
{
    *t = (struct dns_txt){0};
    buf_init(&t->text, DNS_TXT_BYTES_MAX);
}

void dns_txt_deinit(struct dns_txt *t)
{
    buf_deinit(&t->text);
    t->count = 0;
}

struct slice dns_txt_record(const struct dns_txt *t, size_t i)
{
    must(i < t->count);
    size_t from = i ? t->end[i - 1] : 0;
    return slice_of(t->text.ptr + from, t->end[i] - from);
}

static enum dns_status txt_fail(struct buf *why, enum dns_status status, const char *what)
{
    buf_addf(why, "%s", what);
    return status;
}

static enum dns_status txt_take(struct txt_question *q, const ares_dns_record_t *rec)
{
    struct dns_txt *out = q->out;
    for (size_t i = 0; i < ares_dns_record_rr_cnt(rec, ARES_SECTION_ANSWER); i++) {
        const ares_dns_rr_t *rr = ares_dns_record_rr_get_const(rec, ARES_SECTION_ANSWER, i);
        size_t bytes = 0;
        if (ares_dns_rr_get_type(rr) != ARES_REC_TYPE_TXT) {
            continue; /* the aliases on the way */
        }
        const unsigned char *text = ares_dns_rr_get_bin(rr, ARES_RR_TXT_DATA, &bytes);
        if (out->count == DNS_TXT_RECORDS_MAX) {
            return txt_fail(q->why, DNS_TEMPORARY, "too many TXT records");
        }
        buf_add(&out->text, slice_of(text, text ? bytes : 0));
        out->end[out->count++] = out->text.len;
    }
    if (out->text.overflow) {
        return txt_fail(q->why, DNS_TEMPORARY, "too much text");
    }
    return out->count ? DNS_OK : txt_fail(q->why, DNS_NO_HOST, "no TXT record");
}

static void txt_on_answer(void *arg, ares_status_t status, size_t timeouts,
                          const ares_dns_record_t *rec)
{
    (void)timeouts;
    struct txt_question *q = arg;
    must(!q->done);
    q->done = true;
    switch ((int)status) {
    case ARES_SUCCESS:
        q->status = txt_take(q, rec);
        break;
    case ARES_ENOTFOUND:
        q->status = txt_fail(q->why, DNS_NO_DOMAIN, "the name does not exist (NXDOMAIN)");
        break;
    case ARES_ENODATA:
        q->status = txt_fail(q->why, DNS_NO_HOST, "no TXT record");
        break;
    case ARES_EBADNAME:
        q->status = txt_fail(q->why, DNS_BAD_NAME, "not a domain name");
        break;
    default:
        q->status = txt_fail(q->why, DNS_TEMPORARY, ares_strerror((int)status));
        break;
    }
}

static ares_status_t txt_open(const struct dns_config *cfg, ares_channel_t **ares)
{
    struct ares_options options = {
        .flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES | ARES_FLAG_EDNS,
        .ednspsz = TXT_EDNS_BYTES,
        .timeout = (int)cfg->timeout_ms,
        .maxtimeout = (int)cfg->timeout_ms,
        .tries = (int)cfg->tries,
        .evsys = ARES_EVSYS_DEFAULT,
    };
    int mask = ARES_OPT_FLAGS | ARES_OPT_EDNSPSZ | ARES_OPT_TIMEOUTMS | ARES_OPT_MAXTIMEOUTMS |
               ARES_OPT_TRIES | ARES_OPT_EVENT_THREAD;
    char csv[TXT_SERVERS_TEXT];
    size_t used = 0;
    ares_status_t rc = (ares_status_t)ares_init_options(ares, &options, mask);
    if (rc != ARES_SUCCESS || cfg->server_count == 0) {
        return rc;
    }
    for (size_t i = 0; i < cfg->server_count; i++) {
        char text[IP_ENDPOINT_TEXT_MAX];
        int n = snprintf(csv + used, sizeof(csv) - used, "%s%s", i ? "," : "",
                         ip_endpoint_text(&cfg->servers[i], text));
        must(n > 0 && (size_t)n < sizeof(csv) - used);
        used += (size_t)n;
    }
    return (ares_status_t)ares_set_servers_ports_csv(*ares, csv);
}

enum dns_status dns_txt_ask(const struct dns_config *cfg, struct slice name, struct dns_txt *out,
                            struct buf *why)
{
    char text[TXT_NAME_BYTES + 1];
    ares_channel_t *ares = NULL;
    struct txt_question q = {.out = out, .why = why, .status = DNS_TEMPORARY};
    must(cfg->server_count <= DNS_SERVERS_MAX && cfg->timeout_ms <= INT32_MAX && out->count == 0);
    if (name.len == 0 || !slice_to_cstr(name, text, sizeof(text))) {
        return txt_fail(why, DNS_BAD_NAME, "not a domain name");
    }
    if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS) {
        return txt_fail(why, DNS_TEMPORARY, "out of memory");
    }
    ares_status_t rc = txt_open(cfg, &ares);
    if (rc == ARES_SUCCESS) {
        ares_query_dnsrec(ares, text, ARES_CLASS_IN, ARES_REC_TYPE_TXT, txt_on_answer, &q, NULL);
        ares_queue_wait_empty(ares, -1); /* it ends by its own time-outs */
        must(q.done);
    } else {
        txt_fail(why, DNS_TEMPORARY, ares_strerror((int)rc));
    }
    if (ares) {
        ares_destroy(ares);
    }
    ares_library_cleanup();
    return q.status;
}
