# SPDX-License-Identifier: GPL-3.0-or-later
"""Delivery by MX (RFC 5321 5, RFC 7505, reliability F1–F8) with a scripted name server; what lies and breaks is in
test_attack_f_dns.py."""
from collections import Counter

import pytest

from harness.client import Client, submit
from harness.message import message, tag
from harness.mxworld import World, mx, send
from harness.ports import free_port
from harness.sink import Close, Sink
from harness.wait import stays_false, wait_until


def test_mail_goes_to_the_mx(world):
    w = world(mx())
    got = w.sinks["127.0.0.2"].with_subject(send(w))[0]
    assert got.rcpts == ["bob@dest.test"]
    assert w.dns.count("dest.test", "MX") == 1
    assert w.dns.count("dest.test", "A") == 0
    assert w.engine.event("delivered")["peer_name"].startswith("mx0.dest.test")


def test_preferences_decide_the_order(world):
    zone = mx(hosts=[(30, "127.0.0.4"), (10, "127.0.0.2"), (20, "127.0.0.3")])
    w = world(zone, sinks=["127.0.0.2", "127.0.0.3", "127.0.0.4"])
    for _ in range(5):
        w.sinks["127.0.0.2"].with_subject(send(w))
    assert w.sinks["127.0.0.3"].connections == w.sinks["127.0.0.4"].connections == 0


def test_the_next_preference_when_the_first_is_down(world):
    zone = mx(hosts=[(10, "127.0.0.3"), (20, "127.0.0.4"), (30, "127.0.0.2")])
    w = world(zone, conf={"queue": {"schedule": ["1m"]}})
    w.sinks["127.0.0.2"].with_subject(send(w))
    assert not w.engine.events("deferred")


def test_the_next_preference_when_the_first_says_421(world):
    zone = mx(hosts=[(10, "127.0.0.3"), (20, "127.0.0.2")])
    w = world(zone, sinks=["127.0.0.2", "127.0.0.3"], conf={"queue": {"schedule": ["1m"]}})
    w.sinks["127.0.0.3"].script["connect"] = lambda s, a: Close("421 4.3.2 busy")
    w.sinks["127.0.0.2"].with_subject(send(w))


def test_equal_preferences_are_shared_at_random(world):
    hosts = ["127.0.0.2", "127.0.0.3", "127.0.0.4"]
    zone = {}
    for i in range(60):
        zone.update(mx(f"d{i}.test", [(10, h) for h in hosts]))
    w = world(zone, sinks=hosts)
    with Client(w.engine.port) as c:
        c.ehlo()
        for i in range(60):
            assert c.submit(message(tag()), to=[f"x@d{i}.test"]).code == 250
    wait_until(lambda: sum(len(s.messages) for s in w.sinks.values()) == 60, 20, "60 messages")
    counts = Counter({h: len(s.messages) for h, s in w.sinks.items()})
    assert all(5 <= counts[h] <= 38 for h in hosts), counts


def test_all_addresses_of_a_host_are_tried(world):
    zone = {"dest.test": {"mx": [[10, "mx.test"]]}, "mx.test": {"a": ["127.0.0.3", "127.0.0.4", "127.0.0.2"]}}
    w = world(zone, conf={"queue": {"schedule": ["1m"]}})
    w.sinks["127.0.0.2"].with_subject(send(w))


def test_ipv6_and_ipv4(world):
    zone = {"dest.test": {"mx": [[10, "mx.test"]]}, "mx.test": {"a": ["127.0.0.2"], "aaaa": ["::1"]}}
    w = world(zone, conf={"queue": {"schedule": ["1m"]}})  # nothing listens on ::1
    w.sinks["127.0.0.2"].with_subject(send(w))
    assert w.dns.count("mx.test", "AAAA") >= 1


def test_ipv6_can_be_switched_off(world):
    zone = {"dest.test": {"mx": [[10, "mx.test"]]}, "mx.test": {"a": ["127.0.0.2"], "aaaa": ["::1"]}}
    w = world(zone)
    w.engine.stop()
    w.engine.write({"delivery": {"ipv6": False}})
    w.engine.start()
    w.sinks["127.0.0.2"].with_subject(send(w))
    assert w.dns.count("mx.test", "AAAA") == 0


def test_no_mx_means_the_domain_itself(world):
    """Implicit MX, RFC 5321 5.1."""
    w = world({"plain.test": {"a": ["127.0.0.2"]}})
    w.sinks["127.0.0.2"].with_subject(send(w, "bob@plain.test"))


