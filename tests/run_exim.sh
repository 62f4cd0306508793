#!/bin/sh
# Runs Debian's Exim as a private instance in the foreground, from the packages that ./dev deps has
# unpacked. It needs root, touches nothing outside DIR, and ends on SIGTERM.
#
#   tests/run_exim.sh DIR PORT [relay=HOST:PORT | routes=FILE] [LINE...]
#
# Without relay= or routes= it is a destination: all mail for any domain lands in the Maildir
# DIR/mail/all/new. FILE has lines "DOMAIN: HOST:PORT". Each LINE is added to the main section of its
# configuration and wins over the ones here. The logs are in DIR/log. Listens on 127.0.0.1 only.
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
[ -f "$peers/exim4-daemon-light/.complete" ] || {
    echo "run_exim.sh: Exim is not unpacked: run ./dev deps test" >&2
    exit 69
}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
# shellcheck disable=SC1091
. "$peers/env.sh"

mkdir -p "$dir/spool" "$dir/log" "$dir/mail"
chmod 755 "$dir"
# Exim starts itself again after it has given up root, and the cache may lie below a 0700 home.
cp -f "$peers/exim4-daemon-light/usr/sbin/exim4" "$dir/exim"
cp -f "$NSS_WRAPPER_PASSWD" "$dir/passwd"
cp -f "$NSS_WRAPPER_GROUP" "$dir/group"
NSS_WRAPPER_PASSWD=$dir/passwd
NSS_WRAPPER_GROUP=$dir/group
owner=$(sed -n 's/^Debian-exim:x:\([0-9]*\):.*/\1/p' "$NSS_WRAPPER_PASSWD")
chown "$owner:$owner" "$dir/spool" "$dir/log" "$dir/mail"

# A colon is doubled where a list of hosts may stand.
route=
case ${1:-} in
relay=*)
    address=${1#relay=}
    route="route_list = * ${address%:*}::${address##*:} byname"
    shift
    ;;
routes=*)
    route="route_data = \${sg{\${lookup{\$domain}lsearch{${1#routes=}}}}{:}{::}} byname"
    shift
    ;;
esac

main=$dir/main.part
cat >"$main" <<END
exim_path = $dir/exim
deliver_drop_privilege
exim_user = Debian-exim
exim_group = Debian-exim
never_users =
spool_directory = $dir/spool
log_file_path = $dir/log/%slog
pid_file_path = $dir/exim.pid
primary_hostname = exim.example.test
local_interfaces = <; [127.0.0.1]:$port
daemon_smtp_ports = $port
keep_environment = LD_PRELOAD : LD_LIBRARY_PATH : NSS_WRAPPER_PASSWD : NSS_WRAPPER_GROUP
host_lookup =
rfc1413_query_timeout = 0s
acl_smtp_rcpt = acl_rcpt
acl_smtp_data = acl_data
smtp_accept_max = 200
smtp_accept_queue_per_connection = 1000
END
for line in "$@"; do
    sed -i "/^${line%%[ =]*} *=/d" "$main"
    echo "$line" >>"$main"
done
{
    cat "$main" - <<END
begin acl
acl_rcpt:
  accept
acl_data:
  accept
begin routers
$(
        [ -z "$route" ] || printf 'next:\n  driver = manualroute\n  %s\n  self = send\n' "$route"
        [ -z "$route" ] || printf '  transport = smtp\n'
    )
all:
  driver = accept
  transport = maildir
begin transports
smtp:
  driver = smtp
  hosts_avoid_tls = *
maildir:
  driver = appendfile
  directory = $dir/mail/all
  maildir_format
  create_directory
  user = Debian-exim
  group = Debian-exim
END
} >"$dir/exim.conf"
chmod 644 "$dir/exim.conf"

# -bdf: a daemon in the foreground.
exec "$dir/exim" -C "$dir/exim.conf" -bdf -q10m
