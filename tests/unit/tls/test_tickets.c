/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/base/must.h"
#include "tls/tickets.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

enum { PERIOD_S = 3600, TEXT_BYTES = 100 };

static const uint8_t binding[TLS_TICKET_BINDING_BYTES] = {1, 2, 3};
static const uint8_t other_binding[TLS_TICKET_BINDING_BYTES] = {1, 2, 4};

struct box {
    uint8_t name[TLS_TICKET_NAME_BYTES], iv[TLS_TICKET_IV_BYTES], mac[TLS_TICKET_MAC_BYTES];
    uint8_t text[TEXT_BYTES + 32];
    size_t len;
};

static struct tls_ticket view(struct box *b, const uint8_t *bound_to)
{
    return (struct tls_ticket){b->name, b->iv, b->mac, b->text, b->len, bound_to};
}

static struct box sealed(struct tls_tickets *t)
{
    struct box b = {.iv = {9}, .len = TEXT_BYTES};
    memset(b.text, 'a', TEXT_BYTES);
    struct tls_ticket v = view(&b, binding);
    ck_assert(tls_tickets_seal(t, &v));
    ck_assert_int_ne(memcmp(b.text, "aaaaaaaaaaaaaaaa", 16), 0);
    return b;
}

/* On a copy: opening changes the text. */
static bool opens(struct tls_tickets *t, struct box b, const uint8_t *bound_to)
{
    struct tls_ticket v = view(&b, bound_to);
    bool ok = tls_tickets_open_ticket(t, &v);
    ck_assert(!ok || (b.text[0] == 'a' && b.text[TEXT_BYTES - 1] == 'a'));
    return ok;
}

START_TEST(opens_what_it_sealed)
{
    struct tls_tickets *t = tls_tickets_open(1000, PERIOD_S);
    ck_assert_ptr_nonnull(t);
    ck_assert_uint_eq(tls_tickets_period_s(t), PERIOD_S);
    struct box b = sealed(t);
    ck_assert(opens(t, b, binding));
    ck_assert(opens(t, b, binding));
    tls_tickets_put(&t);
    ck_assert_ptr_null(t);
}
END_TEST

START_TEST(not_for_another_binding_or_listener)
{
    struct tls_tickets *t = tls_tickets_open(1000, PERIOD_S);
    struct tls_tickets *other = tls_tickets_open(1000, PERIOD_S);
    struct box b = sealed(t);
    (void)sealed(other);
    ck_assert(!opens(t, b, other_binding));
    ck_assert(!opens(other, b, binding));
    tls_tickets_put(&t);
    tls_tickets_put(&other);
}
END_TEST

START_TEST(not_when_changed)
{
    struct tls_tickets *t = tls_tickets_open(1000, PERIOD_S);
    struct box good = sealed(t), b;
    uint8_t *parts[] = {b.name, b.iv, b.mac, b.text};
    for (size_t i = 0; i < ARRAY_COUNT(parts); i++) {
        b = good;
        parts[i][3] ^= 0x20;
        ck_assert_msg(!opens(t, b, binding), "part %zu", i);
    }
    b = good;
    b.len--;
    ck_assert(!opens(t, b, binding));
    b.len = good.len + 16;
    ck_assert(!opens(t, b, binding));
    tls_tickets_put(&t);
}
END_TEST

/* A name that is ours is no reason to read where no mac can be: a length that was never sealed. */
START_TEST(nothing_opens_before_anything_was_sealed)
{
    struct tls_tickets *t = tls_tickets_open(1000, PERIOD_S);
    struct box b = {.len = TEXT_BYTES};
    ck_assert(!opens(t, b, binding));
    b.len = 0;
    ck_assert(!opens(t, b, binding));
    tls_tickets_put(&t);
}
END_TEST

START_TEST(keys_rotate)
{
    struct tls_tickets *t = tls_tickets_open(1000, PERIOD_S);
    struct box first = sealed(t);
    ck_assert(tls_tickets_tick(t, 1000 + PERIOD_S - 1));
    ck_assert_int_eq(memcmp(sealed(t).name, first.name, TLS_TICKET_NAME_BYTES), 0);
    ck_assert(tls_tickets_tick(t, 1000 + PERIOD_S));
    struct box second = sealed(t);
    ck_assert_int_ne(memcmp(second.name, first.name, TLS_TICKET_NAME_BYTES), 0);
    ck_assert(opens(t, first, binding) && opens(t, second, binding));
    ck_assert(tls_tickets_tick(t, 1000 + 2 * PERIOD_S));
    struct box third = sealed(t);
    ck_assert(!opens(t, first, binding));
    ck_assert(opens(t, second, binding) && opens(t, third, binding));
    tls_tickets_put(&t);
}
END_TEST

/* Nobody ticked for two periods: what was sealed then is too old at once. */
START_TEST(a_long_pause_forgets_both)
{
    struct tls_tickets *t = tls_tickets_open(1000, PERIOD_S);
    struct box b = sealed(t);
    ck_assert(tls_tickets_tick(t, 1000 + 2 * PERIOD_S));
    ck_assert(!opens(t, b, binding));
    tls_tickets_put(&t);
}
END_TEST

START_TEST(a_clock_that_steps_back_rotates_nothing)
{
    struct tls_tickets *t = tls_tickets_open(100000, PERIOD_S);
    struct box b = sealed(t);
    ck_assert(tls_tickets_tick(t, 10));
    ck_assert(opens(t, b, binding));
    tls_tickets_put(&t);
}
END_TEST

START_TEST(references)
{
    struct tls_tickets *t = tls_tickets_open(1000, PERIOD_S), *held = tls_tickets_get(t);
    struct box b = sealed(t);
    tls_tickets_put(&t);
    ck_assert(opens(held, b, binding));
    tls_tickets_put(&held);
    tls_tickets_put(&held);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("tls/tickets");
    TCase *t = tcase_create("tickets");
    tcase_add_test(t, opens_what_it_sealed);
    tcase_add_test(t, not_for_another_binding_or_listener);
    tcase_add_test(t, not_when_changed);
    tcase_add_test(t, nothing_opens_before_anything_was_sealed);
    tcase_add_test(t, keys_rotate);
    tcase_add_test(t, a_long_pause_forgets_both);
    tcase_add_test(t, a_clock_that_steps_back_rotates_nothing);
    tcase_add_test(t, references);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
