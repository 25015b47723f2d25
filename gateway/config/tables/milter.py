"""The table [milter]: the front end for Sendmail's and Postfix' mail filter protocol."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from gateway.config.choices import Library, Mode
from gateway.config.declaration import Section, declarations_of, inherited, setting
from gateway.config.endpoints import Endpoint
from gateway.config.tables.connections import (
    MAX_TIMEOUT,
    FrontEndSettings,
    idle_timeout_setting,
    max_connections_setting,
)
from gateway.config.types import choice, listen, seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class MilterSettings(FrontEndSettings):
    """The milter front end; off while `listen` is empty."""

    listen: tuple[Endpoint, ...] = setting(
        listen(),
        default=(),
        description="Sockets to listen on; empty: no milter. [scope] must then say which "
        "recipients are ours.",
        example='["inet:127.0.0.1:12347"]',
    )
    library: Library = setting(
        choice(Library),
        default=Library.PYMILTER,
        description="What speaks the milter protocol: pymilter, which is Sendmail's own libmilter, "
        "on threads, one process a socket; or builtin, which needs no library, on an event loop, "
        "one process for all sockets. With pymilter allow, max_connections and request_timeout "
        "cannot be set, and idle_timeout is checked every ten minutes. "
        "docs/milter-library.md has a table of when to choose which.",
        example='"builtin"',
    )
    mode: Mode = inherited(
        choice(Mode),
        inherits="mode",
        description="The mode of this front end. In `observe` every recipient is let through.",
        example='"observe"',
    )
    max_connections: int = max_connections_setting("Each SMTP session of the MTA holds one.")
    idle_timeout: float = idle_timeout_setting(
        7210.0,
        "It must be longer than an SMTP client may be silent; the MTA applies its default action "
        "to a session whose milter has closed the connection.",
        example="7210",
    )
    session_timeout: float = setting(
        seconds(0, MAX_TIMEOUT),
        default=3600.0,
        units="seconds",
        description="How long the SMTP sessions of the old milter process may go on after a "
        "reload; it takes no new ones. Those that are left are then cut off, which the log "
        "says, and their mail is deferred. At a stop, a mail that is in progress has "
        "`graceful_timeout`.",
        example="600",
    )


# Seconds between two looks of libmilter at its sessions (worker.c, DT_CHECK_OLD_SESSIONS).
LIBMILTER_SWEEP = 600.0


def problems(milter: MilterSettings, given: Collection[str]) -> Iterator[tuple[str, str]]:
    """What the library does not honour, by dotted key; `given` are those that the file sets.

    libmilter does not let its clients be counted or looked at before they are accepted.
    """
    if milter.library is not Library.PYMILTER or not milter.listen:
        return
    fix = 'leave it out, or set milter.library = "builtin"'
    for key in ("milter.allow", "milter.max_connections", "milter.request_timeout"):
        if key in given:
            yield key, f'the library "pymilter" cannot do that; {fix}'
    if milter.idle_timeout < LIBMILTER_SWEEP:
        yield (
            "milter.idle_timeout",
            f'the library "pymilter" looks for idle connections every {LIBMILTER_SWEEP:g} s; set '
            f"no less, {fix}",
        )


SECTION = Section(
    name="milter",
    title="The milter front end",
    description="Runs in a process of its own and answers at RCPT TO with the reply that delivery "
    "would give.",
    build=MilterSettings,
    declarations=declarations_of(MilterSettings),
)
