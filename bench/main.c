/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * ringpost-bench: load source, sink, and the demonstration that `./dev run` shows.
 */
#include "bench/demo.h"
#include "bench/handshake.h"
#include "bench/option.h"
#include "bench/secure.h"
#include "bench/sink.h"
#include "bench/source.h"
#include "bench/spool.h"

#include "core/base/must.h"

#include <stdio.h>

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
} commands[] = {
    {"sink", sink_main, "accept SMTP mail at full speed, with latency and faults on request"},
    {"source", source_main, "send bench messages, know exactly what was promised"},
    {"certificate", certificate_main, "make a self-signed certificate for a measured server"},
    {"handshake", handshake_main, "what TLS handshakes cost beside the bare library"},
    {"spool", spool_main, "fill a spool with messages that wait for a host that is down"},
    {"demo", demo_main, "start the engine, send 1,000 messages through it, show the numbers"},
};

static void usage(FILE *out)
{
    fputs("usage: ringpost-bench COMMAND [options]   (COMMAND --help lists them)\n", out);
    for (size_t i = 0; i < ARRAY_COUNT(commands); i++) {
        fprintf(out, "  %-12s %s\n", commands[i].name, commands[i].help);
    }
    fputs("Beside other mail servers: ./dev bench (bench/run)\n", out);
}

int main(int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < ARRAY_COUNT(commands); i++) {
        if (strcmp(argv[1], commands[i].name) == 0) {
            return commands[i].run(argc - 1, argv + 1);
        }
    }
    bool asked = argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0);
    if (argc > 1 && !asked) {
        bench_complain("unknown command %s", argv[1]);
    }
    usage(asked ? stdout : stderr);
    return asked ? 0 : 64;
}
