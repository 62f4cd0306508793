# SPDX-License-Identifier: GPL-3.0-or-later
"""The scripted sink (sink.py) with STARTTLS, implicit TLS and AUTH, and with every way to break them.

    with TlsSink(ca.server()) as sink:
        sink.script["starttls"] = ["454 4.7.0 not now"]     # the answer to the command
        sink.script["handshake"] = [Garbage(b"...")]        # instead of the handshake
        sink.sessions[0].tls.version, .sni, .resumed, .certificate

Further stages of the script: starttls, handshake, auth (the AUTH command), credentials (they are right).
"""
import asyncio
import base64
import ctypes
import hashlib
import hmac
import ssl

from dnsserver import DnsServer

from .certs import Ca
from .client import submit
from .engine import merge
from .message import message, tag
from .sink import ALL, Action, Close, Hangup, Session, Sink, encode


class Garbage(Action):
    """These bytes, no handshake. stay: the connection is not closed behind them."""

    def __init__(self, data, stay=True):
        self.data, self.stay = data, stay


class Drip(Action):
    """A server hello that comes byte by byte and never ends."""

    def __init__(self, seconds=0.1):
        self.seconds = seconds


class CutHandshake(Action):
    """The first half of the server's first flight, then the end of the connection."""


class Goodbye(Close):
    """close_notify, then FIN."""


class Renegotiate(Action):
    """Asks for a new handshake before the normal reply (TLS 1.2)."""


class Tls:
    """What a session's TLS came to."""

    def __init__(self, machine, sni):
        self.version = machine.version()
        self.cipher = machine.cipher()[0]
        self.resumed = machine.session_reused
        self.certificate = machine.getpeercert(binary_form=True)
        self.sni = sni


class Login:
    def __init__(self, mechanism, user, secret, encrypted, initial):
        self.mechanism, self.user, self.secret = mechanism, user, secret
        self.encrypted = encrypted    # came under TLS
        self.initial = initial        # an initial response was given

    def __repr__(self):
        return f"{self.mechanism} {self.user}:{self.secret} {'under TLS' if self.encrypted else 'in clear'}"


