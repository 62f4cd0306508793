# SPDX-License-Identifier: GPL-3.0-or-later
"""How mail goes out: only what the peer offered, pipelined where it may be, connections reused."""
import time

import pytest

from harness.client import Client, submit
from harness.message import message, sized, tag, without_received
from harness.sink import ALL, Delay, Sink
from harness.wait import wait_until


def send_many(port, count, **kwargs):
    subjects = [tag() for _ in range(count)]
    with Client(port) as c:
        c.ehlo()
        for s in subjects:
            assert c.submit(message(s), **kwargs).code == 250
    return subjects


# ---- extensions ----

@pytest.mark.parametrize("offered", [[], ["PIPELINING"], ["CHUNKING"], ["PIPELINING", "CHUNKING"]],
                         ids=lambda o: "+".join(o) or "plain")
def test_pipelining_only_when_offered(make, offered):
    """Every reply comes 20 ms late: what is sent ahead of it is there before it."""
    late = lambda s, a: Delay(0.02)  # noqa: E731
    sink = make.sink(offered, script={v: late for v in ("connect", "ehlo", "mail", "rcpt", "data", "dot", "rset")})
    engine = make.relay({"delivery": {"connections_per_site": 1}}, sink=sink)
    send_many(engine.port, 3, to=["a@example.test", "b@example.test", "c@example.test"])
    sink.wait(3)
    early = [c for c in sink.commands() if c.early]
    if "PIPELINING" in offered:
        assert {"RCPT"} <= {c.verb for c in early}
        assert {"BDAT" if "CHUNKING" in offered else "DATA"} <= {c.verb for c in early}
    else:
        assert early == []
    # Never before the greeting or the answer to EHLO.
    assert not any(c.early for c in sink.commands() if c.verb == "EHLO")
    assert not any(s.commands[1].early for s in sink.sessions)


def test_pipelining_can_be_switched_off(make):
    late = lambda s, a: Delay(0.02)  # noqa: E731
    sink = make.sink(script={v: late for v in ("ehlo", "mail", "rcpt", "data", "dot")})
    engine = make.relay({"delivery": {"pipelining": False, "chunking": False}}, sink=sink)
    send_many(engine.port, 2, to=["a@example.test", "b@example.test"])
    sink.wait(2)
    assert not any(c.early for c in sink.commands())
    assert not sink.commands("BDAT")


def test_chunking_is_used_when_offered_and_wanted(make):
    sink = make.sink(["CHUNKING", "PIPELINING", "8BITMIME"])
    engine = make.relay({"headers": {"received": "none"}}, sink=sink)
    content = message(tag(), b".\r\n..\r\n")
    submit(engine.port, content)
    got = sink.wait()[0]
    assert got.data == content and sum(got.chunks) == len(content)
    assert not sink.commands("DATA")


def test_chunking_is_not_used_when_not_offered(make):
    sink = make.sink(["PIPELINING", "8BITMIME"])
    engine = make.relay(sink=sink)
    submit(engine.port)
    sink.wait()
    assert not sink.commands("BDAT")


@pytest.mark.parametrize("size", [100 << 10, 300 << 10, 2 << 20])
def test_big_chunked_bodies(make, size):
    sink = make.sink(["CHUNKING", "PIPELINING"])
    engine = make.relay({"headers": {"received": "none"}}, sink=sink)
    content = sized(size)
    submit(engine.port, content)
    assert sink.wait()[0].data == content


def test_size_is_declared_when_offered(make):
    for offered in ("SIZE 1000000", "SIZE", "SIZE 0"):
        sink = make.sink([offered])
        engine = make.relay(sink=sink)
        submit(engine.port)
        got = sink.wait()[0]
        assert got.params == b"SIZE=%d" % len(got.data)


def test_size_is_not_declared_otherwise(make):
    engine = make.relay(sink=make.sink([]))
    submit(engine.port, params="SIZE=100 BODY=7BIT")
    assert engine.sink.wait()[0].params == b""


