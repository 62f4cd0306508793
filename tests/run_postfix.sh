#!/bin/sh
# Runs Debian's Postfix as a private instance in the foreground, from the packages that ./dev deps
# has unpacked. It needs root (Postfix does), touches nothing outside DIR, and ends on SIGTERM.
#
#   tests/run_postfix.sh DIR PORT [relay=HOST:PORT] [NAME=VALUE...]
#
# Without relay= it is a destination: all mail for any domain lands in the Maildir DIR/mail/all/new.
# NAME=VALUE are main.cf settings and win over the ones here. The log is DIR/log.
# DIR must be reachable for other users (not below a 0700 home). Listens on 127.0.0.1 only.
#
# SPDX-License-Identifier: GPL-3.0-or-later
set -eu

[ $# -ge 2 ] || {
    sed -n '5,9s/^# \{0,1\}//p' "$0" >&2
    exit 64
}
dir=$1
port=$2
shift 2
peers=${RINGPOST_PEERS:-$("$(dirname "$0")/../dev" peers)}
[ -f "$peers/postfix/.complete" ] || {
    echo "run_postfix.sh: Postfix is not unpacked: run ./dev deps test" >&2
    exit 69
}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
# shellcheck disable=SC1091
. "$peers/env.sh"
files=$peers/postfix

mkdir -p "$dir/etc" "$dir/spool" "$dir/data" "$dir/mail"
chmod 755 "$dir" "$dir/etc" "$dir/spool"
# By number: chown(1) must not depend on the wrapper.
owner=$(sed -n 's/^postfix:x:\([0-9]*\):.*/\1/p' "$NSS_WRAPPER_PASSWD")
drop=$(sed -n 's/^postdrop:x:\([0-9]*\):.*/\1/p' "$NSS_WRAPPER_GROUP")
chown "$owner" "$dir/data" "$dir/mail"
for name in active bounce corrupt defer deferred flush hold incoming private saved trace; do
    mkdir -p "$dir/spool/$name"
    chown "$owner" "$dir/spool/$name"
    chmod 700 "$dir/spool/$name"
done
mkdir -p "$dir/spool/pid" "$dir/spool/public" "$dir/spool/maildrop"
chown "$owner:$drop" "$dir/spool/public" "$dir/spool/maildrop"
chmod 710 "$dir/spool/public"
chmod 730 "$dir/spool/maildrop"
cp "$files/usr/share/postfix/master.cf.dist" "$dir/etc/master.cf" 2>/dev/null ||
    cp "$files/etc/postfix/master.cf.proto" "$dir/etc/master.cf"
for name in postfix-files dynamicmaps.cf; do
    : >"$dir/etc/$name"
done
# The public listener is ours; nothing runs in a chroot (its files are not where Debian has them).
sed -i -e '/^smtp *inet/d' -e 's/^\([a-z][^ ]* *[a-z]* *[a-z-]* *[a-z-]* *\)y\( .*\)$/\1n\2/' \
    "$dir/etc/master.cf"
echo "127.0.0.1:$port inet n - n - - smtpd" >>"$dir/etc/master.cf"
grep -q '^postlog' "$dir/etc/master.cf" ||
    echo "postlog unix-dgram n - n - 1 postlogd" >>"$dir/etc/master.cf"
# For smtp_tls_connection_reuse.
grep -q '^tlsproxy' "$dir/etc/master.cf" ||
    echo "tlsproxy unix - - n - 0 tlsproxy" >>"$dir/etc/master.cf"

cat >"$dir/etc/main.cf" <<END
compatibility_level = 3.6
queue_directory = $dir/spool
data_directory = $dir/data
meta_directory = $dir/etc
daemon_directory = $files/usr/lib/postfix/sbin
command_directory = $files/usr/sbin
shlib_directory = $files/usr/lib/postfix
sendmail_path = $files/usr/sbin/sendmail
mail_owner = postfix
setgid_group = postdrop
default_privs = nobody
import_environment = MAIL_CONFIG MAIL_DEBUG MAIL_LOGTAG TZ LANG=C PATH LD_LIBRARY_PATH LD_PRELOAD
    NSS_WRAPPER_PASSWD NSS_WRAPPER_GROUP
export_environment = TZ LANG PATH LD_LIBRARY_PATH LD_PRELOAD NSS_WRAPPER_PASSWD NSS_WRAPPER_GROUP
maillog_file = $dir/log
maillog_file_prefixes = $dir
myhostname = postfix.example.test
mydestination =
inet_interfaces = loopback-only
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
alias_maps =
alias_database =
smtpd_relay_restrictions = permit_mynetworks, reject
smtp_host_lookup = native
disable_dns_lookups = yes
smtpd_client_connection_count_limit = 0
END

case ${1:-} in
relay=*)
    address=${1#relay=}
    shift
    echo "relayhost = [${address%:*}]:${address##*:}" >>"$dir/etc/main.cf"
    ;;
*)
    cat >>"$dir/etc/main.cf" <<END
virtual_mailbox_domains = static:all
virtual_mailbox_maps = static:all/
virtual_mailbox_base = $dir/mail
virtual_uid_maps = static:$owner
virtual_gid_maps = static:$owner
virtual_minimum_uid = 1000
local_recipient_maps =
END
    ;;
esac
for setting in "$@"; do
    # Later lines win, with a warning that nobody needs.
    name=${setting%%=*}
    sed -i "/^$name *=/d" "$dir/etc/main.cf"
    echo "$name = ${setting#*=}" >>"$dir/etc/main.cf"
done

MAIL_CONFIG=$dir/etc
export MAIL_CONFIG
# -d: stay in the foreground. 'postfix start' would check the ownership of installed files.
exec "$files/usr/lib/postfix/sbin/master" -d -c "$dir/etc"
