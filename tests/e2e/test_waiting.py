# SPDX-License-Identifier: GPL-3.0-or-later
"""Queues that wait: what `ringpost-bench spool` writes is a spool, an engine delivers all of it, and
`./dev bench queue` measures it. (What a message takes: tests/unit/core/queue/test_park.c.)"""
import json
import os
import subprocess

from test_bench_tools import BENCH, ROOT

ENGINE = os.environ.get('RINGPOST_BIN', f'{ROOT}/build/ringpost')


def test_a_filled_spool_is_a_spool(tmp_path):
    spool = tmp_path / 'spool'
    fill = [BENCH, 'spool', '--dir', str(spool), '--messages', '3000', '--due', '3600', '--domains', '7']
    done = subprocess.run(fill, capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(done.stdout)['messages'] == 3000
    subprocess.run([ENGINE, 'spool', 'verify', str(spool)], check=True, timeout=60, stdout=subprocess.DEVNULL)
    listed = subprocess.run([ENGINE, 'spool', 'ls', '--json', str(spool)], capture_output=True, text=True,
                            timeout=60, check=True).stdout
    rows = json.loads(listed)
    assert {r['sender'] for r in rows} == {f'bounce-{i:07}@list.example.org' for i in range(3000)}
    assert all((r['bytes'], r['recipients'], r['queued']) == (512, 1, 1) for r in rows) and len(rows) == 3000
    again = subprocess.run(fill, capture_output=True, text=True, timeout=60, check=False)
    assert again.returncode == 1 and 'there is mail in this spool already' in again.stderr


def test_the_bench_of_waiting_mail(tmp_path):
    """Rows for two sizes; every message of both is delivered, each once."""
    out = tmp_path / 'out.json'
    done = subprocess.run([f'{ROOT}/bench/waiting', '--messages', '500', '3000', '--deliver', '--dir', str(tmp_path),
                           '--workers', '2', '--json', str(out)], capture_output=True, text=True, timeout=240,
                          check=False, env={**os.environ, 'RINGPOST_BIN': ENGINE, 'RINGPOST_BENCH_BIN': BENCH})
    assert done.returncode == 0, done.stderr
    empty, few, many = json.loads(out.read_text())
    assert empty['messages'] == 0 and few['messages'] == 500 and many['messages'] == 3000
    assert few['came'] == 500 and many['came'] == 3000
    assert many['rss'] > 0 and many['ready_s'] > 0 and many['all_s'] >= many['first_s'] > 0
