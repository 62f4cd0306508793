# SPDX-License-Identifier: GPL-3.0-or-later
"""The places of the connection pool."""
import time

from harness.mxworld import mx, send


def test_an_idle_connection_makes_room_for_another_site(world):
    """delivery.connections_total is reached by idle connections: the longest idle one leaves at once."""
    sinks = ["127.0.0.2", "127.0.0.3", "127.0.0.4"]
    zone = {}
    for name, address in zip("abc", sinks):
        zone.update(mx(f"{name}.test", [(10, address)]))
    w = world(zone, sinks=sinks)
    w.engine.stop()
    w.engine.write({"delivery": {"connections_total": 2, "idle_timeout": "60s"}})
    w.engine.start()
    for name, address in zip("ab", sinks):
        w.sinks[address].with_subject(send(w, f"x@{name}.test"))
    began = time.monotonic()
    w.sinks["127.0.0.4"].with_subject(send(w, "x@c.test"))
    assert time.monotonic() - began < 10
    w.sinks["127.0.0.3"].with_subject(send(w, "x@b.test"))
    assert w.sinks["127.0.0.3"].connections == 1  # not the longest idle one: it stayed
    w.sinks["127.0.0.2"].with_subject(send(w, "x@a.test"))
    assert w.sinks["127.0.0.2"].connections == 2
