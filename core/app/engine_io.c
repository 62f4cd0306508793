/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/app/engine_private.h"
#include "core/app/io_want.h"

bool engine_choose_io(struct engine *e, struct buf *error)
{
    const struct conf *conf = e->settings->conf;
    e->io_choice = io_choice_of(conf);
    if (e->io_choice.backend) {
        return true;
    }
    io_refusal_add(error, conf, &e->io_choice.refusal);
    if (conf->io.backend == CONF_IO_URING) {
        buf_add(error, SLICE(" (io.backend: uring allows nothing else; auto would use epoll)"));
    }
    buf_add(error, SLICE("; `ringpost doctor` says what to change"));
    return false;
}

void engine_say_io(struct engine *e)
{
    if (!e->io_choice.refusal.operation || !engine_event(e, OBS_IO_FALLBACK)) {
        return;
    }
    struct buf why;
    buf_init(&why, 512);
    io_refusal_add(&why, e->settings->conf, &e->io_choice.refusal);
    buf_add(&why, SLICE("; `ringpost doctor` says what to change"));
    obs_str(&e->log, OBS_F_BACKEND, slice_str(io_backend_name(e->io_choice.backend)));
    obs_str(&e->log, OBS_F_REASON, buf_slice(&why));
    buf_deinit(&why);
    engine_event_end(e);
}
