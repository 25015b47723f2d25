"""The mail store of the table, made by Cyrus' own tools, and another server's smmapd beside it.

Users without a domain are those of `example.org`, the default domain;
`virt.example` is a virtual domain; the user `bb` of the address stands for the
shared folders (postuser).
"""

from __future__ import annotations

import random
import socket
import threading
from types import TracebackType
from typing import Self

from tests.rigs.cyrus import Cyrus
from tests.rigs.cyrus_tools import MAILBOX_LIST, Mailbox, quota_record
from tests.rigs.socketmap import frame

SETTINGS = {"virtdomains": "userid", "defaultdomain": "example.org", "postuser": "bb"}

# imap/smmapd.c asks other servers at this port.
BACKEND_PORT = 12345

# What the other server says about the mailboxes that live there.
ANSWERS = {
    b"away-ok": b"OK away-ok",
    b"away-unknown": b"NOTFOUND Mailbox does not exist",
    b"away-denied": b"NOTFOUND Gone fishing",
    b"away-over": b"TEMP Over quota",
    b"away-over-for-good": b"PERM Over quota",
    b"away-no-post": b"PERM Permission denied",
    b"away-refused": b"PERM Moved to the branch office",
    b"away-later": b"TEMP Ask me in a minute",
}
# Where nobody listens.
SILENT = "away-silent"

DENIED = b"Pay your bill"
_ME = "lrswipkxtecdan"


class Backend:
    """Another server's smmapd, on a loopback address of its own at the port that Cyrus takes."""

    def __init__(self) -> None:
        # The port is fixed; a random address keeps test runs at the same time apart.
        self.host = f"127.{random.randrange(64, 128)}.{random.randrange(256)}.1"
        self._listener = socket.create_server((self.host, BACKEND_PORT))
        self._thread = threading.Thread(target=self._serve, name="backend", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # An empty question ends the thread.
        socket.create_connection((self.host, BACKEND_PORT)).close()
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        while True:
            peer, _ = self._listener.accept()
            with peer:
                # A question is one small packet on this interface.
                asked = peer.recv(4096)
                if not asked:
                    return
                key = asked.rstrip(b",").partition(b" ")[2].partition(b"@")[0]
                peer.sendall(frame(ANSWERS.get(key, b"PERM Bad protocol (missing key)")))


def populate(cyrus: Cyrus, backend: str) -> None:
    """Fill the store; `backend` is the address of the server that holds the remote mailboxes."""
    tools = cyrus.tools
    users = (
        *("fred", "fred.Lists", "fred.sent", "john^smith", "a b", "o'neil", "nob%ody", "fréd"),
        *("over", "overcount", "brim", "counted", "tight", "roomy", "denied", "muted"),
        *("elsewhere", "broken", "x" * 60, "ANNA"),
    )
    mailboxes = [Mailbox(f"user.{name}", {name: _ME}) for name in users]
    mailboxes += [Mailbox(f"virt.example!user.{name}") for name in ("anna", "bert")]
    mailboxes += [Mailbox("user.moving", mbtype="z"), Mailbox("user.dropped", mbtype="d")]
    mailboxes += [
        Mailbox("news", {"anyone": "lrsp"}),
        Mailbox("slot", {"anyone": "p"}),
        Mailbox("board", {"anyone": "lrs"}),
        Mailbox("vault", {"anyone": "r"}),
        Mailbox("guests", {"anyone": "lrsp", "-anonymous": "p"}),
        Mailbox("staff", {"fred": "lrsp"}),
    ]
    mailboxes += [Mailbox(f"user.{name.decode()}", mbtype="r", server=backend) for name in ANSWERS]
    # An address where nobody listens: the same network, another host.
    silent = backend.removesuffix(".1") + ".2"
    mailboxes.append(Mailbox(f"user.{SILENT}", mbtype="r", server=silent))
    tools.load_mailboxes(mailboxes)
    tools.db_set(MAILBOX_LIST, "twoskip", {b"Nuser\x1fwrecked": b"%(A"})
    tools.set_quotas(
        {
            b"user.over": quota_record(storage=(5 * 1024 + 1, 5)),
            b"user.overcount": quota_record(messages=(7, 7)),
            b"user.brim": quota_record(storage=(5 * 1024, 5)),
            b"user.counted": quota_record(messages=(6, 7)),
            b"user.tight": quota_record(storage=(0, 10)),
            b"user.roomy": quota_record(storage=(0, 1024)),
            b"user.broken": b"no quota at all",
            b"virt.example!user.bert": quota_record(storage=(1, 0)),
        }
    )
    tools.deny("denied", "smmap", DENIED.decode())
    tools.deny("muted")
    tools.deny("elsewhere", "imap,pop3")
