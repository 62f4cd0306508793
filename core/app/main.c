/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/app/cli.h"
#include "core/app/engine.h"

#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct cli cli = {.out = stdout, .err = stderr, .environment = environ, .serve = engine_run};
    return cli_main(&cli, argc, argv);
}
