"""The table [logging]: where log lines go, how they look and what they reveal."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.config.choices import (
    AddressPrivacy,
    Facility,
    LogFormat,
    LogLevel,
    LogTarget,
)
from gateway.config.declaration import Section, declarations_of, setting
from gateway.config.types import choice, name


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggingSettings:
    """What `gateway.observability.logging.setup.configure` sets up."""

    target: LogTarget = setting(
        choice(LogTarget),
        default=LogTarget.SYSLOG,
        description="`syslog` writes to /dev/log, `stderr` to standard error, `journal` to "
        "standard error with the priority prefixes of sd-daemon(3).",
        example='"journal"',
    )
    facility: Facility = setting(
        choice(Facility),
        default=Facility.MAIL,
        description="The facility for syslog.",
        example='"local0"',
    )
    ident: str = setting(
        name("a program's name"),
        default="smmapd-gateway",
        description="The program's name in syslog lines.",
        example='"smmapd-gateway"',
    )
    format: LogFormat = setting(
        choice(LogFormat),
        default=LogFormat.TEXT,
        description="`text` for people: a sentence and key=value pairs. `json`: one object a line.",
        example='"json"',
    )
    addresses: AddressPrivacy = setting(
        choice(AddressPrivacy),
        default=AddressPrivacy.FULL,
        description="How log lines and the status page show addresses: in `full`, with the local "
        "part `hashed` (the same address gives the same hash on this machine), or `off`.",
        example='"hashed"',
    )
    level: LogLevel = setting(
        choice(LogLevel),
        default=LogLevel.INFO,
        description="The least severe line that is written. Verdicts are `info`.",
        example='"warning"',
    )


SECTION = Section(
    name="logging",
    title="Logging",
    description="",
    build=LoggingSettings,
    declarations=declarations_of(LoggingSettings),
)
