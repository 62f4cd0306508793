# SPDX-License-Identifier: GPL-3.0-or-later
"""Results in a folder: results.json (the newest run of each row), RESULTS.md (tables) and cpu.svg (a picture)."""
import json
import os
import platform
import shlex
import subprocess
import sys

from chart import bars
from compare import text_of
from rivals import version_of

NAMES = ('Postfix', 'Exim', 'Haraka', 'OpenDKIM')


def first_of(path, key):
    """The value of the first line "key : value"."""
    try:
        with open(path, encoding='ascii', errors='replace') as file:
            for line in file:
                name, _, value = line.partition(':')
                if name.strip() == key:
                    return value.strip()
    except OSError:
        pass
    return '?'


def file_system(folder):
    best = ('', '?')
    with open('/proc/mounts', encoding='utf-8') as file:
        for line in file:
            _, point, kind = line.split()[:3]
            if (folder == point or folder.startswith(point.rstrip('/') + '/')) and len(point) > len(best[0]):
                best = (point, kind)
    return best[1]


def machine(folder):
    memory = first_of('/proc/meminfo', 'MemTotal').split()[0]
    return (f'{os.cpu_count()} virtual cores ({first_of("/proc/cpuinfo", "model name")}), '
            f'{int(memory) // 2**20 if memory.isdigit() else "?"} GB, Linux {platform.release()}, '
            f'{file_system(os.path.realpath(folder))}; source, sink and server share them')


def ringpost_version(engine):
    """Of the engine that is measured: "0.1.0 (commit)"."""
    done = subprocess.run([engine, '--version'], capture_output=True, text=True, check=False)
    return ' '.join(done.stdout.splitlines()[0].split()[1:]) if done.stdout else 'unknown'


def command():
    """What reproduces it, without this machine's folders."""
    words, skip = [], False
    for word in sys.argv[1:]:
        if skip or word.startswith(('--dir=', '--report=')):
            skip = False
        elif word in ('--dir', '--report'):
            skip = True
        else:
            words.append(word)
    return shlex.join(['./dev', 'bench', *words])


class Report:
    def __init__(self, bench, folder):
        self.folder = folder
        self.path = os.path.join(folder, 'results.json')
        os.makedirs(folder, exist_ok=True)
        self.command = command()
        self.machine = machine(bench.folder)
        self.rounds = bench.o.rounds
        self.versions = {'Ringpost': ringpost_version(bench.engine), **{n: v for n in NAMES if (v := version_of(n))}}
        try:
            with open(self.path, encoding='utf-8') as file:
                self.rows = json.load(file)
        except (OSError, ValueError):
            self.rows = {}

    def add(self, result):
        self.rows[result['name']] = {**result, 'command': self.command, 'machine': self.machine,
                                     'versions': self.versions, 'rounds': self.rounds}
        self.write()

    def write(self):
        files = {'results.json': json.dumps(self.rows, indent=1, sort_keys=True) + '\n',
                 'RESULTS.md': self.markdown(), 'cpu.svg': self.picture()}
        for name, text in files.items():
            with open(os.path.join(self.folder, name), 'w', encoding='utf-8') as file:
                file.write(text)

    # ---- tables ----

    def groups(self):
        found = {}
        for row in self.rows.values():
            found.setdefault(row['group'], []).append(row)
        for rows in found.values():
            rows.sort(key=order)
        return dict(sorted(found.items(), key=lambda g: GROUPS.index(g[0]) if g[0] in GROUPS else len(GROUPS)))

    def markdown(self):
        out = ['<!-- Written by ./dev bench --report. Do not edit. -->', '# Results of ./dev bench', '',
               'What is measured and how each server is set up: [README.md](README.md). Each line is the median of '
               'the rounds, servers in turn; a line with a message lost, doubled or refused is not printed.', '',
               '![CPU per message](cpu.svg)', '']
        for group, rows in self.groups().items():
            out += [f'## {group}', '']
            for columns, some in by_columns(rows):
                out += table(columns, some)
            for row in rows:
                versions = ', '.join(f'{n} {v}' for n, v in row['versions'].items())
                out.append(f'- `{row["command"]}`: {row["name"]}, {row["rounds"]} rounds, {row["when"]} UTC, load '
                           f'average {row["load"][0]} before and {row["load"][1]} after; {versions}')
            out.append('')
        machines = sorted({row['machine'] for row in self.rows.values()})
        out += ['## Machine', '', *(f'- {m}' for m in machines)]
        return '\n'.join(out) + '\n'

    # ---- picture ----

    def picture(self):
        groups = []
        for row in sorted(self.rows.values(), key=order):
            if row['key'] in ('CPU us', 'CPU us/rcpt') and row['group'] in ('relay', 'fanout'):
                groups.append((label(row), [(line['server'], line[row['key']]) for line in row['lines']]))
        return bars('CPU of the server in microseconds (logarithmic): per message; fanout: per recipient', groups)


GROUPS = ['relay', 'latency', 'fanout', 'destinations', 'urgent', 'secure', 'idle', 'backends', 'overload', 'crowd']


def order(row):
    """1K before 10K before 100K, 1 session before 20."""
    parts = row['name'].split('-')
    sizes = [int(p.rstrip('k')) for p in parts[1:] if p.rstrip('k').isdigit()]
    return (GROUPS.index(row['group']) if row['group'] in GROUPS else len(GROUPS), sizes, row['name'])


def label(row):
    parts = row['name'].split('-')
    if row['group'] != 'relay':
        return row['name']
    return f'{parts[1].upper()}B, {parts[2]} session{"s" if parts[2] != "1" else ""} {" ".join(parts[3:])}'


def by_columns(rows):
    found = []
    for row in rows:
        if found and found[-1][0] == row['columns']:
            found[-1][1].append(row)
        else:
            found.append((row['columns'], [row]))
    return found


def table(columns, rows):
    """With the CPU of the others as a multiple of Ringpost's."""
    times = any(len(row['lines']) > 1 for row in rows)
    out = ['| ' + ' | '.join([*columns, *(['times Ringpost'] if times else [])]) + ' |',
           '|' + '|'.join(['---'] + ['--:'] * (len(columns) - 1 + times)) + '|']
    for row in rows:
        key = 'CPU us' if row['key'] == 'p99 ratio' else row['key']
        for line in row['lines']:
            own = [x[key] for x in row['lines'] if x['server'] == 'Ringpost'
                   and (x.get('what'), x.get('per s')) == (line.get('what'), line.get('per s'))]
            cells = [text_of(line.get(c)) for c in columns]
            if times:
                cells.append(f'{line[key] / own[0]:.1f}' if own and own[0] else '-')
            out.append('| ' + ' | '.join(cells) + ' |')
    return [*out, '']
