/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/policy/access.h"

const struct smtp_verdict *access_check_rcpt(const struct conf *conf, const struct access_client *c)
{
    static const struct smtp_verdict denied = {.code = 554,
                                               .enhanced = SLICE_INIT("5.7.1"),
                                               .text = SLICE_INIT("Relay access denied")};
    return ip_nets_contain(conf->access.networks.items, conf->access.networks.count, &c->addr)
               ? NULL
               : &denied;
}
