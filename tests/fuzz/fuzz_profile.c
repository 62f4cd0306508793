/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The profiles on hostile variables and files. First byte: E variables of any profile, one a line; Y a
 * file of yaml.d, U of users.d, P of postfix.d, M Exim's macros, N a value of RELAY_NETWORKS. What
 * loads must print; what does not must have said why in whole lines without control characters. No list
 * of networks becomes everybody unless it says so.
 */
#include "core/base/must.h"
#include "core/conf/conf.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINES_MAX = 24, INPUT_MAX = 1 << 15 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void errors_check(const struct buf *b)
{
    for (size_t i = 0; i < b->len; i++) {
        unsigned char c = (unsigned char)b->ptr[i];
        must(c == '\n' || (c >= 0x20 && c != 0x7f));
    }
    must(b->len == 0 || b->ptr[b->len - 1] == '\n');
}

static struct conf *load(char *const *environment, const char *root)
{
    struct buf errors, warnings, text;
    struct conf_source src = {.environment = environment, .root = root};
    buf_init(&errors, 1 << 20);
    buf_init(&warnings, 1 << 20);
    struct conf *c = conf_load(&src, &errors, &warnings);
    must((c == NULL) == (errors.len > 0));
    errors_check(&errors);
    errors_check(&warnings);
    if (c) {
        buf_init(&text, 16 << 20);
        conf_print_yaml(c, &text);
        must(!text.overflow && text.len > 0);
        buf_deinit(&text);
    }
    buf_deinit(&errors);
    buf_deinit(&warnings);
    return c;
}

/* The root: made once, with one file in every folder; cut to nothing unless it is this input's. */
static const char *const files[] = {
    "/etc/smarthost/yaml.d/a.yaml",
    "/etc/smarthost/users.d/a.conf",
    "/etc/smarthost/postfix.d/a.conf",
    "/etc/exim4/_docker_additional_macros",
};

static void path_make(const char *root, const char *file, char *out, size_t size)
{
    int n = snprintf(out, size, "%s%s", root, file);
    must(n > 0 && (size_t)n < size);
}

static void root_write(const char *root, int which, struct slice text)
{
    for (int i = 0; i < (int)ARRAY_COUNT(files); i++) {
        char path[256];
        path_make(root, files[i], path, sizeof(path));
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        must(fd >= 0);
        if (i == which) {
            must(write(fd, text.ptr, text.len) == (ssize_t)text.len);
        }
        close(fd);
    }
}

static void root_make(char *root, size_t size)
{
    static const char *const folders[] = {
        "",
        "/etc",
        "/etc/smarthost",
        "/etc/smarthost/yaml.d",
        "/etc/smarthost/users.d",
        "/etc/smarthost/postfix.d",
        "/etc/exim4",
    };
    snprintf(root, size, "/tmp/ringpost-fuzz-profile-%d", (int)getpid());
    for (size_t i = 0; i < ARRAY_COUNT(folders); i++) {
        char path[256];
        path_make(root, folders[i], path, sizeof(path));
        mkdir(path, 0700);
    }
}

static void root_remove(const char *root)
{
    static const char *const folders[] = {
        "/etc/smarthost/yaml.d",
        "/etc/smarthost/users.d",
        "/etc/smarthost/postfix.d",
        "/etc/smarthost",
        "/etc/exim4",
        "/etc",
        "",
    };
    char path[256];
    for (size_t i = 0; i < ARRAY_COUNT(files); i++) {
        path_make(root, files[i], path, sizeof(path));
        unlink(path);
    }
    for (size_t i = 0; i < ARRAY_COUNT(folders); i++) {
        path_make(root, folders[i], path, sizeof(path));
        rmdir(path);
    }
}

/* NUL-terminated lines. 000 with its name set: no lookups here. */
static void variables_run(struct slice in, const char *root)
{
    char *lines[LINES_MAX + 3];
    char *text = malloc(in.len + LINES_MAX + 64);
    char *at = text;
    size_t n = 0;
    must(text != NULL);
    lines[n++] = (char *)"MYHOSTNAME=mta.example.org";
    while (in.len && n <= LINES_MAX) {
        struct slice line = slice_cut(&in, '\n');
        size_t len = 0;
        lines[n++] = at;
        while (len < line.len && line.ptr[len]) {
            *at++ = line.ptr[len++];
        }
        *at++ = '\0';
    }
    lines[n] = NULL;
    conf_free(load(lines, root));
    conf_free(load(lines + 1, root)); /* and another profile's turn */
    free(text);
}

static bool says_everybody(struct slice text)
{
    return memmem(text.ptr, text.len, "/0", 2) != NULL;
}

static void networks_run(struct slice in, const char *root)
{
    char *text = malloc(in.len + 32);
    must(text != NULL);
    int n = snprintf(text, in.len + 32, "RELAY_NETWORKS=%.*s", SLICE_ARG(in));
    must(n > 0);
    char *environment[] = {text, (char *)"NET_DEV=lo", NULL};
    struct conf *c = load(environment, root);
    for (size_t i = 0; c && i < c->access.networks.count; i++) {
        must(c->access.networks.items[i].prefix_bits > 0 || says_everybody(in));
    }
    conf_free(c);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char modes[] = "YUPM";
    char root[128];
    if (size < 2 || size > INPUT_MAX) {
        return 0;
    }
    struct slice in = slice_of(data + 1, size - 1);
    int file = slice_find_byte(slice_str(modes), (char)data[0]);
    root_make(root, sizeof(root));
    root_write(root, file, in);
    if (file >= 0) {
        char *environment[] = {(char *)(file == 3 ? "RINGPOST_PROFILE=001"
                                                  : "RINGPOST_PROFILE=003"),
                               (char *)"NET_DEV=lo", (char *)(file == 1 ? "SH_AUTH=a:b" : "A=b"),
                               NULL};
        conf_free(load(environment, root));
    } else if (data[0] == 'N') {
        networks_run(in, root);
    } else {
        variables_run(in, root);
    }
    root_remove(root);
    return 0;
}
