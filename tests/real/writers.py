"""What all writers do who change a store while readers ask: a loop on a thread, one operation at a time.

An operation says beforehand which replies it makes true, and asks afterwards
whether they are.  One that is cut off says who can tell what has become of it.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from tests.real.histories import History
from tests.real.readers import Crowd
from tests.rigs.waiting import wait_until

# Questions that are asked at least about what a dead writer has left behind.
ASKED_OF_REMAINS = 200
# Questions at a time, between two looks at the writer.
_PIECE = 1000
DEADLINE_S = 60.0

# A recipient and the replies that become true of it, the last one for good.
Expected = tuple[History, tuple[bytes, ...]]


class Writer(ABC):
    """Changes a store in rounds; `enough` rounds are made at least."""

    def __init__(self, crowd: Crowd, ask: Callable[[bytes], bytes], enough: int) -> None:
        self._crowd = crowd
        self._ask = ask
        self._enough = enough
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._stop = threading.Event()
        self._deserted = threading.Event()
        self._busy = threading.Event()  # an operation is in progress, or waits for questions
        self._number = 0
        self.done: Counter[str] = Counter()
        self.killed: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.error: Exception | None = None

    @abstractmethod
    def _round(self, number: int) -> None:
        """Each kind of operation once."""

    def drive(self, questions: int) -> None:
        """Write, and have the crowd ask that many questions at least; until something is wrong.

        Where enough is asked before enough is written, the crowd rests between
        the operations, which gives them the machine.
        """
        crowd = self._crowd
        self._thread.start()
        try:
            crowd.begin()
            crowd.read(questions)
            while self._thread.is_alive() and not crowd.wrong:
                if self._number >= self._enough:
                    self._stop.set()
                self._busy.wait(DEADLINE_S)
                self._busy.clear()
                crowd.read(_PIECE)
        finally:
            self._deserted.set()
            self._stop.set()
            self._thread.join()

    def _run(self) -> None:
        try:
            while not self._stop.is_set() and not self.wrong:
                self._round(self._number)
                self._number += 1
        except Exception as error:  # noqa: BLE001  (the test raises it again)
            self.error = error
        self._busy.set()

    def _operation(self, name: str, change: Callable[[], object], *expected: Expected) -> None:
        """One operation that makes the replies of `expected` true."""
        for history, replies in expected:
            history.begin(*replies)
        self._busy.set()
        change()
        for history, _ in expected:
            history.end()
        self.done[name] += 1
        self._look(name, expected)

    def _cut_off(
        self,
        name: str,
        strike: Callable[[], bool],
        truth: Callable[[Sequence[bytes]], Mapping[bytes, bytes]],
        *expected: Expected,
    ) -> None:
        """One operation in which its writer is killed, unless `strike` says that it has returned.

        What was left behind is asked about before `truth` asks Cyrus, which
        fixes it.
        """
        for history, replies in expected:
            history.begin(*replies)
        self._busy.set()
        if strike():
            for history, _ in expected:
                history.end()
            self.done[name] += 1
        else:
            self.killed[name] += 1
        goal = self._crowd.answered + ASKED_OF_REMAINS
        wait_until(
            lambda: self._asked(goal),
            "the readers have asked about what a dead writer left",
            DEADLINE_S,
        )
        true = truth([history.key for history, _ in expected])
        for history, _ in expected:
            fault = history.settle(true[history.key])
            if fault is not None:
                self.wrong.append(f"after {name} was cut off: {fault}")
        self._look(name, expected)

    def _asked(self, goal: int) -> bool:
        """Is the crowd so far, or has it gone?"""
        self._busy.set()
        return self._deserted.is_set() or self._crowd.answered >= goal

    def _look(self, name: str, expected: Iterable[Expected]) -> None:
        """A writer sees its own change at once."""
        for history, _ in expected:
            fault = history.check(history.ask(), self._ask(history.key))
            if fault is not None:
                self.wrong.append(f"after {name}: {fault}")
