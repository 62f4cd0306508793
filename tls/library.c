/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * options.h must come first: it holds what the library was built with. The processor is asked by
 * compiler and auxiliary vector, because wolfCrypt's own cpuid functions are hidden in a shared build.
 */
#include "tls/library.h"

#include <wolfssl/options.h>
#include <wolfssl/ssl.h>
#include <wolfssl/version.h>

#if defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

const char *tls_library_version(void)
{
    const char *linked = wolfSSL_lib_version();
    return linked ? linked : LIBWOLFSSL_VERSION_STRING;
}

bool tls_library_has_aes_hardware(void)
{
#if defined(WOLFSSL_AESNI) && (defined(__x86_64__) || defined(__i386__))
    return __builtin_cpu_supports("aes") != 0;
#elif defined(WOLFSSL_ARMASM) && defined(__aarch64__)
    return (getauxval(AT_HWCAP) & HWCAP_AES) != 0;
#else
    return false;
#endif
}
