/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/app/sandbox_paths.h"
#include "core/base/must.h"
#include "core/conf/mailbox.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Always read: name resolution, the null device (relay's reserve descriptor), random bytes. */
static const char *const system_files[] = {
    "/etc/resolv.conf", "/etc/hosts",  "/etc/host.conf", "/etc/nsswitch.conf",
    "/dev/null",        "/dev/random", "/dev/urandom",
};

/* Of a profile, below --root (core/conf/profile_*.c). */
static const char *const profile_folders[] = {"/etc/smarthost", "/etc/opendkim", "/etc/exim4",
                                              "/etc/postfix"};

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
/* Leak search and stack traces. */
static const char *const build_files[] = {"/proc", "/lib", "/usr/lib", "/proc/self/exe"};
#else
static const char *const build_files[] = {NULL};
#endif

static const char *const shared_folders[] = {
    "/",      "/bin", "/boot", "/dev",  "/etc",       "/etc/ssl", "/home",    "/lib",
    "/media", "/mnt", "/opt",  "/proc", "/root",      "/run",     "/sbin",    "/srv",
    "/sys",   "/tmp", "/usr",  "/var",  "/usr/local", "/var/lib", "/var/run", "/var/tmp",
};

static bool folder_is_shared(struct slice folder)
{
    for (size_t i = 0; i < ARRAY_COUNT(shared_folders); i++) {
        if (slice_eq(slice_str(shared_folders[i]), folder)) {
            return true;
        }
    }
    struct slice rest = slice_skip(folder, sizeof("/home/") - 1);
    return slice_starts_nocase(folder, SLICE("/home/")) && slice_find_byte(rest, '/') < 0;
}

/* The path without its last name: "" for one name, "/" below the root. */
static struct slice folder_of(struct slice path)
{
    size_t n = path.len;
    while (n > 0 && path.ptr[n - 1] != '/') {
        n--;
    }
    while (n > 1 && path.ptr[n - 1] == '/') {
        n--;
    }
    return slice_first(path, n);
}

static void give(const struct sandbox_path_sink *to, const char *path, enum landlock_access access)
{
    to->each(to->ctx, slice_str(path), access);
}

static void folder_of_file(struct slice file, enum sandbox_reach reach,
                           const struct sandbox_path_sink *to)
{
    char text[PATH_MAX], folder[PATH_MAX];
    struct slice above = folder_of(file);
    if (!slice_to_cstr(above.len ? above : SLICE("."), text, sizeof(text)) ||
        !realpath(text, folder) || folder_is_shared(slice_str(folder))) {
        to->each(to->ctx, file, LANDLOCK_READ);
        return;
    }
    struct slice parent = folder_of(slice_str(folder));
    bool family = reach == SANDBOX_FAMILY && !folder_is_shared(parent);
    to->each(to->ctx, family ? parent : slice_str(folder), LANDLOCK_READ);
}

/* A folder of links, as CA certificates are kept: also the folders that these lead to. */
static void folders_of_links(const char *folder, const struct sandbox_path_sink *to)
{
    char link[PATH_MAX], target[PATH_MAX], last[PATH_MAX] = "";
    DIR *dir = opendir(folder);
    for (struct dirent *e = dir ? readdir(dir) : NULL; e; e = readdir(dir)) {
        int n = snprintf(link, sizeof(link), "%s/%s", folder, e->d_name);
        bool link_maybe = e->d_type == DT_LNK || e->d_type == DT_UNKNOWN;
        if (!link_maybe || e->d_name[0] == '.' || n < 0 || (size_t)n >= sizeof(link) ||
            !realpath(link, target)) {
            continue;
        }
        struct slice above = folder_of(slice_str(target));
        if (slice_eq(above, slice_str(last)) || slice_eq(above, slice_str(folder))) {
            continue; /* it was given a moment ago */
        }
        folder_of_file(slice_str(target), SANDBOX_FOLDER, to);
        if (folder_is_shared(above) || !slice_to_cstr(above, last, sizeof(last))) {
            last[0] = '\0'; /* only the file was given */
        }
    }
    if (dir) {
        closedir(dir);
    }
}

