"""The table [policy]: the front end for Postfix' access policy delegation."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.config.choices import Mode
from gateway.config.declaration import Section, declarations_of, inherited, setting
from gateway.config.endpoints import Endpoint
from gateway.config.tables.connections import (
    FrontEndSettings,
    idle_timeout_setting,
    max_connections_setting,
)
from gateway.config.types import choice, listen


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySettings(FrontEndSettings):
    """The policy front end; off while `listen` is empty."""

    listen: tuple[Endpoint, ...] = setting(
        listen(),
        default=(),
        description="Sockets to listen on; empty: no policy service. [scope] must then say which "
        "recipients are ours.",
        example='["unix:/var/spool/postfix/smmapd/policy?mode=0660&group=postfix"]',
    )
    mode: Mode = inherited(
        choice(Mode),
        inherits="mode",
        description="The mode of this front end. In `observe` the action is always DUNNO.",
        example='"observe"',
    )
    max_connections: int = max_connections_setting(
        "Each smtpd process of Postfix holds one. More wait in the socket's queue, and idle ones "
        "are closed for them."
    )
    idle_timeout: float = idle_timeout_setting(
        1200.0,
        "Postfix closes its own after smtpd_policy_service_max_idle (300 seconds) and "
        "smtpd_policy_service_max_ttl (1000 seconds); a smaller value here costs it a warning.",
        example="1200",
    )


SECTION = Section(
    name="policy",
    title="The policy front end",
    description="Answers Postfix' check_policy_service at RCPT TO with the reply that delivery "
    "would give.",
    build=PolicySettings,
    declarations=declarations_of(PolicySettings),
)
