/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Names as DKIM compares and publishes them. dns/name.c does the same for what is looked up, and more
 * strictly; folders beside each other do not include each other.
 */
#include "core/policy/dkim.h"

#include "core/base/must.h"
#include "core/base/utf8.h"

#include <idn2.h>

enum { NAME_BYTES_MAX = 253, LABEL_BYTES_MAX = 63 };

/* Labels of letters, digits, '-' and '_'. */
static bool labels_valid(struct slice text)
{
    size_t label = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '.' && label == 0) {
            return false;
        }
        if (c == '.') {
            label = 0;
            continue;
        }
        if (!ascii_is_alpha(c) && !ascii_is_digit(c) && c != '-' && c != '_') {
            return false;
        }
        if (++label > LABEL_BYTES_MAX) {
            return false;
        }
    }
    return label > 0;
}

static bool domain_from_ascii(struct slice text, struct dkim_domain *out)
{
    if (text.len && text.ptr[text.len - 1] == '.') {
        text.len--;
    }
    if (text.len > NAME_BYTES_MAX || !labels_valid(text)) {
        return false;
    }
    struct dkim_domain d = {.len = (uint16_t)text.len};
    for (size_t i = 0; i < text.len; i++) {
        d.text[i] = ascii_lower(text.ptr[i]);
    }
    *out = d;
    return true;
}

bool dkim_domain_normalize(struct slice text, struct dkim_domain *out)
{
    char utf8[LIMIT_DOMAIN_BYTES + 1];
    char *ascii = NULL;
    if (!utf8_has_8bit(text)) {
        return domain_from_ascii(text, out);
    }
    if (!slice_to_cstr(text, utf8, sizeof(utf8)) ||
        idn2_to_ascii_8z(utf8, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) != IDN2_OK) {
        return false;
    }
    must(ascii != NULL);
    bool ok = domain_from_ascii(slice_str(ascii), out);
    idn2_free(ascii);
    return ok;
}

bool dkim_selector_valid(struct slice text)
{
    return text.len <= NAME_BYTES_MAX && labels_valid(text);
}
