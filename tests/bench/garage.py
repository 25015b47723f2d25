"""Starts servers when they are first needed and ends them when they are not any more."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Self

from tests.bench.measures import Progress
from tests.bench.needs import Missing
from tests.bench.scenarios import SERVERS, Entrant
from tests.bench.servers import Server
from tests.bench.stores import Store, store
from tests.rigs.processes import RigError
from tests.rigs.socketmap import SocketmapError
from tests.rigs.waiting import DeadlineError

Spec = tuple[str, int, bool, int]

# What a server that does not start raises: nothing to measure, and a reason.
NOT_STARTED = (Missing, RigError, DeadlineError, OSError, SocketmapError)


def spec_of(entrant: Entrant) -> Spec:
    """The server, with its store, that an entrant is."""
    return entrant.server, entrant.mailboxes, entrant.quota, entrant.copy


class Garage:
    """The servers that run at this moment."""

    def __init__(self, servers: Mapping[str, Callable[[Store, bool], Server]] = SERVERS) -> None:
        """`servers` makes each kind, by the name that an entrant has for it."""
        self._servers = servers
        self._running: dict[Spec, tuple[Server, Store, Progress]] = {}
        self._failed: dict[Spec, str] = {}

    def get(self, entrant: Entrant) -> tuple[Server, Store, Progress]:
        """The entrant's server, started now if it does not run.

        Raises one of `NOT_STARTED` if it cannot be started; it is not tried again.
        """
        spec = spec_of(entrant)
        if spec in self._failed:
            raise RigError(self._failed[spec])
        if spec not in self._running:
            try:
                with_store = store(entrant.mailboxes)
                server = self._servers[entrant.server](with_store, entrant.quota)
                server.__enter__()
            except NOT_STARTED as error:
                self._failed[spec] = str(error)
                raise
            self._running[spec] = (server, with_store, Progress())
        return self._running[spec]

    def keep(self, entrants: Iterable[Entrant]) -> None:
        """End every server that none of these entrants is.

        Raises `RigError`, when all are ended, if anything had to be killed.
        """
        wanted = {spec_of(entrant) for entrant in entrants}
        problems: list[str] = []
        for spec in [spec for spec in self._running if spec not in wanted]:
            server, _, _ = self._running.pop(spec)
            try:
                server.stop()
            except RigError as error:
                problems.append(str(error))
        if problems:
            raise RigError("; ".join(problems))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.keep(())
        except RigError as problem:
            if error is None:
                raise
            # Why it all ends says more: servers that are interrupted may have to be killed.
            print(problem, file=sys.stderr)
