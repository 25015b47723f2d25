"""Postfix beside the gateway: its sockets, the order of its checks, and what it calls ours."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from gateway.cli.checks import postfix_order, postfix_sockets, postfix_tables
from gateway.cli.checks.finding import ok, warning
from gateway.cli.checks.postfixconf import ask
from gateway.errors import ConfigurationError, MailServerError
from gateway.frontends.domains import DomainList, parse
from gateway.frontends.watched import Watched
from gateway.wiring.mailserver import judged, make_postfix

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.cli.checks.finding import Finding
    from gateway.cli.checks.postfixconf import PostfixInstance
    from gateway.config import Settings

_SUBJECT = "postfix"
_OURS = ("mydestination", "relay_domains", "virtual_mailbox_domains")


def check(settings: Settings, folder: str | None) -> Iterator[Finding]:
    """Everything about the Postfix whose configuration is in `folder` (None: the default one)."""
    try:
        postfix = ask(folder or "")
    except MailServerError as fault:
        fix = "correct Postfix' configuration, or name its folder with --postfix"
        yield warning(_SUBJECT, f"cannot be asked: {fault}", fix)
        return
    if postfix is None:
        yield ok(_SUBJECT, "not installed (there is no postconf)")
        return
    yield from postfix_sockets.check(settings, postfix)
    yield from postfix_order.check(settings, postfix)
    if any(row.front_end.needs_scope for row in settings.serving):
        yield from _judged(settings) if settings.scope.postfix else _domains(settings, postfix)
        yield from postfix_tables.check(settings, postfix, _our_domains(settings))


def _judged(settings: Settings) -> Iterator[Finding]:
    """Whose recipients are, of the Postfix that the gateway reads itself."""
    try:
        server = make_postfix(settings)
    except ConfigurationError:
        return  # told by the check of a start
    if server is not None:
        what, fix = judged(server, settings)
        yield warning(_SUBJECT, what, fix) if fix else ok(_SUBJECT, what)


def _domains(settings: Settings, postfix: PostfixInstance) -> Iterator[Finding]:
    ours = _our_domains(settings)
    if ours is None:
        return
    literal = {
        name: [word for word in postfix.words(name) if _is_literal(word)]
        for name in (*_OURS, "virtual_alias_domains")
    }
    tables = [
        f"{word} ({name})" for name in _OURS for word in postfix.words(name)
        if ":" in word or word.startswith("/")
    ]  # fmt: skip
    local = {word.lower(): name for name in _OURS for word in literal[name]}
    for domain, name in sorted(local.items()):
        if domain.encode() not in ours and not domain.startswith("localhost"):
            yield warning(
                _SUBJECT,
                f"{domain} is in {name} and not in [scope]: its recipients are not judged",
                f'add "{domain}" to domains in [scope] if its mailboxes are in this Cyrus',
            )
    known = DomainList(word.encode() for words in literal.values() for word in words)
    for domain in settings.scope.domains:
        if not domain.startswith(".") and domain.encode() not in known and not tables:
            yield warning(
                _SUBJECT,
                f"{domain} is in [scope] and Postfix takes no mail for it",
                "add it to relay_domains or virtual_mailbox_domains, or take it out of [scope]",
            )
    if tables:
        what = f"domains in {', '.join(tables)} were not compared with [scope]"
        yield ok(_SUBJECT, what)


def _our_domains(settings: Settings) -> _Domains | None:
    """The domains of [scope]; None where the milter's mailers decide or a file cannot be read."""
    files = [
        Watched(path, parse, lambda _problem: None)
        for path in settings.scope.domain_files
        if os.path.isfile(path) and os.access(path, os.R_OK)
    ]
    if len(files) < len(settings.scope.domain_files):
        return None  # told by the checks of the scope
    if not (files or settings.scope.domains):
        return None
    named = DomainList(map(str.encode, settings.scope.domains))
    return _Domains([named, *(file.value for file in files)])


class _Domains:
    """Several lists as one."""

    def __init__(self, lists: list[DomainList]) -> None:
        self._lists = lists

    def __contains__(self, domain: bytes) -> bool:
        return any(domain in each for each in self._lists)


def _is_literal(word: str) -> bool:
    return not word.startswith(("/", "!", "$")) and ":" not in word
