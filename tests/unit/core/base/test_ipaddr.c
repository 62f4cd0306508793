/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/base/ipaddr.h"
#include "core/base/must.h"

#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <stdlib.h>

static struct ip_addr addr(const char *text)
{
    struct ip_addr a;
    ck_assert_msg(ip_addr_parse(slice_str(text), &a), "%s", text);
    return a;
}

/* ---- addresses ----------------------------------------------------------------------------- */

struct address_case {
    const char *text;
    const char *printed; /* NULL: refused */
};

static const struct address_case address_cases[] = {
    {"127.0.0.1", "127.0.0.1"},
    {"0.0.0.0", "0.0.0.0"},
    {"255.255.255.255", "255.255.255.255"},
    {"::", "::"},
    {"::1", "::1"},
    {"2001:DB8:0:0:0:0:0:1", "2001:db8::1"},
    {"2001:db8:0:1:0:0:0:1", "2001:db8:0:1::1"},
    {"::ffff:192.0.2.1", "192.0.2.1"},
    {"::FFFF:c000:201", "192.0.2.1"},
    {"64:ff9b::192.0.2.33", "64:ff9b::c000:221"},
    {"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
    {"", NULL},
    {"127.0.0", NULL},
    {"127.1", NULL},
    {"127.0.0.256", NULL},
    {"127.0.0.01", NULL},
    {"0x7f.0.0.1", NULL},
    {"127.0.0.1 ", NULL},
    {" 127.0.0.1", NULL},
    {"127.0.0.1.", NULL},
    {"2130706433", NULL},
    {":::", NULL},
    {"1::2::3", NULL},
    {"12345::", NULL},
    {"fe80::1%eth0", NULL},
    {"[::1]", NULL},
    {"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.2555", NULL},
};

START_TEST(addresses_parse_and_print)
{
    const struct address_case *c = &address_cases[_i];
    struct ip_addr a = {.family = 99};
    char text[IP_TEXT_MAX];
    bool ok = ip_addr_parse(slice_str(c->text), &a);
    ck_assert_msg(ok == (c->printed != NULL), "\"%s\"", c->text);
    if (ok) {
        ck_assert_str_eq(ip_addr_text(&a, text), c->printed);
        struct ip_addr again = addr(text);
        ck_assert(ip_addr_eq(&a, &again));
    } else {
        ck_assert_uint_eq(a.family, 99);
    }
}
END_TEST

START_TEST(an_address_with_a_nul_inside_is_refused)
{
    struct ip_addr a;
    ck_assert(!ip_addr_parse(slice_of("127.0.0.1\0x", 11), &a));
    ck_assert(!ip_addr_parse(slice_of("::1\0", 4), &a));
}
END_TEST

START_TEST(no_address_prints_as_nothing_and_equals_nothing)
{
    struct ip_addr none = {0}, any = addr("0.0.0.0"), any6 = addr("::");
    char text[IP_TEXT_MAX];
    ck_assert_str_eq(ip_addr_text(&none, text), "");
    ck_assert(!ip_addr_eq(&none, &any));
    ck_assert(!ip_addr_eq(&any, &any6));
    ck_assert(!ip_addr_is_any(&none) && ip_addr_is_any(&any) && ip_addr_is_any(&any6));
    ck_assert(!ip_addr_is_loopback(&none));
}
END_TEST

START_TEST(raw_bytes_are_normalised_too)
{
    uint8_t mapped[16] = {[10] = 0xff, [11] = 0xff, [12] = 10, [15] = 1};
    struct ip_addr a = ip_addr_from_bytes(mapped, 16), b = ip_addr_v4(0x0a000001);
    ck_assert_uint_eq(a.family, IP_V4);
    ck_assert(ip_addr_eq(&a, &b));
}
END_TEST

struct class_case {
    const char *text;
    enum ip_class class;
    bool private;
};

static const struct class_case class_cases[] = {
    {"0.0.0.0", IP_CLASS_UNSPECIFIED, true},
    {"0.1.2.3", IP_CLASS_UNSPECIFIED, true},
    {"::", IP_CLASS_UNSPECIFIED, true},
    {"127.0.0.1", IP_CLASS_LOOPBACK, true},
    {"127.255.255.255", IP_CLASS_LOOPBACK, true},
    {"128.0.0.1", IP_CLASS_GLOBAL, false},
    {"::1", IP_CLASS_LOOPBACK, true},
    {"::2", IP_CLASS_RESERVED, true},
    {"::ffff:127.0.0.1", IP_CLASS_LOOPBACK, true},
    {"::ffff:8.8.8.8", IP_CLASS_GLOBAL, false},
    {"::7f00:1", IP_CLASS_RESERVED, true},
    {"169.254.169.254", IP_CLASS_LINK_LOCAL, true},
    {"fe80::1", IP_CLASS_LINK_LOCAL, true},
    {"febf::1", IP_CLASS_LINK_LOCAL, true},
    {"fec0::1", IP_CLASS_PRIVATE, true},
    {"10.0.0.1", IP_CLASS_PRIVATE, true},
    {"11.0.0.1", IP_CLASS_GLOBAL, false},
    {"172.15.255.255", IP_CLASS_GLOBAL, false},
    {"172.16.0.0", IP_CLASS_PRIVATE, true},
    {"172.31.255.255", IP_CLASS_PRIVATE, true},
    {"172.32.0.0", IP_CLASS_GLOBAL, false},
    {"192.168.1.1", IP_CLASS_PRIVATE, true},
    {"100.64.0.1", IP_CLASS_PRIVATE, true},
    {"100.127.255.255", IP_CLASS_PRIVATE, true},
    {"100.128.0.0", IP_CLASS_GLOBAL, false},
    {"fc00::1", IP_CLASS_PRIVATE, true},
    {"fdff::1", IP_CLASS_PRIVATE, true},
    {"224.0.0.1", IP_CLASS_MULTICAST, true},
    {"ff02::1", IP_CLASS_MULTICAST, true},
    {"192.0.2.1", IP_CLASS_RESERVED, true},
    {"198.18.0.1", IP_CLASS_RESERVED, true},
    {"198.20.0.1", IP_CLASS_GLOBAL, false},
    {"255.255.255.255", IP_CLASS_RESERVED, true},
    {"2001:db8::1", IP_CLASS_RESERVED, true},
    {"2001::1", IP_CLASS_RESERVED, true},
    {"2001:4860:4860::8888", IP_CLASS_GLOBAL, false},
    {"64:ff9b::8.8.8.8", IP_CLASS_NAT64, false},
    {"64:ff9b::10.0.0.1", IP_CLASS_NAT64, true},
    {"64:ff9b::127.0.0.1", IP_CLASS_NAT64, true},
    {"64:ff9b:1::8.8.8.8", IP_CLASS_NAT64, true},
    {"2002:7f00:1::1", IP_CLASS_GLOBAL, true},
    {"2002:0808:0808::1", IP_CLASS_GLOBAL, false},
};

START_TEST(classes)
{
    const struct class_case *c = &class_cases[_i];
    struct ip_addr a = addr(c->text);
    ck_assert_msg(ip_addr_class(&a) == c->class, "%s is %d", c->text, (int)ip_addr_class(&a));
    ck_assert_msg(ip_addr_is_private(&a) == c->private, "%s", c->text);
    ck_assert(ip_addr_is_loopback(&a) == (c->class == IP_CLASS_LOOPBACK));
}
END_TEST

START_TEST(embedded_addresses)
{
    struct ip_addr inner, want = addr("192.0.2.33");
    struct ip_addr nat64 = addr("64:ff9b::192.0.2.33"), six = addr("2002:c000:221::"),
                   plain = addr("2001:db8::1"), v4 = addr("192.0.2.33");
    ck_assert(ip_addr_embedded_v4(&nat64, &inner) && ip_addr_eq(&inner, &want));
    ck_assert(ip_addr_embedded_v4(&six, &inner) && ip_addr_eq(&inner, &want));
    ck_assert(!ip_addr_embedded_v4(&plain, &inner));
    ck_assert(!ip_addr_embedded_v4(&v4, &inner));
}
END_TEST

/* ---- networks ------------------------------------------------------------------------------ */

struct net_case {
    const char *text;
    const char *printed; /* NULL: refused */
    const char *masked;  /* NULL: refused even then */
};

static const struct net_case net_cases[] = {
    {"10.0.0.0/8", "10.0.0.0/8", "10.0.0.0/8"},
    {"10.0.0.1", "10.0.0.1/32", "10.0.0.1/32"},
    {"0.0.0.0/0", "0.0.0.0/0", "0.0.0.0/0"},
    {"::/0", "::/0", "::/0"},
    {"::1/128", "::1/128", "::1/128"},
    {"2001:db8::/33", "2001:db8::/33", "2001:db8::/33"},
    {"::ffff:10.0.0.0/104", "10.0.0.0/8", "10.0.0.0/8"},
    {"::ffff:10.0.0.1", "10.0.0.1/32", "10.0.0.1/32"},
    {"10.0.0.1/8", NULL, "10.0.0.0/8"},
    {"192.0.2.129/25", NULL, "192.0.2.128/25"},
    {"2001:db8::1/32", NULL, "2001:db8::/32"},
    {"::ffff:10.0.0.0/95", NULL, NULL},
    {"10.0.0.0/33", NULL, NULL},
    {"::/129", NULL, NULL},
    {"10.0.0.0/", NULL, NULL},
    {"10.0.0.0/ 8", NULL, NULL},
    {"10.0.0.0/-1", NULL, NULL},
    {"10.0.0.0/8/8", NULL, NULL},
    {"10.0.0.0/0008", NULL, NULL},
    {"/8", NULL, NULL},
    {"", NULL, NULL},
    {"10.0.0.0/255.0.0.0", NULL, NULL},
};

static void net_check(bool ok, const struct ip_net *n, const char *text, const char *want)
{
    struct buf b;
    ck_assert_msg(ok == (want != NULL), "%s", text);
    if (ok) {
        buf_init(&b, 128);
        ip_net_add(&b, n);
        ck_assert_msg(slice_eq(buf_slice(&b), slice_str(want)), "%s: %.*s", text,
                      SLICE_ARG(buf_slice(&b)));
        buf_deinit(&b);
    }
}

START_TEST(networks_parse_and_print)
{
    const struct net_case *c = &net_cases[_i];
    struct ip_net n;
    net_check(ip_net_parse(slice_str(c->text), &n), &n, c->text, c->printed);
    net_check(ip_net_parse_masked(slice_str(c->text), &n), &n, c->text, c->masked);
}
END_TEST

struct member_case {
    const char *net;
    const char *addr;
    bool in;
};

static const struct member_case member_cases[] = {
    {"10.0.0.0/8", "10.255.0.1", true},
    {"10.0.0.0/8", "11.0.0.0", false},
    {"10.0.0.0/8", "::ffff:10.1.2.3", true},
    {"10.0.0.0/8", "::a01:203", false},
    {"192.0.2.128/25", "192.0.2.127", false},
    {"192.0.2.128/25", "192.0.2.128", true},
    {"0.0.0.0/0", "8.8.8.8", true},
    {"0.0.0.0/0", "::1", false},
    {"::/0", "::1", true},
    {"::/0", "127.0.0.1", false},
    {"::1/128", "::1", true},
    {"::1/128", "::2", false},
    {"2001:db8::/33", "2001:db8:7fff::1", true},
    {"2001:db8::/33", "2001:db8:8000::1", false},
};

START_TEST(membership)
{
    const struct member_case *c = &member_cases[_i];
    struct ip_net nets[2];
    struct ip_addr a = addr(c->addr), none = {0};
    ck_assert(ip_net_parse(SLICE("203.0.113.7"), &nets[0]));
    ck_assert(ip_net_parse(slice_str(c->net), &nets[1]));
    ck_assert_msg(ip_net_contains(&nets[1], &a) == c->in, "%s %s", c->net, c->addr);
    ck_assert(ip_nets_contain(nets, 2, &a) == c->in);
    ck_assert(!ip_nets_contain(nets, 1, &a));
    ck_assert(!ip_net_contains(&nets[1], &none));
    ck_assert(ip_net_eq(&nets[1], &nets[1]) && !ip_net_eq(&nets[0], &nets[1]));
}
END_TEST

/* ---- endpoints ----------------------------------------------------------------------------- */

struct endpoint_case {
    const char *text;
    uint16_t port_default;
    const char *printed;
};

static const struct endpoint_case endpoint_cases[] = {
    {"192.0.2.1:25", 0, "192.0.2.1:25"},
    {"192.0.2.1", 53, "192.0.2.1:53"},
    {"192.0.2.1", 0, NULL},
    {"[192.0.2.1]:25", 0, "192.0.2.1:25"},
    {"[::1]:5300", 53, "[::1]:5300"},
    {"[::1]", 53, "[::1]:53"},
    {"::1", 53, "[::1]:53"},
    {"2001:db8::1:25", 53, "[2001:db8::1:25]:53"},
    {"[::ffff:192.0.2.1]:25", 0, "192.0.2.1:25"},
    {"192.0.2.1:", 53, NULL},
    {"192.0.2.1:0", 53, NULL},
    {"192.0.2.1:65536", 53, NULL},
    {"192.0.2.1:65535", 53, "192.0.2.1:65535"},
    {"192.0.2.1:+25", 53, NULL},
    {"[::1", 53, NULL},
    {"[::1]25", 53, NULL},
    {"[::1]:", 53, NULL},
    {"[]:25", 53, NULL},
    {":25", 53, NULL},
    {"", 53, NULL},
    {"host:25", 53, NULL},
};

START_TEST(endpoints_parse_and_print)
{
    const struct endpoint_case *c = &endpoint_cases[_i];
    struct ip_endpoint e;
    char text[IP_ENDPOINT_TEXT_MAX];
    bool ok = ip_endpoint_parse(slice_str(c->text), c->port_default, &e);
    ck_assert_msg(ok == (c->printed != NULL), "%s", c->text);
    if (ok) {
        ck_assert_str_eq(ip_endpoint_text(&e, text), c->printed);
    }
}
END_TEST

START_TEST(endpoints_to_the_kernel_and_back)
{
    static const char *const texts[] = {"192.0.2.1:25", "[2001:db8::1]:65535"};
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        struct ip_endpoint e, back;
        struct sockaddr_storage ss;
        ck_assert(ip_endpoint_parse(slice_str(texts[i]), 0, &e));
        socklen_t len = ip_endpoint_to_sockaddr(&e, &ss);
        ck_assert_uint_eq(ss.ss_family, i ? AF_INET6 : AF_INET);
        ck_assert(ip_endpoint_from_sockaddr((struct sockaddr *)&ss, len, &back));
        ck_assert(ip_endpoint_eq(&e, &back));
        ck_assert(!ip_endpoint_from_sockaddr((struct sockaddr *)&ss, len - 1, &back));
    }
    struct sockaddr_in6 mapped = {.sin6_family = AF_INET6, .sin6_port = htons(25)};
    struct ip_endpoint e;
    struct sockaddr_storage un = {.ss_family = AF_UNIX};
    inet_pton(AF_INET6, "::ffff:10.0.0.1", &mapped.sin6_addr);
    ck_assert(ip_endpoint_from_sockaddr((struct sockaddr *)&mapped, sizeof(mapped), &e));
    ck_assert_uint_eq(e.addr.family, IP_V4);
    ck_assert(!ip_endpoint_from_sockaddr((struct sockaddr *)&un, sizeof(un), &e));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("core/base/ipaddr");
    TCase *t = tcase_create("all");
    tcase_add_loop_test(t, addresses_parse_and_print, 0, (int)ARRAY_COUNT(address_cases));
    tcase_add_test(t, an_address_with_a_nul_inside_is_refused);
    tcase_add_test(t, no_address_prints_as_nothing_and_equals_nothing);
    tcase_add_test(t, raw_bytes_are_normalised_too);
    tcase_add_loop_test(t, classes, 0, (int)ARRAY_COUNT(class_cases));
    tcase_add_test(t, embedded_addresses);
    tcase_add_loop_test(t, networks_parse_and_print, 0, (int)ARRAY_COUNT(net_cases));
    tcase_add_loop_test(t, membership, 0, (int)ARRAY_COUNT(member_cases));
    tcase_add_loop_test(t, endpoints_parse_and_print, 0, (int)ARRAY_COUNT(endpoint_cases));
    tcase_add_test(t, endpoints_to_the_kernel_and_back);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
