"""The table [admin]: the HTTP listener for metrics, health and the status page."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.config.declaration import Section, declarations_of, setting
from gateway.config.endpoints import Endpoint, InetEndpoint
from gateway.config.types import boolean, host_names, listen

DEFAULT_LISTEN: tuple[Endpoint, ...] = (InetEndpoint("127.0.0.1", 9625),)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminSettings:
    """The admin HTTP listener; off while `listen` is empty."""

    listen: tuple[Endpoint, ...] = setting(
        listen(),
        default=DEFAULT_LISTEN,
        description="Sockets for HTTP: the status page at /, /metrics, /healthz, /readyz and "
        "/explain; empty: none. It asks for no password, so keep it on loopback or on a "
        "Unix socket.",
        example='["unix:/run/smmapd/admin?mode=0660&group=adm"]',
    )
    allow_remote: bool = setting(
        boolean(),
        default=False,
        description="Allow addresses in `listen` that other machines can reach. Without it, "
        "other machines are refused whatever address a socket of systemd (fd:) has.",
        example="true",
    )
    hosts: tuple[str, ...] = setting(
        host_names(),
        default=(),
        description="Names under which clients may reach the listener, besides localhost and "
        "numeric addresses. A request with another Host is refused, which protects the page "
        "against DNS rebinding.",
        example='["mx1.example.org"]',
    )


SECTION = Section(
    name="admin",
    title="Metrics, health and the status page",
    description="",
    build=AdminSettings,
    declarations=declarations_of(AdminSettings),
)