def test_no_fallback_to_a_when_mx_hosts_are_down(world):
    """F4: an MX that does not answer is no reason to try the A of the domain."""
    zone = mx(hosts=[(10, "127.0.0.3")])
    zone["dest.test"]["a"] = ["127.0.0.2"]
    w = world(zone)
    send(w)
    w.engine.event("deferred")
    assert stays_false(lambda: w.sinks["127.0.0.2"].connections, 1.5)


@pytest.mark.parametrize("target", ["nxdomain", "no address"])
def test_mx_target_without_address(world, target):
    """F4: no fall-back to the A of the domain."""
    zone = {"dest.test": {"mx": [[10, "mx.dest.test"]], "a": ["127.0.0.2"]}, "back.test": {"a": ["127.0.0.2"]}}
    if target == "no address":
        zone["mx.dest.test"] = {"txt": ["x"]}
    w = world(zone)
    send(w)
    report = w.sinks["127.0.0.2"].wait()[0]
    assert report.sender == b"" and b"5.4.4" in report.data
    assert w.engine.event("bounced")["status"] == "5.4.4"


def test_some_mx_targets_without_address_do_not_matter(world):
    zone = {"dest.test": {"mx": [[10, "gone.dest.test"], [20, "mx.dest.test"]]}, "mx.dest.test": {"a": ["127.0.0.2"]}}
    w = world(zone)
    w.sinks["127.0.0.2"].with_subject(send(w))


def test_null_mx(world):
    """F3, RFC 7505."""
    zone = {"null.test": {"mx": [[0, "."]], "a": ["127.0.0.2"]}, "back.test": {"a": ["127.0.0.2"]}}
    w = world(zone)
    send(w, "bob@null.test")
    report = w.sinks["127.0.0.2"].wait()[0]
    assert report.sender == b"" and b"5.1.10" in report.data
    assert w.engine.event("bounced")["status"] == "5.1.10"
    assert len(w.sinks["127.0.0.2"].attempts) == 1


def test_nxdomain_is_permanent(world):
    """F7: the one failure that is an answer."""
    w = world({"back.test": {"a": ["127.0.0.2"]}})
    send(w, "bob@nowhere.test")
    report = w.sinks["127.0.0.2"].wait()[0]
    assert b"5.1.2" in report.data
    assert w.engine.event("bounced", to="bob@nowhere.test")["status"] == "5.1.2"


def test_one_of_two_name_servers_is_dead(make):
    port = free_port()
    w = World(make, mx())
    w.conf["dns"]["servers"] = [f"127.0.0.1:{port}", w.dns.endpoint]
    w.sink("127.0.0.2")
    w.start()
    w.sinks["127.0.0.2"].with_subject(send(w), timeout=15)


def test_truncated_answers_are_asked_again_over_tcp(world):
    """F7."""
    zone = mx()
    zone["dest.test"]["behave"] = "truncate"
    w = world(zone)
    w.sinks["127.0.0.2"].with_subject(send(w))
    assert w.dns.count("dest.test", "MX", "tcp") >= 1


def test_sixty_mx_hosts(world):
    """More than fits a UDP answer; the one that works stands in the middle."""
    w = world({"many.test": {"mx": {"many": 60}}}, sinks=["127.0.0.9"],
              conf={"queue": {"schedule": ["1s"]}})
    # mx8.many.test is 127.0.0.9; the hosts before and after refuse.
    w.sinks["127.0.0.9"].with_subject(send(w, "bob@many.test"), timeout=30)
    assert w.engine.counters()["bounced"] == 0
    assert w.dns.count("many.test", "MX", "tcp") >= 1


def test_thousands_of_mx_and_addresses_are_capped(world):
    """F6."""
    zone = {"huge.test": {"mx": {"many": 1500}}, "wide.test": {"mx": [[1, "a.wide.test"]]},
            "a.wide.test": {"a": {"many": 3000}}}
    w = world(zone)
    before = w.engine.memory()
    send(w, "bob@huge.test")
    send(w, "bob@wide.test")
    wait_until(lambda: len({e["to"] for e in w.engine.events("deferred")}) == 2 or
               w.sinks["127.0.0.2"].messages, 30, "an end of both attempts")
    assert w.dns.count(qtype="A") < 400
    assert w.engine.memory() - before < 32 << 20


