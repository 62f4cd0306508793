/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/app/io_want.h"
#include "core/base/must.h"

must_static((int)CONF_IO_AUTO == (int)IO_WANT_AUTO, "one enum is cast to the other");
must_static((int)CONF_IO_URING == (int)IO_WANT_URING, "one enum is cast to the other");
must_static((int)CONF_IO_EPOLL == (int)IO_WANT_EPOLL, "one enum is cast to the other");

struct io_choice io_choice_of(const struct conf *conf)
{
    return io_choose((enum io_want)conf->io.backend, conf->io.ring_entries);
}

void io_refusal_add(struct buf *out, const struct conf *conf, const struct io_refusal *r)
{
    must(r->operation != NULL);
    buf_addf(out, "%s: %s: %s", conf->io.backend == CONF_IO_EPOLL ? "epoll" : "io_uring",
             r->operation, r->error ? strerror(r->error) : "does not do what it should");
}
