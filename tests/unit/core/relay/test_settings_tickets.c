/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Session tickets of a configuration: each listener its own keys, which grow old and outlive a reload.
 */
#include "core/base/clock.h"
#include "core/relay/settings.h"
#include "tests/unit/core/base/testing.h"

static const char *const sets[] = {
    "identity.hostname=relay.example.test",
    "listeners.0.port=2525",
    "listeners.0.tls=may",
    "listeners.1.port=2526",
    "listeners.1.tls=may",
    "listeners.2.port=2527",
    "tls.on_missing=self_signed",
};

static struct relay_settings *settings(const struct relay_settings *old)
{
    struct conf_source src = {.set = sets, .set_count = ARRAY_COUNT(sets)};
    struct buf errors, warnings;
    const struct relay_settings_messages to = {&errors, &warnings};
    buf_init(&errors, 65536);
    buf_init(&warnings, 65536);
    struct conf *conf = conf_load(&src, &errors, NULL);
    ck_assert_ptr_nonnull(conf);
    struct relay_settings *s = relay_settings_new(conf, old, &to);
    ck_assert_msg(s != NULL, "%.*s", SLICE_ARG(buf_slice(&errors)));
    buf_deinit(&errors);
    buf_deinit(&warnings);
    return s;
}

struct sealed {
    uint8_t name[TLS_TICKET_NAME_BYTES], iv[TLS_TICKET_IV_BYTES], mac[TLS_TICKET_MAC_BYTES];
    uint8_t text[64];
};

static const uint8_t binding[TLS_TICKET_BINDING_BYTES] = {7};

static struct tls_ticket view(struct sealed *x)
{
    return (struct tls_ticket){x->name, x->iv, x->mac, x->text, sizeof(x->text), binding};
}

static struct sealed sealed_by(const struct relay_settings *s, size_t listener)
{
    struct sealed x = {.iv = {1, 2, 3}, .text = "a session"};
    struct tls_ticket t = view(&x);
    ck_assert(tls_tickets_seal(s->listeners[listener].tickets, &t));
    return x;
}

static bool opened_by(const struct relay_settings *s, size_t listener, struct sealed x)
{
    struct tls_ticket t = view(&x);
    return tls_tickets_open_ticket(s->listeners[listener].tickets, &t);
}

START_TEST(each_listener_its_own)
{
    struct relay_settings *s = settings(NULL);
    struct sealed first = sealed_by(s, 0), second = sealed_by(s, 1);
    ck_assert(opened_by(s, 0, first) && opened_by(s, 1, second));
    ck_assert(!opened_by(s, 1, first) && !opened_by(s, 0, second));
    ck_assert_ptr_null(s->listeners[2].tickets); /* no TLS there */
    relay_settings_put(&s);
}
END_TEST

/* The engine's tick reaches the keys of each listener, and only the time it brings counts. */
START_TEST(they_rotate)
{
    struct relay_settings *s = settings(NULL);
    uint64_t now_us = clock_read().wall_us;
    uint64_t period_us = 1000000ull * tls_tickets_period_s(s->listeners[0].tickets);
    for (size_t i = 0; i < 2; i++) {
        struct sealed x = sealed_by(s, i);
        uint64_t from_us = now_us + i * 10 * period_us;
        relay_settings_tick(s, from_us + 60 * 1000000ull);
        x = i ? sealed_by(s, i) : x;
        ck_assert(opened_by(s, i, x));
        relay_settings_tick(s, from_us + period_us + 120 * 1000000ull);
        ck_assert(opened_by(s, i, x)); /* by the key before */
        struct sealed y = sealed_by(s, i);
        ck_assert(memcmp(x.name, y.name, sizeof(x.name)) != 0);
        relay_settings_tick(s, from_us + 2 * period_us + 240 * 1000000ull);
        ck_assert(!opened_by(s, i, x));
        ck_assert(opened_by(s, i, y));
    }
    relay_settings_put(&s);
}
END_TEST

/* A reload of everything else leaves the keys; both settings use them while both live. */
START_TEST(they_outlive_a_reload)
{
    struct relay_settings *before = settings(NULL);
    struct sealed x = sealed_by(before, 0);
    struct relay_settings *after = settings(before);
    ck_assert(opened_by(after, 0, x) && !opened_by(after, 1, x));
    relay_settings_put(&before);
    ck_assert(opened_by(after, 0, x));
    struct relay_settings *other = settings(NULL); /* another process */
    ck_assert(!opened_by(other, 0, x));
    relay_settings_put(&other);
    relay_settings_put(&after);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {each_listener_its_own, they_rotate, they_outlive_a_reload};
    return testing_run("core/relay/settings, tickets", tests, ARRAY_COUNT(tests));
}
