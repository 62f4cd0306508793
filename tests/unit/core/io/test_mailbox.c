/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Mail between threads: none is lost, none comes twice, a sender's own stay in order, and a receiver that
 * sleeps is always woken.
 */
#include "core/io/mailbox.h"
#include "tests/unit/core/io/ring.h"

#include <pthread.h>

struct letter {
    struct mail mail;
    unsigned sender;
    unsigned number;
    struct mailbox *back; /* posted on to; NULL: it has arrived */
};

/* One thread with its ring and its box. */
struct side {
    pthread_t thread;
    struct io *io;
    struct mailbox box;
    pthread_barrier_t *barrier;
    struct side *peer;
    struct letter *letters;
    unsigned index, to_send, expected, got, out_of_order;
    unsigned next[8]; /* number expected of each sender */
    unsigned wakes, posted_on;
    bool timed_out;
};

static void on_wake(void *ctx, const struct io_event *ev)
{
    struct side *s = ctx;
    testing_that(ev->kind == IO_KIND_MAILBOX && ev->status == IO_OK);
    s->wakes++;
}

static void side_open(struct side *s)
{
    static const struct io_route routes[IO_KIND_COUNT] = {[IO_KIND_MAILBOX] = {"mailbox", on_wake}};
    int error = 0;
    s->io = io_open(ring_backend, 8, routes, s, &error); /* small: 32 completions */
    testing_that(s->io != NULL);
    mailbox_init(&s->box, io_wake_fd(s->io));
}

static void side_take(struct side *s)
{
    struct mail *mail = mailbox_take(&s->box);
    while (mail) {
        struct mail *next = mail->next;
        struct letter *l = container_of(mail, struct letter, mail);
        if (l->back) {
            struct mailbox *to = l->back;
            l->back = NULL;
            mailbox_post(to, &l->mail, s->io);
            s->posted_on++;
        } else {
            s->out_of_order += l->number != s->next[l->sender];
            s->next[l->sender] = l->number + 1;
            s->got++;
        }
        mail = next;
    }
}

static void side_turn(struct side *s, bool sleep)
{
    uint64_t deadline = sleep ? io_now(s->io)->mono_ms + RING_WAIT_MS : 0;
    io_wait(s->io, deadline);
    io_dispatch(s->io);
    s->timed_out = s->timed_out || (sleep && io_now(s->io)->mono_ms >= deadline);
    side_take(s);
}

static void side_close(struct side *s)
{
    testing_that(io_in_flight(s->io) == 0);
    io_close(s->io);
}

/* ---- one thread ---- */

START_TEST(in_order_and_at_once)
{
    struct side s = {0};
    struct letter letters[5] = {0};
    side_open(&s);
    ck_assert_ptr_null(mailbox_take(&s.box));
    for (unsigned i = 0; i < ARRAY_COUNT(letters); i++) {
        letters[i].mail.type = i;
        mailbox_post(&s.box, &letters[i].mail, s.io); /* to oneself is allowed */
    }
    side_turn(&s, false);
    ck_assert_uint_eq(s.wakes, 1); /* the first one wakes, the others ride along */
    mailbox_post(&s.box, &letters[0].mail, s.io);
    mailbox_post(&s.box, &letters[1].mail, s.io);
    struct mail *m = mailbox_take(&s.box);
    ck_assert_ptr_eq(m, &letters[0].mail);
    ck_assert_ptr_eq(m->next, &letters[1].mail);
    ck_assert_ptr_null(m->next->next);
    ck_assert_ptr_null(mailbox_take(&s.box));
    side_turn(&s, false); /* the wake of the two comes late: nothing is there, nothing is wrong */
    ck_assert_uint_eq(s.wakes, 2);
    side_close(&s);
}
END_TEST

/* ---- two rings, each sends while it receives ---- */

