/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/app/hide.h"
#include "core/base/must.h"
#include "core/base/secret.h"
#include "core/conf/keys.h"

#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>

void hide_memory(void)
{
    const struct rlimit none = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)prctl(PR_SET_DUMPABLE, 0);
}

/* A vector that ends in NULL, its strings behind it in the same block. */
static char **strings_copy(char *const *from, size_t count)
{
    size_t bytes = (count + 1) * sizeof(char *);
    for (size_t i = 0; i < count; i++) {
        bytes += slice_str(from[i]).len + 1;
    }
    char **to = malloc(bytes);
    if (!to) {
        return NULL;
    }
    char *at = (char *)(to + count + 1);
    for (size_t i = 0; i < count; i++) {
        size_t n = slice_str(from[i]).len + 1;
        memcpy(at, from[i], n);
        to[i] = at;
        at += n;
    }
    to[count] = NULL;
    return to;
}

char **hide_environment(char *const *environment)
{
    size_t count = 0;
    while (environment[count]) {
        count++;
    }
    char **copy = strings_copy(environment, count);
    for (size_t i = 0; copy && i < count; i++) {
        struct slice value = slice_str(environment[i]);
        slice_cut(&value, '=');
        secret_wipe(environment[i] + (slice_str(environment[i]).len - value.len), value.len);
    }
    return copy;
}

static bool key_is_secret(struct slice key)
{
    struct slice leaf = key;
    while (slice_find_byte(leaf, '.') >= 0) {
        slice_cut(&leaf, '.');
    }
    for (size_t i = 0; i < conf_table.key_count; i++) {
        const struct conf_key *k = &conf_table.keys[i];
        if ((k->flags & CONF_SECRET) && slice_eq(conf_key_leaf(k), leaf)) {
            return true;
        }
    }
    return false;
}

/* "relay.password=x", also as "--set=relay.password=x": the x. */
static struct slice secret_in(struct slice argument)
{
    struct slice prefix = SLICE("--set=");
    if (slice_starts_nocase(argument, prefix)) {
        argument = slice_skip(argument, prefix.len);
    }
    struct slice value = argument;
    struct slice key = slice_cut(&value, '=');
    return key_is_secret(key) ? value : slice_of("", 0);
}

char **hide_arguments(int argc, char *const *argv)
{
    must(argc >= 0);
    char **copy = strings_copy(argv, (size_t)argc);
    for (int i = 0; copy && i < argc; i++) {
        size_t len = slice_str(argv[i]).len;
        size_t secret = secret_in(slice_str(argv[i])).len;
        memset(argv[i] + (len - secret), '*', secret);
    }
    return copy;
}
