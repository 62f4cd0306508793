/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * users files. A file that begins with "{" is JSON; the others are lines. In a line the name ends at the
 * first colon, blank or tab: "name password" and "name:password" are both common.
 */
#include "core/policy/credentials.h"
#include "core/base/secret.h"

#include <json-c/json.h>
#include <stdio.h>

enum { JSON_DEPTH = 8, WHERE_BYTES = 4400 };

struct users_file {
    struct credentials *to;
    const char *name;
    struct buf *errors;
    bool ok;
};

static void users_add(struct users_file *f, struct slice name, struct slice password,
                      const char *where)
{
    struct conf_user user = {.name = name, .password = password};
    f->ok = credentials_add(f->to, &user, where, f->errors) && f->ok;
}

/* ---- lines ---- */

static void line_read(struct users_file *f, struct slice line, unsigned number)
{
    char where[WHERE_BYTES];
    size_t n = 0;
    if (line.len && line.ptr[line.len - 1] == '\r') {
        line.len--;
    }
    line = slice_trim(line);
    if (line.len == 0 || line.ptr[0] == '#') {
        return;
    }
    while (n < line.len && line.ptr[n] != ':' && line.ptr[n] != ' ' && line.ptr[n] != '\t') {
        n++;
    }
    snprintf(where, sizeof(where), "%s:%u", f->name, number);
    if (n == 0 || n == line.len) {
        buf_addf(f->errors, "%s: must be \"name password\" or \"name:password\"\n", where);
        f->ok = false;
        return;
    }
    struct slice password = slice_skip(line, n + 1);
    users_add(f, slice_first(line, n), line.ptr[n] == ':' ? password : slice_trim(password), where);
}

static void lines_read(struct users_file *f, struct slice text)
{
    for (unsigned number = 1; text.len; number++) {
        line_read(f, slice_cut(&text, '\n'), number);
    }
}

/* ---- JSON ---- */

static struct slice json_text(struct json_object *o)
{
    return json_object_is_type(o, json_type_string)
               ? slice_of(json_object_get_string(o), (size_t)json_object_get_string_len(o))
               : slice_of("", 0);
}

static struct json_object *json_member(struct json_object *o, const char *name)
{
    struct json_object *m = NULL;
    return json_object_object_get_ex(o, name, &m) ? m : NULL;
}

/* Disabled users stay known, with no password that could be right. */
static void json_user_add(struct users_file *f, struct slice name, struct json_object *user)
{
    char where[WHERE_BYTES];
    struct json_object *enabled = json_member(user, "enabled");
    struct json_object *hash = json_member(user, "password_hash");
    struct buf password;
    snprintf(where, sizeof(where), "%s", f->name);
    buf_init(&password, CREDENTIAL_SECRET_BYTES + 16);
    if (enabled && !json_object_get_boolean(enabled)) {
        buf_clear(&password);
    } else if (hash) {
        struct slice text = json_text(hash);
        bool tagged = text.len && (text.ptr[0] == '$' || text.ptr[0] == '{');
        secret_buf_add(&password, tagged ? slice_of("", 0) : SLICE("{SHA256}"));
        secret_buf_add(&password, text);
    } else {
        secret_buf_add(&password, json_text(json_member(user, "password")));
    }
    users_add(f, name, buf_slice(&password), where);
    secret_buf_release(&password);
}

static void json_read(struct users_file *f, struct json_object *root)
{
    struct json_object *list = json_member(root, "users");
    if (json_object_is_type(list, json_type_array)) {
        for (size_t i = 0; i < json_object_array_length(list); i++) {
            struct json_object *user = json_object_array_get_idx(list, i);
            struct slice name = json_text(json_member(user, "username"));
            json_user_add(f, name.len ? name : json_text(json_member(user, "name")), user);
        }
        return;
    }
    json_object_object_foreach(root, key, user)
    {
        if (json_object_is_type(user, json_type_object)) {
            json_user_add(f, slice_str(key), user);
        } else {
            buf_addf(f->errors, "%s: each user must be an object with password_hash or password\n",
                     f->name);
            f->ok = false;
        }
    }
}

static void json_text_read(struct users_file *f, struct slice text)
{
    struct json_tokener *tok = json_tokener_new_ex(JSON_DEPTH);
    struct json_object *root = NULL;
    if (tok && text.len < CREDENTIALS_FILE_BYTES) {
        json_tokener_set_flags(tok, JSON_TOKENER_STRICT);
        root = json_tokener_parse_ex(tok, text.ptr, (int)text.len);
    }
    if (json_object_is_type(root, json_type_object)) {
        json_read(f, root);
    } else {
        buf_addf(f->errors, "%s: is not JSON of users: %s\n", f->name,
                 tok ? json_tokener_error_desc(json_tokener_get_error(tok)) : "out of memory");
        f->ok = false;
    }
    json_object_put(root);
    if (tok) {
        json_tokener_free(tok);
    }
}

bool credentials_read(struct credentials *c, struct slice text, const char *file,
                      struct buf *errors)
{
    struct users_file f = {c, file, errors, true};
    struct slice start = slice_trim(text);
    if (start.len && start.ptr[0] == '{') {
        json_text_read(&f, start);
    } else {
        lines_read(&f, text);
    }
    return f.ok;
}
