/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The table of events and fields is what people write their queries against.
 */
#include "core/obs/event.h"
#include "tests/unit/core/base/testing.h"

static const char *const events[] = {
#define X(id, name, level) name,
    OBS_EVENTS(X)
#undef X
};

static const int levels[] = {
#define X(id, name, level) level,
    OBS_EVENTS(X)
#undef X
};

static const char *const fields[] = {
#define X(id, name) name,
    OBS_FIELDS(X)
#undef X
};

static void assert_names(const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        ck_assert_uint_ge(strlen(names[i]), 2);
        for (const char *c = names[i]; *c; c++) {
            ck_assert_msg((*c >= 'a' && *c <= 'z') || *c == '_', "%s", names[i]);
        }
        for (size_t k = 0; k < i; k++) {
            ck_assert_str_ne(names[i], names[k]);
        }
    }
}

START_TEST(names_are_plain_and_unique)
{
    ck_assert_uint_eq(ARRAY_COUNT(events), OBS_EVENT_COUNT);
    ck_assert_uint_eq(ARRAY_COUNT(fields), OBS_FIELD_COUNT);
    assert_names(events, ARRAY_COUNT(events));
    assert_names(fields, ARRAY_COUNT(fields));
}
END_TEST

/* Every line has these three already. */
START_TEST(no_field_hides_the_common_ones)
{
    static const char *const common[] = {"time", "level", "event"};
    for (size_t i = 0; i < ARRAY_COUNT(fields); i++) {
        for (size_t k = 0; k < ARRAY_COUNT(common); k++) {
            ck_assert_str_ne(fields[i], common[k]);
        }
    }
}
END_TEST

/* log.level: info shows what became of every message; what it hides is detail of connections. */
START_TEST(the_life_of_a_message_is_info)
{
    static const int life[] = {OBS_ACCEPTED, OBS_DELIVERED, OBS_DEFERRED, OBS_BOUNCED,
                               OBS_EXPIRED,  OBS_REJECTED,  OBS_DSN};
    for (size_t i = 0; i < ARRAY_COUNT(life); i++) {
        ck_assert_int_eq(levels[life[i]], OBS_INFO);
    }
    for (size_t i = 0; i < ARRAY_COUNT(levels); i++) {
        ck_assert_int_ge(levels[i], OBS_DEBUG);
        ck_assert_int_le(levels[i], OBS_ERROR);
    }
}
END_TEST

int main(void)
{
    const TTest *tests[] = {names_are_plain_and_unique, no_field_hides_the_common_ones,
                            the_life_of_a_message_is_info};
    return testing_run("core/obs/event", tests, ARRAY_COUNT(tests));
}