static void *flood_main(void *arg)
{
    struct side *s = arg;
    side_open(s);
    pthread_barrier_wait(s->barrier);
    for (unsigned i = 0; i < s->to_send; i++) {
        s->letters[i] = (struct letter){.sender = s->index, .number = i};
        mailbox_post(&s->peer->box, &s->letters[i].mail, s->io);
        if (i % 64 == 63) {
            side_turn(s, false);
        }
    }
    while (s->got < s->expected && !s->timed_out) {
        side_turn(s, true);
    }
    side_turn(s, false); /* what we still owe the other one: its wake */
    pthread_barrier_wait(s->barrier);
    side_turn(s, false);
    side_close(s);
    return NULL;
}

START_TEST(flood_between_two_rings)
{
    enum { LETTERS = 100000 };
    pthread_barrier_t barrier;
    struct side sides[2] = {0};
    pthread_barrier_init(&barrier, NULL, 2);
    for (unsigned i = 0; i < 2; i++) {
        sides[i] = (struct side){.barrier = &barrier,
                                 .peer = &sides[1 - i],
                                 .letters = calloc(LETTERS, sizeof(struct letter)),
                                 .index = i,
                                 .to_send = LETTERS,
                                 .expected = LETTERS};
    }
    for (unsigned i = 0; i < 2; i++) {
        ck_assert_int_eq(pthread_create(&sides[i].thread, NULL, flood_main, &sides[i]), 0);
    }
    for (unsigned i = 0; i < 2; i++) {
        pthread_join(sides[i].thread, NULL);
        ck_assert_uint_eq(sides[i].got, LETTERS);
        ck_assert_uint_eq(sides[i].out_of_order, 0);
        ck_assert(!sides[i].timed_out); /* nobody slept over a wake */
        ck_assert_uint_le(sides[i].wakes, LETTERS);
        free(sides[i].letters);
    }
    pthread_barrier_destroy(&barrier);
}
END_TEST

/* ---- one ball: each side sleeps until the other has posted, so that one lost wake is the end ---- */

static void *ball_main(void *arg)
{
    struct side *s = arg;
    side_open(s);
    pthread_barrier_wait(s->barrier);
    struct letter ball = {.mail = {.type = 1}};
    if (s->index == 0) {
        mailbox_post(&s->peer->box, &ball.mail, s->io);
    }
    for (unsigned i = 0; i < s->expected && !s->timed_out;) {
        uint64_t deadline = io_now(s->io)->mono_ms + RING_WAIT_MS;
        io_wait(s->io, deadline);
        io_dispatch(s->io);
        s->timed_out = io_now(s->io)->mono_ms >= deadline;
        struct mail *m = mailbox_take(&s->box);
        if (m) {
            testing_that(m->next == NULL);
            s->got++;
            i++;
            if (s->index || i < s->expected) {
                mailbox_post(&s->peer->box, m, s->io);
            }
        }
    }
    side_turn(s, false);
    pthread_barrier_wait(s->barrier);
    side_turn(s, false);
    side_close(s);
    return NULL;
}

START_TEST(a_sleeper_is_always_woken)
{
    enum { ROUNDS = 5000 };
    pthread_barrier_t barrier;
    struct side sides[2] = {0};
    pthread_barrier_init(&barrier, NULL, 2);
    for (unsigned i = 0; i < 2; i++) {
        sides[i] = (struct side){.barrier = &barrier,
                                 .peer = &sides[1 - i],
                                 .index = i,
                                 .expected = ROUNDS};
    }
    for (unsigned i = 0; i < 2; i++) {
        ck_assert_int_eq(pthread_create(&sides[i].thread, NULL, ball_main, &sides[i]), 0);
    }
    for (unsigned i = 0; i < 2; i++) {
        pthread_join(sides[i].thread, NULL);
        ck_assert_uint_eq(sides[i].got, ROUNDS);
        ck_assert(!sides[i].timed_out);
    }
    pthread_barrier_destroy(&barrier);
}
END_TEST

/* ---- many senders; the receiver posts every second mail back ---- */

enum { SENDERS = 4, EACH = 10000 };

