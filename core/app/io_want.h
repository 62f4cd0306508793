/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * io_want - the back end of core/io that a configuration asks for
 *
 * Purpose:   what the engine, the doctor and the bench decide alike.
 * Owner:     none. Thread: any. Errors: in struct io_choice.
 */
#ifndef RINGPOST_APP_IO_WANT_H
#define RINGPOST_APP_IO_WANT_H

#include "core/conf/conf.h"
#include "core/io/choose.h"

struct io_choice io_choice_of(const struct conf *conf);
/* "io_uring: recv: Operation not permitted" */
void io_refusal_add(struct buf *out, const struct conf *conf, const struct io_refusal *r);

#endif