@pytest.mark.parametrize("kind", ["mx target", "domain"])
def test_cname(world, kind):
    """F4."""
    zone = mx()
    zone["real.test"] = {"a": ["127.0.0.2"]}
    if kind == "mx target":
        zone["mx0.dest.test"] = {"cname": "real.test"}
        w = world(zone)
        w.sinks["127.0.0.2"].with_subject(send(w))
    else:
        zone["alias.test"] = {"cname": "dest.test"}
        w = world(zone)
        got = w.sinks["127.0.0.2"].with_subject(send(w, "bob@alias.test"))[0]
        assert got.rcpts == ["bob@alias.test"]


def test_a_cname_loop_ends(world):
    zone = {"a.test": {"cname": "b.test"}, "b.test": {"cname": "a.test"}}
    w = world(zone)
    send(w, "bob@a.test", sender="")
    wait_until(lambda: w.engine.events("deferred") or w.engine.events("bounced"), 15, "an end")


PRIVATE = ["127.0.0.2", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0", "100.64.0.1",
           "224.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1"]


def test_private_targets_are_refused_without_one_connect(make):
    """F1: all kinds of them."""
    zone = {}
    for i, address in enumerate(PRIVATE):
        zone.update(mx(f"p{i}.test", [(10, address)]))
    six = ["::1", "fe80::1", "fc00::1", "::ffff:7f00:2", "::", "64:ff9b::7f00:2", "ff02::1", "::7f00:2"]
    for i, address in enumerate(six):
        zone[f"s{i}.test"] = {"mx": [[10, f"mx.s{i}.test"]]}
        zone[f"mx.s{i}.test"] = {"aaaa": [address]}
    w = World(make, zone)
    w.conf["delivery"]["private_targets"] = "deny"
    sinks = [w.sink("127.0.0.2"), make.add(Sink(host="::1", port=w.port).start())]
    w.start()
    with Client(w.engine.port) as c:
        c.ehlo()
        to = [f"x@p{i}.test" for i in range(len(PRIVATE))] + [f"x@s{i}.test" for i in range(len(six))]
        assert c.submit(message(tag()), sender="", to=to).code == 250
    counters = w.engine.wait_empty(30)
    assert counters["bounced"] == len(PRIVATE) + len(six)
    assert {e["status"] for e in w.engine.events("bounced")} == {"5.4.4"}
    assert all(s.connections == 0 for s in sinks)


def test_rebinding_is_checked_at_every_attempt(make):
    """F2: the address that is connected to is the one that was checked."""
    zone = mx(hosts=[(10, "127.0.0.2")])
    for node in zone.values():
        node["ttl"] = 0
    w = World(make, zone)
    w.conf["delivery"]["private_targets"] = "deny"
    w.conf["dns"]["ttl_min"] = 0
    sink = w.sink("127.0.0.2")
    w.start()
    for _ in range(3):
        send(w, sender="")
    w.engine.wait_empty()
    assert sink.connections == 0


def test_we_are_the_best_mx(world):
    """F5: only better preferences than ours; none left: 5.4.6."""
    zone = {"loop.test": {"mx": [[10, "relay.example.test"], [20, "mx.other.test"]]},
            "relay.example.test": {"a": ["127.0.0.3"]}, "mx.other.test": {"a": ["127.0.0.2"]}}
    w = world(zone, sinks=["127.0.0.2", "127.0.0.3"])
    send(w, "bob@loop.test", sender="")
    assert w.engine.event("bounced")["status"] == "5.4.6"
    w.engine.wait_empty()
    assert all(s.connections == 0 for s in w.sinks.values())


def test_we_are_a_backup_mx(world):
    """F5."""
    zone = {"loop.test": {"mx": [[20, "relay.example.test"], [10, "mx.other.test"], [30, "mx.worse.test"]]},
            "relay.example.test": {"a": ["127.0.0.3"]}, "mx.other.test": {"a": ["127.0.0.2"]},
            "mx.worse.test": {"a": ["127.0.0.4"]}}
    w = world(zone, sinks=["127.0.0.2", "127.0.0.3", "127.0.0.4"])
    w.sinks["127.0.0.2"].with_subject(send(w, "bob@loop.test"))
    w.sinks["127.0.0.2"].script["connect"] = lambda s, a: Close("421 4.3.2 no")
    w.engine.restart()
    send(w, "bob@loop.test")
    w.engine.event("deferred")
    assert w.sinks["127.0.0.3"].connections == w.sinks["127.0.0.4"].connections == 0


