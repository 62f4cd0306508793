/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Memory that a client drives and that is not there: its session ends, nobody else's.
 */
#include "core/app/recovered.h"
#include "core/relay/inbound.h"
#include "tests/unit/core/relay/relay_rig.h"

#include <poll.h>

static struct relay_rig rig;
static struct sockaddr_storage address;
static socklen_t address_len;

static void setup(void)
{
    static const char *const sets[] = {"listeners.0.address=127.0.0.1", "listeners.0.port=2525",
                                       "relay.tls=none", NULL};
    relay_rig_start(&rig, NULL, sets);
    rig.rig.queue.events = &relay_queue_events;
    rig.rig.queue.ctx = &rig.relay;
    struct ip_endpoint at = {.port = 0};
    ck_assert(ip_addr_parse(SLICE("127.0.0.1"), &at.addr));
    int fd = net_listen(&at, 16);
    ck_assert_int_ge(fd, 0);
    address_len = sizeof(address);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &address_len), 0);
    ck_assert(relay_listen(&rig.relay, 0, fd));
}

/* Says a line and waits for a reply that begins so; "": the end of the connection. */
static void talk(int fd, const char *say, const char *want)
{
    static char line[512];
    size_t len = 0;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    if (say) {
        ck_assert_int_eq(send(fd, say, strlen(say), MSG_NOSIGNAL), (ssize_t)strlen(say));
    }
    do {
        RIG_UNTIL(&rig.rig, poll(&p, 1, 0) > 0);
        ssize_t n = recv(fd, line + len, 1, 0);
        len += n > 0 ? 1 : 0;
        if (n <= 0) {
            break;
        }
        ck_assert_uint_lt(len, sizeof(line));
    } while (line[len - 1] != '\n');
    line[len] = '\0';
    bool ok = want[0] ? strncmp(line, want, strlen(want)) == 0 : len == 0;
    ck_assert_msg(ok, "\"%s\" is not \"%s\"", line, want);
}

static int client(struct inbound **session)
{
    struct handle h;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, address_len), 0);
    talk(fd, NULL, "220 ");
    *session = NULL;
    for (uint32_t slot = 0; slot < rig.relay.inbound.made && !*session; slot++) {
        *session = pool_at(&rig.relay.inbound, slot, &h);
    }
    ck_assert_ptr_nonnull(*session);
    return fd;
}

/* Commands behind a message that is being committed must wait: without room for them the client hears
 * nothing, for 421 would deny the message that is ours. */
START_TEST(input_that_cannot_be_kept_during_a_commit)
{
    setup();
    struct inbound *s;
    int fd = client(&s);
    talk(fd, "HELO c.test\r\n", "250 ");
    talk(fd, "MAIL FROM:<a@s.test>\r\n", "250 ");
    talk(fd, "RCPT TO:<b@d.test>\r\n", "250 ");
    talk(fd, "DATA\r\n", "354 ");
    s->held.cap_max = 4;
    talk(fd, "Subject: x\r\n\r\nx\r\n.\r\nNOOP\r\nNOOP\r\n", "");
    close(fd);
    RIG_UNTIL(&rig.rig, rig.rig.queue.counters.messages_accepted == 1);
    ck_assert_uint_eq(rig.relay.counters.messages_in, 0); /* never acknowledged */
    RIG_UNTIL(&rig.rig, rig.relay.inbound.used == 0);
    close(client(&s));
    relay_rig_stop(&rig);
}
END_TEST

START_TEST(input_that_was_lost)
{
    setup();
    struct inbound *s;
    int fd = client(&s);
    s->held.overflow = true;
    talk(fd, "NOOP\r\n", "250 ");
    talk(fd, NULL, "421 4.3.0");
    talk(fd, NULL, "");
    close(fd);
    close(client(&s));
    relay_rig_stop(&rig);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {input_that_cannot_be_kept_during_a_commit, input_that_was_lost};
    return testing_run("core/relay/inbound_memory", tests, ARRAY_COUNT(tests));
}
