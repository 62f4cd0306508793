/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The whole loader on hostile text. First byte 'E': lines for the environment; 'S': lines for --set;
 * anything else: a YAML file. What loads must print, load again and be the same; what does not must
 * have said why, in whole lines without control characters.
 */
#include "core/base/must.h"
#include "core/conf/conf.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { LINES_MAX = 16, INPUT_MAX = 1 << 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void errors_check(const struct buf *b)
{
    for (size_t i = 0; i < b->len; i++) {
        unsigned char c = (unsigned char)b->ptr[i];
        must(c == '\n' || (c >= 0x20 && c != 0x7f));
    }
    must(b->len == 0 || b->ptr[b->len - 1] == '\n');
}

static struct conf *load(const struct conf_source *src)
{
    struct buf errors, warnings;
    buf_init(&errors, 1 << 20);
    buf_init(&warnings, 1 << 20);
    struct conf *c = conf_load(src, &errors, &warnings);
    must((c == NULL) == (errors.len > 0));
    errors_check(&errors);
    errors_check(&warnings);
    buf_deinit(&errors);
    buf_deinit(&warnings);
    return c;
}

/* Through a file without a name, so that the file reader takes part. */
static struct conf *load_file(const void *text, size_t len)
{
    char path[64];
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    must(fd >= 0);
    must(write(fd, text, len) == (ssize_t)len && lseek(fd, 0, SEEK_SET) == 0);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    struct conf_source src = {.file = path};
    struct conf *c = load(&src);
    close(fd);
    return c;
}

/* NUL-terminated lines in `text`, each after `prefix`; lines[] ends with NULL. */
static size_t lines_split(const char *prefix, struct slice in, char *text, char **lines)
{
    size_t n = 0;
    struct slice head = slice_str(prefix);
    while (in.len && n < LINES_MAX) {
        struct slice line = slice_cut(&in, '\n');
        lines[n++] = text;
        memcpy(text, head.ptr, head.len);
        memcpy(text + head.len, line.ptr, line.len);
        text[head.len + line.len] = '\0';
        text += head.len + line.len + 1;
    }
    lines[n] = NULL;
    return n;
}

static struct conf *load_lines(char mode, struct slice in)
{
    char *lines[LINES_MAX + 1];
    char *text = malloc(in.len + LINES_MAX * 16 + 16);
    struct conf_source src = {0};
    must(text != NULL);
    size_t n = lines_split(mode == 'E' ? "RINGPOST_" : "", in, text, lines);
    if (mode == 'E') {
        src.environment = lines;
    } else {
        src.set = (const char *const *)lines;
        src.set_count = n;
    }
    struct conf *c = load(&src);
    free(text);
    return c;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf text, again;
    if (size == 0 || size > INPUT_MAX) {
        return 0;
    }
    char mode = (char)data[0];
    bool lines = mode == 'E' || mode == 'S';
    struct conf *c = lines ? load_lines(mode, slice_of(data + 1, size - 1)) : load_file(data, size);
    if (!c) {
        return 0;
    }
    buf_init(&text, 1 << 20);
    buf_init(&again, 1 << 20);
    conf_print_yaml(c, &text);
    must(!text.overflow);
    struct conf *back = load_file(text.ptr, text.len);
    must(back != NULL);
    conf_print_yaml(back, &again);
    must(slice_eq(buf_slice(&text), buf_slice(&again)));
    must(conf_reload_diff(c, back, &again) == 0);
    buf_deinit(&text);
    buf_deinit(&again);
    conf_free(back);
    conf_free(c);
    return 0;
}
