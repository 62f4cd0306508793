/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Purpose: attributes on any bytes: as a message's record has them, and as its header says them. What is
 * accepted is written and read back as the same.
 */
#include "core/base/must.h"
#include "core/queue/meta.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_round(const struct attributes *a)
{
    char bytes[QUEUE_META_BYTES_MAX];
    struct attributes back;
    must(a->tenant.len <= 64 && a->campaign.len <= 64);
    struct slice meta = queue_meta_encode(a, bytes);
    must(queue_meta_decode(meta, &back));
    must(slice_eq(a->tenant, back.tenant) && slice_eq(a->campaign, back.campaign));
    must(a->not_before_s == back.not_before_s && a->expire_s == back.expire_s);
    must(a->notify_s == back.notify_s && a->by == back.by);
    must(a->priority == back.priority ||
         (a->priority == CONF_PRIORITY_NORMAL && back.priority == CONF_PRIORITY_AUTO));
}

static void check_fields(struct slice text)
{
    static const struct conf_headers names = {
        .priority = SLICE_INIT("P"),
        .tenant = SLICE_INIT("T"),
        .campaign = SLICE_INIT("C"),
        .send_at = SLICE_INIT("S"),
        .expire = SLICE_INIT("E"),
    };
    static const struct conf_listener listener;
    struct attributes a;
    struct access_refusal why;
    struct attributes_source from = {.names = &names,
                                     .fields = text,
                                     .listener = &listener,
                                     .now_us = 1795287600000000};
    if (attributes_decide(&from, &a, &why)) {
        must(a.expire_s == 0 || a.expire_s > a.not_before_s);
        must(a.not_before_s == 0 || a.not_before_s > 1795287600);
        check_round(&a);
    } else {
        must(why.verdict.code == 550 && why.verdict.text.len <= sizeof(why.text));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct attributes a;
    char *copy = malloc(size + 1);
    must(copy != NULL);
    memcpy(copy, data, size);
    if (queue_meta_decode(slice_of(copy, size), &a)) {
        check_round(&a);
    }
    check_fields(slice_of(copy, size));
    free(copy);
    return 0;
}
