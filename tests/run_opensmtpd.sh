#!/bin/sh
# Runs Debian's OpenSMTPD as a private instance in the foreground, from the packages that ./dev deps has
# unpacked. Its paths are fixed when it is built, so it gets a mount namespace of its own in which they
# exist. It needs root, touches nothing outside DIR, and ends on SIGTERM.
#
#   tests/run_opensmtpd.sh DIR PORT [LINE...]
#
# All mail for any domain lands in the Maildir DIR/mail/all/new. Each LINE is added at the top of its
# configuration. The log is what it prints. DIR must be reachable for other users. Listens on 127.0.0.1 only.
#
# SPDX-License-Identifier: GPL-3.0-or-later
set -eu

[ $# -ge 2 ] || {
    sed -n '6,9s/^# \{0,1\}//p' "$0" >&2
    exit 64
}
dir=$1
port=$2
shift 2
peers=${RINGPOST_PEERS:-$("$(dirname "$0")/../dev" peers)}
[ -f "$peers/opensmtpd/.complete" ] || {
    echo "run_opensmtpd.sh: OpenSMTPD is not unpacked: run ./dev deps test" >&2
    exit 69
}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
# shellcheck disable=SC1091
. "$peers/env.sh"

number() { sed -n "s/^$1:x:\([0-9]*\):.*/\1/p" "$2"; }
daemon=$(number opensmtpd "$NSS_WRAPPER_PASSWD")
queue=$(number opensmtpq "$NSS_WRAPPER_PASSWD")
group=$(number opensmtpq "$NSS_WRAPPER_GROUP")
mkdir -p "$dir/mail/all" "$dir/run" "$dir/libexec" "$dir/lib/opensmtpd/empty" "$dir/spool/smtpd"
chmod 755 "$dir" "$dir/lib" "$dir/lib/opensmtpd" "$dir/lib/opensmtpd/empty" "$dir/spool"
chown nobody "$dir/mail" "$dir/mail/all"
chmod 711 "$dir/spool/smtpd"
for name in corrupt incoming purge queue temporary; do
    mkdir -p "$dir/spool/smtpd/$name"
    chown "$queue" "$dir/spool/smtpd/$name"
    chmod 700 "$dir/spool/smtpd/$name"
done
mkdir -p "$dir/spool/smtpd/offline"
chgrp "$group" "$dir/spool/smtpd/offline"
chmod 770 "$dir/spool/smtpd/offline"
[ -n "$daemon" ]
# The peers may lie below a 0700 home.
cp -rf "$peers/opensmtpd/usr/libexec/opensmtpd" "$dir/libexec/"
cp -f "$NSS_WRAPPER_PASSWD" "$dir/passwd"
cp -f "$NSS_WRAPPER_GROUP" "$dir/group"
cp -f "$peers/opensmtpd/usr/sbin/smtpd" "$dir/smtpd"
NSS_WRAPPER_PASSWD=$dir/passwd
NSS_WRAPPER_GROUP=$dir/group
{
    for line in "$@"; do
        echo "$line"
    done
    cat <<END
table everybody { "@" = nobody }
listen on 127.0.0.1 port $port hostname opensmtpd.example.test
action "store" maildir "$dir/mail/all" virtual <everybody>
match from any for any action "store"
END
} >"$dir/smtpd.conf"

export dir
# shellcheck disable=SC2016 # expanded inside
exec unshare --mount sh -c '
    set -eu
    mount --make-rprivate /
    mount --bind "$dir/spool" /var/spool
    mount --bind "$dir/lib" /var/lib
    mount --bind "$dir/run" /var/run
    mount --bind "$dir/libexec" /usr/libexec
    exec "$dir/smtpd" -d -f "$dir/smtpd.conf"'
