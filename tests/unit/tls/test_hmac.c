/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tls/hmac.h"
#include "tests/unit/core/base/testing.h"

START_TEST(the_example_of_rfc_2195)
{
    static const unsigned char want[] = {0xb9, 0x13, 0xa6, 0x02, 0xc7, 0xed, 0xa7, 0xa4,
                                         0x95, 0xb4, 0xe6, 0xe7, 0x33, 0x4d, 0x38, 0x90};
    unsigned char is[TLS_HMAC_MD5_BYTES];
    ck_assert(tls_hmac_md5(SLICE("tanstaaftanstaaf"),
                           SLICE("<1896.697170952@postoffice.reston.mci.net>"), is));
    ck_assert_mem_eq(is, want, sizeof(want));
}
END_TEST

int main(void)
{
    const TTest *tests[] = {the_example_of_rfc_2195};
    return testing_run("tls/hmac", tests, ARRAY_COUNT(tests));
}
