"""The engines of one process: one for its event loop, and as many as its threads need.

`make_engines` is where it is chosen what decides about a store.  Where `store` is
cyrus, each thread has a Verifier of its own, and what asks the backends of a Murder is
shared by all, as are the connections to an SQL server (verification/pool.py says
what the event loop gets then).  Where it names other servers, one RemoteVerifier
serves everybody.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from gateway.verification.pool import VerifierPool, memory_on
from gateway.verification.verifier import Verifier
from gateway.wiring.assembly import make_store
from gateway.wiring.upstreams import WARNED_OF, make_murder, make_remote

if TYPE_CHECKING:
    import ssl

    from gateway.config import Settings
    from gateway.config.choices import AuthorityName
    from gateway.cyrus.db.sqlserver.connections import SqlPool
    from gateway.cyrus.store import CyrusStore
    from gateway.upstream.lmtpclient import Creators
    from gateway.verification.decider import Engine, Memory


def make_engines(settings: Settings, creators: Creators = WARNED_OF) -> Engines:
    """What `settings` ask for.  Raises ConfigurationError, which names the file and option.

    `creators` are servers that create mailboxes for the recipients that they are asked about.
    """
    if settings.general.store:
        return RemoteEngines(settings, creators)
    return StoreEngines(settings)


class Engines(ABC):
    """The engines of one process.

    `pool` lends engines to threads; `max_concurrency` is how many questions another
    server is asked at once, `concurrency_of` has those for which it is another number.
    `contexts` are those of TLS connections to other servers, `sql` the connections to
    the SQL server that holds a database, if one does.
    """

    max_concurrency: int
    sql: SqlPool | None = None

    def __init__(self) -> None:
        self.concurrency_of: dict[str, int] = {}
        self.contexts: list[ssl.SSLContext] = []
        self.pool = VerifierPool(self.engine)

    @abstractmethod
    def engine(self) -> Engine:
        """An engine for one thread."""

    @abstractmethod
    def memory(self, answers: AuthorityName) -> Memory:
        """What decides for an authority on the event loop, made when first asked for."""

    @abstractmethod
    def sweep(self) -> None:
        """Close connections to other servers that are not needed; never waits."""

    def retire(self) -> None:
        """Others serve now: give connections back as soon as they are not needed here."""
        if self.sql is not None:
            self.sql.retire()


class RemoteEngines(Engines):
    """The mailboxes are behind other servers, which one engine asks for everybody."""

    def __init__(self, settings: Settings, creators: Creators) -> None:
        super().__init__()
        self._remote = make_remote(settings, creators, self.contexts)
        # Their questions share one queue (RemoteVerifier.name).
        self.max_concurrency = settings.remote.pool_size * len(self._remote.servers)

    def engine(self) -> Engine:
        """The one."""
        return self._remote

    def memory(self, answers: AuthorityName) -> Memory:
        """The same: other servers have an authority of their own."""
        return self._remote

    def sweep(self) -> None:
        """As any Engines'."""
        self._remote.sweep()


class StoreEngines(Engines):
    """The mailboxes are in a Cyrus store of this machine, perhaps on an SQL server."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._settings = settings
        self._memories: dict[AuthorityName, Memory] = {}
        store = make_store(settings)
        store.look()
        self._murder = make_murder(settings, store.conf)
        self.max_concurrency = settings.murder.pool_size
        if store.sql is not None:
            self.sql = store.sql.pool
            self.concurrency_of[self.sql.server.name()] = self.sql.size
        self.pool.give_back(self._on(store))

    def engine(self) -> Verifier:
        """One more, with a reader of its own."""
        return self._on(make_store(self._settings, self.sql))

    def _on(self, store: CyrusStore) -> Verifier:
        answers = self._settings.general.answers.value
        return Verifier.for_store(store, self._murder, answers=answers)

    def memory(self, answers: AuthorityName) -> Memory:
        """As any Engines'."""
        memory = self._memories.get(answers)
        if memory is None:
            memory = self._memories[answers] = memory_on(self.engine().answering(answers.value))
        return memory

    def sweep(self) -> None:
        """As any Engines'."""
        self._murder.backends.sweep()
        if self.sql is not None:
            self.sql.sweep()
