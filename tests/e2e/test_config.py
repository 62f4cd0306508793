# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration from outside: the issue's file, every source, every error before a port opens."""
import json
import os
import re
import signal
import socket
import subprocess

import pytest

from harness.client import Client, submit
from harness.engine import binary, clean_environment, run
from harness.message import message, tag
from harness.peers import ROOT
from harness.ports import free_port
from harness.refuse import ring_refusal
from harness.wait import stays_false, wait_until

ISSUE = """\
identity: {{hostname: relay.example.test}}
workers: 2
spool: {{dir: {spool}, segment_size: 64MiB}}
listeners:
  - {{address: 127.0.0.1, port: {port}, mode: relay}}
access: {{networks: [127.0.0.0/8, "::1/128"]}}
limits: {{message_size: 25MiB, recipients: 1000, connections_per_ip: 1000}}
relay: {{host: "[127.0.0.1]:{next}"}}        # leave out: deliver by MX
delivery: {{mx_port: 25, private_targets: deny}}
dns: {{servers: ["127.0.0.1:5300"]}}
queue: {{schedule: [1m, 5m, 15m, 1h, 4h], max_age: 5d}}
log: {{format: json, level: info}}
"""


def write(path, text):
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    return str(path)


def test_the_issues_file_works(make, sink):
    port = free_port()
    engine = make.engine(start=False)
    engine.port = port
    engine.conf["spool"]["dir"] = os.path.join(engine.folder, "var/spool")
    engine.text = ISSUE.format(spool="./var/spool", port=port, next=sink.port)
    engine.start(timeout=60)
    submit(port)
    sink.wait()
    assert os.path.isdir(os.path.join(engine.folder, "var", "spool"))
    assert engine.stats()["workers"] == 2


@pytest.mark.parametrize("left_out", ["identity", "workers", "spool", "listeners", "access", "limits", "relay",
                                      "delivery", "dns", "queue", "log"])
def test_any_key_may_be_left_out(tmp_path, left_out):
    text = ISSUE.format(spool="./spool", port=2525, next=2600)
    lines = [line for line in text.splitlines() if not line.startswith(left_out + ":")]
    if left_out == "listeners":
        lines = [line for line in lines if not line.startswith("  - ")]
    done = run("check", "-c", write(tmp_path / "c.yaml", "\n".join(lines) + "\n"))
    assert done.returncode == 0, done.stderr


def test_an_empty_file_is_a_configuration(tmp_path):
    for text in ("", "# nothing\n", "---\n", "{}\n"):
        assert run("check", "-c", write(tmp_path / "c.yaml", text)).returncode == 0, repr(text)


ERRORS = [
    ("workers: many\n", 1, "workers"),
    ("identity:\n  hostnane: x.test\n", 2, "identity.hostnane"),
    ("# comment\n\nlimits:\n  message_size: 25 parsecs\n", 4, "limits.message_size"),
    ("limits: {message_size: 2GiB}\n", 1, "limits.message_size"),
    ("limits: {recipients: 0}\n", 1, "limits.recipients"),
    ("limits: {recipients: -5}\n", 1, "limits.recipients"),
    ("limits: {recipients: 99999999999999999999}\n", 1, "limits.recipients"),
    ("queue: {schedule: []}\n", 1, "queue.schedule"),
    ("queue: {schedule: 5}\n", 1, "queue.schedule"),
    ("queue: {schedule: [1m, [2m]]}\n", 1, "queue.schedule"),
    ("queue: {max_age: 5 fortnights}\n", 1, "queue.max_age"),
    ("queue: {max_age: {days: 5}}\n", 1, "queue.max_age"),
    ("listeners: {port: 25}\n", 1, "listeners"),
    ("listeners:\n  - {address: 300.0.0.1, port: 25}\n", 2, "listeners[0].address"),
    ("listeners:\n  - {address: 127.0.0.1, port: 70000}\n", 2, "listeners[0].port"),
    ("listeners:\n  - {address: 127.0.0.1, port: 2525, mode: open}\n", 2, "listeners[0].mode"),
    ("access: {networks: [127.0.0.1/33]}\n", 1, "access.networks"),
    ("relay: {host: \"[127.0.0.1\"}\n", 1, "relay.host"),
    ("relay: {host: \"host:port\"}\n", 1, "relay.host"),
    ("workers: 1\nworkers: 2\n", 2, "workers"),
    ("headers: {received: maybe}\n", 1, "headers.received"),
    ("headers: {strip: [\"Bad Name:\"]}\n", 1, "headers.strip"),
    ("smtp: {pipelining: perhaps}\n", 1, "smtp.pipelining"),
    ("smtp: {banner: \"two\\nlines\"}\n", 1, "smtp.banner"),
    ("nonsense: true\n", 1, "nonsense"),
    ("spool: {segment_size: 65537}\n", 1, "spool.segment_size"),
    ("dns: {servers: [not-an-address]}\n", 1, "dns.servers"),
    ("identity: {hostname: \"-bad-\"}\n", 1, "identity.hostname"),
    ("identity: [\n", None, ""),
    ("\tworkers: 1\n", None, ""),
    ("identity: &a {hostname: x.test}\n", None, ""),
]


