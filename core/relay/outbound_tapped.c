/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * While somebody listens. What the machine writes into `out` are commands and ends of messages; bodies get there by
 * other ways (outbound_send.c), and are told by their length only.
 */
#include "core/relay/outbound_private.h"

enum smtp_client_action outbound_step_tapped(struct outbound *o, struct slice *in)
{
    const struct clock_now *now = io_now(o->relay->io);
    struct slice before = *in;
    size_t out = o->out.len;
    enum smtp_client_action action = smtp_client_step(&o->smtp, in, &o->out);
    dialogue_say(o->taps, DIALOGUE_SERVER, slice_first(before, before.len - in->len), now);
    dialogue_say(o->taps, DIALOGUE_CLIENT, slice_skip(buf_slice(&o->out), out), now);
    if (action == SMTP_CLIENT_SEND_BODY) {
        const struct smtp_client_body b = smtp_client_body(&o->smtp);
        dialogue_body(o->taps, ((const struct outbound_tx *)(const void *)b.txn)->txn.body_bytes);
    }
    return action;
}

bool outbound_body_end_tapped(struct outbound *o)
{
    static const struct slice dot = SLICE_INIT(".\r\n"), end = SLICE_INIT("\r\n.\r\n");
    size_t out = o->out.len;
    bool ok = smtp_client_body_end(&o->smtp, &o->out);
    struct slice said = slice_skip(buf_slice(&o->out), out);
    struct slice ends[] = {dot, end};
    for (size_t i = 0; i < ARRAY_COUNT(ends); i++) {
        if (slice_eq(slice_first(said, ends[i].len), ends[i])) {
            said = slice_skip(said, ends[i].len);
            break;
        }
    }
    dialogue_say(o->taps, DIALOGUE_CLIENT, said, io_now(o->relay->io));
    return ok;
}
