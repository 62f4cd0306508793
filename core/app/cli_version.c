/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * version: our own and that of every library that runs in the process, as it was loaded and not as it
 * was compiled against, where the library can tell.
 *
 * liburing 2.3 knows no version of its own: the file that the loader took tells it
 * (liburing.so.2 -> liburing.so.2.3).
 */
#include "core/app/cli_command.h"
#include "core/base/must.h"
#include "dns/dns.h"
#include "ringpost_version.h"
#include "tls/library.h"

#include <json-c/json.h>
#include <limits.h>
#include <link.h>
#include <stdlib.h>

/* libfyaml's header belongs to core/conf; the function has this form since 0.5. */
extern const char *fy_library_version(void) __attribute__((weak));
/* Of jemalloc, when it is linked (not under the sanitizers). */
extern int mallctl(const char *name, void *old, size_t *old_len, void *new, size_t new_len)
    __attribute__((weak));

static const char *version_jemalloc(void)
{
    const char *text = NULL;
    size_t size = sizeof(text);
    if (!mallctl || mallctl("version", &text, &size, NULL, 0) != 0) {
        return "not used";
    }
    return text;
}

struct version_object {
    const char *name;
    char path[PATH_MAX];
};

static int version_on_object(struct dl_phdr_info *info, size_t size, void *ctx)
{
    struct version_object *o = ctx;
    (void)size;
    if (info->dlpi_name && strstr(info->dlpi_name, o->name)) {
        return realpath(info->dlpi_name, o->path) != NULL;
    }
    return 0;
}

static const char *version_of_object(const char *name, char dst[64])
{
    struct version_object o = {.name = name};
    const char *at = dl_iterate_phdr(version_on_object, &o) ? strstr(o.path, ".so.") : NULL;
    if (!at || !slice_to_cstr(slice_str(at + 4), dst, 64)) {
        return "static";
    }
    return dst;
}

int cli_version(struct cli *cli, const struct cli_args *args)
{
    char uring[64];
    const struct {
        const char *name;
        const char *version;
    } rows[] = {
        {"ringpost", RINGPOST_VERSION_FULL},
        {"liburing", version_of_object("/liburing.so", uring)},
        {"c-ares", dns_library_version()},
        {"wolfSSL", tls_library_version()},
        {"libfyaml", fy_library_version ? fy_library_version() : "unknown"},
        {"json-c", json_c_version()},
        {"jemalloc", version_jemalloc()},
    };
    if (!args->json) {
        for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
            fprintf(cli->out, "%-9s %s\n", rows[i].name, rows[i].version);
        }
        return CLI_OK;
    }
    struct json_object *o = json_object_new_object();
    must(o != NULL);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        json_object_object_add(o, rows[i].name, json_object_new_string(rows[i].version));
    }
    fprintf(cli->out, "%s\n", json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
    json_object_put(o);
    return CLI_OK;
}