@pytest.mark.parametrize("text,line,key", ERRORS, ids=[repr(e[0])[:40] for e in ERRORS])
def test_errors_name_file_line_column_and_key(tmp_path, text, line, key):
    path = write(tmp_path / "bad.yaml", text)
    done = run("check", "-c", path)
    assert done.returncode == 78, done
    match = re.match(r"(.*):(\d+):(\d+): (.+)", done.stderr)
    assert match and match.group(1) == path, done.stderr
    if line:
        assert int(match.group(2)) == line
        assert re.match(re.escape(key) + r"(\[\d+\])*: ", match.group(4)), done.stderr


def test_all_errors_at_once(tmp_path):
    path = write(tmp_path / "bad.yaml", "workers: many\nlimits: {recipients: 0, hops: 1000}\nqueue: {max_age: x}\nzzz: 1\n")
    lines = run("check", "-c", path).stderr.splitlines()
    assert len(lines) == 5 and all(line.startswith(path + ":") for line in lines), lines


def test_a_missing_file(tmp_path):
    done = run("check", "-c", tmp_path / "absent.yaml")
    assert done.returncode == 78 and "absent.yaml" in done.stderr


def test_a_bad_configuration_opens_no_port_and_makes_no_spool(tmp_path):
    """Exit 78 before anything is touched."""
    port = free_port()
    path = write(tmp_path / "c.yaml", f"spool: {{dir: {tmp_path}/spool}}\nlisteners: [{{address: 127.0.0.1, port: {port}}}]\n"
                 "limits: {hops: none}\n")
    process = subprocess.Popen([binary(), "serve", "-c", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               env=clean_environment(), cwd=tmp_path)
    assert stays_false(lambda: listens(port), 0.3)
    out, err = process.communicate(timeout=10)
    assert process.returncode == 78 and b"limits.hops" in err and out == b""
    assert not (tmp_path / "spool").exists()


def listens(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def test_a_port_that_is_taken_is_an_error_with_its_address(make):
    engine = make.engine()
    second = make.engine(start=False)
    second.conf["listeners"] = engine.conf["listeners"]
    second.spawn()
    # Two engines may not share a port silently, though SO_REUSEPORT is set among the workers.
    status = second.wait(20)
    assert status not in (0, None), "the second engine shares the port of the first"
    assert str(engine.port) in second.stderr()
    second.process = None


def test_no_configuration_is_loopback_only(tmp_path):
    """One must not relay for the world by accident."""
    port = free_port()
    process = subprocess.Popen([binary(), "serve", "--set", f"listeners.0.port={port}"], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, env=clean_environment(), cwd=tmp_path)
    try:
        wait_until(lambda: listens(port), 30, "the port")
        listening = subprocess.run(["ss", "-Hltn", f"sport = :{port}"], capture_output=True, text=True, check=True).stdout
        assert listening and all(f"127.0.0.1:{port}" in line for line in listening.splitlines()), listening
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    assert process.returncode == 0


def effective(*args, env=None):
    done = run("config", *args, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_environment_overrides_the_file_and_set_overrides_both(tmp_path):
    path = write(tmp_path / "c.yaml", "limits: {recipients: 100, hops: 50, errors: 7}\n")
    text = effective("-c", path, "--set", "limits.errors=9",
                     env={"RINGPOST_LIMITS_HOPS": "60", "RINGPOST_LIMITS_ERRORS": "8"})
    assert re.search(r"recipients: 100\b", text) and re.search(r"hops: 60\b", text) and re.search(r"errors: 9\b", text)


SAME_KEY = [
    # file, environment, --set -> who wins
    ("file", None, None, "file"), (None, "env", None, "env"), (None, None, "set", "set"),
    ("file", "env", None, "env"), ("file", None, "set", "set"), (None, "env", "set", "set"),
    ("file", "env", "set", "set"),
]


@pytest.mark.parametrize("file,env,flag,winner", SAME_KEY)
def test_one_key_named_by_several_sources(tmp_path, file, env, flag, winner):
    path = write(tmp_path / "c.yaml", f"smtp: {{banner: {file}}}\n" if file else "")
    text = effective("-c", path, *(["--set", f"smtp.banner={flag}"] if flag else []),
                     env={"RINGPOST_SMTP_BANNER": env} if env else None)
    assert re.search(rf'(?m)^  banner: "?{winner}"?$', text), text
    assert not [w for w in {file, env, flag} - {winner, None} if re.search(rf"banner: \S*{w}", text)]


def test_the_sources_keep_their_rank_over_a_reload(make):
    """A list, too: the source with the highest rank gives all of it."""
    engine = make.relay({"smtp": {"banner": "of the file"}, "headers": {"strip": ["X-File"]}, "limits": {"recipients": 50}},
                        env={"RINGPOST_SMTP_BANNER": "of the environment", "RINGPOST_HEADERS_STRIP": "X-Env",
                             "RINGPOST_LIMITS_RECIPIENTS": "60"},
                        args=["--set", "limits.recipients=70"])
    for again in (False, True):
        if again:
            engine.write({"smtp": {"banner": "of the new file"}, "headers": {"strip": ["X-New"]},
                          "limits": {"recipients": 80, "errors": 7}})
            engine.hup()
            engine.event("reloaded")
        with Client(engine.port) as c:
            assert "of the environment" in c.banner.text
            assert "RCPTMAX=70" in c.keywords()["LIMITS"]
            assert c.submit(b"X-File: 1\r\nX-Env: 1\r\nX-New: 1\r\nSubject: ranks\r\n\r\nx\r\n").code == 250
    for got in engine.sink.with_subject("ranks", 2):
        assert b"X-Env" not in got.data and b"X-File: 1" in got.data and b"X-New: 1" in got.data


def test_the_same_set_twice(tmp_path):
    """The last one counts, as everybody expects of a command line."""
    assert re.search(r"hops: 60\b", effective("--set", "limits.hops=50", "--set", "limits.hops=60"))


def test_conf_d_is_read_after_the_file_in_order(tmp_path):
    path = write(tmp_path / "c.yaml", "limits: {recipients: 100, hops: 50}\n")
    (tmp_path / "conf.d").mkdir()
    write(tmp_path / "conf.d" / "20-b.yaml", "limits: {hops: 70}\n")
    write(tmp_path / "conf.d" / "10-a.yaml", "limits: {hops: 60, errors: 5}\n")
    text = effective("-c", path)
    assert re.search(r"recipients: 100\b", text) and re.search(r"hops: 70\b", text) and re.search(r"errors: 5\b", text)


def test_shaping_d_is_read_after_everything(tmp_path):
    path = write(tmp_path / "c.yaml", "shaping: {default: {messages_per_connection: 7}}\n")
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "shaping.d").mkdir()
    write(tmp_path / "conf.d" / "a.yaml", "shaping: {default: {messages_per_connection: 8, tls: none}}\n")
    rules = tmp_path / "shaping.d" / "a.yaml"
    write(rules, "default: {messages_per_connection: 9}\n")
    assert "default: {messages_per_connection: 9, tls: none}" in effective("-c", path)
    done = run("explain", "-c", path, "a.example", "mx.a.example")
    assert done.returncode == 0 and f"{rules}:1" in done.stdout, done.stderr
    write(rules, "default: {messages_per_connection: 0}\nprovider: {}\n")
    done = run("check", "-c", path)
    assert done.returncode == 78, done.stderr
    assert done.stderr.splitlines() == [
        f"{rules}:1:36: shaping.default.messages_per_connection: 0 is out of range (1–1000000)",
        f"{rules}:2:1: shaping.provider: unknown key; did you mean providers?"]


@pytest.mark.parametrize("env", [{"RINGPOST_LIMITS_HOPS": "many"}, {"RINGPOST_QUEUE_SCHEDULE": "1m,,5m"},
                                 {"RINGPOST_LISTENERS_0_PORT": "0x"}])
def test_errors_in_the_environment_name_the_variable(env):
    done = run("check", env=env)
    assert done.returncode == 78 and done.stderr.startswith(next(iter(env)) + ": "), done.stderr


def test_unknown_variable_of_ours_warns():
    done = run("check", env={"RINGPOST_LIMITS_HOPPS": "5"})
    assert done.returncode == 0 and "RINGPOST_LIMITS_HOPPS" in done.stderr


def test_errors_in_set_name_the_key():
    done = run("check", "--set", "limits.hops=many")
    assert done.returncode == 78 and "--set limits.hops: " in done.stderr


def test_lists_by_environment_and_set(make):
    sink = make.sink()
    engine = make.engine({}, env={"RINGPOST_RELAY_HOST": sink.endpoint, "RINGPOST_HEADERS_STRIP": "X-A,X-B"},
                         args=["--set", "headers.received=none"])
    submit(engine.port, b"X-A: 1\r\nSubject: s\r\nX-B: 2\r\n\r\nx\r\n")
    assert sink.wait()[0].data == b"Subject: s\r\n\r\nx\r\n"


def test_environment_names_are_unique():
    """Every key can be set by its variable: all are different, all are accepted. Rules of shaping and automation are no
    keys."""
    schema = json.loads(effective("--schema"))
    rules = schema["properties"]["shaping"]["properties"]
    for name in ("default", "providers", "domains", "sources", "tenants", "campaigns"):
        del rules[name]
    for name in ("rules", "classify"):
        del schema["properties"]["automation"]["properties"][name]
    names = {}

    def walk(node, path):
        for key, child in node.get("properties", {}).items():
            walk(child, path + [key])
        if "items" in node and node["items"].get("properties"):
            walk(node["items"], path + ["0"])
        elif "properties" not in node:
            name = "RINGPOST_" + "_".join(path).upper()
            assert name not in names, (name, names[name], path)
            names[name] = path
    walk(schema, [])
    assert len(names) > 60
    done = run("check", env={name: "\x01" for name in names})
    refused = {line.split(":")[0] for line in done.stderr.splitlines()}
    assert done.returncode == 78
    assert not [line for line in done.stderr.splitlines() if "warning" in line], done.stderr[:500]
    assert len(refused) > len(names) * 0.9


def test_the_effective_configuration_loads_again_to_itself(tmp_path):
    path = write(tmp_path / "c.yaml", ISSUE.format(spool="./s", port=2525, next=2600))
    first = effective("-c", path)
    second = effective("-c", write(tmp_path / "again.yaml", first))
    assert first == second


def test_defaults_load_and_are_the_defaults(tmp_path):
    defaults = effective("--defaults")
    assert effective("-c", write(tmp_path / "d.yaml", defaults)) == effective()
    assert "# " in defaults


def test_schema_knows_every_key_of_the_issue():
    schema = json.loads(effective("--schema"))
    assert schema["$schema"].endswith("2020-12/schema")
    for path in ("identity.hostname", "spool.dir", "queue.max_age", "relay.host", "delivery.mx_port", "log.level"):
        node = schema
        for key in path.split("."):
            node = node["properties"][key]
        assert node.get("description")


def test_schema_takes_a_reply_code_as_yaml_reads_it():
    schema = json.loads(effective("--schema"))
    assert schema["properties"]["access"]["properties"]["refuse_code"]["enum"] == ["554", 554, "550", 550]


# ---- SIGHUP ----

def test_reload_changes_what_can_be_changed(make):
    engine = make.relay({"limits": {"recipients": 100}})
    held = Client(engine.port)
    assert "RCPTMAX=100" in held.keywords()["LIMITS"]
    engine.write({"limits": {"recipients": 200}, "smtp": {"banner": "new banner"}})
    engine.hup()
    engine.event("reloaded")
    with Client(engine.port) as c:
        assert "new banner" in c.banner.text
        assert "RCPTMAX=200" in c.keywords()["LIMITS"]
    assert held.submit(message(tag())).code == 250
    held.close()
    engine.sink.wait()


@pytest.mark.parametrize("bad", ["limits: {recipients: none}\n", "{broken", "zzz: 1\n",
                                 "shaping: {providers: {gogle: {tls: none}}}\n"])
def test_a_bad_file_changes_nothing(make, bad):
    """Fault 26."""
    engine = make.relay()
    good = open(engine.file, encoding="utf-8").read()
    engine.text = bad
    engine.write()
    engine.hup()
    refused = engine.event("reload_refused")
    assert re.search(r"ringpost\.yaml:\d+:\d+: ", refused["reason"])
    submit(engine.port)
    engine.sink.wait()
    engine.text = good
    engine.write()
    engine.hup()
    engine.event("reloaded")
    submit(engine.port)
    engine.sink.wait(2)


def test_keys_that_need_a_restart_are_refused_and_nothing_is_half_done(make):
    engine = make.relay({"limits": {"recipients": 100}})
    engine.write({"workers": 2, "limits": {"recipients": 300}})
    engine.hup()
    refused = engine.event("reload_refused")
    assert "workers" in json.dumps(refused)
    with Client(engine.port) as c:
        assert "RCPTMAX=100" in c.keywords()["LIMITS"]


def test_reload_moves_mail_to_another_smarthost(make):
    engine = make.relay()
    submit(engine.port)
    engine.sink.wait()
    other = make.sink()
    engine.write({"relay": {"host": other.endpoint}})
    engine.hup()
    engine.event("reloaded")
    submit(engine.port)
    other.wait()


def test_reload_storm_under_load(make):
    """Fault 25: signals by the dozen, nothing is lost."""
    engine = make.relay({"workers": 2})
    subjects = []
    with Client(engine.port) as c:
        c.ehlo()
        for i in range(100):
            if i % 2:
                engine.hup()
            subjects.append(tag())
            assert c.submit(message(subjects[-1])).code == 250
    for s in subjects:
        engine.sink.with_subject(s)
    assert engine.wait_empty()["delivered"] == 100
    assert len(engine.sink.messages) == 100


# ---- the rest of the command line ----

def test_version():
    done = run("version")
    assert done.returncode == 0 and re.search(r"ringpost +\d+\.\d+", done.stdout, re.IGNORECASE)
    data = json.loads(run("version", "--json").stdout)
    assert "uring" in json.dumps(data).lower()


@pytest.mark.parametrize("library", ["c-ares", "wolfSSL"])
def test_l1_what_is_inside_is_what_was_looked_through(library):
    """L1: the version in SECURITY.md's table, or a newer one; an older one has holes that the table calls mended."""
    with open(os.path.join(ROOT, "SECURITY.md"), encoding="utf-8") as f:
        looked_at = re.search(rf"(?m)^\| {library} (\S+) \|", f.read())[1]
    inside = json.loads(run("version", "--json").stdout)[library]
    built = os.path.basename(subprocess.run([os.path.join(ROOT, "dev"), "prefix", library.lower()], text=True,
                                            capture_output=True, check=True).stdout.strip())
    package = built.removeprefix(library.lower() + "-").rpartition("-")[0]  # a hash of the recipe stands last
    if os.environ.get("RINGPOST_WOLFSSL") != "system" or library != "wolfSSL":
        assert package.split("-")[0] == inside, f"built from {package}: ./dev build"
    for has, needed in ((inside, looked_at.split("-")[0]), (package or inside, looked_at)):
        older = subprocess.run(["dpkg", "--compare-versions", has, "lt", needed], check=False).returncode == 0
        assert not older, f"{library} {has} is inside, {needed} was looked through: ./dev deps --update"


def test_doctor_finds_out_and_names_what_to_change(tmp_path):
    path = write(tmp_path / "c.yaml", f"spool: {{dir: {tmp_path}/spool}}\ndns: {{servers: [\"127.0.0.1:{free_port()}\"], timeout: 200ms}}\n")
    done = run("doctor", "-c", path, "--json")
    checks = {c["check"]: c for c in map(json.loads, done.stdout.splitlines())}
    ring = "warn" if ring_refusal() else "ok"
    assert checks["io_uring"]["status"] == ring
    assert checks["kernel"]["status"] == "ok"
    dns = [c for name, c in checks.items() if "name server" in name or "dns" in name.lower()]
    assert dns and all(c["status"] != "ok" and c["change"] for c in dns), dns
    assert not (tmp_path / "spool").exists(), "doctor changes nothing"
    text = run("doctor", "-c", path)
    assert re.search(rf"(?m)^{ring} +io_uring:? ", text.stdout), text.stdout


def test_wrong_arguments_exit_64():
    for args in (["nonsense"], ["serve", "--nope"], ["queue"], ["queue", "frob"], ["check", "extra"], [],
                 ["queue", "ls", "--limit", "0"], ["spool", "cat", "x"]):
        done = run(*args)
        assert done.returncode == 64, (args, done)
        assert done.stderr


def test_help_of_every_command():
    listing = run("help").stdout
    for command in ("serve", "check", "config", "queue ls", "queue show", "queue stats", "spool ls", "spool cat",
                    "spool verify", "doctor", "version"):
        assert command in listing
        done = run(*command.split(), "--help")
        assert done.returncode == 0 and "usage: ringpost " + command in done.stdout


def test_output_that_cannot_be_written_is_a_failure():
    with open("/dev/full", "wb") as full:
        assert subprocess.run([binary(), "config", "--defaults"], stdout=full, stderr=subprocess.DEVNULL,
                              env=clean_environment(), check=False).returncode != 0
