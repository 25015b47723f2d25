"""The table [socketmap]: the front end for socketmap look-ups of Postfix and Sendmail."""

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
class SocketmapSettings(FrontEndSettings):
    """The socketmap front end; off while `listen` is empty."""

    listen: tuple[Endpoint, ...] = setting(
        listen(),
        default=(),
        description="Sockets to listen on; empty: no socketmap. gateway.toml(5) "
        "explains the syntax under SOCKETS.",
        example='["unix:/run/smmapd/socketmap?mode=0660&group=postfix"]',
        sample=True,
    )
    mode: Mode = inherited(
        choice(Mode),
        inherits="mode",
        description="The mode of this front end. In `observe` every recipient of a domain of ours "
        "is found: a mail server that asks then accepts unknown users, and bounces later. Keys "
        "that are not recipients (a bare domain, `@domain`) are never found.",
        example='"observe"',
    )
    max_connections: int = max_connections_setting(
        "More wait in the socket's queue, and idle ones are closed for them."
    )
    idle_timeout: float = idle_timeout_setting(
        3600.0,
        "Postfix closes its own after 10 seconds, Sendmail when its process ends.",
        example="600",
    )


SECTION = Section(
    name="socketmap",
    title="The socketmap front end",
    description="Answers look-ups of Postfix (socketmap_table(5)) and Sendmail (K lines of type "
    "socket). It can only say yes, no or later.",
    build=SocketmapSettings,
    declarations=declarations_of(SocketmapSettings),
)
