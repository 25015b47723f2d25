"""Postfix beside the gateway: does it reach our sockets, and is what it calls ours the same?"""

from __future__ import annotations

import os
import pwd
from typing import TYPE_CHECKING

from gateway.cli.checks import access
from gateway.cli.checks.finding import error, ok, warning
from gateway.cli.checks.postfixconf import PostfixError, ask
from gateway.daemon import privileges
from gateway.daemon.endpoints import UnixEndpoint
from gateway.daemon.settings.words import Mode
from gateway.frontends.domains import DomainList, parse
from gateway.frontends.watched import Watched

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.cli.checks.finding import Finding
    from gateway.cli.checks.postfixconf import Postfix, SocketUse
    from gateway.daemon.settings import Settings

_SUBJECT = "postfix"
_OURS = ("mydestination", "relay_domains", "virtual_mailbox_domains")
# Tables whose source is a text file in the syntax that [scope] aliases reads
# (DATABASE_README); the others cannot be read from here.
_TEXT_TABLES = ("hash", "btree", "dbm", "cdb", "lmdb", "texthash")
_FRONT_ENDS = ("socketmap", "policy", "milter")


def check(settings: Settings, folder: str | None) -> Iterator[Finding]:
    """Everything about the Postfix whose configuration is in `folder` (None: the default one)."""
    try:
        postfix = ask(folder)
    except PostfixError as fault:
        mend = "correct Postfix' configuration, or name its folder with --postfix"
        yield warning(_SUBJECT, f"cannot be asked: {fault}", mend)
        return
    if postfix is None:
        yield ok(_SUBJECT, "not installed (there is no postconf)")
        return
    yield from _sockets(settings, postfix)
    if settings.policy.listen or settings.milter.listen:
        yield from _domains(settings, postfix)
        yield from _aliases(settings, postfix)


def _sockets(settings: Settings, postfix: Postfix) -> Iterator[Finding]:
    ours = {
        os.path.normpath(endpoint.path): (name, endpoint)
        for name in _FRONT_ENDS
        for endpoint in settings.listeners.get(name, ())
        if isinstance(endpoint, UnixEndpoint)
    }
    asked = False
    told: set[tuple[str, str]] = set()
    for use in postfix.uses:
        place = postfix.place(use)
        outside = os.path.normpath(use.path) if use.path.startswith("/") else place
        if (use.path, use.service) in told:
            continue
        if place in ours:
            asked = True
            name, endpoint = ours[place]
            told.add((use.path, use.service))
            yield from _may_connect(settings, postfix, use, name, endpoint)
            yield from _observing(settings, use, name)
        elif outside in ours:
            asked = True
            told.add((use.path, use.service))
            yield _out_of_reach(postfix, use, ours[outside][0])
    if ours and not asked:
        yield warning(
            _SUBJECT,
            "no smtpd asks any of our Unix sockets",
            "`smmapd-gateway print-config postfix` shows what main.cf needs",
        )
        yield from _unreachable(postfix, ours)


def _observing(settings: Settings, use: SocketUse, name: str) -> Iterator[Finding]:
    """A table that finds everybody makes Postfix accept, and bounce later."""
    if name == "socketmap" and settings.socketmap.mode is Mode.OBSERVE:
        yield warning(
            _SUBJECT,
            f"{use.service} asks [socketmap] ({use.parameter}), which observes: it finds every "
            "recipient, and mail to unknown ones is accepted and bounced later",
            'observe with [policy] or [milter]; or set mode = "enforce" in [socketmap], and in '
            "main.cf smtpd_reject_unlisted_recipient = no and, last of "
            "smtpd_recipient_restrictions, warn_if_reject reject_unlisted_recipient",
        )


def _out_of_reach(postfix: Postfix, use: SocketUse, name: str) -> Finding:
    queue = postfix.queue_directory
    return error(
        _SUBJECT,
        f"{use.service} is chrooted: unix:{use.path} in {use.parameter} is {postfix.place(use)} "
        f"for it, and [{name}] does not listen there",
        f"listen at {queue}/smmapd/{name} and write unix:smmapd/{name} in {use.parameter}, "
        f"or put n into the column chroot of master.cf",
    )


