# SPDX-License-Identifier: GPL-3.0-or-later
"""What ./dev bench says of its own rows: a line that lost mail is never a figure."""
import glob
import math
import random
import socket
import subprocess
import sys

import pytest

from test_bench_tools import BENCH, ROOT, Sink


def bench_module(name):
    sys.path.insert(0, f'{ROOT}/bench')
    try:
        return __import__(name)
    finally:
        sys.path.remove(f'{ROOT}/bench')


def line(**more):
    return {'server': 'Exim', 'size': '1K', 'sess': 1, 'CPU us': 10.0, 'lost': 0, 'dup': 0, 'not_accepted': 0,
            'codes': {}, **more}


@pytest.mark.parametrize('wrong', ({'lost': 1}, {'dup': 1}, {'not_accepted': 1}))
def test_a_line_that_lost_mail_is_not_printed(wrong, capsys):
    compare = bench_module('compare')
    bench = compare.Bench.__new__(compare.Bench)
    bench.refused = []
    columns = (('server', 9), ('CPU us', 8))
    assert bench.show([line(**wrong), line(server='Postfix')], columns) == [line(server='Postfix')]
    out = capsys.readouterr().out
    assert 'NO FIGURES for Exim 1K 1' in out and out.count('10.0') == 1 and len(bench.refused) == 1


def test_rounds_one_loss_among_them_counts():
    compare = bench_module('compare')
    cells = [line(), line(**{'CPU us': 30.0, 'lost': 2}), line(**{'CPU us': 11.0})]
    merged = compare.median(cells)
    assert merged['CPU us'] == 11.0 and merged['lost'] == 2 and merged['CPU us of rounds'] == [10.0, 30.0, 11.0]


def test_the_report_keeps_rows_and_names_no_folder(tmp_path, monkeypatch):
    report = bench_module('report')
    monkeypatch.setattr(sys, 'argv', ['run', 'relay-1k-1', '--dir', '/elsewhere', '--report=/there', '--rounds', '1'])
    assert report.command() == './dev bench relay-1k-1 --rounds 1'
    chart = bench_module('chart')
    picture = chart.bars('a < b', [('1KB', [('Ringpost', 50.0), ('Postfix', 2000.0)])])
    assert picture.startswith('<svg') and 'a &lt; b' in picture and '2000' in picture


def test_sink_on_many_addresses_and_source_with_a_field(tmp_path):
    sink = Sink('--listen', '127.0.1.1:0', '--addresses', 3, '--capture', tmp_path)
    for last in (1, 2, 3):
        done = subprocess.run([BENCH, 'source', '--to', f'127.0.1.{last}:{sink.port}', '--messages', '2', '--header',
                               'X-One: 1', '--header', 'X-Two: 2'], capture_output=True, timeout=60, check=False)
        assert done.returncode == 0, done
    with pytest.raises(OSError):
        socket.create_connection(('127.0.1.4', sink.port), 2)
    assert sink.report()['messages'] == 6
    for path in glob.glob(f'{tmp_path}/new/*.eml'):
        with open(path, 'rb') as file:
            assert b'\r\nX-One: 1\r\nX-Two: 2\r\n\r\n' in file.read()


def test_a_soak_sees_what_grows():
    """A leak of a hundredth in noise of a tenth is seen; noise, waves and what shrinks are no growth."""
    line = bench_module('soak_line').Line
    noise = random.Random(1)
    times = [2.0 * i for i in range(240)]

    def grows(at):
        return line(times, [at(i) + noise.uniform(-50, 50) for i in range(240)]).grows()
    assert grows(lambda i: 1000 + i / 5) and grows(lambda i: 1000 + (50 if i > 120 else 0))
    assert sum(grows(lambda i: 1000) for _ in range(200)) <= 2
    assert not grows(lambda i: 1000 + 100 * math.sin(i / 9)) and not grows(lambda i: 1000 - i / 5)
    assert not line(times, [7] * 240).grows() and line(times, [7 + i // 100 for i in range(240)]).grows()
    with pytest.raises(ValueError):
        line(times[:10], [1] * 10)
