/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Messages as bytes → answers: what counts, what is ignored, TTLs.
 */
#include "core/base/limits.h"
#include "core/base/must.h"
#include "dns/answer.h"
#include "tests/unit/dns/script_server.h"

#include <check.h>

/* A response to (q.test, type) from the record words of script_server.h. */
static void make(struct script_message *m, const char *type, const char *records, unsigned flags,
                 uint32_t ttl)
{
    struct script_row row = {"q.test", type, records, ttl, flags & S_NO_SOA, 0, 0};
    unsigned counts[2] = {0, 0};
    memset(m->bytes, 0, 12);
    m->len = 12;
    script_name(m, "Q.tEst");
    script_u16(m, strcmp(type, "MX") == 0 ? 15 : strcmp(type, "A") == 0 ? 1 : 28);
    script_u16(m, 1);
    m->bytes[2] = 0x81;
    m->bytes[3] = 0x80;
    m->bytes[5] = 1;
    script_fill(m, &row, true, "q.test", counts);
    m->bytes[6] = (uint8_t)(counts[0] >> 8);
    m->bytes[7] = (uint8_t)counts[0];
    m->bytes[9] = (uint8_t)counts[1];
}

static enum dns_type type_of(const char *type)
{
    return strcmp(type, "MX") == 0  ? DNS_TYPE_MX
           : strcmp(type, "A") == 0 ? DNS_TYPE_A
                                    : DNS_TYPE_AAAA;
}

static void describe(const struct dns_answer *a, enum dns_type type, char *out, size_t size)
{
    static const char *const kinds[] = {"data", "nodata", "nxdomain", "alias", "failed"};
    size_t n = (size_t)snprintf(out, size, "%s %u", kinds[a->kind], a->ttl_s);
    n += (size_t)snprintf(out + n, size - n, "%s%s", a->null_mx ? " null" : "",
                          a->capped ? " capped" : "");
    for (unsigned i = 0; i < a->count && n < size; i++) {
        char text[IP_TEXT_MAX];
        if (type == DNS_TYPE_MX) {
            n += (size_t)snprintf(out + n, size - n, " %u/%s", a->mx[i].preference,
                                  a->mx[i].name.ptr);
        } else {
            n += (size_t)snprintf(out + n, size - n, " %s", ip_addr_text(&a->addresses[i], text));
        }
    }
    if (a->text.len > 0) {
        snprintf(out + n, size - n, " '%s'", a->text.ptr);
    }
}

static const struct {
    const char *type;
    const char *records;
    unsigned flags;
    uint32_t ttl;
    const char *want;
} vectors[] = {
    {"A", "A/192.0.2.1 A/192.0.2.2", 0, 300, "data 300 192.0.2.1 192.0.2.2"},
    {"AAAA", "AAAA/2001:db8::1", 0, 300, "data 300 2001:db8::1"},
    {"AAAA", "A/192.0.2.1", 0, 300, "nodata 0"}, /* another type is no answer */
    {"AAAA", "AAAA/::ffff:10.0.0.1", 0, 1, "data 1 10.0.0.1"},
    {"MX", "MX/20/b.test MX/10/a.test MX/20/c.test", 0, 9, "data 9 10/a.test 20/b.test 20/c.test"},
    {"MX", "MX/10/A.Test MX/5/a.TEST MX/7/b.test", 0, 9, "data 9 5/a.test 7/b.test"},
    {"MX", "MX/5/a.test MX/10/a.test", 0, 9, "data 9 5/a.test"},
    {"MX", "MX/0/.", 0, 60, "data 60 null"},
    {"MX", "MX/0/. MX/10/a.test", 0, 60, "data 60 null 10/a.test"},
    {"MX", "MX/10/10.0.0.1 MX/10/bad!name.test", 0, 60, "data 60"},
    {"MX", NULL, 0, 60, "nodata 60"},
    {"MX", NULL, S_NO_SOA, 60, "nodata 0"},
    {"MX", "SOA/7200", 0, 60, "nodata 7200"},
    {"A", "CNAME/x.test A/192.0.2.3", 0, 50, "data 50 192.0.2.3"},
    {"A", "CNAME/x.test CNAME/y.test A/192.0.2.3", 0, 50, "data 50 192.0.2.3"},
    {"A", "OWNER/x.test A/192.0.2.3 OWNER/q.test CNAME/X.test", 0, 50,
     "data 50 192.0.2.3"}, /* any order */
    {"A", "CNAME/x.test", 0, 50, "alias 50 'x.test'"},
    {"A", "CNAME/x.test CNAME/y.test", 0, 50, "alias 50 'y.test'"},
    {"A", "CNAME/x.test SOA/30", 0, 50, "nodata 30"}, /* the end is proven to be empty */
    {"A", "CNAME/.", 0, 50, "failed 0 'CNAME to something that is no host name'"},
    {"A", "CNAME/q.test", 0, 50, "failed 0 'too many CNAMEs'"},
    {"A", "CNAME/b.test CNAME/q.test", 0, 50, "failed 0 'too many CNAMEs'"},
    {"A",
     "CNAME/1.t CNAME/2.t CNAME/3.t CNAME/4.t CNAME/5.t CNAME/6.t CNAME/7.t CNAME/8.t A/192.0.2.1",
     0, 5, "data 5 192.0.2.1"},
    {"A",
     "CNAME/1.t CNAME/2.t CNAME/3.t CNAME/4.t CNAME/5.t CNAME/6.t CNAME/7.t CNAME/8.t CNAME/9.t A/192.0.2.1",
     0, 5, "failed 0 'too many CNAMEs'"},
    {"A", "OWNER/evil.test A/192.0.2.66", 0, 50, "nodata 0"}, /* of another name */
    {"A", "A/192.0.2.1", 0, 0x80000001u, "data 0 192.0.2.1"}, /* RFC 2181 8 */
};

