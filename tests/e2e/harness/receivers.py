# SPDX-License-Identifier: GPL-3.0-or-later
"""Real servers as the far end, all with one face: endpoint, count() and stored(), the content of every message."""
import os
import shutil
import tempfile

from .peers import Exim, Opensmtpd, Postfix, Process
from .ports import free_port

PLUGIN = """'use strict'
const fs = require('node:fs')
let count = 0
exports.hook_lookup_rdns = (next) => next(OK, 'localhost')
exports.hook_rcpt = (next) => next(OK)
exports.hook_queue = (next, connection) => {
    const path = `%s/${process.pid}.${count++}`
    const file = fs.createWriteStream(path + '.part')
    file.on('finish', () => fs.rename(path + '.part', path, () => next(OK)))
    connection.transaction.message_stream.pipe(file)
}
"""


class Stored:
    """Of a server with a Maildir."""

    def __init__(self, server):
        self.server = server
        self.endpoint, self.port = server.endpoint, server.port

    def stored(self):
        return [read(path) for path in self.server.files()]

    def count(self):
        return len(self.server.files())

    def close(self):
        self.server.close()


class Aiosmtpd:
    """In this process."""

    def __init__(self):
        from aiosmtpd.controller import Controller

        class Store:
            def __init__(self):
                self.got = []

            async def handle_DATA(self, server, session, envelope):  # pylint: disable=invalid-name
                self.got.append(envelope.original_content)
                return "250 OK"
        self.store, self.port = Store(), free_port()
        self.endpoint = f"[127.0.0.1]:{self.port}"
        self.controller = Controller(self.store, hostname="127.0.0.1", port=self.port)
        self.controller.start()

    def stored(self):
        return list(self.store.got)

    def count(self):
        return len(self.store.got)

    def close(self):
        self.controller.stop()


class Haraka:
    """Haraka from npm, which not every machine has (see HARAKA_IS_HERE): a file for each message."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="ringpost-haraka-")
        self.port = free_port()
        self.endpoint = f"[127.0.0.1]:{self.port}"
        package = haraka_package()
        for name in ("config", "plugins", "queue", "mail"):
            os.mkdir(f"{self.folder}/{name}")
        shutil.copy(f"{package}/config/connection.ini", f"{self.folder}/config/")  # without it nobody is greeted
        files = {"config/smtp.ini": f"listen=127.0.0.1:{self.port}\nnodes=0\n", "config/plugins": "store\n",
                 "config/loglevel": "LOGWARN\n", "config/me": "haraka.example.test\n",
                 "plugins/store.js": PLUGIN % f"{self.folder}/mail"}
        for name, text in files.items():
            with open(f"{self.folder}/{name}", "w", encoding="ascii") as file:
                file.write(text)
        try:
            self.process = Process([shutil.which("node"), f"{package}/bin/haraka", "-c", self.folder], self.port,
                                   f"{self.folder}/out", patience=90)
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise

    def files(self):
        mail = f"{self.folder}/mail"
        return [f"{mail}/{name}" for name in sorted(os.listdir(mail)) if not name.endswith(".part")]

    def stored(self):
        return [read(path) for path in self.files()]

    def count(self):
        return len(self.files())

    def close(self):
        self.process.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def haraka_package():
    return os.path.join(os.environ.get("RINGPOST_PEERS", ""), "haraka", "node_modules", "Haraka")


# ./dev deps test gets it from npm, where npm and Node.js 20 are; a bare Debian 12 has neither.
HARAKA_IS_HERE = bool(os.path.isfile(os.path.join(haraka_package(), "bin", "haraka")) and shutil.which("node"))

# name: how it is started
RECEIVERS = {
    "postfix": lambda: Stored(Postfix("message_size_limit=20000000")),
    "exim": lambda: Stored(Exim()),
    "opensmtpd": lambda: Stored(Opensmtpd()),
    "aiosmtpd": Aiosmtpd,
    **({"haraka": Haraka} if HARAKA_IS_HERE else {}),
}
