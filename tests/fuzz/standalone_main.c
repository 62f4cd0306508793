/*
 * Purpose: runs a fuzz target over files, without libFuzzer. Every argument is a file or a folder
 * of files (not descended further); each file is handed to LLVMFuzzerTestOneInput whole, from a
 * buffer of exactly its size, so that AddressSanitizer sees the first byte read beyond it. The
 * empty input is always run first. Exit 0 when all inputs came back, 1 when one could not be read.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
__attribute__((weak)) int LLVMFuzzerInitialize(int *argc, char ***argv);

static bool run_file(const char *path, off_t size)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        return false;
    }
    size_t want = (size_t)size;
    uint8_t *data = malloc(want > 0 ? want : 1);
    bool ok = data != NULL && fread(data, 1, want, file) == want;
    if (ok)
        (void)LLVMFuzzerTestOneInput(data, want);
    else
        fprintf(stderr, "%s: cannot be read\n", path);
    free(data);
    fclose(file);
    return ok;
}

/* Runs one file, or every regular file of a folder; adds to *count. */
static bool run_path(const char *path, bool descend, unsigned long *count)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        perror(path);
        return false;
    }
    if (S_ISREG(st.st_mode)) {
        (*count)++;
        return run_file(path, st.st_size);
    }
    if (!S_ISDIR(st.st_mode) || !descend)
        return true;
    struct dirent **names = NULL;
    int n = scandir(path, &names, NULL, alphasort);
    bool ok = n >= 0;
    for (int i = 0; i < n; i++) {
        char *child = NULL;
        if (names[i]->d_name[0] != '.' && asprintf(&child, "%s/%s", path, names[i]->d_name) > 0) {
            ok = run_path(child, false, count) && ok;
            free(child);
        }
        free(names[i]);
    }
    free(names);
    return ok;
}

int main(int argc, char **argv)
{
    unsigned long count = 0;
    bool ok = true;
    if (LLVMFuzzerInitialize != NULL)
        (void)LLVMFuzzerInitialize(&argc, &argv);
    (void)LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
    for (int i = 1; i < argc; i++)
        ok = run_path(argv[i], true, &count) && ok;
    printf("%lu inputs\n", count);
    return ok ? 0 : 1;
}
