/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bench/option.h"

#include "core/base/must.h"

#include <stdarg.h>
#include <stdio.h>

void bench_complain(const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    fprintf(stderr, "ringpost-bench: %s\n", text);
}

bool bench_option_number(struct slice text, uint64_t *out)
{
    uint64_t unit = 1;
    if (text.len > 1) {
        char last = ascii_lower(text.ptr[text.len - 1]);
        unit = last == 'k' ? 1024 : last == 'm' ? 1024 * 1024 : 1;
    }
    uint64_t value;
    if (!slice_to_u64(slice_first(text, text.len - (unit > 1 ? 1 : 0)), &value) ||
        value > UINT64_MAX / unit) {
        return false;
    }
    *out = value * unit;
    return true;
}

static void option_help(const struct bench_command *c)
{
    printf("ringpost-bench %s: %s\n", c->name, c->summary);
    for (size_t i = 0; i < c->option_count; i++) {
        const struct bench_option *o = &c->options[i];
        char left[64];
        (void)snprintf(left, sizeof(left), "%s %s", o->name, o->arg ? o->arg : "");
        printf("  %-26s %s\n", left, o->help);
    }
}

static const struct bench_option *option_find(const struct bench_command *c, const char *name)
{
    for (size_t i = 0; i < c->option_count; i++) {
        if (strcmp(c->options[i].name, name) == 0) {
            return &c->options[i];
        }
    }
    return NULL;
}

static bool option_store(const struct bench_option *o, void *target, const char *value)
{
    char *field = (char *)target + o->offset;
    switch (o->kind) {
    case BENCH_OPTION_FLAG:
        *(bool *)(void *)field = true;
        return true;
    case BENCH_OPTION_TEXT:
        *(const char **)(void *)field = value;
        return true;
    case BENCH_OPTION_CUSTOM:
        must(o->parse != NULL);
        if (!o->parse(target, slice_str(value))) {
            bench_complain("%s %s: expected %s (%s)", o->name, value, o->arg, o->help);
            return false;
        }
        return true;
    case BENCH_OPTION_NUMBER:
        break;
    }
    uint64_t number;
    if (!bench_option_number(slice_str(value), &number) || number < o->min || number > o->max) {
        bench_complain("%s %s: expected a number from %llu to %llu", o->name, value,
                       (unsigned long long)o->min, (unsigned long long)o->max);
        return false;
    }
    *(uint64_t *)(void *)field = number;
    return true;
}

bool bench_options_read(const struct bench_command *c, void *target, int argc, char **argv,
                        int *status)
{
    *status = 64;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            option_help(c);
            *status = 0;
            return false;
        }
        const struct bench_option *o = option_find(c, argv[i]);
        if (o == NULL) {
            bench_complain("%s: unknown option %s (see %s --help)", c->name, argv[i], c->name);
            return false;
        }
        const char *value = NULL;
        if (o->kind != BENCH_OPTION_FLAG) {
            if (i + 1 >= argc) {
                bench_complain("%s needs %s", o->name, o->arg);
                return false;
            }
            value = argv[++i];
        }
        if (!option_store(o, target, value)) {
            return false;
        }
    }
    *status = 0;
    return true;
}
