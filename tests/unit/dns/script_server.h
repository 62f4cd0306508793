/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * script_server - a DNS server thread for unit tests, UDP and TCP on one loopback port
 *
 * Purpose:   answers from a table of rows; a row may misbehave. Counts what it is asked.
 * Use:       script_start(rows, count) … script_stop. Included by one test file.
 * Records:   "MX/10/mx1.test A/192.0.2.1 AAAA/2001:db8::1 CNAME/x.test SOA/60 OWNER/name": the owner is
 *            the question's name, after CNAME its target, after OWNER that name; SOA goes to the
 *            authority section. MANY_A/n and MANY_MX/n make n records.
 * A name without any row is NXDOMAIN; a name without a row of the type is NODATA; both with SOA 60.
 */
#ifndef RINGPOST_TESTS_UNIT_DNS_SCRIPT_SERVER_H
#define RINGPOST_TESTS_UNIT_DNS_SCRIPT_SERVER_H

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    S_OK = 0,
    S_DROP = 1 << 0,
    S_DROP_UDP = 1 << 1,
    S_TC = 1 << 2,        /* truncated over UDP */
    S_TCP_CLOSE = 1 << 3, /* closes TCP without answer */
    S_WRONG_ID = 1 << 4,  /* before the right answer, with another address */
    S_ONLY_WRONG_ID = 1 << 5,
    S_LOWER = 1 << 6,   /* loses the case of the question over UDP */
    S_GARBAGE = 1 << 7, /* header and noise */
    S_SHORT = 1 << 8,   /* cut in half */
    S_NO_EDNS = 1 << 9, /* FORMERR while there is an OPT */
    S_AD = 1 << 10,
    S_ONCE = 1 << 11, /* misbehaves the first time only */
    S_LAME = 1 << 12, /* a referral */
    S_NO_SOA = 1 << 13,
    S_LOOP = 1 << 14,   /* compression pointer to itself */
    S_COUNTS = 1 << 15, /* header claims 65535 records */
    S_COUNTS_TCP = 1 << 16,
};

struct script_row {
    const char *name;
    const char *type; /* "A", "AAAA", "MX", NULL: any */
    const char *records;
    uint32_t ttl;
    unsigned flags;
    unsigned rcode;
    unsigned delay_ms;
};

enum { SCRIPT_ROWS_MAX = 128 };

struct script {
    const struct script_row *rows;
    size_t row_count;
    int udp, tcp, conn;
    uint16_t port;
    pthread_t thread;
    atomic_bool stop;
    atomic_uint hits[SCRIPT_ROWS_MAX];
    atomic_uint questions, over_tcp, with_edns, with_ad, cookies;
    atomic_uint ports_seen; /* changes of the source port between UDP questions */
    uint16_t last_port;
};

struct script_message {
    uint8_t bytes[65535];
    size_t len;
};

static inline void script_u16(struct script_message *m, unsigned v)
{
    m->bytes[m->len++] = (uint8_t)(v >> 8);
    m->bytes[m->len++] = (uint8_t)v;
}

static inline void script_name(struct script_message *m, const char *name)
{
    while (*name && strcmp(name, ".") != 0) {
        size_t n = strcspn(name, ".");
        m->bytes[m->len++] = (uint8_t)n;
        memcpy(m->bytes + m->len, name, n);
        m->len += n;
        name += n + (name[n] == '.');
    }
    m->bytes[m->len++] = 0;
}

static inline void script_rr(struct script_message *m, const char *owner, unsigned type,
                             uint32_t ttl, const uint8_t *data, size_t len)
{
    script_name(m, owner);
    script_u16(m, type);
    script_u16(m, 1);
    script_u16(m, ttl >> 16);
    script_u16(m, ttl & 0xffff);
    script_u16(m, (unsigned)len);
    memcpy(m->bytes + m->len, data, len);
    m->len += len;
}

static inline void script_mx(struct script_message *m, const char *owner, uint32_t ttl,
                             int preference, const char *target)
{
    struct script_message rd = {.len = 0};
    script_u16(&rd, (unsigned)preference);
    script_name(&rd, target);
    script_rr(m, owner, 15, ttl, rd.bytes, rd.len);
}

