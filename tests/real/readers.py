"""Clients that ask all the time and check each answer against its recipient's history.

One thread serves them all.  Interfaces differ in their language; what a milter says is
translated into the words of a socketmap, in which histories are kept.
"""

from __future__ import annotations

import os
import random
import selectors
import socket
import struct
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from tests.interfaces.kinds import TABLE, Row
from tests.real.histories import History
from tests.rigs.cyrus import Cyrus
from tests.rigs.gateway import Gateway, Tables
from tests.rigs.milter import MilterClient
from tests.rigs.program import smmapd_program
from tests.rigs.socketmap import Connection, frame, request

CHUNK = 1 << 18
# Silence for so long is a hang, even on a loaded machine.
SILENCE_S = 60
# How often a question is about a recipient that somebody changes.
MOVING = 0.3
DOMAIN = "example.org"
# Readers of each interface.
CORE_READERS = 4
STDIO_READERS = 2
MILTER_READERS = 2


class Language(ABC):
    """How an interface is asked and answers; `batches` are the numbers of questions sent at once.

    Small batches find stale answers, large ones keep the server busy.
    """

    batches: tuple[int, ...]

    @abstractmethod
    def question(self, key: bytes) -> bytes:
        """The bytes that ask about `key`."""

    @abstractmethod
    def answer(self, data: bytes, start: int, history: History) -> tuple[bytes, int] | None:
        """The reply to a question about `history` that begins at `start`, and where it ends.

        None while it is not complete.
        """


class SocketmapLanguage(Language):
    """smmapd's and the core's."""

    batches = (1, 1, 3, 20, 150)

    def question(self, key: bytes) -> bytes:
        """A request."""
        return request(key)

    def answer(self, data: bytes, start: int, history: History) -> tuple[bytes, int] | None:
        """The payload; what is expected is recognized without being parsed."""
        now = history.now
        expected = frame(now)
        if data.startswith(expected, start):
            return now, start + len(expected)
        colon = data.find(b":", start)
        if colon < 0:
            return None
        end = colon + int(data[start:colon]) + 2
        return (data[colon + 1 : end - 1], end) if end <= len(data) else None


class MilterLanguage(Language):
    """One RCPT after the other, of one mail that never ends."""

    batches = (1, 1, 3, 20)

    # Behind the length: an accepted recipient, or the reply of SMFIR_REPLYCODE.
    _ACCEPTED, _REPLY = b"c", b"y"

    def __init__(self, reasons: Sequence[bytes]) -> None:
        """`reasons` are the texts of the store's own that refusals may have."""
        self._words: dict[bytes, bytes] = {}
        for row in TABLE.values():
            for reason in (b"", *reasons):
                self._words.setdefault(_smtp(row, reason), _payload(row, reason))

    def question(self, key: bytes) -> bytes:
        """The macros of the step, none, and the recipient."""
        argument = b"R<%s@%s>\0" % (key, DOMAIN.encode())
        return b"\0\0\0\2DR" + struct.pack("!I", len(argument)) + argument

    def answer(self, data: bytes, start: int, history: History) -> tuple[bytes, int] | None:
        """The reply, as a socketmap would say it; one that is not in the table as it is."""
        if len(data) < start + 4:
            return None
        (length,) = struct.unpack_from("!I", data, start)
        end = start + 4 + length
        if len(data) < end:
            return None
        word, text = data[start + 4 : start + 5], data[start + 5 : end].removesuffix(b"\0")
        if word == self._ACCEPTED:
            return b"OK " + history.key, end
        return self._words.get(text, text) if word == self._REPLY else word + text, end


def _smtp(row: Row, reason: bytes) -> bytes:
    return b"%d %s %s" % (row.code, row.enhanced, reason if row.text is None else row.text)


def _payload(row: Row, reason: bytes) -> bytes:
    return b"%s %s" % (row.status, reason if row.map_text is None else row.map_text)


