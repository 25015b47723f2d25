"""Which socket of a front end another program is told, and what its parts are called."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.config.endpoints import UnixEndpoint

if TYPE_CHECKING:
    from gateway.config.endpoints import Endpoint, InetEndpoint

# A placeholder for a socket that only a systemd unit knows.
UNKNOWN = "unix:PATH"
EXAMPLE_DOMAIN = "example.org"


def first(listen: tuple[Endpoint, ...]) -> Endpoint:
    """The socket to name: a Unix one where there is one, as it has permissions."""
    return next((each for each in listen if isinstance(each, UnixEndpoint)), listen[0])


def host(endpoint: InetEndpoint) -> str:
    """The address as it is written before a port."""
    return f"[{endpoint.host}]" if endpoint.address.version == 6 else endpoint.host


def domains(named: tuple[str, ...]) -> str:
    """The domains of [scope] that are names and no suffixes; an example where there are none."""
    return " ".join(each for each in named if not each.startswith(".")) or EXAMPLE_DOMAIN


def text(lines: list[str], anything: bool, *, sign: str = "#") -> str:
    """The lines; where nothing of ours can be asked, that is said."""
    if not anything:
        lines = [*lines, sign, f"{sign} Nothing listens that this program could ask."]
    return "\n".join(lines)
