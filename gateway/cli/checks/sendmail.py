"""Sendmail beside the gateway: what sendmail.cf says of our sockets, and of its own tables.

Read are K lines of type socket, X lines, `O AliasFile` and the rules of
Local_check_rcpt (Sendmail's doc/op/op.me; libmilter/README).  Limits: nothing
is expanded; a file that m4 did not make may say the same in other words.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.cli.checks import sockets
from gateway.cli.checks.finding import error, ok, warning
from gateway.files import open_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.cli.checks.finding import Finding
    from gateway.config import Settings

DEFAULT = "/etc/mail/sendmail.cf"
_SUBJECT = "sendmail"
_MAX_SIZE = 4 << 20
_MAP = re.compile(
    r"^K(?P<name>\S+)\s+socket\b(?P<options>.*?)\s(?P<socket>(?:local|unix|inet6?):\S+)"
)
_FILTER = re.compile(r"^X(?P<name>[^,\s]+),(?P<options>.*)$")
_ALIASES = re.compile(r"^O\s+AliasFile\s*=\s*(?P<files>.*)$")


@dataclass(frozen=True, slots=True)
class Use:
    """A socket that sendmail.cf names: the front end that is spoken to, and the line's options."""

    name: str
    protocol: str
    socket: str
    options: str

    @property
    def path(self) -> str:
        """The path of a Unix socket; empty for others."""
        kind, _, rest = self.socket.partition(":")
        return os.path.normpath(rest) if kind in ("local", "unix") else ""


def uses(text: str) -> list[Use]:
    """The socket maps and filters of a sendmail.cf."""
    found = []
    for line in text.splitlines():
        asked = _MAP.match(line)
        if asked is not None:
            found.append(Use(asked["name"], "socketmap", asked["socket"], asked["options"]))
        filtered = _FILTER.match(line)
        if filtered is not None:
            named = re.search(r"\bS=([^,\s]+)", filtered["options"])
            if named is not None:
                found.append(Use(filtered["name"], "milter", named[1], filtered["options"]))
    return found


def check(settings: Settings, path: str) -> Iterator[Finding]:
    """Everything about the Sendmail whose configuration is at `path`."""
    try:
        with open(open_file(path), encoding="utf-8", errors="backslashreplace") as file:
            text = file.read(_MAX_SIZE)
    except FileNotFoundError:
        yield ok(_SUBJECT, f"there is no {path}")
        return
    except OSError as fault:
        what = f"{path} cannot be read: {fault.strerror}"
        yield warning(_SUBJECT, what, "run check-config as a user that can read it")
        return
    ours = {place: name for place, (name, _) in sockets.by_place(settings).items()}
    asked = False
    for use in uses(text):
        found = ours.get(use.path or _inet(use.socket))
        if found is not None:
            asked = True
            yield from _use(use, found, text)
        elif use.path and _is_near(use, ours):
            asked = True
            yield error(
                _SUBJECT,
                f"{use.name} in {path} asks {use.socket}, and nothing listens there",
                f"correct the path: {' '.join(each for each in ours if each.startswith('/'))}",
            )
    if not asked:
        yield warning(
            _SUBJECT,
            f"{path} asks none of our sockets",
            "`smmapd-gateway print-config sendmail` shows what sendmail.mc needs",
        )
        return
    if settings.milter.listen:
        yield from _aliases(settings, text)


def _inet(socket: str) -> str:
    """`inet:PORT@HOST` as HOST:PORT, with an IPv6 address in brackets."""
    port, _, host = socket.partition(":")[2].partition("@")
    host = host.strip("[]").replace("localhost", "127.0.0.1")
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _is_near(use: Use, ours: dict[str, str]) -> bool:
    """A path in a folder of ours, or with a name of ours, where nothing is."""
    folder, name = os.path.split(use.path)
    paths = [each for each in ours if each.startswith("/")]
    near = folder in map(os.path.dirname, paths) or name in map(os.path.basename, paths)
    return near and not os.path.exists(use.path)


def _use(use: Use, front: str, text: str) -> Iterator[Finding]:
    if front != use.protocol:
        yield error(
            _SUBJECT,
            f"{use.name} asks {use.socket} as a {use.protocol}, and that is [{front}]'s socket",
            f"name a socket of [{use.protocol}]",
        )
        return
    yield ok(_SUBJECT, f"{use.name} asks [{front}] at {use.socket}")
    if use.protocol == "milter":
        if not re.search(r"\bF=T\b", use.options):
            yield warning(
                _SUBJECT,
                f"while the milter is away {use.name} lets every recipient in",
                f"write F=T in X{use.name} (INPUT_MAIL_FILTER)",
            )
        return
    if "-T" not in use.options:
        yield warning(
            _SUBJECT,
            f"the map {use.name} has no -T: what cannot be looked up now is taken for unknown",
            f"K{use.name} socket -f -a<OK> -T<TMPF> {use.socket}",
        )
    rules = text.partition("\nSLocal_check_rcpt")[2].partition("\nScheck_rcpt")[0]
    if f"$({use.name} " in rules and "$(aliases " not in rules:
        yield error(
            _SUBJECT,
            f"Local_check_rcpt asks {use.name} before Sendmail's aliases: aliases and postmaster "
            "are refused",
            "take the rules of `smmapd-gateway print-config sendmail`, or smmapd.m4 of contrib",
        )


def _aliases(settings: Settings, text: str) -> Iterator[Finding]:
    """The milter is asked before aliases are looked up."""
    known = {os.path.realpath(path) for path in settings.scope.aliases}
    for line in text.splitlines():
        found = _ALIASES.match(line)
        for each in found["files"].split(",") if found is not None else ():
            path = each.strip().rpartition(":")[2]
            if path.startswith("/") and os.path.realpath(path) not in known:
                yield warning(
                    _SUBJECT,
                    f"{path} (AliasFile) is not in [scope]: an alias there that has no mailbox is "
                    "refused",
                    f'add "{path}" to aliases in [scope]',
                )
