# SPDX-License-Identifier: GPL-3.0-or-later
"""Mail that leaves through a SOCKS5 proxy or behind a PROXY v2 header: microsocks, HAProxy, and proxies that
misbehave."""
import pytest

from harness.client import Client
from harness.egress_proxy import HaproxyOut, Microsocks, Scripted
from harness.message import message, tag
from harness.mxworld import World, mx
from harness.tls_peer import peer_ca, policy_world
from harness.wait import stays_false, wait_until

THERE = "127.0.0.21"  # what the proxies connect from
LOGIN = {"proxy_user": "mta", "proxy_password": "geheim"}
WORKERS = pytest.mark.parametrize("workers", [1, 2])
OPEN = b"\x05\x00\x00\x01\x7f\x00\x00\x01\x30\x39"


def by(proxy, more=None, scheme="socks5", conf=None, addresses=()):
    source = {"name": "out", "proxy": f"{scheme}://{proxy}", "addresses": list(addresses), **(more or {})}
    return {"sources": [source], "source_rules": [{"pool": "out"}], **(conf or {})}


def send(engine, count=1, to="bob@example.test"):
    subjects = [tag() for _ in range(count)]
    with Client(engine.port) as c:
        c.ehlo()
        for subject in subjects:
            assert c.submit(message(subject), to=[to]).code == 250
        c.quit()
    return subjects


def arrived(sink, subjects):
    return [sink.with_subject(s, timeout=20)[0].session.peer[0] for s in subjects]


# ---- real ones ----


@WORKERS
def test_microsocks(make, tmp_path, workers):
    proxy = make.add(Microsocks(tmp_path, bind=THERE))
    engine = make.relay(by(proxy.endpoint, conf={"workers": workers}))
    assert set(arrived(engine.sink, send(engine, 20))) == {THERE}
    assert engine.wait_empty(20)
    assert all(e["source"] == "out" for e in engine.events("delivered"))


def test_microsocks_with_login(make, tmp_path):
    proxy = make.add(Microsocks(tmp_path, bind=THERE, login=("mta", "geheim")))
    engine = make.relay(by(proxy.endpoint, LOGIN))
    assert arrived(engine.sink, send(engine)) == [THERE]


def test_haproxy(make, tmp_path):
    """It lets through only what the header says comes from the source, to where the header says."""
    proxy = make.add(HaproxyOut(tmp_path, THERE))
    engine = make.relay(by(proxy.endpoint, scheme="haproxy", addresses=[THERE]))
    arrived(engine.sink, send(engine, 5))
    assert engine.wait_empty(20)


def test_haproxy_of_another_source(make, tmp_path):
    """The header really carries the source's address: HAProxy refuses another."""
    proxy = make.add(HaproxyOut(tmp_path, THERE))
    engine = make.relay(by(proxy.endpoint, scheme="haproxy", addresses=["127.0.0.22"],
                           conf={"queue": {"schedule": ["1h"]}}))
    send(engine)
    engine.event("deferred")
    assert not engine.sink.messages


def test_tls_through_a_proxy(make, tmp_path):
    """STARTTLS and the certificate are the far end's; the name is that of the host, not of the proxy."""
    ca = peer_ca(tmp_path)
    proxy = make.add(Microsocks(tmp_path, bind=THERE))
    engine = policy_world(make, ca, "verify", None, by(proxy.endpoint))
    m = engine.sink.with_subject(send(engine)[0], timeout=20)[0]
    assert m.session.peer[0] == THERE and m.session.tls is not None


# ---- the proxy is away ----


def test_proxy_away_and_back(make, tmp_path):
    """The source pauses, its mail waits without an attempt being counted, and goes when the proxy is back."""
    proxy = make.add(Microsocks(tmp_path, bind=THERE))
    engine = make.relay(by(proxy.endpoint))
    assert arrived(engine.sink, send(engine)) == [THERE]
    proxy.close()
    engine.restart()  # no connection is left
    subjects = send(engine, 3)
    event = engine.event("source_paused", timeout=20)
    assert event["source"] == "out" and event["address"] == proxy.endpoint
    assert event["reason"] == f"SOCKS5 proxy {proxy.endpoint}: connection refused"
    assert stays_false(lambda: engine.events("deferred"), 1)
    proxy.start()
    assert arrived(engine.sink, subjects) == [THERE] * 3
    assert engine.event("source_resumed", timeout=20)["source"] == "out"


def test_another_source_of_the_pool(make, tmp_path):
    away = make.add(Scripted([], "close"))
    conf = by(away.endpoint)
    conf["sources"].append({"name": "here", "addresses": ["127.0.0.23"]})
    conf["source_pools"] = [{"name": "both", "sources": {"out": 1000, "here": 1}}]
    conf["source_rules"] = [{"pool": "both"}]
    engine = make.relay(conf)
    assert set(arrived(engine.sink, send(engine, 10))) == {"127.0.0.23"}
    assert not engine.events("deferred")


