# SPDX-License-Identifier: GPL-3.0-or-later
"""Routes that would lead back to us."""
from harness.mxworld import World, mx, send
from harness.ports import free_port


def test_a_listener_on_all_addresses_is_at_each_of_them(make):
    """RFC 5321 5.1: we are the best MX under an address that no listener names."""
    w = World(make, {**mx(hosts=[(10, "127.0.0.1"), (20, "127.0.0.3")]), **mx("back.test")})
    w.conf["listeners"] = [{"address": "127.0.0.1", "port": free_port()},
                           {"address": "0.0.0.0", "port": w.port}]
    engine = w.start()
    engine.port = w.conf["listeners"][0]["port"]
    send(w, sender="")
    assert engine.event("bounced")["status"] == "5.4.6"
    assert not engine.events("outbound_open")
