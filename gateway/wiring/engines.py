"""The engines of one process: one for its event loop, and as many as its threads need.

Where `store` is cyrus, each thread has a Verifier of its own, and what asks the
backends of a Murder is shared by all, as are the connections to an SQL server.
Where it names servers elsewhere, one RemoteVerifier serves everybody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.verification.cache import VerdictCache
from gateway.verification.pool import VerifierPool
from gateway.verification.questions import StoreQuestions
from gateway.verification.verifier import Verifier
from gateway.wiring.assembly import make_store
from gateway.wiring.upstreams import WARNED_OF, make_murder, make_remote

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from gateway.config import Settings
    from gateway.config.choices import AuthorityName
    from gateway.cyrus.db.sql_pool import SqlPool
    from gateway.cyrus.store import CyrusStore
    from gateway.upstream.lmtp import Creators
    from gateway.verification.decider import Engine, Memory
    from gateway.verification.murder import MurderUpstreams
    from gateway.verification.remote import RemoteVerifier
    from gateway.verification.servers import Server


class Engines:
    """What `settings` ask for.  Raises ConfigurationError, which names the file and option.

    `pool` lends engines to threads; `max_concurrency` is how many questions another
    server is asked at once, `concurrency_of` has those for which it is another number.
    `creators` are servers that make mailboxes for whom they are asked about.
    `verifier` makes an engine on a store.
    """

    def __init__(
        self,
        settings: Settings,
        verifier: Callable[[CyrusStore, MurderUpstreams], Verifier] = Verifier.for_store,
        creators: Creators = WARNED_OF,
    ) -> None:
        self._settings = settings
        self._memories: dict[AuthorityName, Memory] = {}
        self._verifier = verifier
        self._remote: RemoteVerifier | None = None
        self._murder: MurderUpstreams | None = None
        self._sql: SqlPool | None = None
        self.concurrency_of: dict[str, int] = {}
        self.contexts: list[ssl.SSLContext] = []  # of connections to servers elsewhere
        self.pool = VerifierPool(self.engine)
        if settings.general.store:
            self._remote = make_remote(settings, creators, self.contexts)
            # Their questions share one line (RemoteVerifier.name).
            self.max_concurrency = settings.remote.pool_size * len(self._remote.servers)
        else:
            store = make_store(settings)
            store.look()
            self._murder = make_murder(settings, store.conf)
            self.max_concurrency = settings.murder.pool_size
            if store.sql is not None:
                self._sql = store.sql.pool
                self.concurrency_of[self._sql.server.name()] = self._sql.size
            first = verifier(store, self._murder)
            self.pool.give_back(first.answering(settings.general.answers.value))

    def engine(self) -> Engine:
        """An engine for one thread."""
        return self._remote if self._remote is not None else self._on_store()

    def memory(self, answers: AuthorityName) -> Memory:
        """Remembered verdicts of an authority for the event loop, made when first asked for.

        None are remembered where the store is on an SQL server.
        """
        if self._remote is not None:
            return self._remote
        memory = self._memories.get(answers)
        if memory is None:
            verifier = self._on_store().answering(answers.value)
            server = verifier.store.server
            memory = self._memories[answers] = (
                VerdictCache(verifier) if server is None else StoreQuestions(server, answers.value)
            )
        return memory

    def _on_store(self) -> Verifier:
        assert self._murder is not None
        verifier = self._verifier(make_store(self._settings, self._sql), self._murder)
        return verifier.answering(self._settings.general.answers.value)

    @property
    def servers(self) -> tuple[Server, ...]:
        """The servers elsewhere that there are, or that have been asked."""
        if self._remote is not None:
            return self._remote.servers
        return self._murder.backends.servers if self._murder is not None else ()

    def sweep(self) -> None:
        """Close connections to other servers that are not needed; never waits."""
        if self._remote is not None:
            self._remote.sweep()
        elif self._murder is not None:
            self._murder.backends.sweep()
        if self._sql is not None:
            self._sql.sweep()

    @property
    def sql(self) -> SqlPool | None:
        """The connections to the SQL server that holds a database, if one does."""
        return self._sql

    def retire(self) -> None:
        """Others serve now: give connections back as soon as nobody here needs them."""
        if self._sql is not None:
            self._sql.retire()
