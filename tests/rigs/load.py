"""Clients that never rest, and the account of what they were told.

Two kinds for each interface: `steady` keeps its connection, as smtpd does, and
asks a question once more on a new one when the server has closed it without a
byte of an answer (auto_clnt(3) of Postfix does so); `short` makes a connection
for each question, and nothing may go wrong with any.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Self

from tests.rigs.clients import INTERFACES, ClosedError, Interface
from tests.rigs.waiting import wait_until

FRED = b"fred@example.org"
NOBODY = b"nobody@example.org"


@dataclass
class Account:
    """What happened to one client's questions; `faults` says how each that was lost got lost."""

    answers: Counter[bytes] = field(default_factory=Counter)
    again: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def answered(self) -> int:
        """How many questions have been answered."""
        return self.answers.total()


class Client(threading.Thread):
    """Asks about the two recipients in turn, until it is told to end."""

    def __init__(self, name: str, connect: Callable[[], Interface], *, steady: bool) -> None:
        super().__init__(name=name, daemon=True)
        self.account = Account()
        self._connect = connect
        self._steady = steady
        self._ended = threading.Event()

    def run(self) -> None:
        """Ask without end; a fault is written down and the next question asked."""
        interface: Interface | None = None
        while not self._ended.is_set():
            for recipient in (FRED, NOBODY):
                try:
                    interface = self._ask(interface, recipient)
                except (OSError, AssertionError) as error:
                    self.account.faults.append(f"{self.name}: {error!r}")
                    interface = None
        if interface is not None:
            interface.close()

    def _ask(self, interface: Interface | None, recipient: bytes) -> Interface | None:
        if interface is not None:
            try:
                return self._asked(interface, recipient)
            except (ClosedError, BrokenPipeError, ConnectionResetError):
                self.account.again += 1
        fresh = self._asked(self._connect(), recipient)
        if self._steady:
            return fresh
        fresh.close()
        return None

    def _asked(self, interface: Interface, recipient: bytes) -> Interface:
        """The same interface, after one question; one that has no answer is closed."""
        try:
            self.account.answers[interface.ask(recipient)] += 1
        except BaseException:
            interface.close()
            raise
        return interface

    def end(self) -> None:
        """Let it end after the question that it is at."""
        self._ended.set()


class Load:
    """Some clients of each kind at each interface; a `with` ends them."""

    def __init__(self, paths: Mapping[str, str], *, each: int = 2) -> None:
        """`paths` are the sockets by interface."""
        self._clients = [
            Client(
                f"{interface} {kind} {number}",
                self._connector(interface, path),
                steady=kind == "steady",
            )
            for interface, path in paths.items()
            for kind in ("steady", "short")
            for number in range(each)
        ]

    @staticmethod
    def _connector(interface: str, path: str) -> Callable[[], Interface]:
        return lambda: INTERFACES[interface](path)

    def __enter__(self) -> Self:
        for client in self._clients:
            client.start()
        self.wait_progress()
        return self

    def __exit__(self, *_error: object) -> None:
        for client in self._clients:
            client.end()
        for client in self._clients:
            client.join()

    def wait_progress(self) -> None:
        """Wait until every client has been answered some questions more."""
        before = [client.account.answered for client in self._clients]

        def all_went_on() -> bool:
            return all(
                client.account.answered > count + 4
                for client, count in zip(self._clients, before, strict=True)
            )

        wait_until(all_went_on, f"every client is answered; faults: {self.faults}")

    @property
    def faults(self) -> list[str]:
        """The questions that were lost."""
        return [fault for client in self._clients for fault in client.account.faults]

    def answers(self, interface: str) -> set[bytes]:
        """Whatever the clients of an interface were told."""
        return {
            answer
            for client in self._clients
            if client.name.startswith(interface)
            for answer in client.account.answers
        }