def test_a_message_above_the_peers_size_fails_without_being_sent(make):
    sink = make.sink(["SIZE 10000"])
    engine = make.relay(sink=sink)
    submit(engine.port, sized(20000))
    report = sink.wait()[0]
    assert report.sender == b"" and b"5.3.4" in report.data
    assert len(sink.attempts) == 1
    submit(engine.port, sized(5000))
    sink.wait(2)


@pytest.mark.parametrize("offered", [True, False])
def test_8bitmime(make, offered):
    """RFC 6152: with it BODY=8BITMIME is said; without it the message fails 5.6.3, bits are never changed."""
    sink = make.sink(["PIPELINING"] + ["8BITMIME"] * offered)
    engine = make.relay(sink=sink)
    content = message("eight", "Grüße\r\n".encode())
    submit(engine.port, content, params="BODY=8BITMIME")
    got = sink.wait()[0]
    if offered:
        assert without_received(got.data) == content and b"BODY=8BITMIME" in got.params
    else:
        assert got.sender == b"" and b"5.6.3" in got.data
    submit(engine.port, message("seven"))
    assert b"BODY=8BITMIME" not in sink.with_subject("seven")[0].params


@pytest.mark.parametrize("offered", [True, False])
def test_smtputf8(make, offered):
    """RFC 6531: no silent downgrade."""
    sink = make.sink(["PIPELINING", "8BITMIME"] + ["SMTPUTF8"] * offered)
    engine = make.relay(sink=sink)
    with Client(engine.port) as c:
        c.ehlo()
        c.ok("MAIL FROM:<alice@example.test> SMTPUTF8")
        c.ok("RCPT TO:<jörg@example.test>".encode())
        assert c.data(message("utf8", headers=["X-N: Jörg".encode()])).code == 250
    got = sink.wait()[0]
    if offered:
        assert got.rcpts == ["jörg@example.test"] and b"SMTPUTF8" in got.params
    else:
        assert got.sender == b"" and b"5.6.7" in got.data


def test_smtputf8_is_not_said_for_ascii_mail(make):
    sink = make.sink()
    engine = make.relay(sink=sink)
    submit(engine.port)
    assert b"SMTPUTF8" not in sink.wait()[0].params


@pytest.mark.parametrize("offered", [True, False])
def test_dsn_parameters_travel_only_to_peers_that_know_them(make, offered):
    sink = make.sink(["DSN"] if offered else ["PIPELINING"])
    engine = make.relay(sink=sink)
    with Client(engine.port) as c:
        c.ehlo()
        c.ok("MAIL FROM:<alice@example.test> RET=HDRS ENVID=QQ+2B1")
        c.ok("RCPT TO:<bob@example.test> NOTIFY=FAILURE,DELAY ORCPT=rfc822;b+2Bob@old.test")
        c.ok("RCPT TO:<carol@example.test> NOTIFY=NEVER")
        assert c.data(message("dsn")).code == 250
    got = sink.with_subject("dsn")[0]
    if offered:
        assert sorted(got.params.split()) == [b"ENVID=QQ+2B1", b"RET=HDRS"]
        assert sorted(got.rcpt_params["bob@example.test"].split()) == \
            [b"NOTIFY=FAILURE,DELAY", b"ORCPT=rfc822;b+2Bob@old.test"]
        assert got.rcpt_params["carol@example.test"] == b"NOTIFY=NEVER"
    else:
        assert got.params == b"" and set(got.rcpt_params.values()) == {b""}


def test_helo_when_ehlo_is_refused(make):
    sink = make.sink(script={"ehlo": lambda s, a: "502 5.5.1 no"})
    engine = make.relay(sink=sink)
    submit(engine.port, params="SIZE=100")
    got = sink.wait()[0]
    assert sink.verbs()[:2] == ["EHLO", "HELO"]
    assert got.params == b""
    assert not any(c.early for c in sink.commands())


@pytest.mark.parametrize("setting,name", [({}, "relay.example.test"),
                                          ({"delivery": {"helo_name": "mx.other.test"}}, "mx.other.test"),
                                          ({"delivery": {"helo_name": "[127.0.0.1]"}}, "[127.0.0.1]")])