START_TEST(test_vectors)
{
    struct script_message m;
    enum dns_type type = type_of(vectors[_i].type);
    make(&m, vectors[_i].type, vectors[_i].records, vectors[_i].flags, vectors[_i].ttl);
    struct dns_answer *a = dns_answer_from_wire(m.bytes, m.len, SLICE("q.test"), type);
    char got[512];
    describe(a, type, got, sizeof(got));
    ck_assert_str_eq(got, vectors[_i].want);
    dns_answer_free(a);
}
END_TEST

START_TEST(test_caps)
{
    static const struct {
        const char *type;
        const char *records;
        unsigned count;
        bool capped;
    } v[] = {
        {"A", "MANY_A/20", 20, false},    {"A", "MANY_A/21", 20, true},
        {"A", "MANY_A/2000", 20, true},   {"MX", "MANY_MX/100", 100, false},
        {"MX", "MANY_MX/101", 100, true}, {"MX", "MANY_MX/1500", 100, true},
    };
    must_static((int)LIMIT_ADDRESSES_PER_HOST == 20 && (int)LIMIT_MX_HOSTS == 100,
                "the rows above");
    struct script_message m;
    make(&m, v[_i].type, v[_i].records, 0, 60);
    struct dns_answer *a = dns_answer_from_wire(m.bytes, m.len, SLICE("q.test"),
                                                type_of(v[_i].type));
    ck_assert_int_eq(a->kind, DNS_ANSWER_DATA);
    ck_assert_uint_eq(a->count, v[_i].count);
    ck_assert(a->capped == v[_i].capped);
    if (a->mx) {
        ck_assert_uint_eq(a->mx[0].preference, 1); /* the last record of the message is the best */
        ck_assert_uint_eq(a->mx[a->count - 1].preference, 100);
    }
    dns_answer_free(a);
}
END_TEST

START_TEST(test_header)
{
    static const struct {
        unsigned at, value;
        const char *want;
    } v[] = {
        {3, 0x80 | 0x20, "data 60 192.0.2.1"}, /* AD, see below */
        {3, 0x82, "failed 0 'SERVFAIL'"},
        {3, 0x85, "failed 0 'REFUSED'"},
        {3, 0x81, "failed 0 'FORMERR'"},
        {3, 0x83, "data 60 192.0.2.1"}, /* NXDOMAIN with data: the data is there */
        {2, 0x83, "failed 0 'truncated answer'"},
        {7, 9, "failed 0 'malformed answer'"},
        {5, 9, "failed 0 'malformed answer'"},
    };
    struct script_message m;
    make(&m, "A", "A/192.0.2.1", 0, 60);
    m.bytes[v[_i].at] = (uint8_t)v[_i].value;
    struct dns_answer *a = dns_answer_from_wire(m.bytes, m.len, SLICE("q.test"), DNS_TYPE_A);
    char got[256];
    describe(a, DNS_TYPE_A, got, sizeof(got));
    ck_assert_str_eq(got, v[_i].want);
    ck_assert(a->ad == (v[_i].at == 3 && (v[_i].value & 0x20)));
    dns_answer_free(a);
}
END_TEST

/* F9: every prefix of a good message is an error or a smaller truth, never a crash. */
START_TEST(test_prefixes)
{
    struct script_message m;
    make(&m, "MX", "CNAME/x.test MX/10/a.test MX/20/b.test", 0, 60);
    for (size_t len = 0; len < m.len; len++) {
        uint8_t *copy = malloc(len + 1);
        memcpy(copy, m.bytes, len);
        struct dns_answer *a = dns_answer_from_wire(copy, len, SLICE("q.test"), DNS_TYPE_MX);
        ck_assert_int_eq(a->kind, DNS_ANSWER_FAILED);
        dns_answer_free(a);
        free(copy);
    }
}
END_TEST

START_TEST(test_nxdomain_and_lame)
{
    struct script_message m;
    make(&m, "A", "SOA/77", 0, 60);
    m.bytes[3] |= 3;
    struct dns_answer *a = dns_answer_from_wire(m.bytes, m.len, SLICE("q.test"), DNS_TYPE_A);
    ck_assert_int_eq(a->kind, DNS_ANSWER_NXDOMAIN);
    ck_assert_uint_eq(a->ttl_s, 77);
    dns_answer_free(a);
    make(&m, "A", NULL, S_NO_SOA, 60);
    struct script_message rd = {.len = 0};
    script_name(&rd, "ns.test");
    script_rr(&m, "test", 2, 60, rd.bytes, rd.len);
    m.bytes[9] = 1;
    a = dns_answer_from_wire(m.bytes, m.len, SLICE("q.test"), DNS_TYPE_A);
    ck_assert_int_eq(a->kind, DNS_ANSWER_NODATA); /* RA is set: a resolver says so */
    dns_answer_free(a);
    m.bytes[3] = 0;
    a = dns_answer_from_wire(m.bytes, m.len, SLICE("q.test"), DNS_TYPE_A);
    ck_assert_int_eq(a->kind, DNS_ANSWER_FAILED);
    dns_answer_free(a);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("dns/answer");
    TCase *t = tcase_create("all");
    tcase_add_loop_test(t, test_vectors, 0, ARRAY_COUNT(vectors));
    tcase_add_loop_test(t, test_caps, 0, 6);
    tcase_add_loop_test(t, test_header, 0, 8);
    tcase_add_test(t, test_prefixes);
    tcase_add_test(t, test_nxdomain_and_lame);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
