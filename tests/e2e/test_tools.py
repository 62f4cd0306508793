# SPDX-License-Identifier: GPL-3.0-or-later
"""Other people's clients and servers: swaks, curl, smtplib, aiosmtpd, smtp-source, smtp-sink, OpenSMTPD's
client, Postfix in front and behind."""
import os
import smtplib
import subprocess
import time

import pytest

from harness.client import Client, submit
from harness.message import message, tag, without_received
from harness.peers import Exim, Postfix, Process, peer, require_root, tool
from harness.ports import free_port
from harness.wait import wait_until


def test_swaks(relay):
    done = subprocess.run([tool("swaks"), "--server", f"127.0.0.1:{relay.port}", "--from", "a@example.test",
                           "--to", "b@example.test,c@example.test", "--header", "Subject: by swaks"],
                          capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done
    got = relay.sink.wait()[0]
    assert got.subject == "by swaks" and sorted(got.rcpts) == ["b@example.test", "c@example.test"]


def test_swaks_pipelining(relay):
    done = subprocess.run([tool("swaks"), "--server", f"127.0.0.1:{relay.port}", "--from", "a@example.test",
                           "--to", "b@example.test", "--pipeline"], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done
    relay.sink.wait()


def test_curl(relay, tmp_path):
    path = tmp_path / "mail"
    path.write_bytes(message("by curl", b".dot\r\n"))
    done = subprocess.run([tool("curl"), "-sS", "--url", f"smtp://127.0.0.1:{relay.port}/client.example.test",
                           "--mail-from", "a@example.test", "--mail-rcpt", "b@example.test", "--upload-file", str(path)],
                          capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done
    got = relay.sink.wait()[0]
    assert without_received(got.data) == path.read_bytes()


def test_smtplib(relay):
    with smtplib.SMTP("127.0.0.1", relay.port) as s:
        refused = s.sendmail("a@example.test", ["b@example.test", "c@example.test"], message("by smtplib").decode(),
                             mail_options=["RET=HDRS"], rcpt_options=["NOTIFY=NEVER"])
        assert refused == {}
        assert s.noop()[0] == 250 and s.verify("bob")[0] == 252
    relay.sink.with_subject("by smtplib")


def test_aiosmtpd_behind(make):
    from aiosmtpd.controller import Controller

    class Store:
        def __init__(self):
            self.got = []

        async def handle_DATA(self, server, session, envelope):  # pylint: disable=invalid-name
            self.got.append(envelope)
            return "250 OK"
    store, port = Store(), free_port()
    controller = Controller(store, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        engine = make.engine({"relay": {"host": f"[127.0.0.1]:{port}"}, "headers": {"received": "none"}})
        contents = [message(tag(), b".%d\r\n..\r\n" % i) for i in range(20)]
        for c in contents:
            submit(engine.port, c)
        wait_until(lambda: len(store.got) == 20, 15, "mail at aiosmtpd")
        assert sorted(e.original_content for e in store.got) == sorted(contents)
    finally:
        controller.stop()


def smtp_sink(make, *options):
    port = free_port()
    log = os.path.join(str(make.folder), "sink.out")
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    process = make.add(Process([peer("smtp-sink"), *user, "-c", *options, f"inet:127.0.0.1:{port}", "1000"], port, log))
    return process


@pytest.mark.parametrize("options", [[], ["-p"], ["-e"], ["-8"]], ids=["all", "no pipelining", "no ESMTP", "no 8BITMIME"])
def test_smtp_source_to_engine_to_smtp_sink(make, options):
    behind = smtp_sink(make, *options)
    engine = make.engine({"relay": {"host": f"[127.0.0.1]:{behind.port}"}, "workers": 2})
    count = 1000 if not options else 100
    start = time.monotonic()
    done = subprocess.run([peer("smtp-source"), "-c", "-s", "20", "-m", str(count), "-l", "2000", "-f", "a@example.test",
                           "-t", "b@example.test", f"inet:127.0.0.1:{engine.port}"],
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done
    counters = engine.wait_empty(60)
    assert counters["accepted"] == counters["delivered"] == count
    assert time.monotonic() - start < 60


def test_smtp_source_with_many_recipients_and_one_connection(make):
    behind = smtp_sink(make)
    engine = make.engine({"relay": {"host": f"[127.0.0.1]:{behind.port}"}})
    done = subprocess.run([peer("smtp-source"), "-d", "-s", "2", "-m", "50", "-r", "10", "-f", "a@example.test",
                           "-t", "b@example.test", f"inet:127.0.0.1:{engine.port}"],
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done
    assert engine.wait_empty(60)["delivered"] == 500


@pytest.mark.parametrize("options", [["-q", "MAIL"], ["-q", "RCPT"], ["-q", "DATA"], ["-q", "."]],
                         ids=lambda o: o[-1])
def test_a_sink_that_disconnects(make, options):
    """smtp-sink -q: it hangs up at that command, always: nothing is lost, nothing bounces."""
    behind = smtp_sink(make, *options)
    engine = make.engine({"relay": {"host": f"[127.0.0.1]:{behind.port}"}})
    for _ in range(5):
        submit(engine.port)
    engine.event("deferred", count=5)
    c = engine.counters()
    assert c["accepted"] == 5 and c["bounced"] == 0 and c["queued"] + c["delivered"] == 5


@pytest.mark.parametrize("command,end", [("RCPT", "bounced"), (".", "bounced")])
def test_a_sink_that_refuses(make, command, end):
    behind = smtp_sink(make, "-f", command)
    engine = make.engine({"relay": {"host": f"[127.0.0.1]:{behind.port}"}})
    submit(engine.port, sender="")
    assert engine.wait_empty()[end] == 1


@pytest.mark.parametrize("server", [Postfix, Exim])
def test_a_hundred_messages_into_a_real_server(make, server):
    behind = make.add(server())
    engine = make.engine({"relay": {"host": behind.endpoint}, "workers": 2})
    subjects = [tag() for _ in range(100)]
    with Client(engine.port) as c:
        c.ehlo()
        for s in subjects:
            assert c.submit(message(s)).code == 250
    behind.wait(100, timeout=60)
    assert sorted(m["Subject"] for m in behind.messages()) == sorted(subjects)
    engine.wait_empty()


def test_postfix_in_front(make, tmp_path):
    """Postfix relays through us: its client speaks PIPELINING, CHUNKING, DSN as a real one does."""
    require_root()
    import shutil
    import tempfile
    from harness.peers import ROOT
    engine = make.relay()
    folder = tempfile.mkdtemp(prefix="ringpost-peer-")
    os.chmod(folder, 0o755)
    port = free_port()
    try:
        make.add(Process([os.path.join(ROOT, "tests", "run_postfix.sh"), folder, str(port),
                          f"relay=127.0.0.1:{engine.port}"], port, os.path.join(folder, "out")))
        content = message("through postfix", b".dot\r\n\r\nend\r\n")
        submit(port, content, to=["b@example.test", "c@example.test"])
        got = engine.sink.with_subject("through postfix", timeout=30)
        assert {r for m in got for r in m.rcpts} == {"b@example.test", "c@example.test"}
        assert got[0].data.endswith(b"\r\n\r\n.dot\r\n\r\nend\r\n")
    finally:
        for other in make.others:
            if isinstance(other, Process):
                other.close()
        shutil.rmtree(folder, ignore_errors=True)
