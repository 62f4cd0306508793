/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/app/sandbox.h"
#include "core/app/sandbox_calls.h"
#include "core/app/sandbox_paths.h"
#include "core/base/must.h"
#include "core/conf/mailbox.h"
#include "core/io/disk.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

/* False: the start must fail for it. */
static bool sandbox_without(struct sandbox *s, const struct conf *conf, const char *what,
                            struct buf *error)
{
    size_t used = strnlen(s->missing, sizeof(s->missing));
    snprintf(s->missing + used, sizeof(s->missing) - used, "%s%s", used ? "; " : "", what);
    if (conf->sandbox.mode != CONF_SANDBOX_ENFORCE) {
        return true;
    }
    buf_addf(
        error,
        "sandbox.mode is enforce, and this kernel does not do it: %s (auto takes what there is)",
        what);
    return false;
}

static void make_folder(struct slice path)
{
    char text[PATH_MAX];
    int fd = slice_to_cstr(path, text, sizeof(text)) ? disk_open_dir(text, true) : -1;
    if (fd >= 0) {
        disk_close(fd);
    }
}

/* A rule needs its folder, and above them nothing can be made any more. What fails here fails again where
 * the folder is used, with the right words. */
static void make_folders(const struct conf *conf)
{
    make_folder(conf->spool.dir);
    if (conf->local.maildir.len && conf->local.create) {
        struct slice rest;
        make_folder(mailbox_pattern_base(conf->local.maildir, &rest));
    }
}

static void allow_path(void *ctx, struct slice path, enum landlock_access access)
{
    landlock_allow(ctx, path, access);
}

static void allow_ports(struct landlock *l, const struct conf *conf)
{
    landlock_allow_port(l, 0); /* source addresses */
    for (size_t i = 0; i < conf->listeners.count; i++) {
        landlock_allow_port(l, conf->listeners.items[i].port);
    }
}

bool sandbox_confine_files(struct sandbox *s, const struct relay_settings *settings,
                           const struct conf_source *source, struct buf *error)
{
    const struct conf *conf = settings->conf;
    *s = (struct sandbox){0};
    if (conf->sandbox.mode == CONF_SANDBOX_OFF) {
        snprintf(s->missing, sizeof(s->missing), "sandbox.mode is off");
        return true;
    }
    struct landlock l;
    char why[128];
    int rc = 0;
    if (landlock_open(&l, &rc) && conf->local.maildir.len && !landlock_moves(&l)) {
        landlock_close(&l);
        return sandbox_without(s, conf,
                               "Landlock: before Linux 5.19 it forbids mailboxes their rename",
                               error);
    }
    if (rc == 0) {
        make_folders(conf);
        sandbox_paths(settings, source, &(struct sandbox_path_sink){allow_path, &l});
        allow_ports(&l, conf);
        rc = landlock_restrict(&l);
    }
    if (rc == 0) {
        s->landlock_abi = l.abi;
        s->paths = l.rules;
    }
    landlock_close(&l);
    snprintf(why, sizeof(why), "Landlock: %s", strerror(rc));
    return rc == 0 || sandbox_without(s, conf, why, error);
}

bool sandbox_confine_calls(struct sandbox *s, const struct conf *conf, bool epoll,
                           struct buf *error)
{
    if (conf->sandbox.mode == CONF_SANDBOX_OFF) {
        return true;
    }
    char text[128] = "";
    struct buf why;
    unsigned extras = sandbox_calls_extras(epoll);
    buf_init(&why, sizeof(text));
    bool ok = sandbox_calls_load(extras, &why);
    if (ok) {
        s->calls = sandbox_calls_count(extras);
    } else {
        (void)slice_to_cstr(buf_slice(&why), text, sizeof(text));
        ok = sandbox_without(s, conf, text, error);
    }
    buf_deinit(&why);
    return ok;
}

void sandbox_explain(const struct sandbox *s, struct buf *errors)
{
    struct slice denied = SLICE("Permission denied");
    bool found = false;
    for (size_t at = 0; s->landlock_abi && !found && at + denied.len <= errors->len; at++) {
        found = slice_starts_nocase(slice_skip(buf_slice(errors), at), denied);
    }
    if (found) {
        buf_add(errors, SLICE("sandbox: a running engine reads only from the folders that its "
                              "configuration named at the start; for a file elsewhere, restart it "
                              "(sandbox.mode)\n"));
    }
}
