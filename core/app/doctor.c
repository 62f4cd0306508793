/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/app/doctor.h"
#include "core/app/doctor_check.h"
#include "core/app/cli_command.h"
#include "core/base/must.h"
#include "core/relay/settings.h"

#include <json-c/json.h>
#include <stdarg.h>

enum { DOCTOR_FOUND_BYTES_MAX = 1024, DOCTOR_FILES_BYTES_MAX = 256 * 1024 };

static const char *const status_names[] = {
    [DOCTOR_PASS] = "ok", [DOCTOR_WARN] = "warn", [DOCTOR_FAIL] = "fail"};

/* In this order: a later check may rely on what an earlier one noted (running). */
static void (*const checks[])(struct doctor *d) = {
    doctor_check_kernel,    doctor_check_ring,      doctor_check_descriptors, doctor_check_memlock,
    doctor_check_processor, doctor_check_clock,     doctor_check_settings,    doctor_check_spool,
    doctor_check_engine,    doctor_check_listeners, doctor_check_dns,         doctor_check_hostname,
    doctor_check_relay,     doctor_check_sandbox,
};

static void doctor_say_json(const struct doctor *d, enum doctor_status status, const char *name,
                            const char *found, const char *change)
{
    struct json_object *o = json_object_new_object();
    if (!o) {
        return;
    }
    json_object_object_add(o, "check", json_object_new_string(name));
    json_object_object_add(o, "status", json_object_new_string(status_names[status]));
    json_object_object_add(o, "found", json_object_new_string(found));
    json_object_object_add(o, "change", change[0] ? json_object_new_string(change) : NULL);
    fprintf(d->out, "%s\n",
            json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
                                                  JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(o);
}

void doctor_say(struct doctor *d, enum doctor_status status, const char *name, const char *change,
                const char *found_fmt, ...)
{
    char found[DOCTOR_FOUND_BYTES_MAX];
    va_list ap;
    must(status >= DOCTOR_PASS && status <= DOCTOR_FAIL);
    va_start(ap, found_fmt);
    vsnprintf(found, sizeof(found), found_fmt, ap);
    va_end(ap);
    d->counts[status]++;
    if (d->json) {
        doctor_say_json(d, status, name, found, change);
    } else {
        fprintf(d->out, "%-4s  %s: %s%s%s\n", status_names[status], name, found,
                change[0] ? " — " : "", change);
    }
    fflush(d->out);
}

bool doctor_run(struct doctor *d)
{
    must(d->conf != NULL && d->out != NULL);
    for (size_t i = 0; i < ARRAY_COUNT(checks); i++) {
        unsigned before = d->counts[DOCTOR_PASS] + d->counts[DOCTOR_WARN] + d->counts[DOCTOR_FAIL];
        checks[i](d);
        must(d->counts[DOCTOR_PASS] + d->counts[DOCTOR_WARN] + d->counts[DOCTOR_FAIL] > before);
    }
    if (!d->json) {
        fprintf(d->out, "\n%u ok, %u warnings, %u failures\n", d->counts[DOCTOR_PASS],
                d->counts[DOCTOR_WARN], d->counts[DOCTOR_FAIL]);
    }
    return d->counts[DOCTOR_FAIL] == 0;
}

/* The files that the configuration names: without them `serve` does not start. */
void doctor_check_settings(struct doctor *d)
{
    struct slice wrong = d->unusable, unwise = d->unwise;
    if (wrong.len + unwise.len == 0) {
        doctor_say(d, DOCTOR_PASS, "settings", "", "certificates, keys and users can be used");
    }
    while (wrong.len) {
        struct slice line = slice_cut(&wrong, '\n');
        doctor_say(d, DOCTOR_FAIL, "settings", "", "%.*s", SLICE_ARG(line));
    }
    while (unwise.len) {
        struct slice line = slice_cut(&unwise, '\n');
        doctor_say(d, DOCTOR_WARN, "settings", "", "%.*s", SLICE_ARG(line));
    }
}

int cli_doctor(struct cli *cli, const struct cli_args *args)
{
    struct conf_source src = cli_conf_source(cli, args);
    struct conf *conf = cli_conf_load(cli, &src);
    struct buf errors, warnings;
    if (!conf) {
        return conf_failure_status(&src);
    }
    buf_init(&errors, DOCTOR_FILES_BYTES_MAX);
    buf_init(&warnings, DOCTOR_FILES_BYTES_MAX);
    const struct relay_settings_messages to = {&errors, &warnings};
    struct relay_settings *settings = relay_settings_new(conf, NULL, &to);
    struct doctor d = {.conf = conf, .out = cli->out, .json = args->json};
    d.unusable = buf_slice(&errors);
    d.unwise = buf_slice(&warnings);
    must(settings != NULL || d.unusable.len > 0);
    bool well = doctor_run(&d);
    if (settings) {
        relay_settings_put(&settings); /* with conf */
    } else {
        conf_free(conf);
    }
    buf_deinit(&errors);
    buf_deinit(&warnings);
    return well ? CLI_OK : CLI_FAILURE;
}
