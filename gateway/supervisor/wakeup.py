"""Signals as something that a selector can wait for (signal.set_wakeup_fd)."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterable

_READ = 4096


class Wakeup:
    """While entered, the given signals do nothing but make `fileno` readable.

    Only in the main thread, and one at a time: Python has one wakeup
    descriptor a process.
    """

    def __init__(self, signals: Iterable[signal.Signals]) -> None:
        self._signals = tuple(signals)
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)

    def __enter__(self) -> Wakeup:
        self._handlers = {
            each: signal.signal(each, lambda _number, _frame: None) for each in self._signals
        }
        self._before = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        return self

    def __exit__(self, *_error: object) -> None:
        signal.set_wakeup_fd(self._before)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._reader.close()
        self._writer.close()

    def fileno(self) -> int:
        """The descriptor to wait for."""
        return self._reader.fileno()

    def taken(self) -> frozenset[int]:
        """The signals that have come since the last call."""
        try:
            return frozenset(self._reader.recv(_READ))
        except (BlockingIOError, InterruptedError):
            return frozenset()