def test_ehlo_name(make, setting, name):
    engine = make.relay(setting)
    submit(engine.port)
    engine.sink.wait()
    assert engine.sink.commands("EHLO")[0].line == b"EHLO " + name.encode()


def test_source_address(make):
    engine = make.relay({"delivery": {"source_address4": "127.0.0.77"}})
    submit(engine.port)
    engine.sink.wait()
    assert engine.sink.sessions[0].peer[0] == "127.0.0.77"


def test_a_peer_over_ipv6(make):
    engine = make.relay(sink=make.sink(host="::1"))
    submit(engine.port)
    engine.sink.wait()


def test_bytes_sent_in_data_are_stuffed_and_clean(make):
    """B4: CRLF.CRLF appears once, at the end; no bare CR or LF, whatever came in by BDAT."""
    sink = make.sink(["PIPELINING"])
    engine = make.relay({"headers": {"received": "none"}}, sink=sink)
    bodies = [b".\r\n", b"..\r\n", b".\r\n.\r\n", b"a\r\n.\r\nb\r\n", b"." * 998 + b"\r\n", b"\r\n.", b"x\r\n..",
              b".a\r\n.b\r\n" * 40000]
    for body in bodies:
        with Client(engine.port) as c:
            c.ehlo()
            c.envelope()
            assert c.bdat(b"Subject: s\r\n\r\n" + body).code == 250
    for got, body in zip(in_order(sink.wait(len(bodies)), bodies), bodies):
        expected = b"Subject: s\r\n\r\n" + body + (b"" if body.endswith(b"\r\n") else b"\r\n")
        assert got.data == expected
        assert got.raw.count(b"\r\n.\r\n") == 1
        assert b"\n" not in got.raw.replace(b"\r\n", b"") and b"\r" not in got.raw.replace(b"\r\n", b"")


def in_order(messages, bodies):
    """The engine may deliver in any order."""
    left = list(messages)
    for body in bodies:
        head = b"Subject: s\r\n\r\n" + body
        hit = next(m for m in left if m.data in (head, head + b"\r\n"))
        left.remove(hit)
        yield hit


# ---- connections ----

def test_one_connection_carries_many_messages(make):
    engine = make.relay({"delivery": {"connections_per_site": 1}})
    send_many(engine.port, 50)
    engine.sink.wait(50)
    assert engine.sink.connections == 1


def test_messages_per_connection(make):
    engine = make.relay({"delivery": {"connections_per_site": 1, "messages_per_connection": 7}})
    send_many(engine.port, 30)
    engine.sink.wait(30)
    counts = [s.messages for s in engine.sink.sessions]
    assert max(counts) <= 7 and sum(counts) == 30
    assert engine.sink.peak <= 2


def test_connections_per_site(make):
    sink = make.sink(script={"dot": lambda s, a: Delay(0.1)})
    engine = make.relay({"delivery": {"connections_per_site": 3}}, sink=sink)
    send_many(engine.port, 30)
    sink.wait(30)
    assert sink.peak <= 3


def test_a_slow_peer_gets_more_connections(make):
    sink = make.sink(script={"dot": lambda s, a: Delay(0.5)})
    engine = make.relay(sink=sink)
    start = time.monotonic()
    send_many(engine.port, 20)
    sink.wait(20)
    assert sink.peak > 3
    assert time.monotonic() - start < 20 * 0.5  # one after the other


def test_idle_connections_are_closed_with_quit(make):
    engine = make.relay({"delivery": {"idle_timeout": "1s"}})
    submit(engine.port)
    engine.sink.wait()
    start = time.monotonic()
    wait_until(lambda: engine.sink.open_sessions == 0, 6, "the idle connection's end")
    assert time.monotonic() - start > 0.7
    assert engine.sink.verbs()[-1] == "QUIT"


def test_a_kept_connection_is_used_again(make):
    engine = make.relay({"delivery": {"idle_timeout": "30s"}})
    for i in range(5):
        submit(engine.port)
        engine.sink.wait(i + 1)
    assert engine.sink.connections == 1


