/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "dns/dns.h"

#include <ares.h>

const char *dns_library_version(void)
{
    return ares_version(NULL);
}
