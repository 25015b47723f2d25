"""Which clients of a TCP socket may connect, by their networks."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from gateway.frontends.scope import client_address, client_network

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.frontends.scope import Network


class Allowed:
    """Admits clients from `networks`, and those on Unix sockets; `report` hears of the others.

    It gets a line as logging takes it, the text and then its values: lines
    whose text is the same are alike, and the writer holds them back when there are many.
    """

    def __init__(self, networks: Sequence[Network], report: Callable[..., None]) -> None:
        self._networks = tuple(map(client_network, networks))
        self._report = report

    def admits(self, peer: socket.socket) -> bool:
        """Whether the client at the other end of `peer` may stay."""
        if peer.family == socket.AF_UNIX:
            return True
        try:
            host = peer.getpeername()[0]
        except OSError:  # it is gone already
            return False
        address = client_address(host.encode())
        if address is not None and any(address in network for network in self._networks):
            return True
        self._report("refused a connection from %s: not in allow", host)
        return False