class TlsSession(Session):
    machine = None
    tls = None
    error = None         # the ssl module's word for how TLS ended
    goodbye = False      # the client said close_notify
    sni = None           # as the client hello had it
    user = None

    # ---- transport ----

    async def fill(self):
        if self.machine is None:
            await super().fill()
            return
        data = await self.drive(self.machine.read, 262144)
        if not data:
            self.goodbye = True
            raise Hangup
        self.buffer += data
        self.segments += 1
        self.replied = False

    async def send(self, data):
        if self.machine is None:
            await super().send(data)
            return
        await self.drive(self.machine.write, data)
        self.replied = True

    async def flush(self):
        data = self.outgoing.read()
        if data:
            await self.sink.loop.sock_sendall(self.socket, data)

    async def drive(self, function, *args):
        """One call of the TLS machine, with as many reads of the socket as it needs."""
        while True:
            try:
                value = function(*args)
                await self.flush()
                return value
            except ssl.SSLWantReadError:
                await self.flush()
                data = await self.sink.loop.sock_recv(self.socket, 262144)
                if not data:
                    self.error = self.error or "cut"
                    raise Hangup from None
                self.incoming.write(data)
            except ssl.SSLZeroReturnError:
                self.goodbye = True
                raise Hangup from None
            except ssl.SSLError as error:
                self.error = error.reason or str(error)
                await self.flush()
                raise Hangup from None

    async def handshake(self):
        entry = self.scripted("handshake", b"")
        if isinstance(entry, (Garbage, Drip)) and not self.buffer:
            await self.fill()    # the client's hello: what came before it would be something else
        if isinstance(entry, Garbage):
            await super().send(entry.data)
            if entry.stay:
                await self.linger()
            raise Hangup
        if isinstance(entry, Drip):
            while True:
                await self.sink.loop.sock_sendall(self.socket, b"\x16\x03\x03\x40\x00"[self.dripped:self.dripped + 1] or b"\0")
                self.dripped += 1
                await asyncio.sleep(entry.seconds)
        if entry is not None and not isinstance(entry, CutHandshake):
            await self.answer(entry, None)    # Close, Delay(…, reply), Silence
            await self.linger()
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.incoming.write(bytes(self.buffer))
        self.buffer.clear()
        machine = self.sink.context_of(self).wrap_bio(self.incoming, self.outgoing, server_side=True)
        machine.context_owner = self
        self.machine = machine
        if isinstance(entry, CutHandshake):
            await self.cut_handshake()
        await self.drive(machine.do_handshake)
        self.tls = Tls(machine, self.sni)

    dripped = 0

    async def linger(self):
        """Until the client has had enough."""
        while await self.sink.loop.sock_recv(self.socket, 65536):
            pass
        raise Hangup

    async def cut_handshake(self):
        while not self.outgoing.pending:
            try:
                self.machine.do_handshake()
            except ssl.SSLWantReadError:
                if not self.outgoing.pending:
                    self.incoming.write(await self.sink.loop.sock_recv(self.socket, 65536))
        flight = self.outgoing.read()
        await self.sink.loop.sock_sendall(self.socket, flight[:len(flight) // 2])
        raise Hangup

    async def answer(self, entry, normal):
        if isinstance(entry, Renegotiate):
            await self.ask_to_renegotiate()
            entry = None
        if isinstance(entry, Goodbye) and self.machine is not None:
            if entry.reply:
                await self.send(encode(entry.reply))
            try:
                self.machine.unwrap()
            except ssl.SSLError:
                pass
            await self.flush()
            raise Hangup
        return await super().answer(entry, normal)

    async def ask_to_renegotiate(self):
        """A HelloRequest (TLS 1.2). Python does not offer it: the SSL * stands behind two pointers of its object."""
        assert self.tls.version == "TLSv1.2"
        inner = self.machine._sslobj  # pylint: disable=protected-access
        library = ctypes.CDLL("libssl.so.3")
        handle = ctypes.c_void_p.from_address(id(inner) + 3 * ctypes.sizeof(ctypes.c_void_p))
        library.SSL_get_version.restype = ctypes.c_char_p
        assert library.SSL_get_version(handle) == b"TLSv1.2"
        assert library.SSL_renegotiate(handle) == 1
        try:
            self.machine.do_handshake()
        except ssl.SSLWantReadError:
            pass
        await self.flush()

    # ---- protocol ----

    async def run(self):
        if self.sink.implicit:
            try:
                await self.handshake()
            except (Hangup, ConnectionError, asyncio.CancelledError):
                return
        await super().run()

    async def do_ehlo(self, arg):
        self.tx = None
        lines = ["sink.example.test"] + list(self.sink.features)
        if self.sink.contexts and self.machine is None and self.sink.starttls:
            lines.append("STARTTLS")
        offered = self.sink.auth if self.machine is not None else self.sink.auth_in_clear
        if offered:
            lines.append("AUTH " + " ".join(offered))
        await self.stage("ehlo", arg, "\r\n".join(f"250{'-' if i + 1 < len(lines) else ' '}{line}"
                                                  for i, line in enumerate(lines)))

    async def do_starttls(self, arg):
        reply = await self.stage("starttls", arg, "220 2.0.0 go ahead")
        if reply[:3] == b"220":
            self.tx = None
            await self.handshake()

    async def do_mail(self, arg):
        if self.sink.users and not self.user and self.sink.auth_required:
            await self.send(b"530 5.7.0 who are you?\r\n")
            return
        await super().do_mail(arg)

    # ---- AUTH ----

    async def ask(self, text):
        await self.send(b"334 " + base64.b64encode(text) + b"\r\n")
        return base64.b64decode((await self.line()).line)

    async def do_auth(self, arg):
        words = arg.split()
        mechanism = words[1].decode().upper()
        entry = self.scripted("auth", arg)
        if entry is not None:
            await self.answer(entry, None)
            return
        initial = base64.b64decode(words[2]) if len(words) > 2 else None
        taken = {"PLAIN": self.auth_plain, "LOGIN": self.auth_login, "CRAM-MD5": self.auth_cram,
                 "XOAUTH2": self.auth_xoauth2}.get(mechanism)
        if taken is None:
            await self.send(b"504 5.5.4 unknown\r\n")
            return
        user, secret, good = await taken(initial)
        self.sink.logins.append(Login(mechanism, user, secret, self.machine is not None, initial is not None))
        if good:
            self.user = user
            await self.stage("credentials", arg, "235 2.7.0 welcome")
        else:
            if mechanism == "XOAUTH2":
                await self.ask(b'{"status":"400","schemes":"bearer"}')
            await self.send(b"535 5.7.8 no such user or password\r\n")

    def known(self, user, secret):
        return user, secret, user in self.sink.users and self.sink.users[user] == secret

    async def auth_plain(self, initial):
        text = initial if initial is not None else await self.ask(b"")
        _, user, secret = text.decode().split("\0")
        return self.known(user, secret)

    async def auth_login(self, initial):
        user = initial if initial is not None else await self.ask(b"Username:")
        secret = await self.ask(b"Password:")
        return self.known(user.decode(), secret.decode())

    async def auth_cram(self, _):
        challenge = b"<17.4711@sink.example.test>"
        user, digest = (await self.ask(challenge)).decode().rsplit(" ", 1)
        right = hmac.new(self.sink.users.get(user, "").encode(), challenge, hashlib.md5).hexdigest()
        return user, digest, user in self.sink.users and digest == right

    async def auth_xoauth2(self, initial):
        text = initial if initial is not None else await self.ask(b"")
        fields = dict(f.split("=", 1) for f in text.decode().split("\1") if f)
        return self.known(fields["user"], fields["auth"].removeprefix("Bearer "))


class TlsSink(Sink):
    """context: for everybody; by_name: {server name: context}. auth, auth_in_clear: mechanisms offered under TLS and
    before it."""

    session_type = TlsSession

    def __init__(self, context=None, features=ALL, script=None, by_name=None, implicit=False, starttls=True, auth=(),
                 auth_in_clear=(), users=None, auth_required=True, **more):
        super().__init__(features, script, **more)
        self.contexts = [c for c in (context, *(by_name or {}).values()) if c]
        self.default = context
        self.by_name = dict(by_name or {})
        self.implicit, self.starttls = implicit, starttls
        self.auth, self.auth_in_clear = list(auth), list(auth_in_clear)
        self.users, self.auth_required = dict(users or {}), auth_required
        self.logins = []

    def context_of(self, session):
        """The context whose certificate belongs to the name that the client will ask for."""
        context = self.default or next(iter(self.by_name.values()))
        context.sni_callback = self.named
        session.sni = None
        return context

    def named(self, machine, name, _):
        machine.context_owner.sni = name
        if name in self.by_name:
            machine.context = self.by_name[name]

    # ---- what tests ask ----

    @property
    def secured(self):
        """Sessions that came under TLS."""
        return [s for s in self.sessions if s.tls]

    @property
    def failed(self):
        """Sessions whose handshake failed here: the reasons."""
        return [s.error for s in self.sessions if s.machine is not None and not s.tls]

    @property
    def secrets_in_clear(self):
        return [login for login in self.logins if not login.encrypted]


def tls_world(make, context=None, conf=None, hosts=("mail.peer.test",), mx=None, trusted=None, start=True, **more):
    """An engine whose smarthosts are these names, all at one sink; engine.sink is that. mx: {domain: host} instead of
    smarthosts."""
    sink = make.add(TlsSink(context, **more).start())
    zone = {name: {"a": [sink.host]} for name in (mx.values() if mx else hosts)}
    base = {"log": {"level": "debug"}, "queue": {"schedule": ["1h"]}}
    if mx:
        zone.update({domain: {"mx": [[10, host]]} for domain, host in mx.items()})
        base["delivery"] = {"mx_port": sink.port, "private_targets": "allow"}
    else:
        base["relay"] = {"host": [f"{name}:{sink.port}" for name in hosts]}
    dns = make.add(DnsServer(zone).start())
    base["dns"] = {"servers": [dns.endpoint], "timeout": "3s"}
    if trusted:
        base["tls"] = {"ca_file": trusted}
    e = make.engine(merge(base, conf or {}), start=start)
    e.sink, e.dns = sink, dns
    return e


def peer_ca(folder):
    """An authority, and a good and a bad certificate for mail.peer.test."""
    made = Ca(folder)
    made.good = made.leaf(names=["mail.peer.test", "other.peer.test", "*.example.org"])
    made.bad = made.leaf(issuer=None)
    return made


def policy_world(make, ca, policy, context=None, conf=None, **more):
    """An engine with this relay.tls, and its smarthost."""
    conf = {**(conf or {}), "relay": {"tls": policy, **(conf or {}).get("relay", {})}}
    return tls_world(make, context or ca.server(ca.good), conf, trusted=ca.bundle(), **more)


def send(engine, subject=None, content=None, to=("bob@example.test",)):
    """One message in; its subject."""
    subject = subject or tag()
    submit(engine.port, content or message(subject), to=to)
    return subject


def login_world(make, ca, user, secret, offer=("PLAIN",), tls="encrypt", relay=None, conf=None, users=None, **more):
    """An engine that logs in at its smarthost, which offers these mechanisms: under TLS, or in clear with tls="none"."""
    offers = {"auth_in_clear" if tls == "none" else "auth": offer}
    merged = {"relay": {"tls": tls, "username": user, "password": secret, **(relay or {})},
              "delivery": {"ehlo_timeout": "1s"}, **(conf or {})}
    return tls_world(make, ca.server(ca.good), merged, trusted=ca.bundle(), users={user: secret} if users is None else users,
                     **{**offers, **more})


def no_secrets(engine, *secrets):
    """Neither raw nor as they stand on the wire."""
    with engine.lock:
        text = repr(engine.log) + engine.stderr()
    user = engine.conf["relay"]["username"]
    for secret in secrets:
        plain = base64.b64encode(f"\0{user}\0{secret}".encode()).decode()
        for form in (secret, repr(secret)[1:-1], base64.b64encode(secret.encode()).decode(), plain):
            assert form not in text
