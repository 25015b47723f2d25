"""The mail store of the table, made by Cyrus' own tools, and another server's smmapd beside it.

Its mailboxes, quotas and denials are those of `kinds`.
"""

from __future__ import annotations

import socketserver
import threading
from typing import Self

from tests.interfaces.kinds import AWAY, DAMAGED, DENIALS, MAILBOXES, QUOTAS, expected
from tests.interfaces.model import Rcpt
from tests.rigs.cyrus import Cyrus
from tests.rigs.cyrus_tools import MAILBOX_LIST, Mailbox
from tests.rigs.ports import free_ports
from tests.rigs.socketmap import frame

# Where another server's smmapd listens, and where nobody does.
BACKEND = "127.77.0.1"
SILENT_BACKEND = "127.77.0.2"

SILENT = "away-silent"


def _answer(rcpt: Rcpt) -> bytes:
    """What a smmapd says that means what is true of the recipient."""
    row = expected(rcpt.kind)
    text = rcpt.address if row.status == b"OK" else rcpt.reason or row.map_text or b""
    return b"%b %b" % (row.status, text)


# What the other server says about the mailboxes that live there.
ANSWERS = {
    rcpt.address.partition(b"@")[0]: _answer(rcpt)
    for rcpt in AWAY
    if not rcpt.address.startswith(SILENT.encode())
}


class _Smmapd(socketserver.StreamRequestHandler):
    """One connection: any number of questions, one after the other."""

    def handle(self) -> None:
        """Answer until the client leaves."""
        while True:
            digits = b""
            while not digits.endswith(b":"):
                byte = self.rfile.read(1)
                if not byte:
                    return
                digits += byte
            asked = self.rfile.read(int(digits[:-1]) + 1)
            key = asked.removesuffix(b",").partition(b" ")[2].partition(b"@")[0]
            self.wfile.write(frame(ANSWERS.get(key, b"PERM Bad protocol (missing key)")))


class _Threads(socketserver.ThreadingTCPServer):
    """A thread a connection; clients keep theirs, so nobody waits for their end."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True


class Backend:
    """Another server's smmapd, on a loopback address of its own at the port `port`."""

    def __init__(self) -> None:
        (self.port,) = free_ports(1)
        self._server = _Threads((BACKEND, self.port), _Smmapd)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.01,), name="backend"
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def populate(cyrus: Cyrus) -> None:
    """Fill the store."""
    tools = cyrus.tools
    mailboxes = [*MAILBOXES]
    mailboxes += [Mailbox(f"user.{name.decode()}", mbtype="r", server=BACKEND) for name in ANSWERS]
    mailboxes.append(Mailbox(f"user.{SILENT}", mbtype="r", server=SILENT_BACKEND))
    tools.load_mailboxes(mailboxes)
    tools.db_set(MAILBOX_LIST, "twoskip", DAMAGED)
    tools.set_quotas(QUOTAS)
    for userid, (services, message) in DENIALS.items():
        tools.deny(userid, services, message)
