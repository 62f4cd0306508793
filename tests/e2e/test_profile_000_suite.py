# SPDX-License-Identifier: GPL-3.0-or-later
"""Profile 000: the behaviour that the original's own suite asks for (attachments, sending, integrity, logins),
written independently, and clients that applications use."""
import os
import smtplib
import subprocess
from email.policy import SMTP as SMTP_POLICY

import pytest

from harness.message import tag
from harness.peers import tool
from harness.profile_mta import (PASSWORD, USER, mail, make_mta, make_smtp, make_world,  # noqa: F401  (fixtures)
                                 received)
from harness.profile_world import swaks
from harness.tlsclient import context
from harness.wait import stays_false, wait_until


# ---- attachments ----

def test_attachment_pdf(mta, smtp):
    m = mail()
    m.add_attachment(b"%PDF-1.4\n" + bytes(range(256)), maintype="application", subtype="pdf", filename="a.pdf")
    assert not smtp.send_message(m)
    got, _ = received(mta, m)
    assert next(got.iter_attachments()).get_content() == b"%PDF-1.4\n" + bytes(range(256))


def test_attachment_image(mta, smtp):
    m = mail()
    m.add_attachment(b"\x89PNG\r\n\x1a\n" + b"\0" * 60, maintype="image", subtype="png", filename="a.png")
    assert not smtp.send_message(m)
    received(mta, m)


def test_attachment_inline_image(mta, smtp):
    m = mail()
    m.set_content("plain\n")
    m.add_alternative("<p><img src='cid:one'></p>", subtype="html")
    m.get_payload()[1].add_related(b"\x89PNG\r\n\x1a\n" + b"\0" * 60, "image", "png", cid="<one>")
    assert not smtp.send_message(m)
    got, _ = received(mta, m)
    assert any(p.get("Content-ID") == "<one>" for p in got.walk())


def test_attachment_large(mta, smtp):
    m = mail()
    m.add_attachment(b"\0" * (1 << 20), maintype="application", subtype="octet-stream", filename="zeros")
    assert not smtp.send_message(m)
    got, _ = received(mta, m)
    assert next(got.iter_attachments()).get_content() == b"\0" * (1 << 20)


# ---- sending ----

def test_sending_simple_text(mta, smtp):
    m = mail()
    assert not mta.sink.messages
    assert not smtp.send_message(m)
    _, hit = received(mta, m, 5)
    assert smtp.noop()[0] == 250
    assert hit.rcpts == ["recipient@external-domain.com"] and len(mta.sink.messages) == 1


def test_sending_simple_localhost(mta, smtp):
    """000-06: nothing is local."""
    m = mail(to="recipient@localhost")
    assert not smtp.send_message(m)
    _, hit = received(mta, m, 5)
    assert hit.rcpts == ["recipient@localhost"] and smtp.noop()[0] == 250


def test_sending_html(mta, smtp):
    m = mail()
    m.add_alternative("<p>Hello <b>you</b></p>", subtype="html")
    assert not smtp.send_message(m)
    got, _ = received(mta, m)
    assert got.get_content_type() == "multipart/alternative"


def test_sending_multiple_recipients(mta, smtp):
    """Trap 1: two domains, one smarthost: one transaction, and no late second copy."""
    m = mail(to="a@one-domain.com, b@other-domain.com")
    assert not smtp.send_message(m)
    _, hit = received(mta, m)
    assert sorted(hit.rcpts) == ["a@one-domain.com", "b@other-domain.com"]
    assert stays_false(lambda: len(mta.sink.messages) > 1, 0.5)


def test_sending_cc_and_bcc(mta, smtp):
    m = mail(Cc="cc@external-domain.com", Bcc="bcc@external-domain.com")
    assert not smtp.send_message(m)
    got, hit = received(mta, m)
    assert got["Cc"] == "cc@external-domain.com" and got["Bcc"] is None and len(hit.rcpts) == 3


# ---- integrity ----

def test_integrity_unmodified(mta, smtp):
    """000-12: no header missing, changed or extra; byte by byte."""
    m = mail("Schöne Grüße 日本語 " + tag())
    m["X-Custom-Header"] = "Custom Value"
    assert "Date" not in m and "Message-ID" not in m
    sent = m.as_bytes(policy=SMTP_POLICY)
    smtp.sendmail("sender@example.com", ["recipient@external-domain.com"], sent)
    (hit,) = wait_until(lambda: list(mta.sink.messages), 15)
    assert hit.data == sent
    assert stays_false(lambda: len(mta.sink.messages) > 1, 0.5)


# ---- logins ----

def test_auth_success(smtp):
    assert smtp.noop()[0] == 250


@pytest.mark.parametrize("user, password", [(USER, "wrong_password"), ("wrong_username", PASSWORD), ("", "")])
def test_auth_failure(mta, user, password):
    """Trap 4: 535 in the end, never 503, and the connection stays."""
    client = smtplib.SMTP("127.0.0.1", mta.port, timeout=20)
    client.starttls(context=context())
    with pytest.raises(smtplib.SMTPAuthenticationError) as error:
        client.login(user, password)
    assert error.value.smtp_code == 535
    assert client.noop()[0] == 250
    client.quit()


def test_auth_unauthenticated_relay(mta):
    """000-06, trap 3: MAIL is taken, RCPT refused."""
    client = smtplib.SMTP("127.0.0.1", mta.port, timeout=20)
    client.starttls(context=context())
    with pytest.raises(smtplib.SMTPRecipientsRefused) as error:
        client.sendmail("sender@example.com", ["recipient@external-domain.com"], mail().as_bytes())
    assert error.value.recipients["recipient@external-domain.com"][0] == 554
    client.quit()
    assert stays_false(lambda: mta.sink.messages, 0.3)


# ---- clients ----

def test_curl(mta):
    """A client that does its own quoting of everything."""
    m = mail()
    path = os.path.join(mta.folder, "mail.eml")
    with open(path, "wb") as f:
        f.write(m.as_bytes(policy=SMTP_POLICY))
    done = subprocess.run([tool("curl"), "-sS", "--ssl-reqd", "-k", f"smtp://127.0.0.1:{mta.port}", "--user",
                           f"{USER}:{PASSWORD}", "--mail-from", "sender@example.com", "--mail-rcpt",
                           "recipient@external-domain.com", "--upload-file", path],
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    received(mta, m)


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
def test_swaks(mta, mechanism):
    swaks(mta.port, "--tls", "--auth", mechanism, "--auth-user", USER, "--auth-password", PASSWORD)
    mta.sink.wait(1)
