# SPDX-License-Identifier: GPL-3.0-or-later
"""I3, I5: what others leave in the spool's folder, a second engine, and spools of other versions. Flipped bits and files
that are cut short: tests/crash/test_damage.py."""
import hashlib
import os
import tarfile

import pytest

from harness.client import Client, submit
from harness.engine import run
from harness.message import message, sized
from harness.wait import wait_until

GOLDEN = os.path.join(os.path.dirname(__file__), "data", "spool-1.tar.xz")
SEGMENT = "seg-0000000000000001.log"


def link(folder, victim):
    os.symlink(victim, os.path.join(folder, SEGMENT))


def spare(folder, victim):
    os.symlink(victim, os.path.join(folder, "spare-0000000000000001.log"))


def half_made(folder, victim):
    os.symlink(victim, os.path.join(folder, "make-0000000000000001.tmp"))


def fifo(folder, _victim):
    os.mkfifo(os.path.join(folder, SEGMENT))


def a_folder(folder, _victim):
    os.mkdir(os.path.join(folder, SEGMENT))


@pytest.mark.parametrize("plant", [link, spare, half_made, fifo, a_folder], ids=lambda f: f.__name__)
def test_planted(make, tmp_path, plant):
    """I3: a link, a FIFO, a folder under a name of ours: not followed, not opened, not waited for. Mail flows, and what
    the link points to is as it was."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    engine = make.relay(start=False)
    os.makedirs(engine.spool, 0o700)
    plant(engine.spool, str(victim))
    engine.start()
    submit(engine.port, sized(300 << 10))
    engine.sink.wait()
    engine.wait_empty()
    engine.stop()
    assert victim.read_bytes() == b"precious"


@pytest.mark.parametrize("what", ["lock", "spool"])
def test_planted_where_it_begins(make, tmp_path, what):
    """I3: the lock file, or the folder itself, is a link: no start, and nothing is written where it points to."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    victim = elsewhere / "victim"
    victim.write_bytes(b"precious")
    engine = make.relay(start=False)
    if what == "lock":
        os.makedirs(engine.spool, 0o700)
        os.symlink(victim, os.path.join(engine.spool, "lock"))
    else:
        os.makedirs(os.path.dirname(engine.spool), exist_ok=True)
        os.symlink(elsewhere, engine.spool)
    engine.spawn()
    assert engine.wait(30) == 1
    assert engine.spool in engine.stderr()
    engine.process = None
    assert os.listdir(elsewhere) == ["victim"] and victim.read_bytes() == b"precious"


def test_files_are_private_whatever_the_umask(make):
    """I3: neither folder nor files can be read by others, also where the service manager has no umask."""
    engine = make.relay(start=False, prefix=["sh", "-c", 'umask 0; exec "$@"', "sh"])
    engine.start()
    submit(engine.port)
    engine.sink.wait()
    assert os.stat(engine.spool).st_mode & 0o777 == 0o700
    for name in os.listdir(engine.spool):
        assert os.stat(os.path.join(engine.spool, name)).st_mode & 0o077 == 0, name


def test_a_second_engine_that_the_lock_does_not_stop(make):
    """I3, K6: a volume is given to a second machine, and its lock does not reach there. The first engine looks each second
    whose token is in the lock file: then it takes no mail any more. What was promised before is delivered by the second."""
    first = make.relay()
    first.sink.script["mail"] = "451 4.2.0 later"
    submit(first.port, message("promised"))
    lock = os.path.join(first.spool, "lock")
    os.rename(lock, lock + ".old")  # flock is on what is away now
    second = make.engine({"relay": {"host": first.sink.endpoint}}, start=False)
    second.conf["spool"]["dir"] = first.spool
    second.conf["admin"] = {"socket": os.path.join(second.folder, "admin.sock")}
    second.start()
    def refused():
        with Client(first.port) as c:
            c.ehlo()
            if c.cmd("MAIL FROM:<a@example.test>").code == 250:
                c.ok("RCPT TO:<b@example.test>")
                return c.data(message("late")).status == "451 4.3.0"
            return True
    wait_until(refused, 30, "the first engine to take no mail", interval=0.1)
    with Client(first.port) as c:
        c.ehlo()
        assert c.cmd("MAIL FROM:<a@example.test>").status == "451 4.3.0"
    assert first.stats()["spool"]["state"] == "fenced"
    first.abandon()
    del first.sink.script["mail"]
    submit(second.port, message("afterwards"))
    first.sink.with_subject("promised", timeout=30)
    first.sink.with_subject("afterwards")
    second.wait_empty()


def unpack(folder):
    with tarfile.open(GOLDEN) as archive:
        archive.extractall(folder)


def digests(folder):
    found = {}
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name), "rb") as f:
            found[name] = hashlib.sha256(f.read()).hexdigest()
    return found


def test_a_spool_of_0_1_0_is_read(make):
    """I5: four messages for six recipients, written and attempted once by version 0.1.0 (format 1.1): each is found, and
    its content is what it was."""
    engine = make.relay(start=False)
    os.makedirs(engine.spool, 0o700)
    unpack(engine.spool)
    assert run("spool", "verify", engine.spool).returncode == 0
    ids = [line.split()[0] for line in run("spool", "ls", engine.spool).stdout.splitlines()]
    texts = {i: run("spool", "cat", engine.spool, i).stdout for i in ids}
    assert len(ids) == 4
    for subject, ending in (("golden-small", ".a dot\n"), ("golden-three", "for three\n"),
                            ("golden-large", "019999 large\n"), ("golden-8bit", "Grüße\n")):
        whole = [t for t in texts.values() if f"Subject: {subject}\n" in t.replace("\r\n", "\n")]
        assert len(whole) == 1 and whole[0].replace("\r\n", "\n").endswith(ending), subject
    engine.start()
    assert {k: engine.event("recovered")[k] for k in ("messages", "recipients", "damaged")} == {
        "messages": 4, "recipients": 6, "damaged": 0}


def test_a_newer_format_is_refused(make):
    """I5: a downgrade does not begin, says why, and leaves everything as it is."""
    engine = make.relay(start=False)
    os.makedirs(engine.spool, 0o700)
    unpack(engine.spool)
    lock = os.path.join(engine.spool, "lock")
    with open(lock, encoding="ascii") as f:
        text = f.read()
    with open(lock, "w", encoding="ascii") as f:
        f.write(text.replace("spool 1.1", "spool 2.0"))
    before = digests(engine.spool)
    engine.spawn()
    assert engine.wait(30) == 1
    assert "newer ringpost (spool format 2, this one knows 1)" in engine.stderr()
    engine.process = None
    assert digests(engine.spool) == before
