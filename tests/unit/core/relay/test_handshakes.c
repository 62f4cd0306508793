/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Time is what the test says: a client here is a number of flights, and what each of them takes.
 */
#include "core/relay/handshakes.h"
#include "tests/unit/core/base/testing.h"

enum { CLIENTS_MAX = 1000, DONE_MAX = 4 * CLIENTS_MAX };

struct client {
    struct handshake_place place;
    struct world *world;
    unsigned number;
    unsigned flights; /* left */
    uint64_t flight_us;
    struct client *kills; /* its flight ends this one's session */
};

struct world {
    struct handshakes all;
    struct client clients[CLIENTS_MAX];
    unsigned done[DONE_MAX]; /* flights, by client, in their order */
    size_t done_count;
    uint64_t turn_us; /* in this turn, measured here */
};

/* What a session does: goes on until it has to wait. */
static void client_pump(struct client *c)
{
    struct world *w = c->world;
    while (c->flights > 0 && handshakes_may(&w->all, &c->place)) {
        c->flights--;
        ck_assert_uint_lt(w->done_count, DONE_MAX);
        w->done[w->done_count++] = c->number;
        w->turn_us += c->flight_us;
        handshakes_took(&w->all, c->flight_us);
        if (c->kills) {
            handshakes_leave(&w->all, &c->kills->place);
        }
    }
}

static void client_resume(struct handshake_place *p)
{
    client_pump(container_of(p, struct client, place));
}

static struct world *world_new(unsigned clients, unsigned flights, uint64_t flight_us)
{
    struct world *w = calloc(1, sizeof(*w));
    ck_assert_ptr_nonnull(w);
    handshakes_init(&w->all);
    for (unsigned i = 0; i < clients; i++) {
        w->clients[i] = (struct client){.world = w,
                                        .number = i,
                                        .flights = flights,
                                        .flight_us = flight_us,
                                        .place = {.resume = client_resume}};
    }
    return w;
}

/* The rest of a turn; returns what all of it took. */
static uint64_t turn_end(struct world *w)
{
    handshakes_run(&w->all);
    uint64_t took_us = w->turn_us;
    w->turn_us = 0;
    return took_us;
}

START_TEST(alone_nobody_waits)
{
    struct world *w = world_new(1, 3, 100);
    client_pump(&w->clients[0]);
    ck_assert_uint_eq(w->clients[0].flights, 0);
    ck_assert(!handshakes_waits(&w->clients[0].place));
    ck_assert_uint_eq(turn_end(w), 300);
    ck_assert_uint_eq(w->all.counters.flights, 3);
    ck_assert_uint_eq(w->all.counters.waited, 0);
    free(w);
}
END_TEST

/* A thousand at once, cheap and dear ones: no turn takes more than the budget and one flight, they are served
 * in the order they came, and each turn does something. */
START_TEST(a_flood_takes_turns)
{
    static const uint64_t flights_us[] = {0, 90, 700, HANDSHAKES_TURN_US, 5 * HANDSHAKES_TURN_US};
    for (size_t k = 0; k < ARRAY_COUNT(flights_us); k++) {
        struct world *w = world_new(CLIENTS_MAX, 1, flights_us[k]);
        for (unsigned i = 0; i < CLIENTS_MAX; i++) {
            client_pump(&w->clients[i]);
        }
        unsigned turns = 0;
        size_t before;
        do {
            before = w->done_count;
            ck_assert_uint_lt(turn_end(w), HANDSHAKES_TURN_US + flights_us[k] + 1);
            turns++;
            ck_assert(turns == 1 || before == CLIENTS_MAX || w->done_count > before);
        } while (!list_empty(&w->all.waiting));
        ck_assert_uint_eq(w->done_count, CLIENTS_MAX);
        ck_assert_uint_eq(w->all.length, 0);
        ck_assert_uint_ge(turns,
                          CLIENTS_MAX * flights_us[k] / (HANDSHAKES_TURN_US + flights_us[k]));
        for (unsigned i = 0; i < CLIENTS_MAX; i++) {
            ck_assert_uint_eq(w->done[i], i);
        }
        free(w);
    }
}
END_TEST