class Reader:
    """One client that asks batches of questions; `fixed` are recipients that nobody changes."""

    def __init__(
        self,
        name: str,
        link: socket.socket,
        language: Language,
        chance: random.Random,
        fixed: Sequence[History],
        moving: Sequence[History],
    ) -> None:
        self.name = name
        self.answered = 0
        self.wrong: list[str] = []
        self._language = language
        self._chance = chance
        self._fixed = fixed
        self._moving = moving
        self._waiting: list[tuple[History, int]] = []
        self._replies = b""
        self.link = link
        self.link.setblocking(False)

    def ask(self) -> None:
        """Send one batch."""
        size = self._chance.choice(self._language.batches)
        histories = [
            self._chance.choice(self._moving if self._chance.random() < MOVING else self._fixed)
            for _ in range(size)
        ]
        self._waiting = [(history, history.ask()) for history in histories]
        data = b"".join([self._language.question(history.key) for history in histories])
        sent = self.link.send(data)
        assert sent == len(data), "a batch must fit into the socket's buffer"

    def receive(self) -> None:
        """Check the replies that are there; send another batch when all have come."""
        data = self.link.recv(CHUNK)
        assert data, f"{self.name} closed the connection"
        data = self._replies + data
        start = 0
        done = 0
        for history, asked in self._waiting:
            found = self._language.answer(data, start, history)
            if found is None:
                break
            reply, start = found
            fault = history.check(asked, reply)
            if fault is not None:
                self.wrong.append(f"{self.name}: {fault}")
            done += 1
        self._replies = data[start:]
        self._waiting = self._waiting[done:]
        self.answered += done
        if not self._waiting:
            assert not self._replies, f"more replies than questions: {self._replies[:80]!r}"
            self.ask()


class Crowd:
    """All readers of a test, at whatever interfaces; they take their questions from the same lists."""

    def __init__(
        self, chance: random.Random, fixed: Sequence[History], moving: Sequence[History]
    ) -> None:
        self.readers: list[Reader] = []
        self._chance = chance
        self._fixed = fixed
        self._moving = moving

    def join(self, name: str, client: Connection | MilterClient, language: Language) -> None:
        """One more reader, on a connection that is ready for questions and stays the caller's."""
        link = socket.socket(fileno=os.dup(client.fileno()))
        self.readers.append(Reader(name, link, language, self._chance, self._fixed, self._moving))

    def leave(self) -> None:
        """Nobody asks any more."""
        for reader in self.readers:
            reader.link.close()

    @property
    def answered(self) -> int:
        """How many answers there have been."""
        return sum(reader.answered for reader in self.readers)

    @property
    def wrong(self) -> list[str]:
        """What was wrong."""
        return [fault for reader in self.readers for fault in reader.wrong]

    def by_interface(self) -> Counter[str]:
        """The answers of each interface."""
        found: Counter[str] = Counter()
        for reader in self.readers:
            found[reader.name] += reader.answered
        return found

    def begin(self) -> None:
        """Send the first questions."""
        for reader in self.readers:
            reader.ask()

    def read(self, questions: int) -> None:
        """Ask `questions` more in all, and stop at the first wrong answer."""
        goal = questions + self.answered
        with selectors.DefaultSelector() as selector:
            for reader in self.readers:
                selector.register(reader.link, selectors.EVENT_READ, reader)
            while self.answered < goal:
                events = selector.select(timeout=SILENCE_S)
                assert events, f"no answer for {SILENCE_S} s"
                for key, _ in events:
                    key.data.receive()
                    if key.data.wrong:
                        return


@contextmanager
def interfaces(
    crowd: Crowd, cyrus: Cyrus, imapd_conf: str, reasons: Sequence[bytes]
) -> Iterator[Gateway]:
    """Readers at a gateway's core and milter, and at smmapd on standard input.

    `reasons` are the texts of the store's own that refusals may have.
    """
    # Everybody is compared with the C program, which says more about folders than delivery does.
    tables: Tables = {
        "": {"answers": "smmapd"},
        "scope": {"domains": [DOMAIN]},
        "logging": {"level": "warning"},
    }
    socketmap = SocketmapLanguage()
    milter = MilterLanguage(reasons)
    with ExitStack() as stack:
        gateway = stack.enter_context(
            Gateway(imapd_conf, tables, front_ends=("socketmap", "milter"))
        )
        gateway.start()

        for _ in range(CORE_READERS):
            core = stack.enter_context(Connection.to(gateway.path("socketmap")))
            crowd.join("core", core, socketmap)
        for _ in range(STDIO_READERS):
            program = stack.enter_context(cyrus.smmapd(smmapd_program(), imapd_conf=imapd_conf))
            crowd.join("standard input", program, socketmap)
        for _ in range(MILTER_READERS):
            mta = stack.enter_context(MilterClient(gateway.path("milter")))
            mta.connect()
            mta.mail()
            crowd.join("milter", mta, milter)
        try:
            yield gateway
        finally:
            # Before their programs are told to end.
            crowd.leave()