static inline void script_soa(struct script_message *m, uint32_t minimum)
{
    struct script_message rd = {.len = 0};
    script_name(&rd, "ns.test");
    script_name(&rd, "root.test");
    for (int i = 0; i < 4; i++) {
        script_u16(&rd, 0);
        script_u16(&rd, 3600);
    }
    script_u16(&rd, minimum >> 16);
    script_u16(&rd, minimum & 0xffff);
    script_rr(m, "test", 6, 86400, rd.bytes, rd.len);
}

/* One record of the text form; adds to the counts of answer and authority. */
static inline void script_record(struct script_message *m, const char *word, char *owner,
                                 const struct script_row *row, unsigned counts[2])
{
    uint8_t addr[16];
    char target[256];
    int n;
    if (sscanf(word, "MANY_A/%d", &n) == 1) {
        for (int i = 0; i < n; i++) {
            uint8_t a[4] = {192, 0, (uint8_t)(i >> 8), (uint8_t)i};
            script_rr(m, owner, 1, row->ttl, a, 4);
            counts[0]++;
        }
    } else if (sscanf(word, "MANY_MX/%d", &n) == 1) {
        for (int i = 0; i < n; i++) {
            snprintf(target, sizeof(target), "mx%d.many.test", i);
            script_mx(m, owner, row->ttl, n - i, target);
            counts[0]++;
        }
    } else if (sscanf(word, "MX/%d/%255s", &n, target) == 2) {
        script_mx(m, owner, row->ttl, n, target);
        counts[0]++;
    } else if (sscanf(word, "A/%255s", target) == 1 && inet_pton(AF_INET, target, addr) == 1) {
        script_rr(m, owner, 1, row->ttl, addr, 4);
        counts[0]++;
    } else if (sscanf(word, "AAAA/%255s", target) == 1 && inet_pton(AF_INET6, target, addr) == 1) {
        script_rr(m, owner, 28, row->ttl, addr, 16);
        counts[0]++;
    } else if (sscanf(word, "CNAME/%255s", target) == 1) {
        struct script_message rd = {.len = 0};
        script_name(&rd, target);
        script_rr(m, owner, 5, row->ttl, rd.bytes, rd.len);
        snprintf(owner, 256, "%s", target);
        counts[0]++;
    } else if (sscanf(word, "OWNER/%255s", target) == 1) {
        snprintf(owner, 256, "%s", target);
    } else if (sscanf(word, "SOA/%d", &n) == 1) {
        script_soa(m, (uint32_t)n);
        counts[1]++;
    } else {
        fprintf(stderr, "script: what is '%s'?\n", word);
        abort();
    }
}

static inline const char *script_type(unsigned type)
{
    return type == 1 ? "A" : type == 28 ? "AAAA" : type == 15 ? "MX" : "?";
}

/* The row for a question; *exists: some row has the name. */
static inline const struct script_row *script_find(struct script *s, const char *name,
                                                   const char *type, bool *exists)
{
    *exists = false;
    for (size_t i = 0; i < s->row_count; i++) {
        const struct script_row *r = &s->rows[i];
        if (strcasecmp(r->name, name) != 0) {
            continue;
        }
        *exists = true;
        if (!r->type || strcmp(r->type, type) == 0) {
            return r;
        }
    }
    return NULL;
}

/* Reads the question: name, type; false when it is none. */
static inline bool script_question(const uint8_t *q, size_t len, char name[256], unsigned *type,
                                   size_t *end)
{
    size_t at = 12, out = 0;
    while (at < len && q[at]) {
        size_t n = q[at++];
        if (n > 63 || at + n >= len || out + n + 2 > 256) {
            return false;
        }
        memcpy(name + out, q + at, n);
        out += n;
        name[out++] = '.';
        at += n;
    }
    if (at + 5 > len || out == 0) {
        return false;
    }
    name[out - 1] = '\0';
    *type = (unsigned)q[at + 1] << 8 | q[at + 2];
    *end = at + 5;
    return true;
}