/* What the handlers of this turn have spent is not spent again at its end. */
START_TEST(one_budget_for_the_whole_turn)
{
    struct world *w = world_new(9, 1, HANDSHAKES_TURN_US / 2);
    for (unsigned i = 0; i < 9; i++) {
        client_pump(&w->clients[i]);
    }
    ck_assert_uint_eq(w->done_count, 2);
    ck_assert_uint_eq(w->all.length, 7);
    ck_assert_uint_eq(turn_end(w), HANDSHAKES_TURN_US);
    ck_assert_uint_eq(w->done_count, 2);
    ck_assert_uint_eq(turn_end(w), HANDSHAKES_TURN_US);
    ck_assert_uint_eq(w->done_count, 4);
    ck_assert_uint_eq(w->all.counters.waited, 2);
    free(w);
}
END_TEST

/* Also with room in the budget: who waits was first. A second flight stands behind the others' first. */
START_TEST(nobody_overtakes)
{
    struct world *w = world_new(4, 2, HANDSHAKES_TURN_US);
    client_pump(&w->clients[0]); /* its second flight waits */
    client_pump(&w->clients[1]);
    turn_end(w);
    ck_assert_uint_eq(w->done_count, 1);
    client_pump(&w->clients[2]); /* a new turn, nothing spent yet */
    ck_assert_uint_eq(w->done_count, 1);
    client_pump(&w->clients[0]); /* woken by something else: it stands where it stood */
    ck_assert_uint_eq(w->all.length, 3);
    client_pump(&w->clients[3]);
    while (!list_empty(&w->all.waiting)) {
        turn_end(w);
    }
    static const unsigned order[] = {0, 0, 1, 2, 3, 1, 2, 3};
    ck_assert_uint_eq(w->done_count, ARRAY_COUNT(order));
    ck_assert(memcmp(w->done, order, sizeof(order)) == 0);
    free(w);
}
END_TEST

/* Flights that cost nothing measurable do not keep the turn from ending. */
START_TEST(a_turn_ends)
{
    struct world *w = world_new(2, 1000, 0);
    w->all.spent_us = HANDSHAKES_TURN_US;
    client_pump(&w->clients[0]);
    client_pump(&w->clients[1]);
    ck_assert_uint_eq(w->all.length, 2);
    turn_end(w); /* spent already */
    ck_assert_uint_eq(w->done_count, 0);
    for (unsigned i = 0; i < 2000 && !list_empty(&w->all.waiting); i++) {
        size_t before = w->done_count;
        turn_end(w);
        ck_assert_uint_le(w->done_count - before, 1000 + 1);
    }
    ck_assert_uint_eq(w->done_count, 2000);
    free(w);
}
END_TEST

START_TEST(who_leaves_is_not_called)
{
    struct world *w = world_new(5, 1, HANDSHAKES_TURN_US);
    for (unsigned i = 0; i < 5; i++) {
        client_pump(&w->clients[i]);
    }
    turn_end(w);
    handshakes_leave(&w->all, &w->clients[1].place);
    handshakes_leave(&w->all, &w->clients[1].place); /* twice is as once */
    ck_assert_uint_eq(w->all.length, 3);
    w->clients[2].kills = &w->clients[4]; /* the session that is resumed ends another that waits */
    w->clients[2].flight_us = 0;
    turn_end(w);
    ck_assert_uint_eq(w->done_count, 3);
    ck_assert_uint_eq(w->done[1], 2);
    ck_assert_uint_eq(w->done[2], 3);
    ck_assert_uint_eq(w->all.length, 0);
    turn_end(w);
    ck_assert_uint_eq(w->done_count, 3);
    free(w);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {alone_nobody_waits, a_flood_takes_turns, one_budget_for_the_whole_turn,
                            nobody_overtakes,   a_turn_ends,         who_leaves_is_not_called};
    return testing_run("core/relay/handshakes", tests, ARRAY_COUNT(tests));
}
