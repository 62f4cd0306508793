# SPDX-License-Identifier: GPL-3.0-or-later
"""What a group of processes uses: CPU, memory, bytes written to the disk below a folder.

CPU comes from an own control group when one can be made (v1 cpuacct, else v2 cpu.stat): exact, and
with the processes that have ended. Otherwise from /proc: the living descendants with what they
reaped, in steps of 10 ms.
"""
import os
import threading
import time

TICK = os.sysconf('SC_CLK_TCK')


def read(path):
    with open(path, encoding='ascii', errors='replace') as file:
        return file.read()


def stat_fields(pid):
    """/proc/PID/stat from field 3 (state) on; None when the process is gone."""
    try:
        return read(f'/proc/{pid}/stat').rpartition(') ')[2].split()
    except OSError:
        return None


def descendants(root):
    """root and everything below it, by parent."""
    parents = {}
    for name in os.listdir('/proc'):
        if name.isdigit():
            fields = stat_fields(name)
            if fields:
                parents.setdefault(int(fields[1]), []).append(int(name))
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += parents.get(pid, [])
    return found


class Group:
    """The processes of one server. Call enter() in the child before exec."""

    KINDS = (('/sys/fs/cgroup/cpuacct', 'cpuacct.usage'), ('/sys/fs/cgroup/cpu,cpuacct', 'cpuacct.usage'),
             ('/sys/fs/cgroup', 'cpu.stat'), ('/sys/fs/cgroup/unified', 'cpu.stat'))

    def __init__(self, name):
        self.roots = []
        self.folder = None
        self.how = '/proc'
        for base, file in self.KINDS:
            folder = f'{base}/ringpost-bench-{os.getpid()}-{name}'
            try:
                os.mkdir(folder)
            except OSError:
                continue
            if os.path.exists(f'{folder}/{file}') and os.path.exists(f'{folder}/cgroup.procs'):
                self.folder, self.file, self.how = folder, file, f'cgroup {file}'
                return
            os.rmdir(folder)

    def enter(self):
        if self.folder:
            with open(f'{self.folder}/cgroup.procs', 'w', encoding='ascii') as file:
                file.write('0')

    def pids(self):
        if self.folder:
            return [int(pid) for pid in read(f'{self.folder}/cgroup.procs').split()]
        return [pid for root in self.roots for pid in descendants(root)]

    def cpu_us(self):
        if self.folder and self.file == 'cpuacct.usage':
            return int(read(f'{self.folder}/{self.file}')) / 1000
        if self.folder:
            return int(read(f'{self.folder}/{self.file}').split()[1])
        ticks = 0
        for pid in self.pids():
            fields = stat_fields(pid)
            if fields:
                ticks += sum(int(field) for field in fields[11:15])
        return ticks * 1e6 / TICK

    def pss_bytes(self):
        total = 0
        for pid in self.pids():
            try:
                for line in read(f'/proc/{pid}/smaps_rollup').splitlines():
                    if line.startswith('Pss:'):
                        total += int(line.split()[1]) * 1024
            except OSError:
                pass
        return total

    def remove(self):
        for _ in range(50):
            if not self.folder:
                return
            try:
                os.rmdir(self.folder)
                self.folder = None
            except OSError:
                time.sleep(0.1)


class PeakMemory:
    """Samples the sum of PSS every `every` seconds until stopped."""

    def __init__(self, group, every=0.5):
        self.group, self.every, self.peak = group, every, 0
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while True:
            self.peak = max(self.peak, self.group.pss_bytes())
            if self.ended.wait(self.every):
                return

    def stop(self):
        self.ended.set()
        self.thread.join()
        return max(self.peak, self.group.pss_bytes())


class Disk:
    """Bytes that the block device below a folder wrote. Counts the journal and late write-back, and
    everything else that uses the device: run it on a quiet machine. None where there is no device."""

    def __init__(self, folder):
        device = os.stat(folder).st_dev
        self.path = f'/sys/dev/block/{os.major(device)}:{os.minor(device)}/stat'

    def written(self):
        os.sync()
        try:
            return int(read(self.path).split()[6]) * 512
        except OSError:
            return None
