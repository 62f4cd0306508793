/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/base/must.h"
#include "core/base/trace.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void must_fail(const char *expr, const char *file, int line)
{
    fprintf(stderr, "ringpost: internal error: must(%s) is false at %s:%d\n", expr, file, line);
    trace_dump(stderr);
    fflush(stderr);
    abort();
}
