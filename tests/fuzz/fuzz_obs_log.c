/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Purpose: whatever a stranger says, a line of the log stays one line and one JSON object: no control character, valid
 *          UTF-8, and another parser (json-c) reads from a string what was put in, if that was text.
 * Input:   the value.
 */
#include "core/base/must.h"
#include "core/base/utf8.h"
#include "core/obs/log.h"

#include <json-c/json.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice value = slice_of(data, size);
    struct buf out;
    buf_init(&out, 1 << 24);
    obs_json_string(&out, value);
    must(!out.overflow && out.len >= 2 && utf8_valid(buf_slice(&out)));
    for (size_t i = 0; i < out.len; i++) {
        must((unsigned char)out.ptr[i] >= 0x20 && out.ptr[i] != 0x7F);
    }
    struct json_tokener *tokener = json_tokener_new();
    must(tokener != NULL);
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
    struct json_object *read = json_tokener_parse_ex(tokener, out.ptr, (int)out.len);
    must(read && json_object_is_type(read, json_type_string));
    must(json_tokener_get_parse_end(tokener) == out.len);
    if (utf8_valid(value)) {
        must(slice_eq(slice_of(json_object_get_string(read),
                               (size_t)json_object_get_string_len(read)),
                      value));
    }
    json_object_put(read);
    json_tokener_free(tokener);
    buf_deinit(&out);
    return 0;
}
