# SPDX-License-Identifier: GPL-3.0-or-later
"""`ringpost queue …` against the running engine, `ringpost spool …` against its directory."""
import json
import os
import re
import stat
import subprocess

import pytest

from harness.client import Client, submit
from harness.engine import binary, check_sum, clean_environment, run
from harness.message import message, sized, tag, without_received


@pytest.fixture
def holding(make):
    """An engine whose sink refuses everything for now."""
    sink = make.sink(script={"rcpt": lambda s, a: "451 4.7.1 greylisted" if s.sink.hold else None})
    sink.hold = True
    return make.relay({"queue": {"schedule": ["1h"]}}, sink=sink)


def test_stats_of_a_fresh_engine(relay):
    stats = relay.stats()
    assert relay.counters() == dict.fromkeys(("accepted", "delivered", "bounced", "expired", "cancelled", "queued"), 0)
    assert stats["deferred"] == stats["inflight"] == stats["messages"] == 0
    assert stats["workers"] == 1 and isinstance(stats["spool"], dict)


def test_stats_count_recipients(holding):
    submit(holding.port, to=["a@example.test", "b@example.test", "c@example.test"])
    submit(holding.port)
    holding.event("deferred", count=4)
    stats = holding.stats()
    check_sum(holding.counters())
    assert (stats["accepted"], stats["queued"], stats["deferred"], stats["messages"]) == (4, 4, 4, 2)


def test_ls_and_show(holding):
    reply = submit(holding.port, to=["a@one.test", "b@two.test"])
    holding.event("deferred", count=2)
    listed = holding.queue("ls")
    assert len(listed) == 1
    entry = listed[0]
    assert entry["id"] in reply.text
    assert entry["from"] == "alice@example.test" and entry["size"] > 100 and entry["age_seconds"] < 60
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", entry["arrived"])
    rcpts = {r["to"]: r for r in entry["recipients"]}
    assert set(rcpts) == {"a@one.test", "b@two.test"}
    for r in rcpts.values():
        assert r["state"] == "deferred" and r["attempts"] == 1 and "greylisted" in r["last"] and r["next_attempt"]
    assert holding.queue("show", entry["id"])[0]["recipients"] == entry["recipients"]


def test_ls_limit_and_domain(holding):
    for i in range(5):
        submit(holding.port, to=[f"x@d{i}.test"])
    holding.event("deferred", count=5)
    assert len(holding.queue("ls", "--limit", "3")) == 3
    assert [m["recipients"][0]["to"] for m in holding.queue("ls", "--domain", "D2.test")] == ["x@d2.test"]
    assert holding.queue("ls", "--domain", "none.test") == []


def test_show_of_an_unknown_id(relay):
    done = run("queue", "show", "0000000000000", "--socket", relay.socket)
    assert done.returncode == 1 and done.stderr


def test_delivered_mail_is_no_longer_listed(relay):
    submit(relay.port)
    relay.sink.wait()
    relay.wait_empty()
    assert relay.queue("ls") == []


def test_tables_for_people(holding):
    submit(holding.port, to=["a@one.test"])
    holding.event("deferred")
    listing = run("queue", "ls", "--socket", holding.socket)
    assert listing.returncode == 0 and "alice@example.test" in listing.stdout and "a@one.test" in listing.stdout
    stats = run("queue", "stats", "--socket", holding.socket)
    assert stats.returncode == 0 and re.search(r"(?m)^\s*accepted\D+1\b", stats.stdout)


def test_the_socket_is_found_by_the_configuration(relay):
    assert run("queue", "stats", "-c", relay.file).returncode == 0


def test_nobody_there_exits_69(tmp_path):
    done = run("queue", "stats", "--socket", tmp_path / "none.sock")
    assert done.returncode == 69 and "none.sock" in done.stderr


def test_the_socket_is_private_and_goes_with_the_engine(relay):
    assert stat.S_IMODE(os.stat(relay.socket).st_mode) == 0o600
    relay.stop()
    assert not os.path.exists(relay.socket)


def test_a_socket_left_by_a_crash_is_no_obstacle(make):
    engine = make.relay()
    engine.kill()
    assert os.path.exists(engine.socket)
    engine.start()
    assert engine.stats()["accepted"] == 0


def test_stats_of_all_workers_together(make):
    engine = make.relay({"workers": 2})
    for _ in range(20):
        submit(engine.port)
    engine.sink.wait(20)
    counters = engine.wait_empty()
    assert counters["accepted"] == counters["delivered"] == 20


