/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * core/policy/shaping_defaults.yaml as the build made a literal of it (cmake/data.cmake). It is read like
 * any file, so it is judged like one and `explain` can name its lines.
 */
#include "core/conf/shaping_read.h"

static const char text[] =
#include <ringpost_shaping_defaults.h>
    ;

const struct slice conf_shaping_builtin = {text, sizeof(text) - 1};
