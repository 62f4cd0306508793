#!/bin/sh
# Builds c-ares, static, from Debian's unpacked source in the current folder into the prefix $1.
# The name of the cached build holds the hash of this file: change a flag and it is built anew.
#
# SPDX-License-Identifier: GPL-3.0-or-later
set -eu
prefix=$1

cmake -S . -B build-static -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX="$prefix" \
    -DCMAKE_INSTALL_LIBDIR=lib -DCMAKE_POSITION_INDEPENDENT_CODE=ON \
    -DCARES_STATIC=ON -DCARES_SHARED=OFF -DCARES_STATIC_PIC=ON \
    -DCARES_BUILD_TOOLS=OFF -DCARES_BUILD_TESTS=OFF
cmake --build build-static -j "$(nproc)"
cmake --install build-static
test -f "$prefix/lib/libcares.a"
