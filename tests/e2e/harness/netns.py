# SPDX-License-Identifier: GPL-3.0-or-later
"""An engine in a network of its own: nothing but loopback, with addresses and sysctls as a test wants them. Needs root."""
import subprocess
import sys

from .peers import tool

# Words: FILE for /etc/hosts ("" keeps it), the first port that needs no privilege, more addresses of loopback, "--", command.
ENTER = """
set -e
hosts=$1 port=$2
shift 2
[ -z "$hosts" ] || mount --bind "$hosts" /etc/hosts
ip link set lo up
while [ "$1" != -- ]; do
    ip address add "$1" dev lo
    shift
done
shift
echo "$port" >/proc/sys/net/ipv4/ip_unprivileged_port_start
exec "$@"
"""


def inside(*addresses, hosts="", first_port=1024, user=None):
    """prefix of an engine. user: (uid, gid) that it becomes, without capabilities."""
    become = [] if user is None else [
        tool("setpriv"), "--reuid", str(user[0]), "--regid", str(user[1]), "--clear-groups", "--no-new-privs",
        "--bounding-set=-all", "--inh-caps=-all"]
    return [tool("unshare"), "--net", "--mount", "--propagation", "private", "sh", "-c", ENTER, "sh", str(hosts),
            str(first_port), *addresses, "--", *become]


def run_beside(engine, code, *arguments):
    """A Python program in the engine's network: what it prints."""
    done = subprocess.run([tool("nsenter"), f"--net=/proc/{engine.process.pid}/ns/net", sys.executable, "-c", code,
                           *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done
    return done.stdout
