/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The admin request parser. What it accepts must print to a line that it accepts again as the same
 * request; what it refuses must leave the result alone and give a printable reason of one line.
 */
#include "core/admin/request.h"
#include "core/base/must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_accepted(const struct admin_request *req)
{
    struct admin_request again;
    struct buf line, why;
    buf_init(&line, ADMIN_REQUEST_BYTES_MAX);
    buf_init(&why, 1024);
    admin_request_add(&line, req);
    must(!line.overflow && line.len > 0 && line.ptr[line.len - 1] == '\n');
    must(slice_find_byte(buf_slice(&line), '\n') == (int)line.len - 1);
    must(admin_request_parse(slice_of(line.ptr, line.len - 1), &again, &why));
    must(again.verb == req->verb && again.limit == req->limit);
    must(memcmp(&again, req, sizeof(again)) == 0);
    buf_deinit(&line);
    buf_deinit(&why);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct admin_request req = {.limit = 12345};
    struct buf why, json;
    buf_init(&why, 1024);
    buf_init(&json, 8192);
    if (admin_request_parse(slice_of(data, size), &req, &why)) {
        must(why.len == 0);
        check_accepted(&req);
    } else {
        must(req.limit == 12345 && why.len > 0 && !why.overflow && why.len < 256);
        for (size_t i = 0; i < why.len; i++) {
            must(why.ptr[i] >= ' ' && why.ptr[i] < 0x7f);
        }
    }
    admin_error_add(&json, ADMIN_BAD_REQUEST, slice_first(slice_of(data, size), 1000));
    must(!json.overflow && slice_find_byte(buf_slice(&json), '\n') == (int)json.len - 1);
    buf_deinit(&why);
    buf_deinit(&json);
    return 0;
}
