#!/bin/sh
# Builds wolfSSL, static, from Debian's unpacked source in the current folder into the prefix $1.
# The name of the cached build holds the hash of this file: change a flag and it is built anew.
#
# Lean and with assembly; never --enable-sessioncerts (42 instead of 6 KB per connection), never the
# OpenSSL compatibility layer (its symbol names).
#
# WOLFSSL_PYTHON: certificates with the serial number 0 are read like others (a CA that gives them breaks
# RFC 5280 4.1.2.2, which asks us to be gracious). Without that layer it does nothing else; the flag that is
# named after it, WOLFSSL_NO_ASN_STRICT, turns off a dozen checks besides.
#
# SPDX-License-Identifier: GPL-3.0-or-later
set -eu
prefix=$1

case $(uname -m) in
x86_64) assembly="--enable-intelasm --enable-sp=yes --enable-sp-asm" ;;
aarch64) assembly="--enable-armasm --enable-sp=yes --enable-sp-asm" ;;
*) assembly="--enable-sp=yes" ;;
esac

mkdir -p build-aux config
autoreconf -fi
# shellcheck disable=SC2086 # one word per flag is meant
./configure --prefix="$prefix" --libdir="$prefix/lib" \
    --enable-static --disable-shared --disable-examples --disable-crypttests \
    $assembly \
    --enable-tls13 --enable-oldtls=no --enable-session-ticket --enable-sni --enable-alpn \
    --enable-ocsp --enable-ocspstapling --enable-crl --enable-ed25519 --enable-curve25519 \
    --enable-keygen --enable-certgen --enable-supportedcurves --enable-extended-master \
    --enable-savecert --enable-aesgcm-stream --enable-altcertchains \
    CFLAGS="-O2 -fPIC -DKEEP_PEER_CERT -DWOLFSSL_ALWAYS_VERIFY_CB -DWOLFSSL_PYTHON"
make -j"$(nproc)"
make install
test -f "$prefix/lib/libwolfssl.a"
