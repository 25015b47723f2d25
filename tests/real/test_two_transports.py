"""The milter's two transports hear the same conversations, and say the same, byte for byte.

What MTAs send in each version of the protocol, by hand and at random, and what
both hang up on.  Left out is what libmilter passes over in silence and our own
codec does not (steps before the negotiation, a second one; tests/protocols/test_milter.py
has it), and clients whose name is not UTF-8, which pymilter does not announce
(tests/interfaces/test_bad_input.py), and macros without a value, of which libmilter dies.

TRANSPORTS_CONVERSATIONS is how many are had at random.
"""

from __future__ import annotations

import os
import signal
import socket
import struct
import sys
from collections.abc import Iterator
from random import Random

import pytest

from gateway.frontends.milter_session import MilterSession
from gateway.protocols.milter import CONTINUE, DEFER, packet
from gateway.verification.kinds import Kind
from gateway.verification.model import Pending, Query, Verdict
from tests.real.conversations import ALL_STEPS, FEW_STEPS, Speaker
from tests.rigs.folders import folder
from tests.rigs.libmilter import conversation, verdict
from tests.rigs.processes import Daemon
from tests.rigs.program import ROOT
from tests.rigs.waiting import wait_until

pytestmark = pytest.mark.real

TIMEOUT_S = 60.0
MANY = int(os.environ.get("TRANSPORTS_CONVERSATIONS", "2000"))
# Conversations that a failure is looked for in at once.
BATCH = 500
_CHUNK = 1 << 16


def offer(version: int = 6, actions: int = 0x1FF, steps: int = ALL_STEPS) -> bytes:
    """An MTA's negotiation."""
    return packet(b"O", struct.pack("!III", version, actions, steps))


QUIT = packet(b"Q")
CLIENT = packet(b"C", b"client.test\x004\x12\x34192.0.2.1\0")
MAIL = packet(b"D", b"M{mail_addr}\0joe@sender.test\0") + packet(
    b"M", b"<joe@sender.test>\0SIZE=1\0"
)
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
    "asked elsewhere": offer() + CLIENT + MAIL + packet(b"R", b"<away-over@example.org>\0"),
    "version 2": offer(2, 0x3F, 0x7F) + CLIENT + MAIL + FRED + NOBODY + packet(b"E"),
    "version 2, with every step": (
        offer(2, 0x3F, FEW_STEPS) + CLIENT + packet(b"H", b"x\0") + MAIL + FRED + NOBODY + BODY
    ),
    "version 4": offer(4, 0x1FF, 0x3FF) + CLIENT + MAIL + NOBODY,
    "version 7": offer(7) + CLIENT + MAIL + NOBODY,
    "larger pieces": offer(6, 0x1FF, 0x301FFFFF) + CLIENT + MAIL + NOBODY,
    "no macro lists": offer(6, 0xFF) + CLIENT + MAIL + NOBODY,
    "an unknown command": offer(6, 0x1FF, FEW_STEPS) + CLIENT + packet(b"U", b"FOO\0"),
    "macros without a value": offer() + packet(b"D", b"Ri\0\0") + CLIENT + MAIL + NOBODY,
    "macros of no step": offer() + packet(b"D", b"?i\0x\0") + CLIENT + MAIL + NOBODY,
    "macros first": packet(b"D", b"M{auth_authen}\0x\0") + offer() + CLIENT + MAIL + NOBODY,
    "a defect": offer() + CLIENT + MAIL + packet(b"R", b"<defect@example.org>\0") + NOBODY,
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
    "a client without a port": offer() + packet(b"C", b"c.test\x004\0"),
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


def by_pymilter(path: str, data: bytes) -> bytes:
    """What it says until it hangs up."""
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


def by_builtin(data: bytes) -> bytes:
    """What the session says until it is finished."""
    session = MilterSession(conversation())
    session.receive(data)
    said = b""
    while not session.finished:
        said += session.replies()
        pending = session.pending
        if isinstance(pending, Pending):
            said += session.resolved(_answer(pending.query))
    return said


def _answer(query: Query) -> Verdict:
    """What the other server says; what it is asked in vain is a fault (dispatcher.py)."""
    try:
        return verdict(query)
    except ZeroDivisionError:
        return Verdict(Kind.UPSTREAM_FAULT, b"")


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_both_say_the_same(path: str, name: str) -> None:
    """To each conversation, with the MTA's farewell behind it."""
    data = CONVERSATIONS[name] + QUIT
    assert by_builtin(data) == by_pymilter(path, data)


@pytest.mark.parametrize("first", range(0, MANY, BATCH))
def test_conversations_at_random(path: str, first: int) -> None:
    """The same decisions, whatever an MTA says in whatever order it may."""
    every = b""
    for seed in range(first, min(first + BATCH, MANY)):
        data = Speaker(Random(seed)).speak()
        said = by_builtin(data)
        assert said == by_pymilter(path, data), f"seed {seed}: {data!r}"
        every += said
    # All kinds of decisions are among them.
    for kind in (CONTINUE, DEFER, b"y550 5.1.1", b"y452 4.2.2", b"y451 4.3.0", b"y553 5.1.3"):
        assert kind in every
