"""Our milter and one on libmilter hear the same conversations, and say the same, byte for byte.

What MTAs send in each version of the protocol, and what both hang up on.  Left
out is what libmilter passes over in silence and we do not (steps before the
negotiation, a second one): tests/protocols/test_milter.py has it.
"""

from __future__ import annotations

import os
import signal
import socket
import struct
import sys
from collections.abc import Iterator

import pytest

from gateway.frontends.judge import Judge
from gateway.frontends.milter_conversation import MilterConversation
from gateway.frontends.milter_session import MilterSession
from gateway.frontends.replies import ReplyTable, Template
from gateway.frontends.scope import Scope, ScopeSettings
from gateway.protocols.milter import packet
from gateway.verification.model import Kind
from tests.frontends.milter_talk import Engine
from tests.rigs.folders import folder
from tests.rigs.processes import Daemon
from tests.rigs.program import ROOT
from tests.rigs.waiting import wait_until

pytestmark = pytest.mark.real

TIMEOUT_S = 60.0
_CHUNK = 1 << 16


def offer(version: int = 6, actions: int = 0x1FF, steps: int = 0x1FFFFF) -> bytes:
    """An MTA's negotiation."""
    return packet(b"O", struct.pack("!III", version, actions, steps))


# Nothing that is of use; of an MTA that offers none at all libmilter believes that it forgot to.
FEW_STEPS = 0x1
QUIT = packet(b"Q")
CLIENT = packet(b"C", b"client.test\x004\x12\x34192.0.2.1\0")
MAIL = packet(b"D", b"M{auth_authen}\0alice\0") + packet(b"M", b"<joe@sender.test>\0SIZE=1\0")
FRED = packet(b"D", b"Ri\x004ABC\0{rcpt_mailer}\0lmtp\0") + packet(b"R", b"<fred@example.org>\0")
NOBODY = packet(b"R", b"<nobody@example.org>\0NOTIFY=NEVER\0")
BODY = b"".join(
    packet(command, data)
    for command, data in (
        (b"T", b""),
        (b"L", b"Subject\0 x\0"),
        (b"N", b""),
        (b"B", b"text"),
        (b"E", b""),
    )
)

CONVERSATIONS = {
    "a mail": offer() + CLIENT + MAIL + FRED + NOBODY + packet(b"E"),
    "two mails": offer() + CLIENT + MAIL + FRED + packet(b"A") + MAIL + NOBODY + packet(b"E"),
    "two clients": offer() + CLIENT + MAIL + NOBODY + packet(b"K") + CLIENT + MAIL + NOBODY,
    "IPv6": offer() + packet(b"C", b"c.test\x006\0\x19IPv6:2001:db8::1\0") + MAIL + NOBODY,
    "Unix": offer() + packet(b"C", b"c.test\x00L\0\0/run/client\0") + MAIL + NOBODY,
    "unknown": offer() + packet(b"C", b"c.test\x00U") + MAIL + NOBODY,
    "no client": offer() + MAIL + NOBODY,
    "another MAIL": offer() + CLIENT + MAIL + MAIL + NOBODY,
    "a recipient after an abort": offer() + CLIENT + MAIL + packet(b"A") + NOBODY,
    "version 2": offer(2, 0x3F, 0x7F) + CLIENT + MAIL + FRED + NOBODY + packet(b"E"),
    "version 2, with every step": (
        offer(2, 0x3F, FEW_STEPS) + CLIENT + packet(b"H", b"x\0") + MAIL + FRED + NOBODY + BODY
    ),
    "version 4": offer(4, 0x1FF, 0x3FF) + CLIENT + MAIL + NOBODY,
    "version 7": offer(7) + CLIENT + MAIL + NOBODY,
    "larger pieces": offer(6, 0x1FF, 0x301FFFFF) + CLIENT + MAIL + NOBODY,
    "no macro lists": offer(6, 0xFF) + CLIENT + MAIL + NOBODY,
    "an unknown command": offer(6, 0x1FF, FEW_STEPS) + CLIENT + packet(b"U", b"FOO\0"),
    "macros without a value": offer() + packet(b"D", b"Ri\0") + CLIENT + MAIL + NOBODY,
    "macros of no step": offer() + packet(b"D", b"?i\0x\0") + CLIENT + MAIL + NOBODY,
    "macros first": packet(b"D", b"Cj\0x\0") + offer() + CLIENT + MAIL + NOBODY,
    # Both hang up.
    "version 1": offer(1, 0, 0),
    "a short offer": packet(b"O", b"abc"),
    "an unknown step": offer() + packet(b"z"),
    "no macros at all": offer() + packet(b"D"),
    "MAIL without an end": offer() + CLIENT + packet(b"M", b"<joe@sender.test>"),
    "an empty MAIL": offer() + CLIENT + packet(b"M"),
    "RCPT without an end": offer() + CLIENT + MAIL + packet(b"R", b"<nobody@example.org>"),
    "a client of no family": offer() + packet(b"C", b"c.test\0Z\0\0x\0"),
    "half a client": offer() + packet(b"C", b"c.test"),
}


@pytest.fixture(scope="module")
def path() -> Iterator[str]:
    """Where a milter on libmilter listens."""
    with folder("lm") as place:
        path = os.path.join(place, "milter")
        argv = [sys.executable, "-P", "-m", "tests.rigs.libmilter", path]
        daemon = Daemon(argv, log=os.path.join(place, "log"), env={"PYTHONPATH": ROOT})
        daemon.start()
        try:
            wait_until(lambda: os.path.exists(path), "libmilter listens")
            yield path
        finally:
            # libmilter leaves its loop only when it wakes up, every five seconds.
            daemon.send_signal(signal.SIGKILL)
            daemon.stop()


def theirs(path: str, data: bytes) -> bytes:
    """What libmilter says until it hangs up."""
    said = b""
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(TIMEOUT_S)
        link.connect(path)
        link.sendall(data)
        try:
            while piece := link.recv(_CHUNK):
                said += piece
        except ConnectionResetError:
            # It hung up with something of ours unread.
            return said
    return said


def ours(data: bytes) -> bytes:
    """What our session says until it is finished."""
    judge = Judge(
        Scope(ScopeSettings(domains=("example.org",)), sees_mailers=True),
        ReplyTable({Kind.NONEXISTENT: Template(550, "5.1.1", "100% unknown")}),
    )
    session = MilterSession(MilterConversation(Engine(), judge))
    session.receive(data)
    said = b""
    while not session.finished:
        said += session.replies()
    return said


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_both_say_the_same(path: str, name: str) -> None:
    """To each conversation, with the MTA's farewell behind it."""
    data = CONVERSATIONS[name] + QUIT
    assert ours(data) == theirs(path, data)
