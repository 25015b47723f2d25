"""What an answer may be while somebody writes: histories of recipients.

The history of a recipient is the list of the replies that are true of it, one
after the other, in the words of a socketmap.  A writer says before an
operation which replies come next (`begin`), and afterwards that they have
come (`end`).  An answer is right if it is one that was true at some instant
between its question and itself:

- not older than what the last operation that had returned before the
  question left behind, and not older than what anybody had been told before it;
- not newer than what the operations that had begun before the answer make.

So a stale answer, even by one operation, is as wrong as an answer that was
never true.

A writer that is killed leaves either what was or what it was about to make.
Until Cyrus itself has been asked which (`settle`) both are right, but nobody
may go back: if Cyrus then says what was, and somebody has been told what
comes after it, that answer rested on what was never committed.
"""

from __future__ import annotations


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
        """The reply that is true while no operation is in progress."""
        return self.replies[-1]

    def begin(self, *replies: bytes) -> None:
        """An operation begins that makes these replies true, one after the other."""
        self.replies.extend(replies)

    def end(self) -> None:
        """The operation has returned."""
        self.oldest = len(self.replies) - 1

    def settle(self, reply: bytes) -> str | None:
        """The operation was cut off, and Cyrus says that `reply` is true now.

        None if that can be, else what is wrong.
        """
        possible = self.replies[self.ask() :]
        self.begin(reply)
        self.end()
        if reply in possible:
            return None
        return f"taken back: {self.key!r} is {reply!r}, after it was {possible!r}"

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
