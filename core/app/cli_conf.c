/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * serve, check, config: the commands around a configuration.
 */
#include "core/app/cli_command.h"
#include "core/app/sandbox_calls.h"
#include "core/base/must.h"
#include "core/conf/machine.h"
#include "core/policy/automation_print.h"

enum {
    CLI_MESSAGES_BYTES_MAX = 256 * 1024,
    CLI_PRINT_BYTES_MAX = 4 * 1024 * 1024,
};

struct conf_source cli_conf_source(const struct cli *cli, const struct cli_args *args)
{
    return (struct conf_source){
        .file = args->file,
        .environment = cli->environment,
        .set = args->set_count ? args->set : NULL,
        .set_count = args->set_count,
        .root = args->root,
    };
}

/* Says them and ends them. */
static void cli_messages(struct cli *cli, struct buf *errors, struct buf *warnings)
{
    struct slice rest = buf_slice(warnings);
    while (rest.len) {
        struct slice line = slice_cut(&rest, '\n');
        fprintf(cli->err, "warning: %.*s\n", SLICE_ARG(line));
    }
    fprintf(cli->err, "%.*s", SLICE_ARG(buf_slice(errors)));
    buf_deinit(errors);
    buf_deinit(warnings);
}

struct conf *cli_conf_load(struct cli *cli, const struct conf_source *src)
{
    struct buf errors, warnings;
    buf_init(&errors, CLI_MESSAGES_BYTES_MAX);
    buf_init(&warnings, CLI_MESSAGES_BYTES_MAX);
    struct conf *conf = conf_load(src, &errors, &warnings);
    cli_messages(cli, &errors, &warnings);
    return conf;
}

/* The configuration with the files it names: certificates, keys, users. */
static struct relay_settings *cli_settings_load(struct cli *cli, const struct conf_source *src)
{
    struct buf errors, warnings;
    struct conf *conf = cli_conf_load(cli, src);
    if (!conf) {
        return NULL;
    }
    buf_init(&errors, CLI_MESSAGES_BYTES_MAX);
    buf_init(&warnings, CLI_MESSAGES_BYTES_MAX);
    struct relay_settings_messages to = {&errors, &warnings};
    struct relay_settings *settings = relay_settings_new(conf, NULL, &to);
    cli_messages(cli, &errors, &warnings);
    if (!settings) {
        conf_free(conf);
    }
    return settings;
}

int cli_serve(struct cli *cli, const struct cli_args *args)
{
    struct conf_machine machine = {0};
    struct conf_source src = cli_conf_source(cli, args);
    src.machine = &machine; /* the same name after a reload */
    must(cli->serve != NULL);
    struct relay_settings *settings = cli_settings_load(cli, &src);
    if (!settings) {
        return conf_failure_status(&src);
    }
    fflush(cli->err);
    return cli->serve(&src, settings);
}

int cli_check(struct cli *cli, const struct cli_args *args)
{
    struct conf_source src = cli_conf_source(cli, args);
    struct relay_settings *settings = cli_settings_load(cli, &src);
    if (!settings) {
        return conf_failure_status(&src);
    }
    fprintf(cli->out, "configuration is valid\n");
    relay_settings_put(&settings);
    return CLI_OK;
}

int cli_config(struct cli *cli, const struct cli_args *args)
{
    struct conf_source src = cli_conf_source(cli, args);
    struct conf *conf = NULL;
    struct buf text;
    int status = conf_failure_status(&src);
    buf_init(&text, CLI_PRINT_BYTES_MAX);
    switch (args->print) {
    case CLI_PRINT_EFFECTIVE:
        conf = cli_conf_load(cli, &src);
        if (!conf) {
            goto out;
        }
        conf_print_yaml(conf, &text);
        break;
    case CLI_PRINT_DEFAULTS:
        conf_print_defaults(&text);
        break;
    case CLI_PRINT_SCHEMA:
        conf_print_schema(&text);
        break;
    case CLI_PRINT_MARKDOWN:
        conf_print_markdown(&text);
        break;
    case CLI_PRINT_PROFILES:
        conf_print_profiles(&text);
        break;
    case CLI_PRINT_SHAPING:
        conf_print_shaping(&text);
        break;
    case CLI_PRINT_AUTOMATION:
        automation_print(&text);
        break;
    case CLI_PRINT_SYSCALLS:
        sandbox_calls_print(&text);
        break;
    }
    must(!text.overflow);
    fwrite(text.ptr, 1, text.len, cli->out);
    status = CLI_OK;
out:
    if (conf) {
        conf_free(conf);
    }
    buf_deinit(&text);
    return status;
}
