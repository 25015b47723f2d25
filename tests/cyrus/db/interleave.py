"""Views of files for tests: one counts its reads, one lets a writer run between them.

The latter is for one thread.  A writer is a generator that yields after each of its own writes; a
`SteppingView` advances it whenever the reader looks at the file.  So every
interleaving is a list of numbers, which Hypothesis chooses and shrinks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from gateway.cyrus.db.base import Database
from gateway.cyrus.db.file import FileView


class CountingView(FileView):
    """Counts what is read."""

    __slots__ = ("reads",)

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.reads = 0

    def peek(self, offset: int, length: int) -> bytes:
        self.reads += 1
        return super().peek(offset, length)


class Steps:
    """A writer's steps, and how many of them come before each look at the file.

    When the numbers in `pauses` are used up, the writer stands still.
    """

    def __init__(self, script: Iterator[None], pauses: list[int]) -> None:
        self._script = script
        self._pauses = iter(pauses)

    def advance(self) -> None:
        for _ in range(next(self._pauses, 0)):
            if next(self._script, self) is self:
                return

    def finish(self) -> None:
        for _ in self._script:
            pass


class SteppingView(FileView):
    """A FileView that lets the writer in before each of its system calls."""

    __slots__ = ("steps",)

    def __init__(self, path: str) -> None:
        self.steps: Steps | None = None
        super().__init__(path)

    def size(self) -> int:
        self._advance()
        return super().size()

    def peek(self, offset: int, length: int) -> bytes:
        # In two halves: a read is not one moment either.
        half = length // 2 & ~7
        self._advance()
        first = super().peek(offset, half)
        self._advance()
        return first + super().peek(offset + len(first), length - len(first))

    def _advance(self) -> None:
        if self.steps is not None:
            self.steps.advance()


class Committing(Protocol):
    """A writer, as far as a reader is held against it."""

    @property
    def path(self) -> str:
        """The file."""

    @property
    def committed(self) -> Mapping[bytes, bytes]:
        """Its records."""


def check_look_ups_between_steps(
    make: Callable[[FileView], Database],
    writer: Committing,
    play: Iterator[None],
    key: bytes,
    pauses: list[int],
) -> None:
    """Whatever `writer` does between the reads, each answer was committed while it was looked up."""
    view = SteppingView(writer.path)
    database = make(view)
    seen: list[bytes | None] = []

    def script() -> Iterator[None]:
        for _ in play:
            seen.append(writer.committed.get(key))
            yield

    view.steps = steps = Steps(script(), pauses)
    for _ in range(3):
        seen[:] = [writer.committed.get(key)]
        assert database.get(key) in seen
    steps.finish()
    assert database.get(key) == writer.committed.get(key)
    database.close()
