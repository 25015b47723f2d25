"""The table [policy]: the front end for Postfix' access policy delegation."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.daemon.endpoints import Endpoint
from gateway.daemon.settings.declaration import Section, declarations_of, inherited, setting
from gateway.daemon.settings.socketmap import MAX_CONNECTIONS, MAX_TIMEOUT
from gateway.daemon.settings.types import Network, choice, integer, listen, networks, seconds
from gateway.daemon.settings.words import Mode


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySettings:
    """The policy front end; off while `listen` is empty."""

    listen: tuple[Endpoint, ...] = setting(
        listen(),
        default=(),
        description="Sockets to listen on; empty: no policy service. [scope] must then say which "
        "recipients are ours.",
        example='["unix:/var/spool/postfix/smmapd/policy?mode=0660&group=postfix"]',
    )
    allow: tuple[Network, ...] = setting(
        networks(),
        default=(),
        description="Networks whose clients may connect to the TCP sockets; empty: everybody who "
        "reaches them. Others are disconnected at once.",
        example='["127.0.0.0/8", "2001:db8::/32"]',
    )
    mode: Mode = inherited(
        choice(Mode),
        inherits="mode",
        description="The mode of this front end. In `observe` the action is always DUNNO.",
        example='"observe"',
    )
    max_connections: int = setting(
        integer(1, MAX_CONNECTIONS),
        default=2000,
        units="connections",
        description="How many connections one process holds at once. Each smtpd process of "
        "Postfix holds one.",
        example="500",
    )
    idle_timeout: float = setting(
        seconds(1, MAX_TIMEOUT),
        default=1200.0,
        units="seconds",
        description="A connection without a request for this long is closed. Postfix closes its "
        "own after smtpd_policy_service_max_idle (300 seconds) and "
        "smtpd_policy_service_max_ttl (1000 seconds); a smaller value here costs it a warning.",
        example="1200",
    )
    request_timeout: float = setting(
        seconds(1, MAX_TIMEOUT),
        default=30.0,
        units="seconds",
        description="A request that began to arrive must be complete, and a reply must be taken, "
        "within this time; else the connection is closed.",
        example="10",
    )


SECTION = Section(
    name="policy",
    title="The policy front end",
    description="Answers Postfix' check_policy_service at RCPT TO with the reply that delivery "
    "would give.",
    build=PolicySettings,
    declarations=declarations_of(PolicySettings),
)
