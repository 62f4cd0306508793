/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * users.d of profile 003. The files are read here and not by auth.users_file: a password in them is
 * always in clear, however it begins, and the same user may log in with the image's realm.
 */
#include "core/base/secret.h"
#include "core/conf/file.h"
#include "core/conf/profile_tables.h"

#include <stdlib.h>

static void user_line(struct conf_profile_load *p, const struct conf_origin *from,
                      struct slice line)
{
    struct slice name, password;
    bool named = conf_list_next(&line, " \t\r", &name);
    if (!named || name.ptr[0] == '#') {
        return;
    }
    if (!conf_list_next(&line, " \t\r", &password)) {
        conf_report_error(p->apply->report, from, SLICE(""), "is not of the form: user password");
        return;
    }
    struct conf_profile_user user = {
        .name = conf_profile_keep(p, name),
        .password = conf_profile_keep(p, password),
        .realm = p->profile->realm,
    };
    if (user.name.len && user.password.len) {
        conf_profile_put_user(p, from, &user);
    }
}

static void users_file(struct conf_profile_load *p, const char *path)
{
    struct conf_origin from = conf_profile_place(conf_profile_keep(p, slice_str(path)), 0);
    struct buf text, why;
    buf_init(&text, CONF_PROFILE_BYTES_MAX);
    buf_init(&why, 512);
    if (conf_file_read(path, CONF_PROFILE_BYTES_MAX / 2, &text, &why)) {
        struct slice rest = buf_slice(&text);
        for (from.line = 1; rest.len; from.line++) {
            user_line(p, &from, slice_cut(&rest, '\n'));
        }
    } else {
        conf_report_error(p->apply->report, &from, SLICE(""), "%.*s", SLICE_ARG(buf_slice(&why)));
    }
    secret_buf_release(&text);
    buf_deinit(&why);
}

void conf_profile_users_folder(struct conf_profile_load *p, const char *folder)
{
    struct slice path = conf_profile_path(p, slice_str(folder));
    char **names = NULL;
    size_t count = 0;
    struct buf why;
    buf_init(&why, 512);
    if (!conf_folder_find(path.ptr, "conf", &names, &count, &why)) {
        struct conf_origin from = conf_profile_place(path, 0);
        conf_report_error(p->apply->report, &from, SLICE(""), "%.*s", SLICE_ARG(buf_slice(&why)));
    }
    for (size_t i = 0; i < count; i++) {
        users_file(p, names[i]);
    }
    free(names);
    buf_deinit(&why);
}
