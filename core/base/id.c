/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Base 32 without I, L, O, U: an id survives being read aloud and being a file name.
 */
#include "core/base/id.h"
#include "core/base/must.h"

enum { ID_DIGIT_BITS = 5 };

static const char id_digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

struct slice id_text(uint64_t id, char dst[ID_TEXT_BYTES + 1])
{
    must(dst != NULL);
    for (int i = ID_TEXT_BYTES - 1; i >= 0; i--) {
        dst[i] = id_digits[id & 31];
        id >>= ID_DIGIT_BITS;
    }
    dst[ID_TEXT_BYTES] = '\0';
    must(id == 0);
    return slice_of(dst, ID_TEXT_BYTES);
}

bool id_parse(struct slice text, uint64_t *out)
{
    uint64_t id = 0;
    if (text.len != ID_TEXT_BYTES) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        char upper = c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
        const char *at = memchr(id_digits, upper, sizeof(id_digits) - 1);
        if (!at || id >> (64 - ID_DIGIT_BITS)) {
            return false;
        }
        id = id << ID_DIGIT_BITS | (uint64_t)(at - id_digits);
    }
    *out = id;
    return true;
}