def test_a_kept_connection_that_died_costs_no_retry(make):
    """The peer closed while we were idle: the next message goes out at once over a new connection."""
    sink = make.sink()
    engine = make.relay({"queue": {"schedule": ["1m"]}}, sink=sink)
    submit(engine.port)
    sink.wait(1)
    sink.close()
    again = make.add(Sink(port=sink.port).start())
    submit(engine.port)
    again.wait(1, timeout=10)
    assert not engine.events("deferred")


# ---- recipients ----

def test_recipients_are_split_at_100(make):
    engine = make.relay()
    to = [f"u{i}@example.test" for i in range(250)]
    submit(engine.port, message("split"), to=to)
    wait_until(lambda: sum(len(m.rcpts) for m in engine.sink.messages) == 250, 15, "250 recipients")
    got = engine.sink.messages
    assert sorted(len(m.rcpts) for m in got) == [50, 100, 100]
    assert sorted(r for m in got for r in m.rcpts) == sorted(to)
    assert len({m.data for m in got}) == 1


def test_recipients_per_transaction(make):
    engine = make.relay({"delivery": {"recipients_per_transaction": 10}})
    submit(engine.port, message("split"), to=[f"u{i}@example.test" for i in range(25)])
    wait_until(lambda: sum(len(m.rcpts) for m in engine.sink.messages) == 25, 15, "25 recipients")
    assert sorted(len(m.rcpts) for m in engine.sink.messages) == [5, 10, 10]


def test_the_peers_rcptmax_is_kept(make):
    sink = make.sink([*ALL, "LIMITS RCPTMAX=7"], script={"rcpt": only_first(7)})
    engine = make.relay(sink=sink)
    to = [f"u{i}@example.test" for i in range(40)]
    submit(engine.port, message("limited"), to=to)
    wait_until(lambda: sum(len(m.rcpts) for m in sink.messages) == 40, 15, "40 recipients")
    assert max(len(m.rcpts) for m in sink.messages) <= 7
    assert sorted(r for m in sink.messages for r in m.rcpts) == sorted(to)
    assert not engine.events("deferred")


def only_first(count):
    return lambda s, a: "452 4.5.3 too many" if len(s.tx.rcpts) >= count else None


def test_a_peer_with_fewer_recipients_than_it_says(make):
    """RFC 5321 4.5.3.1.10: 452 (and 552) to a RCPT beyond its limit: the rest goes in further transactions."""
    for code in ("452 4.5.3", "552 5.5.3"):
        sink = make.sink(script={"rcpt": lambda s, a, c=code: f"{c} too many" if len(s.tx.rcpts) >= 20 else None})
        engine = make.relay(sink=sink)
        to = [f"u{i}@example.test" for i in range(50)]
        submit(engine.port, message("toomany"), to=to)
        wait_until(lambda s=sink: sum(len(m.rcpts) for m in s.messages if m.sender) == 50, 15, code)
        assert sorted(r for m in sink.messages for r in m.rcpts) == sorted(to)


def test_different_domains_share_a_transaction_to_a_smarthost(make):
    engine = make.relay()
    to = ["a@one.test", "b@two.test", "c@three.test"]
    submit(engine.port, message("domains"), to=to)
    assert sorted(engine.sink.wait()[0].rcpts) == to


def test_mailmax_limits_messages_of_a_connection(make):
    sink = make.sink([*ALL, "LIMITS MAILMAX=3"])
    engine = make.relay({"delivery": {"connections_per_site": 1}}, sink=sink)
    send_many(engine.port, 10)
    sink.wait(10)
    assert max(s.messages for s in sink.sessions) <= 3


def test_a_large_fan_out_is_complete(make):
    engine = make.relay()
    to = [f"user{i}@d{i % 17}.test" for i in range(1000)]
    submit(engine.port, message("fan"), to=to)
    wait_until(lambda: sum(len(m.rcpts) for m in engine.sink.messages) >= 1000, 20, "1000 recipients")
    assert sorted(r for m in engine.sink.messages for r in m.rcpts) == sorted(to)
    assert engine.wait_empty()["delivered"] == 1000