def _unreachable(postfix: Postfix, ours: dict[str, tuple[str, UnixEndpoint]]) -> Iterator[Finding]:
    """Sockets that chrooted services could not ask if they were told to."""
    queue = os.path.join(os.path.normpath(postfix.queue_directory), "")
    chrooted = [service for service, inside in postfix.services.items() if inside]
    for path, (name, endpoint) in ours.items():
        if chrooted and not path.startswith(queue):
            yield warning(
                _SUBJECT,
                f"{name}: {endpoint} is outside of {queue}, where {', '.join(chrooted)} is "
                "chrooted to",
                f"listen below {queue}, for example at {queue}smmapd/{name}",
            )


def _may_connect(
    settings: Settings, postfix: Postfix, use: SocketUse, name: str, endpoint: UnixEndpoint
) -> Iterator[Finding]:
    owner = postfix.parameters.get("mail_owner", "postfix")
    try:
        account = pwd.getpwnam(owner)
    except KeyError:
        yield warning(_SUBJECT, f"there is no user {owner} (mail_owner)", "install Postfix anew")
        return
    groups = os.getgrouplist(owner, account.pw_gid)
    barred = access.entry_barred(endpoint.path, account.pw_uid, groups)
    if barred is not None:
        yield error(
            _SUBJECT,
            f"{use.service} asks {endpoint}, and user {owner} may not enter {barred} "
            f"({access.permissions(barred)})",
            f"chmod o+x {barred}, or choose another folder",
        )
        return
    user_id, group_id = _socket_owner(settings, endpoint)
    if access.may_write(user_id, group_id, endpoint.mode, account.pw_uid, groups):
        yield ok(_SUBJECT, f"{use.service} asks [{name}] at {endpoint.path} ({use.parameter})")
        return
    group = postfix.parameters.get("mail_owner", "postfix")
    yield error(
        _SUBJECT,
        f"{use.service} asks {endpoint}, and its mode {endpoint.mode:04o} lets user {owner} not "
        "connect",
        f'listen = ["unix:{endpoint.path}?mode=0660&group={group}"]',
    )


def _socket_owner(settings: Settings, endpoint: UnixEndpoint) -> tuple[int, int]:
    """Owner and group that the socket's file will have; -1 for what cannot be told."""
    user_id = group_id = -1
    try:
        owner = privileges.resolve(settings.general.user, settings.general.group)
        user_id, group_id = owner.uid, owner.gid
        if endpoint.user is not None:
            user_id = privileges.user_id(endpoint.user)
        if endpoint.group is not None:
            group_id = privileges.group_id(endpoint.group)
    except privileges.PrivilegeError:
        # Told by the checks of the settings and the sockets.
        return user_id, group_id
    return user_id, group_id


def _domains(settings: Settings, postfix: Postfix) -> Iterator[Finding]:
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


def _aliases(settings: Settings, postfix: Postfix) -> Iterator[Finding]:
    known = {os.path.realpath(path) for path in settings.scope.aliases}
    ours = _our_domains(settings)
    parameters = ["virtual_alias_maps"]
    if ours is not None and any(w.encode() in ours for w in postfix.words("mydestination")):
        parameters.append("alias_maps")
    for parameter in parameters:
        for table in postfix.words(parameter):
            kind, colon, path = table.removeprefix("proxy:").partition(":")
            if not colon or kind not in _TEXT_TABLES:
                yield warning(
                    _SUBJECT,
                    f"the aliases of {table} ({parameter}) are not known to policy and milter",
                    "exempt them with exempt_recipients in [scope], or write them into a file "
                    "that aliases in [scope] names",
                )
            elif os.path.realpath(path) not in known and os.path.exists(path):
                yield warning(
                    _SUBJECT,
                    f"{path} ({parameter}) is not in [scope]: who is an alias there and no mailbox "
                    "is refused",
                    f'add "{path}" to aliases in [scope]',
                )