static inline void script_fill(struct script_message *m, const struct script_row *row, bool exists,
                               const char *name, unsigned counts[2])
{
    char owner[256];
    snprintf(owner, sizeof(owner), "%s", name);
    if (!row || !row->records) {
        if (!(row && row->flags & S_NO_SOA)) {
            script_soa(m, 60);
            counts[1]++;
        }
        if (!row && !exists) {
            m->bytes[3] |= 3;
        }
        return;
    }
    char text[512], *save = NULL;
    snprintf(text, sizeof(text), "%s", row->records);
    for (char *w = strtok_r(text, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
        script_record(m, w, owner, row, counts);
    }
}

static inline void script_edit(struct script_message *m, unsigned flags, size_t question_end,
                               bool tcp)
{
    if (flags & S_GARBAGE) {
        for (size_t i = 0; i < 200; i++) {
            m->bytes[question_end + i] = (uint8_t)(i * 37 + 11);
        }
        m->bytes[7] = 9;
        m->len = question_end + 200;
    }
    if (flags & S_SHORT) {
        m->len = question_end + (m->len - question_end) / 2;
    }
    if (flags & S_COUNTS || (flags & S_COUNTS_TCP && tcp)) {
        m->bytes[6] = m->bytes[7] = 0xff;
    }
    if (flags & S_LOOP) {
        m->len = question_end;
        script_u16(m, 0xc000u | (unsigned)question_end);
        m->bytes[7] = 1;
    }
}

/* 0: no answer. */
static inline size_t script_answer(struct script *s, const uint8_t *q, size_t len, bool tcp,
                                   struct script_message *m, const struct script_row **row_out)
{
    char name[256];
    unsigned type;
    size_t end;
    if (len < 17 || !script_question(q, len, name, &type, &end)) {
        return 0;
    }
    bool exists;
    const struct script_row *row = script_find(s, name, script_type(type), &exists);
    unsigned flags = row ? row->flags : 0;
    unsigned hit = row ? atomic_fetch_add(&s->hits[row - s->rows], 1) : 0;
    if (flags & S_ONCE && hit > 0) {
        flags = 0;
    }
    bool edns = q[11] > 0;
    atomic_fetch_add(&s->questions, 1);
    atomic_fetch_add(&s->over_tcp, tcp);
    atomic_fetch_add(&s->with_edns, edns);
    atomic_fetch_add(&s->with_ad, (q[3] & 0x20) != 0);
    *row_out = row;
    if (flags & S_DROP || (flags & S_DROP_UDP && !tcp)) {
        return 0;
    }
    m->len = 0;
    memcpy(m->bytes, q, end);
    m->len = end;
    m->bytes[2] = 0x81; /* QR, RD */
    m->bytes[3] = (uint8_t)(0x80 | (flags & S_AD ? 0x20 : 0) |
                            ((row && (hit == 0 || !(row->flags & S_ONCE))) ? row->rcode : 0));
    memset(m->bytes + 6, 0, 6);
    unsigned counts[2] = {0, 0};
    if (flags & S_NO_EDNS && edns) {
        m->bytes[3] = 0x81; /* FORMERR */
    } else if (flags & S_TC && !tcp) {
        m->bytes[2] |= 0x02;
    } else if (flags & S_LAME) {
        struct script_message rd = {.len = 0};
        script_name(&rd, "ns.else.test");
        script_rr(m, "test", 2, 60, rd.bytes, rd.len);
        counts[1]++;
        m->bytes[3] = 0;
    } else if (!(m->bytes[3] & 0x0f)) {
        script_fill(m, row, exists, name, counts);
    }
    m->bytes[6] = (uint8_t)(counts[0] >> 8);
    m->bytes[7] = (uint8_t)counts[0];
    m->bytes[9] = (uint8_t)counts[1];
    script_edit(m, flags, end, tcp);
    if (flags & S_LOWER && !tcp) {
        for (size_t i = 12; i < end - 4; i++) {
            m->bytes[i] = (uint8_t)(m->bytes[i] >= 'A' && m->bytes[i] <= 'Z' ? m->bytes[i] + 32
                                                                             : m->bytes[i]);
        }
    }
    if (!tcp && m->len > 1232) { /* does not fit */
        m->bytes[2] |= 0x02;
        memset(m->bytes + 6, 0, 4);
        m->len = end;
    }
    if (row && row->delay_ms) {
        usleep(row->delay_ms * 1000);
    }
    return m->len;
}

static inline void script_udp(struct script *s)
{
    uint8_t q[2048];
    struct sockaddr_in from;
    socklen_t from_len = sizeof(from);
    ssize_t n = recvfrom(s->udp, q, sizeof(q), MSG_DONTWAIT, (struct sockaddr *)&from, &from_len);
    struct script_message m;
    const struct script_row *row = NULL;
    if (n <= 0) {
        return;
    }
    if (from.sin_port != s->last_port) {
        atomic_fetch_add(&s->ports_seen, 1);
        s->last_port = from.sin_port;
    }
    if (!script_answer(s, q, (size_t)n, false, &m, &row)) {
        return;
    }
    if (row && row->flags & (S_WRONG_ID | S_ONLY_WRONG_ID)) {
        for (unsigned i = 1; i <= 50; i++) {
            struct script_message forged = m;
            unsigned id = ((unsigned)m.bytes[0] << 8 | m.bytes[1]) + i;
            forged.bytes[0] = (uint8_t)(id >> 8);
            forged.bytes[1] = (uint8_t)id;
            forged.bytes[forged.len - 1] ^= 0x3f; /* another address */
            sendto(s->udp, forged.bytes, forged.len, 0, (struct sockaddr *)&from, from_len);
        }
        if (row->flags & S_ONLY_WRONG_ID) {
            return;
        }
    }
    sendto(s->udp, m.bytes, m.len, 0, (struct sockaddr *)&from, from_len);
}

static inline void script_tcp(struct script *s)
{
    uint8_t q[2050];
    size_t have = 0;
    while (have < 2 || have < 2u + ((unsigned)q[0] << 8 | q[1])) {
        ssize_t n = recv(s->conn, q + have, sizeof(q) - have, 0);
        if (n <= 0) {
            close(s->conn);
            s->conn = -1;
            return;
        }
        have += (size_t)n;
    }
    static _Thread_local struct script_message m;
    const struct script_row *row = NULL;
    size_t len = script_answer(s, q + 2, have - 2, true, &m, &row);
    if (row && row->flags & S_TCP_CLOSE) {
        close(s->conn);
        s->conn = -1;
    } else if (len) {
        uint8_t head[2] = {(uint8_t)(len >> 8), (uint8_t)len};
        /* In pieces: whoever expects a whole answer at once fails. */
        send(s->conn, head, 1, MSG_NOSIGNAL);
        usleep(2000);
        send(s->conn, head + 1, 1, MSG_NOSIGNAL);
        send(s->conn, m.bytes, len / 2, MSG_NOSIGNAL);
        usleep(2000);
        send(s->conn, m.bytes + len / 2, len - len / 2, MSG_NOSIGNAL);
    }
}

static inline void *script_main(void *arg)
{
    struct script *s = arg;
    while (!atomic_load(&s->stop)) {
        struct pollfd p[3] = {{s->udp, POLLIN, 0}, {s->tcp, POLLIN, 0}, {s->conn, POLLIN, 0}};
        if (poll(p, 3, 20) <= 0) {
            continue;
        }
        if (p[0].revents) {
            script_udp(s);
        }
        if (p[2].revents && s->conn >= 0) {
            script_tcp(s);
        }
        if (p[1].revents && s->conn < 0) {
            s->conn = accept(s->tcp, NULL, NULL);
        }
    }
    return NULL;
}

static inline struct script *script_start(const struct script_row *rows, size_t count)
{
    struct script *s = calloc(1, sizeof(*s));
    if (!s || count > SCRIPT_ROWS_MAX) {
        abort();
    }
    s->rows = rows;
    s->row_count = count;
    s->conn = -1;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    for (int tries = 0; tries < 50; tries++) {
        a.sin_port = 0;
        s->udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        s->tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (bind(s->udp, (struct sockaddr *)&a, sizeof(a)) != 0 ||
            getsockname(s->udp, (struct sockaddr *)&a, &len) != 0) {
            abort();
        }
        if (bind(s->tcp, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(s->tcp, 16) == 0) {
            s->port = ntohs(a.sin_port);
            pthread_create(&s->thread, NULL, script_main, s);
            return s;
        }
        close(s->udp);
        close(s->tcp);
    }
    abort();
}

static inline void script_stop(struct script *s)
{
    atomic_store(&s->stop, true);
    pthread_join(s->thread, NULL);
    close(s->udp);
    close(s->tcp);
    if (s->conn >= 0) {
        close(s->conn);
    }
    free(s);
}

#endif
