"""The mail store of the table, made by Cyrus' own tools, and another server's smmapd beside it.

Users without a domain are those of `example.org`, the default domain;
`virt.example` is a virtual domain; the user `bb` of the address stands for the
shared folders (postuser).
"""

from __future__ import annotations

import socketserver
import threading
from types import TracebackType
from typing import Self

from tests.rigs.cyrus import Cyrus
from tests.rigs.cyrus_tools import MAILBOX_LIST, Mailbox, quota_record
from tests.rigs.ports import free_ports
from tests.rigs.socketmap import frame

SETTINGS = {"virtdomains": "userid", "defaultdomain": "example.org", "postuser": "bb"}

# Where another server's smmapd listens, and where nobody does.
BACKEND = "127.77.0.1"
SILENT_BACKEND = "127.77.0.2"

# What the other server says about the mailboxes that live there.
ANSWERS = {
    b"away-ok": b"OK away-ok@example.org",
    b"away-unknown": b"NOTFOUND Mailbox does not exist",
    b"away-denied": b"NOTFOUND Gone fishing",
    b"away-over": b"TEMP Over quota",
    b"away-over-for-good": b"PERM Over quota",
    b"away-no-post": b"PERM Permission denied",
    b"away-refused": b"PERM Moved to the branch office",
    b"away-later": b"TEMP Ask me in a minute",
}
SILENT = "away-silent"

DENIED = b"Pay your bill"
_ME = "lrswipkxtecdan"


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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def populate(cyrus: Cyrus) -> None:
    """Fill the store."""
    tools = cyrus.tools
    users = (
        *("fred", "fred.Lists", "fred.sent", "john^smith", "a b", "o'neil", "nob%ody", "fréd"),
        *("over", "overcount", "brim", "counted", "tight", "roomy", "denied", "muted"),
        *("elsewhere", "broken", "x" * 60, "ANNA", "annotated", "folders", "blocked"),
        *("over.Own", "fred.Full"),
    )
    mailboxes = [Mailbox(f"user.{name}", {name: _ME}) for name in users]
    mailboxes += [Mailbox(f"virt.example!user.{name}") for name in ("anna", "bert")]
    mailboxes += [Mailbox("user.moving", mbtype="z"), Mailbox("user.dropped", mbtype="d")]
    mailboxes.append(Mailbox("user.agenda", {"agenda": _ME}, mbtype="c"))
    mailboxes += [
        Mailbox("news", {"anyone": "lrsp"}),
        Mailbox("slot", {"anyone": "p"}),
        Mailbox("Fairs", {"anyone": "lrsp"}),
        Mailbox("virt.example!fair", {"anyone": "lrsp"}),
        Mailbox("board", {"anyone": "lrs"}),
        Mailbox("vault", {"anyone": "r"}),
        Mailbox("guests", {"anyone": "lrsp", "-anonymous": "p"}),
        Mailbox("staff", {"fred": "lrsp"}),
    ]
    mailboxes += [Mailbox(f"user.{name.decode()}", mbtype="r", server=BACKEND) for name in ANSWERS]
    mailboxes.append(Mailbox(f"user.{SILENT}", mbtype="r", server=SILENT_BACKEND))
    tools.load_mailboxes(mailboxes)
    tools.db_set(MAILBOX_LIST, "twoskip", {b"Nuser\x1fwrecked": b"%(A"})
    tools.set_quotas(
        {
            b"user.over": quota_record(storage=(5 * 1024 + 1, 5)),
            b"user.overcount": quota_record(messages=(8, 7)),
            b"user.annotated": b"%(S (0) M (0) AS (1025 1) NF (1))",
            b"user.folders": b"%(S (0) M (0) AS (0) NF (3 2))",
            b"user.over.Own": quota_record(storage=(0, 5)),
            b"user.fred.Full": quota_record(storage=(5 * 1024 + 1, 5)),
            b"user.brim": quota_record(storage=(5 * 1024, 5)),
            b"user.counted": quota_record(messages=(7, 7)),
            b"user.tight": quota_record(storage=(0, 10)),
            b"user.roomy": quota_record(storage=(0, 1024)),
            b"user.broken": b"no quota at all",
            b"virt.example!user.bert": quota_record(storage=(1, 0)),
        }
    )
    tools.deny("denied", "smmap", DENIED.decode())
    tools.deny("muted")
    tools.deny("blocked", "lmtpunix")
    tools.deny("elsewhere", "imap,pop3")
