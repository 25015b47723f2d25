"""Which clients of a TCP socket may connect, by their networks."""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# ::ffff:0:0/96 is all of IPv4 (RFC 4291, 2.5.5.2).
_MAPPED_BITS = 96


class Allowed:
    """Admits clients from `networks`, and those on Unix sockets; `report` hears of the others.

    It gets a line as logging takes it, the text and then its values: lines
    whose text is the same are alike, and the writer holds them back when there are many.
    """

    def __init__(self, networks: Sequence[Network], report: Callable[..., None]) -> None:
        self._networks = tuple(map(_plain, networks))
        self._report = report

    def admits(self, peer: socket.socket) -> bool:
        """Whether the client at the other end of `peer` may stay."""
        if peer.family == socket.AF_UNIX:
            return True
        try:
            host = peer.getpeername()[0]
        except OSError:  # it is gone already
            return False
        # fe80::1%eth0: the zone is not part of the network.
        address = ipaddress.ip_address(host.partition("%")[0])
        mapped = getattr(address, "ipv4_mapped", None)
        if any((mapped or address) in network for network in self._networks):
            return True
        self._report("refused a connection from %s: not in allow", host)
        return False


def _plain(network: Network) -> Network:
    """The IPv4 network that an IPv6 one of mapped addresses stands for, as those of clients do."""
    if isinstance(network, ipaddress.IPv6Network) and network.prefixlen >= _MAPPED_BITS:
        address = network.network_address.ipv4_mapped
        if address is not None:
            return ipaddress.IPv4Network((address, network.prefixlen - _MAPPED_BITS))
    return network