def test_hostile_text_is_harmless_in_the_table(make):
    sink = make.sink(script={"rcpt": lambda s, a: b"451 4.7.1 a\x1b[2J\x07b\r\n"})
    engine = make.relay({"queue": {"schedule": ["1h"]}}, sink=sink)
    submit(engine.port)
    engine.event("deferred")
    for args in (["ls"], ["ls", "--json"]):
        out = run("queue", *args, "--socket", engine.socket).stdout
        assert out and "\x1b" not in out and "\x07" not in out


def test_many_questions_at_once(relay):
    """More than the socket takes at a time: the rest is told so, the engine works on."""
    processes = [subprocess.Popen([binary(), "queue", "stats", "--json", "--socket", relay.socket],
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean_environment())
                 for _ in range(30)]
    results = [p.communicate(timeout=60) + (p.returncode,) for p in processes]
    assert all(code == 0 or b"busy" in err for _, err, code in results), results
    assert sum(code == 0 for *_, code in results) >= 10
    submit(relay.port)
    relay.sink.wait()


def test_a_listing_of_thousands(holding):
    with Client(holding.port, timeout=60) as c:
        c.ehlo()
        for _ in range(10):
            assert c.submit(message(tag()), to=[f"u{i}@example.test" for i in range(200)]).code == 250
    holding.event("deferred", count=2000, timeout=30)
    listed = holding.queue("ls", "--limit", "100000")
    assert len(listed) == 10
    for entry in listed:
        assert entry.get("recipient_count", len(entry["recipients"])) == 200


# ---- offline ----

def stopped(holding, *contents):
    ids = [re.search(r"\b([0-9A-Z]{13})\b", submit(holding.port, c).text).group(1) for c in contents]
    holding.event("deferred", count=len(contents))
    holding.stop()
    return ids


def test_spool_ls_cat_and_verify(holding):
    contents = [message("first"), sized(500 << 10), message("third", b".dots\r\n..\r\n")]
    ids = stopped(holding, *contents)
    done = run("spool", "ls", holding.spool, "--json")
    assert done.returncode == 0, done
    live = json.loads(done.stdout)
    assert sorted(m["id"] for m in live) == sorted(ids)  # those of the log and of `queue ls`
    found = []
    for m in live:
        cat = subprocess.run([binary(), "spool", "cat", holding.spool, str(m["id"])], capture_output=True,
                             env=clean_environment(), check=False)
        assert cat.returncode == 0, cat.stderr
        found.append(without_received(cat.stdout))
    assert sorted(found) == sorted(contents)
    verify = run("spool", "verify", holding.spool)
    assert verify.returncode == 0, verify


def test_the_ids_of_the_spool_tools_are_those_of_the_log(holding):
    """An id from the log or `queue ls` must be good for `spool cat`."""
    ids = stopped(holding, message("one"))
    done = run("spool", "cat", holding.spool, ids[0])
    assert done.returncode == 0 and "Subject: one" in done.stdout, done


def test_spool_ls_for_people(holding):
    ids = stopped(holding, message("one"))
    done = run("spool", "ls", holding.spool)
    assert ids[0] in done.stdout
    assert done.returncode == 0 and "alice@example.test" in done.stdout


def test_verify_finds_damage(holding):
    """P6: one flipped bit in the text of a message."""
    stopped(holding, message("needle-in-the-log"))
    hit = None
    for name in os.listdir(holding.spool):
        path = os.path.join(holding.spool, name)
        if os.path.isfile(path):
            data = open(path, "rb").read()
            at = data.find(b"needle-in-the-log")
            if at >= 0:
                hit = path, at
    path, at = hit
    with open(path, "r+b") as f:
        f.seek(at)
        f.write(b"N")
    assert run("spool", "verify", holding.spool).returncode == 1


def test_a_damaged_message_is_reported_and_never_delivered_and_the_others_are(holding):
    """P6, I1."""
    stopped(holding, message("before"), message("needle-in-the-log"), message("after"))
    for name in os.listdir(holding.spool):
        path = os.path.join(holding.spool, name)
        if os.path.isfile(path) and b"needle-in-the-log" in (data := open(path, "rb").read()):
            with open(path, "r+b") as f:
                f.seek(data.find(b"needle-in-the-log"))
                f.write(b"N")
    holding.sink.hold = False
    holding.write({"queue": {"schedule": ["1s"]}})
    # What was deferred for an hour stays so; new attempts come by its time.
    holding.start()
    damage = holding.event("spool_damage")
    assert damage["path"] and damage["reason"]
    assert all("needle" not in m.subject.lower() for m in holding.sink.messages)
    assert {m["id"] for m in holding.queue("ls")}
    assert len(holding.queue("ls")) == 2


def test_unreadable_directories(tmp_path):
    for command in ("ls", "verify"):
        done = run("spool", command, tmp_path / "absent")
        assert done.returncode == 2 and "absent" in done.stderr
    assert run("spool", "cat", tmp_path, "0000000000001").returncode in (1, 2)
