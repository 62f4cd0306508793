# SPDX-License-Identifier: GPL-3.0-or-later
"""An envelope that would not fit its record is refused recipient by recipient, not at the end of the message."""
from harness.client import Client
from harness.message import message


def test_more_recipients_than_a_record_holds(make):
    """RFC 5321 4.5.3.1.10: 452 to those beyond, the others get their mail; never 451 to the whole message,
    which would come back the same way for ever."""
    count, group = 30_000, 500
    engine = make.relay({"limits": {"recipients": 100_000}})
    accepted = 0
    with Client(engine.port, timeout=60) as c:
        c.ehlo()
        c.ok("MAIL FROM:<>")
        for at in range(0, count, group):
            c.send(b"".join(b"RCPT TO:<recipient%05d@example.test>\r\n" % i for i in range(at, at + group)))
            replies = c.replies(group)
            assert all(r.status in ("250 2.1.5", "452 4.5.3") for r in replies), replies[-1]
            accepted += sum(r.code == 250 for r in replies)
        assert c.data(message()).code == 250
    assert 5_000 < accepted < count
    assert engine.wait_empty(60)["delivered"] == accepted
