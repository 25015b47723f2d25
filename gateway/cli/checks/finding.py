"""One thing that a check found out, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Level(Enum):
    """How bad it is: an error keeps mail from being judged rightly, a warning may."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """`subject` is the part of the world, `fix` says what to do; empty where nothing is to do."""

    level: Level
    subject: str
    what: str
    fix: str = ""


def ok(subject: str, what: str) -> Finding:
    """All is well."""
    return Finding(Level.OK, subject, what)


def warning(subject: str, what: str, fix: str) -> Finding:
    """Something that is perhaps not meant."""
    return Finding(Level.WARNING, subject, what, fix)


def error(subject: str, what: str, fix: str) -> Finding:
    """Something that cannot work."""
    return Finding(Level.ERROR, subject, what, fix)
