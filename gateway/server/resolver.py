"""Host names looked up within a deadline, and remembered.

Python cannot interrupt getaddrinfo, so each look-up runs on a thread of its
own, and a caller waits for it no longer than it may.  A caller that asks for a name
that is being looked up waits for the same answer.  Addresses are looked up
again after HOLD seconds, since the resolver does not tell for how long they
hold; no client waits for that, and while the name service is away, or hangs, the
old ones are used on.

Limits: at most one thread a name; names are those of the configuration and of
the mailbox list, so there are few.
"""

from __future__ import annotations

import errno
import socket
import threading
import time
from typing import TYPE_CHECKING

from gateway.upstream.connection import plain_lookup

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.upstream.connection import Found, Lookup

# Seconds: a server that moves is found again soon, and a busy one is not
# looked up for every connection.
HOLD = 30.0


class _SharedLookup:
    """One look-up and its outcome."""

    __slots__ = ("done", "error", "found")

    def __init__(self) -> None:
        self.done = threading.Event()
        self.error: OSError | None = None
        self.found: Sequence[Found] = ()


class Names:
    """Looks names up for all threads of a process; `look_up` is a Lookup (upstream.connection)."""

    def __init__(self, lookup: Lookup = plain_lookup) -> None:
        self._lookup = lookup
        self._lock = threading.Lock()
        self._under_way: dict[tuple[str, int], _SharedLookup] = {}
        # The addresses, and the moment until which they hold.
        self._known: dict[tuple[str, int], tuple[Sequence[Found], float]] = {}

    def look_up(self, host: str, port: int, until: float) -> Sequence[Found]:
        """The addresses of `host` by `until` (time.monotonic); raises OSError."""
        key = (host, port)
        now = time.monotonic()
        known = self._known.get(key)
        if known is not None and now < known[1]:
            return known[0]
        if _is_numeric(host):
            return self._lookup(host, port, until)
        shared = self._shared_lookup(key)
        if known is not None:
            # A name service that hangs does not hold up servers that were known already.
            return known[0]
        if not shared.done.wait(max(0.0, until - now)):
            raise TimeoutError("the name service does not answer in time")
        if shared.error is not None:
            raise shared.error
        return shared.found

    def _shared_lookup(self, key: tuple[str, int]) -> _SharedLookup:
        """The look-up of `key` that is in progress; it begins here if there is none."""
        host = key[0]
        with self._lock:
            shared = self._under_way.get(key)
            if shared is None:
                shared = self._under_way[key] = _SharedLookup()
                try:
                    threading.Thread(
                        target=self._look_up,
                        args=(key, shared),
                        name=f"look up {host}",
                        daemon=True,
                    ).start()
                except RuntimeError as error:  # "can't start new thread"
                    del self._under_way[key]
                    shared.error = OSError(errno.EAGAIN, f"{host} cannot be looked up: {error}")
                    shared.done.set()
        return shared

    def _look_up(self, key: tuple[str, int], shared: _SharedLookup) -> None:
        host, port = key
        try:
            shared.found = self._lookup(host, port, float("inf"))
            self._known[key] = (shared.found, time.monotonic() + HOLD)
        except OSError as error:
            shared.error = error
        except UnicodeError:
            shared.error = socket.gaierror(socket.EAI_NONAME, "this is not a host name")
        finally:
            with self._lock:
                del self._under_way[key]
            shared.done.set()


def _is_numeric(host: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host.partition("%")[0])
        except (OSError, ValueError):
            continue
        return True
    return False
