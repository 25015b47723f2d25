"""What gateway.toml names and must be there: user, store, certificates, files, folders of sockets.

Everything that the children will build is built here once and thrown away, so
that a configuration that cannot serve is refused before anything is stopped.
It promises to tell every fault at once, with the file, the line and the key
that names what is at fault; what is wrong inside imapd.conf is told with that
file, its line and its option.

Limits: sockets are not opened here, only their folders and owners are looked
at (gateway.supervisor.listeners tells the rest).  User and group are looked up
by root only: nobody else can become them.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from gateway import memoryfiles
from gateway.config.choices import AuthorityName
from gateway.config.endpoints import InetEndpoint, UnixEndpoint
from gateway.config.lines import line_of
from gateway.errors import ConfigurationError, ConfigurationErrors
from gateway.frontends import domains
from gateway.frontends.aliases import Aliases
from gateway.frontends.watched import NOTHING_KNOWN, TRUST, Report, Trust, Watched
from gateway.server import pymilter
from gateway.supervisor import privileges, processes, unixsockets
from gateway.wiring.engines import make_engines
from gateway.wiring.judges import make_judge, make_trust
from gateway.wiring.mailserver import make_postfix
from gateway.wiring.upstreams import server_context

if TYPE_CHECKING:
    from gateway.config import Settings

T = TypeVar("T")

_OWN_FILES = "/proc/self/fd"


def require(settings: Settings, entries: Mapping[str, int] = NOTHING_KNOWN) -> None:
    """Raise ConfigurationErrors where something is missing.

    `entries` is how many entries the files of [scope] have that are in force.
    """
    found: dict[str, ConfigurationError] = {}
    for fault in _faults(settings, make_trust(settings, entries)):
        if fault.file == settings.file and fault.line is None and fault.option is not None:
            place = line_of(settings.places, fault.option.partition("[")[0])
            if place is not None:
                fault.file, fault.line = place.file, place.line
        # Policy and milter have the same scope.
        found.setdefault(str(fault), fault)
    if found:
        ordered = sorted(found.values(), key=lambda each: _place(settings, each))
        raise ConfigurationErrors(ordered, file=settings.file)


def require_system() -> None:
    """Raise ConfigurationErrors where the system withholds what every gateway needs."""
    if faults := [*_system()]:
        raise ConfigurationErrors(faults)


def _system() -> Iterator[ConfigurationError]:
    # A child's descriptors, and a socket's file whose owner and mode are set.
    if not os.path.isdir(_OWN_FILES):
        yield ConfigurationError(
            f"{_OWN_FILES} is not there; /proc has to be mounted where the gateway runs"
        )
    try:
        os.close(memoryfiles.create("test"))
    except OSError as error:
        # Where memory or descriptors are too few it may succeed in a moment.
        if error.errno in (errno.ENOSYS, errno.EPERM, errno.EACCES):
            yield ConfigurationError(
                f"no file in memory can be made: {error.filename}: {error.strerror}; the unit's "
                "SystemCallFilter=, or the container, has to allow it"
            )


def _place(settings: Settings, fault: ConfigurationError) -> tuple[bool, str, int]:
    """To sort by: the files of the configuration and their lines, then what has none there."""
    files = {place.file for place in settings.places.values()}
    other_file = fault.file not in files or fault.line is None
    return (other_file, "" if other_file else fault.file or "", fault.line or 0)


def scope_files(
    settings: Settings, trust: Trust = TRUST
) -> Iterator[tuple[str, str, str, Callable[[Report], object]]]:
    """The files that [scope] names: key, path, what it is, and what reads it.

    That takes what hears of wrong lines, and raises ConfigurationError.
    """
    for index, path in enumerate(settings.scope.domain_files):
        read = partial(_domain_file, path, trust)
        yield f"scope.domain_files[{index}]", path, "domain file", read
    for index, path in enumerate(settings.scope.aliases):
        yield f"scope.aliases[{index}]", path, "alias file", partial(_alias_file, path, trust)


def _domain_file(path: str, trust: Trust, report: Report) -> object:
    return Watched(path, domains.parse, report, trust)


def _alias_file(path: str, trust: Trust, report: Report) -> object:
    return Aliases([path], report, trust=trust)


# imapd.conf is looked at by itself, so a front end's judge need not read it.
_NOT_LOOKED_UP = AuthorityName.SMMAPD


def _faults(settings: Settings, trust: Trust) -> Iterator[ConfigurationError]:
    yield from _system()
    yield from _account(settings)
    yield from _store(settings)
    yield from _sockets(settings)
    if settings.scope.postfix:
        try:
            make_postfix(settings)
        except ConfigurationError as fault:
            yield fault
            return  # what is ours cannot be known
    yield from _library(settings)
    for row in settings.serving:
        make = partial(make_judge, settings, row.front_end, trust=trust, answers=_NOT_LOOKED_UP)
        yield from _scope(settings, make, trust)


def _library(settings: Settings) -> Iterator[ConfigurationError]:
    if any(each.kind is processes.PYMILTER for each in processes.wanted(settings)):
        try:
            pymilter.load()
        except ConfigurationError as fault:
            yield _at(settings, fault.option or "", fault.problem)


def _account(settings: Settings) -> Iterator[ConfigurationError]:
    user, group = settings.general.user, settings.general.group
    if not privileges.is_root() or not user:
        return
    yield from _tried(settings, "user", privileges.resolve, user)
    if group:
        yield from _tried(settings, "group", privileges.group_id, group)


def _store(settings: Settings) -> Iterator[ConfigurationError]:
    try:
        make_engines(settings)
    except ConfigurationError as fault:
        if fault.file == settings.cyrus.imapd_conf and fault.line is None and fault.option is None:
            yield _at(settings, "cyrus.imapd_conf", str(fault))
        else:
            yield fault


def _sockets(settings: Settings) -> Iterator[ConfigurationError]:
    for name, listen in settings.listeners.items():
        for index, endpoint in enumerate(listen):
            if isinstance(endpoint, UnixEndpoint):
                key = f"{name}.listen[{index}]"
                yield from _tried(settings, key, unixsockets.require_place, endpoint)
    every = [each for listen in settings.listeners.values() for each in listen]
    if any(isinstance(each, InetEndpoint) and each.tls for each in every):
        try:
            server_context(settings)
        except ConfigurationError as fault:
            yield fault


def _scope(
    settings: Settings, make: Callable[[], object], trust: Trust
) -> Iterator[ConfigurationError]:
    try:
        make()
    except ConfigurationError as fault:
        # Which file it was is looked at once more: they may be large, and all is well as a rule.
        found = [
            error
            for key, _path, _what, read in scope_files(settings, trust)
            for error in _tried(settings, key, read, _unheard)
        ]
        yield from found or [_at(settings, "scope", fault.problem)]


def _tried(
    settings: Settings, key: str, attempt: Callable[[T], object], argument: T
) -> Iterator[ConfigurationError]:
    """The fault of an attempt, which is that of `key`; nothing where it succeeds."""
    try:
        attempt(argument)
    except ConfigurationError as fault:
        where = f"{fault.file}: " if fault.file is not None else ""
        yield _at(settings, key, where + fault.problem)


def _at(settings: Settings, key: str, problem: str) -> ConfigurationError:
    return ConfigurationError(problem, file=settings.file, option=key)


def _unheard(_line: str) -> None:
    """Wrong lines have been told already."""