void sandbox_path_replaceable(struct slice file, enum sandbox_reach reach,
                              const struct sandbox_path_sink *to)
{
    char text[PATH_MAX], target[PATH_MAX];
    if (file.len == 0 || !slice_to_cstr(file, text, sizeof(text))) {
        return;
    }
    folder_of_file(file, reach, to);
    if (!realpath(text, target)) {
        return;
    }
    if (strcmp(target, text) != 0) {
        folder_of_file(slice_str(target), reach, to);
    }
    folders_of_links(target, to);
}

static void on_file(void *ctx, struct slice path)
{
    sandbox_path_replaceable(path, SANDBOX_FAMILY, ctx);
}

/* ---- what the configuration is read from ---- */

/* Is there a file of this name below root? Then text holds its path. */
static bool is_file_below(const char *root, struct slice path, char text[PATH_MAX])
{
    struct stat st;
    struct slice base = slice_str(root ? root : "");
    if (path.len == 0 || path.ptr[0] != '/' || base.len + path.len >= PATH_MAX) {
        return false;
    }
    memcpy(text, base.ptr, base.len);
    memcpy(text + base.len, path.ptr, path.len);
    text[base.len + path.len] = '\0';
    return stat(text, &st) == 0 && S_ISREG(st.st_mode);
}

static bool slice_ends(struct slice text, struct slice end)
{
    return text.len >= end.len && slice_eq(slice_skip(text, text.len - end.len), end);
}

/* RINGPOST_…_FILE, and with a profile every variable that names a file: what its variables mean is
 * decided where they are read. */
static void paths_of_environment(const struct conf_source *source, bool profile,
                                 const struct sandbox_path_sink *to)
{
    char text[PATH_MAX];
    for (char *const *v = source->environment; v && *v; v++) {
        struct slice value = slice_str(*v);
        struct slice name = slice_cut(&value, '=');
        bool ours = profile ? !slice_eq(name, SLICE("_")) : slice_ends(name, SLICE("_FILE"));
        if (ours && is_file_below(NULL, value, text)) {
            sandbox_path_replaceable(slice_str(text), SANDBOX_FOLDER, to);
        }
        if (ours && source->root && is_file_below(source->root, value, text)) {
            sandbox_path_replaceable(slice_str(text), SANDBOX_FOLDER, to);
        }
    }
}

static void paths_of_profile(const char *root, const struct sandbox_path_sink *to)
{
    char text[PATH_MAX];
    for (size_t i = 0; i < ARRAY_COUNT(profile_folders); i++) {
        int n = snprintf(text, sizeof(text), "%s%s", root ? root : "", profile_folders[i]);
        if (n > 0 && (size_t)n < sizeof(text)) {
            give(to, text, LANDLOCK_READ);
        }
    }
}

static void paths_of_source(const struct conf_source *source, bool profile,
                            const struct sandbox_path_sink *to)
{
    if (source->file) {
        /* conf.d and its like stand beside it */
        sandbox_path_replaceable(slice_str(source->file), SANDBOX_FOLDER, to);
    }
    paths_of_environment(source, profile, to);
    if (profile) {
        paths_of_profile(source->root, to);
    }
}

void sandbox_paths(const struct relay_settings *settings, const struct conf_source *source,
                   const struct sandbox_path_sink *to)
{
    const struct conf *conf = settings->conf;
    must(conf->spool.dir.len > 0 && conf->admin.socket.len > 0);
    for (size_t i = 0; i < ARRAY_COUNT(system_files); i++) {
        give(to, system_files[i], LANDLOCK_READ);
    }
    for (size_t i = 0; i < ARRAY_COUNT(build_files) && build_files[i]; i++) {
        give(to, build_files[i], LANDLOCK_READ);
    }
    paths_of_source(source, conf->profile.len > 0, to);
    struct sandbox_path_sink copy = *to;
    relay_settings_files(settings, on_file, &copy);

    struct slice above = folder_of(conf->admin.socket);
    to->each(to->ctx, conf->spool.dir, LANDLOCK_WRITE);
    to->each(to->ctx, above.len ? above : SLICE("."), LANDLOCK_SOCKET);
    if (conf->local.maildir.len) {
        struct slice rest;
        struct slice base = mailbox_pattern_base(conf->local.maildir, &rest);
        to->each(to->ctx, base.len ? base : SLICE("/"), LANDLOCK_WRITE);
    }
}
