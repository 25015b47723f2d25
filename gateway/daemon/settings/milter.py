"""The table [milter]: the front end for Sendmail's and Postfix' mail filter protocol."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.daemon.endpoints import Endpoint
from gateway.daemon.settings.declaration import Section, declarations_of, inherited, setting
from gateway.daemon.settings.types import choice, integer, listen
from gateway.daemon.settings.words import Mode

MAX_MILTER_TIMEOUT = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class MilterSettings:
    """The milter front end; off while `listen` is empty."""

    listen: tuple[Endpoint, ...] = setting(
        listen(),
        default=(),
        description="The socket to listen on; empty: no milter. A list for likeness with the "
        "other front ends, but libmilter listens on one socket only. [scope] must then say which "
        "recipients are ours. The milter needs pymilter.",
        example='["inet:127.0.0.1:12347"]',
    )
    mode: Mode = inherited(
        choice(Mode),
        inherits="mode",
        description="The mode of this front end. In `observe` every recipient is let through.",
        example='"observe"',
    )
    timeout: int = setting(
        integer(1, MAX_MILTER_TIMEOUT),
        default=7210,
        units="seconds",
        description="How long libmilter waits for the MTA's next command before it gives the "
        "connection up. It must be longer than an SMTP client may be silent.",
        example="7210",
    )


SECTION = Section(
    name="milter",
    title="The milter front end",
    description="Runs in a process of its own and answers at RCPT TO with the reply that delivery "
    "would give.",
    build=MilterSettings,
    declarations=declarations_of(MilterSettings),
)