def test_address_literals_are_delivered_to_that_address(world):
    w = world({})
    w.sinks["127.0.0.2"].with_subject(send(w, "bob@[127.0.0.2]"))
    assert w.dns.count() == 0


def test_answers_are_cached_for_their_ttl(world):
    w = world(mx())
    for _ in range(5):
        w.sinks["127.0.0.2"].with_subject(send(w))
    assert w.dns.count("dest.test", "MX") == 1


def test_many_messages_to_one_domain_ask_once(world):
    """Single flight."""
    zone = mx()
    zone["dest.test"]["behave"] = "delay:300"
    w = world(zone)
    with Client(w.engine.port) as c:
        c.ehlo()
        for _ in range(30):
            assert c.submit(message(tag()), to=["x@dest.test"]).code == 250
    w.sinks["127.0.0.2"].wait(30)
    assert w.dns.count("dest.test", "MX") == 1


def test_recipients_of_several_domains_with_the_same_mx_share_a_transaction(world):
    zone = {f"d{i}.test": {"mx": [[10, "shared.mx.test"]]} for i in range(5)}
    zone["shared.mx.test"] = {"a": ["127.0.0.2"]}
    w = world(zone)
    # Warm the routes, so that all are known when the message comes.
    for i in range(5):
        w.sinks["127.0.0.2"].with_subject(send(w, f"warm@d{i}.test"))
    subject = tag()
    submit(w.engine.port, message(subject), to=[f"x@d{i}.test" for i in range(5)])
    wait_until(lambda: sum(len(m.rcpts) for m in w.sinks["127.0.0.2"].messages if m.subject == subject) == 5, 15)
    assert len([m for m in w.sinks["127.0.0.2"].messages if m.subject == subject]) == 1


def test_recipients_of_different_domains_go_different_ways(world):
    zone = {**mx("one.test", [(10, "127.0.0.2")]), **mx("two.test", [(10, "127.0.0.3")])}
    w = world(zone, sinks=["127.0.0.2", "127.0.0.3"])
    submit(w.engine.port, message("both"), to=["a@one.test", "b@two.test", "c@one.test"])
    assert sorted(w.sinks["127.0.0.2"].with_subject("both")[0].rcpts) == ["a@one.test", "c@one.test"]
    assert w.sinks["127.0.0.3"].with_subject("both")[0].rcpts == ["b@two.test"]


def test_a_server_that_answers_in_upper_case(world):
    w = world(mx(), upper=True)
    w.sinks["127.0.0.2"].with_subject(send(w), timeout=20)


def test_idn_domain_is_asked_as_a_label(world):
    zone = mx("xn--bcher-kva.test")
    w = world(zone)
    with Client(w.engine.port) as c:
        c.ehlo()
        c.ok("MAIL FROM:<alice@back.test> SMTPUTF8")
        c.ok("RCPT TO:<bob@bücher.test>".encode())
        assert c.data(message("idn")).code == 250
    w.sinks["127.0.0.2"].with_subject("idn")


def test_forged_answers_are_ignored(world):
    """F8: a flood of wrong ids before the right answer."""
    zone = mx()
    zone["dest.test"]["behave"] = {"MX": "flood:500"}
    w = world(zone)
    w.sinks["127.0.0.2"].with_subject(send(w))


def test_poisoned_extra_records_are_not_believed(world):
    """F8."""
    zone = mx()
    zone["dest.test"]["behave"] = {"MX": "poison"}
    zone.update(mx("bank.test", [(10, "127.0.0.3")]))
    w = world(zone, sinks=["127.0.0.2", "127.0.0.3"])
    w.sinks["127.0.0.2"].with_subject(send(w))
    w.sinks["127.0.0.3"].with_subject(send(w, "bob@bank.test"))


def test_knot_as_the_name_server(make, tmp_path):
    """A real authoritative server."""
    from harness.peers import Knot
    w = World(make, {})
    knot = make.add(Knot(str(tmp_path / "knot"), {"dest.test": [
        "@ 300 MX 20 down", "@ 300 MX 10 mx", "mx 300 A 127.0.0.2", "down 300 A 127.0.0.3"]}))
    w.conf["dns"]["servers"] = [knot.endpoint]
    w.sink("127.0.0.2")
    w.start()
    w.sinks["127.0.0.2"].with_subject(send(w))
    subject = send(w, "bob@nope.dest.test", sender="")
    assert subject
    assert w.engine.event("bounced")["status"] == "5.1.2"