# ---- what proxies say ----

PAUSES = {  # answers, what is awaited of the log
    "greeting of a mail server": ([b"220 hello\r\n"], "it does not speak SOCKS5"),
    "wants a login": ([b"\x05\xff"], "it wants a login"),
    "general failure": ([b"\x05\x00", b"\x05\x01\x00\x01\x00\x00\x00\x00\x00\x00"], "general failure (reply 1)"),
    "closes": ([], "the connection was lost (waiting for: greeting)"),
    "closes in the middle": ([b"\x05\x00", b"\x05\x00\x00"], "the connection was lost (waiting for: connection)"),
    "unknown type of address": ([b"\x05\x00", b"\x05\x00\x00\x07abc"], "it answered with an unknown type of address"),
    "unassigned reply": ([b"\x05\x00", b"\x05\x63\x00"], "unassigned reply code (reply 99)"),
}


@pytest.mark.parametrize("name", PAUSES)
def test_proxy_of_no_use(make, name):
    answers, reason = PAUSES[name]
    proxy = make.add(Scripted(answers))
    engine = make.relay(by(proxy.endpoint))
    send(engine)
    event = engine.event("source_paused", timeout=20)
    assert event["reason"] == f"SOCKS5 proxy {proxy.endpoint}: {reason}"
    assert engine.counters()["queued"] == 1 and not engine.events("deferred")


def test_login_refused(make):
    proxy = make.add(Scripted([b"\x05\x02", b"\x01\x01"]))
    engine = make.relay(by(proxy.endpoint, LOGIN))
    send(engine)
    assert engine.event("source_paused", timeout=20)["reason"].endswith("it refused user name or password")
    assert proxy.heard == b"\x05\x02\x00\x02" + b"\x01\x03mta\x06geheim"
    assert "geheim" not in str(engine.events())


@pytest.mark.parametrize("code,text", [(2, "not allowed by its rules (reply 2)"), (5, "connection refused (reply 5)"),
                                       (8, "it does not know this address family (reply 8)")])
def test_destination_refused(make, code, text):
    """Not the proxy's fault: the source goes on, the mail is tried again later."""
    proxy = make.add(Scripted([b"\x05\x00", bytes([5, code, 0, 1, 0, 0, 0, 0, 0, 0])]))
    engine = make.relay(by(proxy.endpoint, conf={"queue": {"schedule": ["1h"]}}))
    send(engine)
    event = engine.event("deferred", timeout=20)
    assert event["reply"] == f"SOCKS5 proxy {proxy.endpoint}: {text}"
    assert event["status"] == ("4.4.1" if code == 5 else "4.4.0")
    assert not engine.events("source_paused")


def test_next_host_through_the_proxy(make, tmp_path):
    """The first host is down: the proxy says so, and is asked for the second."""
    proxy = make.add(Microsocks(tmp_path, bind=THERE))
    w = World(make, mx(hosts=[(10, "127.0.0.2"), (20, "127.0.0.3")]), by(proxy.endpoint))
    second = w.sink("127.0.0.3")
    engine = w.start()
    assert arrived(second, send(engine, to="bob@dest.test")) == [THERE]
    assert not engine.events("source_paused")


def test_everything_at_once(make):
    """Answers before they were asked for: refused, not believed. No mail is lost."""
    proxy = make.add(Scripted([b"\x05\x00" + OPEN + b"220 mx ESMTP\r\n"], "hold", early=True))
    engine = make.relay(by(proxy.endpoint))
    send(engine)
    assert "it answered what it had not been asked" in engine.event("source_paused", timeout=20)["reason"]
    assert engine.counters()["queued"] == 1


def test_banner_behind_the_answer(make):
    """In one segment: the banner is the far end's first word."""
    sink = make.sink()
    proxy = make.add(Scripted([b"\x05\x00", OPEN], ("127.0.0.1", sink.port)))
    engine = make.relay(by(proxy.endpoint), sink=sink)
    assert len(arrived(sink, send(engine))) == 1
    assert proxy.glued == 1


def test_silent_proxy(make):
    """connect_timeout is for all of it."""
    proxy = make.add(Scripted([b"\x05\x00"], "hold"))
    engine = make.relay(by(proxy.endpoint, LOGIN, conf={"delivery": {"connect_timeout": "500ms"},
                                                        "queue": {"schedule": ["1h"]}}))
    send(engine)
    wait_until(lambda: engine.events("deferred") or engine.events("source_paused"), 20, "the end of the patience")
    event = engine.event("outbound_trouble")
    assert event["reply"] == f"SOCKS5 proxy {proxy.endpoint}: connection timed out"
