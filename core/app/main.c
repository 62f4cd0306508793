/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/app/cli.h"
#include "core/app/engine.h"
#include "core/app/hide.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    hide_memory();
    char **arguments = hide_arguments(argc, argv);
    char **environment = hide_environment(environ);
    if (!arguments || !environment) {
        fprintf(stderr, "ringpost: out of memory\n");
        return CLI_FAILURE;
    }
    environ = environment;
    struct cli cli = {.out = stdout,
                      .err = stderr,
                      .environment = environment,
                      .serve = engine_run};
    int status = cli_main(&cli, argc, arguments);
    environ = NULL;
    free(environment);
    free(arguments);
    return status;
}
