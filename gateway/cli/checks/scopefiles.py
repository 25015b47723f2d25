"""The files that [scope] names: can they be read, and does each line make sense?"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from gateway.cli.checks.finding import error, ok, warning
from gateway.errors import ConfigurationError
from gateway.worker.prerequisites import scope_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gateway.cli.checks.finding import Finding
    from gateway.config import Settings
    from gateway.frontends.watched import Report

_SUBJECT = "scope"
# Where alias files usually are; the first that exists is asked for.
_USUAL_ALIASES = ("/etc/aliases", "/etc/mail/aliases")


def check(settings: Settings) -> Iterator[Finding]:
    """Every file; what is wrong with its lines is a warning, as those lines are skipped."""
    for _key, path, what, read in scope_files(settings):
        yield from _file(path, what, read)
    usual = next((path for path in _USUAL_ALIASES if os.path.exists(path)), None)
    judging = any(row.front_end.needs_scope for row in settings.serving)
    # Postfix, where it is asked itself, knows its aliases.
    if judging and not (settings.scope.aliases or settings.scope.postfix) and usual is not None:
        yield warning(
            _SUBJECT,
            f"no alias file is named, and {usual} exists: its aliases would be refused",
            f'add "{usual}" to aliases in [scope]',
        )


def _file(path: str, what: str, read: Callable[[Report], object]) -> Iterator[Finding]:
    problems: list[str] = []
    try:
        read(problems.append)
    except ConfigurationError as fault:
        yield error(_SUBJECT, f"{what} {fault}", "create it, or correct [scope]")
        return
    if not problems:
        yield ok(_SUBJECT, f"{what} {path}")
    for problem in problems:
        yield warning(_SUBJECT, problem, "correct the line")
