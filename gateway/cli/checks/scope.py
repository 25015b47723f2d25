"""The files that [scope] names: can they be read, and does each line make sense?"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from gateway.cli.checks.finding import error, ok, warning
from gateway.errors import ConfigurationError
from gateway.frontends import aliases, domains
from gateway.frontends.watched import Watched

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gateway.cli.checks.finding import Finding
    from gateway.daemon.settings import Settings

_SUBJECT = "scope"
# Where alias files usually are; the first that exists is asked for.
_USUAL_ALIASES = ("/etc/aliases", "/etc/mail/aliases")


def check(settings: Settings) -> Iterator[Finding]:
    """Every file; what is wrong with its lines is a warning, as those lines are skipped."""
    scope = settings.scope
    for path in scope.domain_files:
        yield from _file(path, "domain file", lambda p, r: Watched(p, domains.parse, r))
    for path in scope.aliases:
        yield from _file(path, "alias file", lambda p, r: aliases.Aliases([p], r))
    usual = next((path for path in _USUAL_ALIASES if os.path.exists(path)), None)
    judging = settings.policy.listen or settings.milter.listen
    if judging and not scope.aliases and usual is not None:
        yield warning(
            _SUBJECT,
            f"no alias file is named, and {usual} exists: its aliases would be refused",
            f'add "{usual}" to aliases in [scope]',
        )


def _file(
    path: str, what: str, read: Callable[[str, Callable[[str], None]], object]
) -> Iterator[Finding]:
    problems: list[str] = []
    try:
        read(path, problems.append)
    except ConfigurationError as fault:
        yield error(_SUBJECT, f"{what} {fault}", "create it, or correct [scope]")
        return
    if not problems:
        yield ok(_SUBJECT, f"{what} {path}")
    for problem in problems:
        yield warning(_SUBJECT, problem, "correct the line")