static void *sender_main(void *arg)
{
    struct side *s = arg;
    side_open(s);
    pthread_barrier_wait(s->barrier);
    for (unsigned i = 0; i < s->to_send; i++) {
        s->letters[i] =
            (struct letter){.sender = s->index, .number = i / 2, .back = i % 2 ? &s->box : NULL};
        mailbox_post(&s->peer->box, &s->letters[i].mail, s->io);
        if (i % 16 == 15) {
            side_turn(s, false);
        }
    }
    while (s->got < s->expected && !s->timed_out) {
        side_turn(s, true);
    }
    side_turn(s, false);
    pthread_barrier_wait(s->barrier);
    side_turn(s, false);
    side_close(s);
    return NULL;
}

START_TEST(many_senders_and_answers)
{
    pthread_barrier_t barrier;
    struct side center = {0}, senders[SENDERS] = {0};
    pthread_barrier_init(&barrier, NULL, SENDERS + 1);
    side_open(&center);
    for (unsigned i = 0; i < SENDERS; i++) {
        senders[i] = (struct side){.barrier = &barrier,
                                   .peer = &center,
                                   .letters = calloc(EACH, sizeof(struct letter)),
                                   .index = i,
                                   .to_send = EACH,
                                   .expected = EACH / 2};
        ck_assert_int_eq(pthread_create(&senders[i].thread, NULL, sender_main, &senders[i]), 0);
    }
    pthread_barrier_wait(&barrier);
    while ((center.got < SENDERS * EACH / 2 || center.posted_on < SENDERS * EACH / 2) &&
           !center.timed_out) {
        side_turn(&center, true);
    }
    side_turn(&center, false);
    pthread_barrier_wait(&barrier);
    for (unsigned i = 0; i < SENDERS; i++) {
        pthread_join(senders[i].thread, NULL);
        ck_assert_uint_eq(senders[i].got, EACH / 2); /* its own, back */
        ck_assert_uint_eq(senders[i].out_of_order, 0);
        ck_assert(!senders[i].timed_out);
        free(senders[i].letters);
    }
    side_turn(&center, false);
    ck_assert(!center.timed_out);
    ck_assert_uint_eq(center.got, SENDERS * EACH / 2);
    ck_assert_uint_eq(center.out_of_order, 0);
    side_close(&center);
    pthread_barrier_destroy(&barrier);
}
END_TEST

/* A ring that is gone: the wake falls into the void, the sender does not care. */
START_TEST(waking_the_dead)
{
    struct side s = {0}, dead = {0};
    side_open(&s);
    side_open(&dead);
    struct letter l = {0};
    int fd = dead.box.wake_fd;
    side_close(&dead);
    mailbox_post(&dead.box, &l.mail, s.io);
    side_turn(&s, false);
    ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
    ck_assert_ptr_eq(mailbox_take(&dead.box), &l.mail);
    ck_assert_uint_eq(s.wakes, 0);
    side_close(&s);
}
END_TEST

/* More wakes than the receiver's completion queue holds, while it does not look: it hears of them all
 * (they wait in the kernel), and its own operations are not disturbed. */
START_TEST(wakes_beyond_the_completion_queue)
{
    enum { WAKES = 1000 };
    struct side s = {0}, target = {0};
    side_open(&s);
    side_open(&target);
    for (unsigned i = 0; i < WAKES; i++) {
        io_wake(s.io, target.box.wake_fd);
    }
    side_turn(&s, false);
    uint64_t end_ms = io_now(target.io)->mono_ms + RING_WAIT_MS;
    while (target.wakes < WAKES && io_now(target.io)->mono_ms < end_ms) {
        side_turn(&target, true);
        ck_assert_uint_eq(io_in_flight(target.io), 0);
    }
    ck_assert_uint_eq(target.wakes, WAKES);
    side_close(&target);
    side_close(&s);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {in_order_and_at_once,      flood_between_two_rings,
                            a_sleeper_is_always_woken, many_senders_and_answers,
                            waking_the_dead,           wakes_beyond_the_completion_queue};
    return ring_run("core/io/mailbox", tests, ARRAY_COUNT(tests));
}
