"""The files of [scope] in a process that is about to serve: when it may, and what it reports.

A process that begins has no older content to stand by.  So one that takes the
place of another waits until the files have been left alone, because the other
serves on; one that starts again cannot wait, and its judges defer recipients that a file
could save (`Watched.settled`).  What a file that was left alone cannot be used
for ends a start or a reload, as it would have if it had been there before.

The supervisor is told how many entries the files have, so that a process that begins
later knows when one has lost most of them.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from gateway.errors import ConfigurationError
from gateway.wiring.judges import make_trust

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.config import Settings
    from gateway.frontends.domains import DomainList
    from gateway.frontends.scope import Scope
    from gateway.frontends.watched import Watched
    from gateway.supervisor.channel import Supervised

# Seconds between two looks at whether the files have settled.
SETTLING_INTERVAL = 0.2

# Seconds that a start waits for a file; recipients that it may hold are deferred after that.
START_PATIENCE = 3.0


class ScopeFiles:
    """The files of all scopes of one process; `trust` is what is believed of them."""

    def __init__(self, parent: Supervised, settings: Settings) -> None:
        beginning = parent.beginning
        self.trust = make_trust(settings, beginning.entries, lenient=beginning.again)
        self._parent = parent
        self._began = time.monotonic()
        self._scopes: list[Scope] = []
        self._told: dict[str, int] = {}

    def add(self, scope: Scope | None) -> None:
        """One more scope of this process."""
        if scope is not None:
            self._scopes.append(scope)

    def waits_for(self) -> str:
        """What has to settle before this process serves; empty where it need not wait.

        Raises ConfigurationError where a file has settled and cannot be used.
        """
        beginning = self._parent.beginning
        if beginning.again:
            return ""
        for scope in self._scopes:
            scope.refresh()
        unsettled = {file.path: file for file in self._files() if not file.settled}
        for file in unsettled.values():
            if file.refused:
                raise ConfigurationError(file.problem)
        if not beginning.replaces and time.monotonic() - self._began >= START_PATIENCE:
            return ""
        return "; ".join(
            file.problem or f"{path}, which was changed just now"
            for path, file in unsettled.items()
        )

    def tell(self) -> None:
        """Tell the supervisor how many entries there are, where that has changed."""
        for file in self._files():
            if file.settled and self._told.get(file.path) != file.entries:
                self._told[file.path] = file.entries
                self._parent.entries(file.path, file.entries)

    def _files(self) -> Iterator[Watched[DomainList] | Watched[frozenset[bytes]]]:
        for scope in self._scopes:
            yield from scope.domain_files
            yield from scope.alias_files
