/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/admin/request.h"
#include "core/base/must.h"

const char *admin_error_name(enum admin_error error)
{
    switch (error) {
    case ADMIN_BAD_REQUEST:
        return "bad_request";
    case ADMIN_TOO_LONG:
        return "too_long";
    case ADMIN_BUSY:
        return "busy";
    case ADMIN_NOT_FOUND:
        return "not_found";
    case ADMIN_TIMEOUT:
        return "timeout";
    case ADMIN_OVERFLOW:
        return "overflow";
    case ADMIN_STOPPING:
        return "stopping";
    case ADMIN_NOT_STORED:
        return "not_stored";
    }
    must(false);
    return "";
}

void admin_error_add(struct buf *out, enum admin_error error, struct slice text)
{
    buf_addf(out, "{\"error\":\"%s\",\"text\":\"", admin_error_name(error));
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c == '"' || c == '\\') {
            buf_add_byte(out, '\\');
            buf_add_byte(out, (char)c);
        } else if (c < ' ' || c >= 0x7f) {
            buf_addf(out, "\\u%04x", c);
        } else {
            buf_add_byte(out, (char)c);
        }
    }
    buf_add(out, SLICE("\"}\n"));
}
