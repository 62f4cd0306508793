/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * While somebody listens the machine is given a line at a time, so that it is known of each byte whether it is
 * of a command or of a message: what is of a message is told by its length only. The machine does not mind how
 * its input is cut, but for STARTTLS: what stands behind that is an attack, and it must see it at once.
 */
#include "core/relay/inbound_private.h"

static struct slice tapped_line(struct slice in)
{
    int end = slice_find_byte(in, '\n');
    return end < 0 ? in : slice_first(in, (size_t)end + 1);
}

static void tapped_tell(struct inbound *s, struct slice used, bool body)
{
    const struct clock_now *now = io_now(s->relay->io);
    bool dot = body && smtp_server_phase(&s->smtp) != SMTP_PHASE_BODY &&
               slice_eq(used, SLICE(".\r\n"));
    if (body && !dot) {
        dialogue_body(s->taps, used.len);
    } else if (!body) {
        dialogue_say(s->taps, DIALOGUE_CLIENT, used, now);
    }
    inbound_tell_taps(s);
}

/* The 220 is taken back: the machine sees what stands behind STARTTLS and refuses. */
static enum smtp_server_action tapped_starttls(struct inbound *s, struct slice *in,
                                               size_t out_before)
{
    s->out.len = out_before;
    s->told = s->told < out_before ? s->told : out_before;
    enum smtp_server_action action = smtp_server_step(&s->smtp, in, &s->out);
    inbound_tell_taps(s);
    return action;
}

/* The end of a chunk is noticed with the next step, whatever that brings: let it bring nothing. False: *action is for
 * the driver first. */
static bool tapped_leave_body(struct inbound *s, enum smtp_server_action *action)
{
    struct slice none = {NULL, 0};
    if (smtp_server_phase(&s->smtp) != SMTP_PHASE_BODY) {
        return true;
    }
    *action = smtp_server_step(&s->smtp, &none, &s->out);
    inbound_tell_taps(s);
    return *action == SMTP_SERVER_WANT_INPUT;
}

enum smtp_server_action inbound_step_tapped(struct inbound *s, struct slice *in)
{
    enum smtp_server_action action;
    size_t used, out_before;
    inbound_tell_taps(s); /* answers that were given meanwhile */
    do {
        if (!tapped_leave_body(s, &action)) {
            return action;
        }
        struct slice line = tapped_line(*in), rest = line;
        bool body = smtp_server_phase(&s->smtp) == SMTP_PHASE_BODY;
        out_before = s->out.len;
        action = smtp_server_step(&s->smtp, &rest, &s->out);
        used = line.len - rest.len;
        *in = slice_skip(*in, used);
        if (action == SMTP_SERVER_START_TLS && in->len) {
            return tapped_starttls(s, in, out_before);
        }
        tapped_tell(s, slice_first(line, used), body);
    } while (action == SMTP_SERVER_WANT_INPUT && used && in->len);
    return action;
}
