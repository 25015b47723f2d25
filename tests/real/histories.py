"""What an answer may be while somebody writes: histories of recipients, and clients that check them.

The history of a recipient is the list of the replies that are true of it, one
after the other.  A writer says before an operation which replies come next
(`begin`), and afterwards that they have come (`end`).  An answer is right if
it is one that was true at some instant between its question and itself:

- not older than what the last operation that had returned before the
  question left behind, and not older than what anybody had been told before it;
- not newer than what the operations that had begun before the answer make.

So a stale answer, even by one operation, is as wrong as an answer that was
never true.
"""

from __future__ import annotations

import random
import selectors
import socket
from collections.abc import Sequence

from tests.rigs.socketmap import frame, request

# Requests of one batch; small ones find stale answers, large ones keep the server busy.
BATCHES = (1, 1, 3, 20, 150)
CHUNK = 1 << 18


class History:
    """The replies that have been, are or may be true of one recipient.

    One thread writes, another one asks; each attribute is assigned by one of
    them, or only ever grows.
    """

    def __init__(self, key: bytes, now: bytes) -> None:
        self.key = key
        self.replies = [now]
        self.oldest = 0  # index of the oldest reply that may still be true
        self._told = 0  # index of the oldest one that agrees with all answers so far

    @property
    def now(self) -> bytes:
        """The reply that is true while no operation is under way."""
        return self.replies[-1]

    def begin(self, *replies: bytes) -> None:
        """An operation begins that makes these replies true, one after the other."""
        self.replies.extend(replies)

    def end(self) -> None:
        """The operation has returned."""
        self.oldest = len(self.replies) - 1

    def ask(self) -> int:
        """A question is about to be asked; what `check` needs when its answer is there."""
        return max(self.oldest, self._told)

    def check(self, asked: int, reply: bytes) -> str | None:
        """None for a right answer, else what is wrong with it."""
        newest = len(self.replies)
        for index in range(asked, newest):
            if self.replies[index] == reply:
                self._told = max(self._told, index)
                return None
        true = self.replies[asked:newest]
        word = "stale" if reply in self.replies[:asked] else "wrong"
        return f"{word}: {self.key!r} is {reply!r}, true since the question: {true!r}"


class Reader:
    """One client that asks batches of questions; `fixed` are recipients that nobody changes."""

    def __init__(
        self, path: str, chance: random.Random, fixed: Sequence[History], moving: Sequence[History]
    ) -> None:
        self.answered = 0
        self.wrong: list[str] = []
        self._chance = chance
        self._fixed = fixed
        self._moving = moving
        self._waiting: list[tuple[History, int]] = []
        self._replies = b""
        self._unsent = b""
        self.link = socket.socket(socket.AF_UNIX)
        self.link.connect(path)
        self.link.setblocking(False)

    def ask(self) -> None:
        """Send one batch."""
        size = self._chance.choice(BATCHES)
        histories = [
            self._chance.choice(self._moving if self._chance.random() < 0.3 else self._fixed)
            for _ in range(size)
        ]
        self._waiting = [(history, history.ask()) for history in histories]
        data = b"".join([request(history.key) for history in histories])
        sent = self.link.send(data)
        assert sent == len(data), "a batch must fit into the socket's buffer"

    def receive(self) -> None:
        """Check the replies that are there; send another batch when all have come."""
        data = self.link.recv(CHUNK)
        assert data, "the server closed the connection"
        data = self._replies + data
        start = 0
        done = 0
        for history, asked in self._waiting:
            expected = frame(history.now)
            if data.startswith(expected, start):
                reply, end = history.now, start + len(expected)
            else:
                colon = data.find(b":", start)
                if colon < 0:
                    break
                end = colon + int(data[start:colon]) + 2
                if end > len(data):
                    break
                reply = data[colon + 1 : end - 1]
            fault = history.check(asked, reply)
            if fault is not None:
                self.wrong.append(fault)
            start = end
            done += 1
        self._replies = data[start:]
        self._waiting = self._waiting[done:]
        self.answered += done
        if not self._waiting:
            assert not self._replies, f"more replies than questions: {self._replies[:80]!r}"
            self.ask()


def read(readers: Sequence[Reader], questions: int) -> None:
    """Have the readers ask `questions` more in all, and stop at the first wrong answer."""
    goal = questions + sum(reader.answered for reader in readers)
    with selectors.DefaultSelector() as selector:
        for reader in readers:
            selector.register(reader.link, selectors.EVENT_READ, reader)
        while sum(reader.answered for reader in readers) < goal:
            events = selector.select(timeout=60)
            assert events, "no answer for a minute"
            for key, _ in events:
                key.data.receive()
                if key.data.wrong:
                    return
