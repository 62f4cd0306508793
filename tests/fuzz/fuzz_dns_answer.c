/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A DNS message of a server → answer. The question's name is taken from the message, so that chains
 * and owners match; every type is tried. Checks the promises of dns/answer.h.
 */
#include "core/base/limits.h"
#include "core/base/must.h"
#include "dns/answer.h"
#include "dns/name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_question_name(const uint8_t *data, size_t size, struct dns_name *name)
{
    char text[DNS_NAME_MAX + 1];
    size_t len = 0, at = 12;
    while (at < size && data[at] != 0 && data[at] < 64 && at + data[at] < size) {
        size_t n = data[at];
        if (len + n + 1 > sizeof(text)) {
            break;
        }
        memcpy(text + len, data + at + 1, n);
        len += n;
        text[len++] = '.';
        at += n + 1;
    }
    if (!dns_name_to_ascii(slice_of(text, len), name)) {
        bool ok = dns_name_to_ascii(SLICE("a.test"), name);
        must(ok);
    }
}

static void fuzz_check_name(struct slice name)
{
    struct dns_name again;
    must(name.ptr[name.len] == '\0');
    must(dns_name_to_ascii(name, &again) && slice_eq(dns_name_slice(&again), name));
}

static void fuzz_check(const struct dns_answer *a, enum dns_type type)
{
    switch (a->kind) {
    case DNS_ANSWER_DATA:
        must(a->has_ttl && a->ttl_s <= INT32_MAX);
        if (type == DNS_TYPE_MX) {
            must(a->count <= LIMIT_MX_HOSTS && (a->count > 0 || a->mx != NULL));
            for (unsigned i = 0; i < a->count; i++) {
                fuzz_check_name(a->mx[i].name);
                must(i == 0 || a->mx[i - 1].preference <= a->mx[i].preference);
            }
        } else {
            must(a->count > 0 && a->count <= LIMIT_ADDRESSES_PER_HOST);
            for (unsigned i = 0; i < a->count; i++) {
                must(a->addresses[i].family == IP_V4 ||
                     (a->addresses[i].family == IP_V6 && type == DNS_TYPE_AAAA));
            }
        }
        break;
    case DNS_ANSWER_ALIAS:
        fuzz_check_name(a->text);
        break;
    case DNS_ANSWER_FAILED:
        must(a->text.len > 0 && a->text.ptr[a->text.len] == '\0');
        break;
    case DNS_ANSWER_NODATA:
    case DNS_ANSWER_NXDOMAIN:
        must(a->count == 0 && a->ttl_s <= INT32_MAX);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dns_name name;
    fuzz_question_name(data, size, &name);
    for (int type = 0; type < DNS_TYPE_COUNT; type++) {
        struct dns_answer *a = dns_answer_from_wire(data, size, dns_name_slice(&name),
                                                    (enum dns_type)type);
        if (a) {
            fuzz_check(a, (enum dns_type)type);
        }
        dns_answer_free(a);
    }
    return 0;
}
