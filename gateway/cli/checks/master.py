"""Cyrus master's cyrus.conf: does its smmapd entry go together with the gateway?"""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

from gateway.cli.checks.finding import Level, error, ok, warning
from gateway.config.choices import AuthorityName
from gateway.config.endpoints import UnixEndpoint
from gateway.config.frontends import NAMES
from gateway.cyrus import cyrusconf
from gateway.frontends.frontend import Process
from gateway.supervisor.unixsockets import folder_warnings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.cli.checks.finding import Finding
    from gateway.config import Settings
    from gateway.cyrus.cyrusconf import CyrusService

_SUBJECT = "cyrus.conf"
_PROGRAM = "smmapd"


def check(settings: Settings, path: str) -> Iterator[Finding]:
    """Everything about the entry that starts a smmapd, ours or the C one."""
    try:
        found = cyrusconf.read(path)
    except FileNotFoundError:
        yield ok(_SUBJECT, f"there is no {path}: no Cyrus master on this machine")
        return
    except OSError as fault:
        what = f"{path} cannot be read: {fault.strerror}"
        yield warning(_SUBJECT, what, "run check-config as a user that can read it")
        return
    entries = [each for each in found if each.program == _PROGRAM]
    if not entries:
        yield ok(_SUBJECT, f"{path}: master starts no smmapd; the gateway answers alone")
    for entry in entries:
        yield from _entry(settings, path, entry)


def _entry(settings: Settings, path: str, entry: CyrusService) -> Iterator[Finding]:
    found = [
        *_program(path, entry),
        *_listen(settings, path, entry),
        *_likeness(settings, path, entry),
        *_children(settings, path, entry),
    ]
    yield from found
    if not any(finding.level is Level.ERROR for finding in found):
        yield ok(_SUBJECT, f"{path}: {entry.name} starts {entry.words[0]} on {entry.listen}")


def _program(path: str, entry: CyrusService) -> Iterator[Finding]:
    program = entry.words[0]
    if program.startswith("/") and not os.access(program, os.X_OK):
        yield error(
            _SUBJECT,
            f"{path}: {entry.name}: {program} does not exist or is not executable",
            "correct cmd, or install the program there",
        )


def _listen(settings: Settings, path: str, entry: CyrusService) -> Iterator[Finding]:
    listen = entry.listen
    if not listen:
        fix = f'write for example listen="/run/cyrus/socket/{entry.name}"'
        yield error(_SUBJECT, f"{path}: {entry.name} has no listen", fix)
        return
    if not listen.startswith("/"):
        return
    folder = os.path.dirname(listen)
    if not os.path.isdir(folder):
        yield error(
            _SUBJECT,
            f"{path}: {entry.name} listens on {listen}, and {folder} does not exist",
            f"create it: install -d -o cyrus -m 0755 {folder}",
        )
        return
    for name, endpoints in settings.listeners.items():
        for endpoint in endpoints:
            same = isinstance(endpoint, UnixEndpoint) and (
                os.path.realpath(endpoint.path) == os.path.realpath(listen)
            )
            if same:
                yield error(
                    _SUBJECT,
                    f"{path}: {entry.name} and [{name}] both listen on {listen}",
                    "take the entry out of cyrus.conf, or give each a path of its own",
                )
    for text in folder_warnings(UnixEndpoint(listen)):
        what, _, fix = text.partition("; ")
        yield warning(_SUBJECT, f"{path}: {entry.name}: {what}", fix)


def _children(settings: Settings, path: str, entry: CyrusService) -> Iterator[Finding]:
    """Whether a backend's C smmapd, a process a connection, has enough of them for a frontend."""
    limit = entry.arguments.get("maxchild", "")
    if entry.listen.startswith("/") or not limit.isdigit():
        return
    processes = settings.general.workers + any(
        row.front_end.process is Process.MILTER for row in settings.serving
    )
    wanted = settings.murder.pool_size * processes
    if int(limit) < wanted:
        yield warning(
            _SUBJECT,
            f"{path}: {entry.name} has maxchild={limit}, and a gateway configured like this one "
            f"keeps up to {wanted} connections to a backend ([murder] pool_size times "
            f"{processes} processes): those beyond would wait for their deadline",
            f"set maxchild to {2 * wanted} for each frontend (twice {wanted}, for reloads), or "
            "lower pool_size there; our smmapd serves all connections in one process",
        )


def _likeness(settings: Settings, path: str, entry: CyrusService) -> Iterator[Finding]:
    """What would make the two answer differently."""
    cyrus = settings.cyrus
    if entry.name != cyrus.service:
        yield warning(
            _SUBJECT,
            f"{path}: the entry is called {entry.name}, [cyrus] service is {cyrus.service}: "
            "options of imapd.conf and userdeny patterns apply to each by its own name",
            f'set service = "{entry.name}" in [cyrus]',
        )
    words = entry.words
    answers = [settings.front_end(name).answers for name in NAMES]
    if AuthorityName.SMMAPD in answers and ("-p" in words) != cyrus.skip_plus:
        has = "has" if "-p" in words else "has not"
        yield warning(
            _SUBJECT,
            f"{path}: {entry.name} {has} -p, and [cyrus] skip_plus is "
            f"{'true' if cyrus.skip_plus else 'false'}",
            f"set skip_plus = {'true' if '-p' in words else 'false'} in [cyrus], or change cmd",
        )
    if "-C" in words[:-1]:
        other = words[words.index("-C") + 1]
        if other != cyrus.imapd_conf:
            yield warning(
                _SUBJECT,
                f"{path}: {entry.name} reads {shlex.quote(other)}, [cyrus] imapd_conf is "
                f"{cyrus.imapd_conf}",
                "let both read the same file",
            )
