"""What every rig of a real program has in common: a folder, a daemon, and an end that is checked.

    class Thing(Rig):
        prefix = "th"
        program = "Thing"

        def _populate(self) -> None: ...

Entering makes the folder, leaving stops the daemon and removes the folder.
Whatever had to be killed on the way out fails the test, unless it already
fails for another reason.
"""

from __future__ import annotations

import shutil
import signal
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from tests.rigs.folders import make_folder
from tests.rigs.processes import Daemon, RigError, account, command_line, kill, working_in
from tests.rigs.waiting import DeadlineError, wait_until


class Rig(ABC):
    """One program in a folder of its own; the daemon runs between `start()` and `stop()`."""

    # What the folder's name begins with, and what messages call the program.
    prefix = ""
    program = ""
    # Whose folder it is; "" is root.
    owner = ""
    # How the program is asked to end in good order.
    stop_signal = signal.SIGTERM

    def __init__(self, parent: str | None = None) -> None:
        """`parent` is the folder for the rig's own one, instead of the temporary folder."""
        self.folder = ""
        self._parent = parent
        self._daemon: Daemon | None = None

    def __enter__(self) -> Self:
        self.folder = make_folder(
            self.prefix, account(self.owner) if self.owner else None, parent=self._parent
        )
        try:
            self._populate()
        except BaseException:
            try:
                self.stop()
            finally:
                shutil.rmtree(self.folder)
            raise
        return self

    @abstractmethod
    def _populate(self) -> None:
        """Put into the folder what the program needs."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            killed = self.stop()
        finally:
            shutil.rmtree(self.folder)
        if killed and error is None:
            raise RigError(
                f"{self.program} left processes behind, which had to be killed: {killed}"
            )

    def _launch(self, daemon: Daemon) -> None:
        """Start the daemon; whether it is ready is the rig's question."""
        self._daemon = daemon
        daemon.start()

    @property
    def daemon(self) -> Daemon:
        """The running daemon.  Raises `RigError` if there is none."""
        if self._daemon is None:
            raise RigError(f"{self.program} was not started")
        return self._daemon

    def stop(self) -> list[str]:
        """Stop it and wait for its children; returns what had to be killed, if anything."""
        if self._daemon is None:
            return []
        killed = self._daemon.stop(self.stop_signal)
        self._daemon = None
        return killed + self._stop_others()

    def _stop_others(self) -> list[str]:
        """Wait for children with a session of their own: Sendmail delivers in such."""
        killed = []
        try:
            wait_until(self._is_left, f"{self.program}'s children leave {self.folder}")
        except DeadlineError:
            for pid in working_in(self.folder):
                killed.append(command_line(pid))
                kill(pid)
            wait_until(self._is_left, f"{self.program}'s children are gone after SIGKILL")
        return killed

    def _is_left(self) -> bool:
        return not working_in(self.folder)
