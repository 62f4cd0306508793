# SPDX-License-Identifier: GPL-3.0-or-later
"""Routes that end in a refusal."""
from dnsserver import DnsServer

from harness.client import submit
from harness.message import message
from harness.wait import wait_until


def test_a_refused_domain_makes_one_report_however_many_recipients(make):
    """Also when the refusal is known already: a sender must not get a report per recipient."""
    sink = make.sink()
    dns = make.add(DnsServer({"sender.test": {"mx": [[1, "mx.sender.test"]]},
                              "mx.sender.test": {"a": ["127.0.0.1"]}}).start())
    engine = make.engine({"dns": {"servers": [dns.endpoint]},
                          "delivery": {"mx_port": sink.port, "private_targets": "allow"}})
    rcpts = [f"u{i}@nowhere.test" for i in range(20)]
    for number in (1, 2):  # the second finds the answer of the first
        submit(engine.port, message(), sender="a@sender.test", to=rcpts)
        wait_until(lambda n=number: engine.counters()["bounced"] == 20 * n, 15, "bounces")
    engine.wait_empty()
    assert len(sink.messages) == 2, len(sink.messages)
    assert all(rcpt.encode() in m.data for m in sink.messages for rcpt in rcpts)
