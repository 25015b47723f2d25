"""A gateway on an SQL server with many mailboxes: first answers, memory, clients, and a restore."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from tests.rigs import socketmap
from tests.rigs.accounting import memory
from tests.rigs.gateway import Gateway, Tables
from tests.rigs.sqlservers import SqlServer
from tests.rigs.waiting import wait_until
from tests.stores import FlatStore

OK, TEMP, NOTFOUND = "OK", "TEMP", "NOTFOUND"
KINDS = ("known", "unknown", "denied")
# Users with a mailbox that are blocked.
DENIED = b"user1"


@dataclass
class Load:
    """Clients that ask without end; what they were told, by kind and status."""

    told: Counter[tuple[str, str]] = field(default_factory=Counter)
    slowest: float = 0.0  # seconds
    samples: dict[str, bytes] = field(default_factory=dict)

    def wait_more(self, count: int) -> None:
        """Wait until so many more questions have been answered."""
        enough = self.told.total() + count
        wait_until(lambda: self.told.total() >= enough, "questions are answered")

    def wrong(self) -> dict[tuple[str, str], int]:
        """What is neither right nor temporary: a user refused, a stranger or a blocked one let in."""
        right = {("known", OK), ("unknown", NOTFOUND), ("denied", NOTFOUND)}
        right |= {(kind, TEMP) for kind in KINDS}
        return {each: count for each, count in self.told.items() if each not in right}

    def temporary(self) -> int:
        """How many were told to come again."""
        return sum(count for (_, status), count in self.told.items() if status == TEMP)


class Site:
    """`server` with `count` mailboxes user1, user2, ..., and a gateway on it."""

    def __init__(self, server: SqlServer, gateway: Gateway, count: int) -> None:
        self.server = server
        self.gateway = gateway
        self.count = count

    def ask(self, *keys: bytes) -> list[bytes]:
        """The replies to `keys`."""
        return socketmap.ask(self.gateway.path("socketmap"), *keys)

    def known(self, number: int) -> bytes:
        """One of those who have a mailbox and are not blocked."""
        return b"user%d" % (number * 7919 % (self.count - 1) + 2)

    def core_kib(self) -> int:
        """The largest core's own memory."""
        return max(memory([pid]).anonymous_kib for pid in self.gateway.pids("core"))

    @contextmanager
    def load(self, clients: int) -> Iterator[Load]:
        """So many clients, which ask about recipients of all KINDS."""
        load = Load()
        stop = threading.Event()
        lock = threading.Lock()

        def client(offset: int) -> None:
            number = offset
            with ExitStack() as stack:
                link = stack.enter_context(socketmap.Connection.to(self.gateway.path("socketmap")))
                while not stop.is_set():
                    number += clients
                    kind = KINDS[number // clients % len(KINDS)]
                    key = {"known": self.known(number), "denied": DENIED}.get(
                        kind, b"stranger%d" % number
                    )
                    begun = time.monotonic()
                    reply = link.ask(key)
                    taken = time.monotonic() - begun
                    told = (kind, reply.partition(b" ")[0].decode())
                    with lock:
                        load.told[told] += 1
                        load.slowest = max(load.slowest, taken)
                        load.samples.setdefault(" ".join(told), key)

        threads = [
            threading.Thread(target=self._surviving(client, stop), args=(n,), daemon=True)
            for n in range(clients)
        ]
        for thread in threads:
            thread.start()
        try:
            yield load
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    def _surviving(
        self, client: Callable[[int], None], stop: threading.Event
    ) -> Callable[[int], None]:
        """A client that comes again where a reload has ended its connection between two questions."""

        def run(number: int) -> None:
            while not stop.is_set():
                try:
                    client(number)
                except (OSError, socketmap.SocketmapError):
                    continue

        return run


@contextmanager
def site(
    server: SqlServer, count: int, folder: str, tables: Tables | None = None
) -> Iterator[Site]:
    """`count` mailboxes on a server that runs, and a gateway that is not started yet."""
    server.populate("mailboxes_db", count)
    server.fill("user_deny_db", [(DENIED, b"2\tsmmap\tnot now")])
    options = {**server.options, "mboxlist_db": "sql", "userdeny_db": "sql"}
    flat = FlatStore(folder, options=options)
    flat.write()
    os.chmod(folder, 0o755)
    with Gateway(flat.conf_path, tables or {}, front_ends=("socketmap",)) as gateway:
        yield Site(server, gateway, count)
