"""What Postfix says of itself: `postconf`, asked and taken apart.

Source: postconf(1), master(5).  Values are expanded by postconf itself.
Limits: a parameter that a service overrides with -o is known only where it
names a socket.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from gateway.errors import GatewayError

# postconf reads two files; longer is a hang.  In seconds.
_PATIENCE = 20

PARAMETERS = (
    "queue_directory",
    "mail_owner",
    "compatibility_level",
    "mydestination",
    "relay_domains",
    "virtual_mailbox_domains",
    "virtual_alias_domains",
    "alias_maps",
    "virtual_alias_maps",
)

# A socket in a value: `socketmap:unix:PATH:NAME`, `unix:PATH`, `inet:HOST:PORT`.
_UNIX = re.compile(r"(?P<map>socketmap:)?unix:(?P<path>[^\s,{}]+)")


class PostfixError(GatewayError):
    """Postfix is there and does not say what it does; the message is its own."""


@dataclass(frozen=True, slots=True)
class SocketUse:
    """A Unix socket that a service of Postfix asks, as its value names it."""

    service: str
    parameter: str
    path: str
    chrooted: bool


@dataclass(frozen=True, slots=True)
class Postfix:
    """One Postfix instance: expanded parameters, and which smtpd asks which socket."""

    parameters: Mapping[str, str]
    uses: tuple[SocketUse, ...]
    services: Mapping[str, bool]

    @property
    def queue_directory(self) -> str:
        """Where paths begin that do not begin with /, and the root of a chroot."""
        return self.parameters.get("queue_directory", "/var/spool/postfix")

    def words(self, parameter: str) -> list[str]:
        """A list of main.cf, taken apart at blanks and commas."""
        return [word for word in re.split(r"[\s,]+", self.parameters.get(parameter, "")) if word]

    def place(self, use: SocketUse) -> str:
        """Where in the file system the socket is that `use` asks."""
        if use.chrooted or not use.path.startswith("/"):
            return os.path.normpath(f"{self.queue_directory}/{use.path}")
        return os.path.normpath(use.path)


def ask(folder: str | None) -> Postfix | None:
    """What the Postfix with its configuration in `folder` (None: the default one) says.

    None where there is no Postfix.  Raises PostfixError.
    """
    try:
        main = _lines(_postconf(folder, "-x", *PARAMETERS))
        changed = _lines(_postconf(folder, "-nx"))
        services = parse_services(
            _postconf(folder, "-M"), chroot_default(main.get("compatibility_level", "0"))
        )
        overridden = _lines(_postconf(folder, "-Px"))
    except FileNotFoundError:
        return None
    return Postfix(main, tuple(_uses(services, changed, overridden)), services)


def chroot_default(compatibility_level: str) -> bool:
    """What `-` means in master.cf's column chroot (COMPATIBILITY_README): yes before level 1."""
    return compatibility_level.split(".", maxsplit=1)[0].strip() in ("", "0")


def parse_services(table: str, default: bool) -> dict[str, bool]:
    """The smtpd services of master.cf as `NAME/TYPE`, and whether each is chrooted."""
    found = {}
    for line in table.splitlines():
        fields = line.split()
        if len(fields) >= 8 and os.path.basename(fields[7]) == "smtpd":
            chroot = fields[4]
            found[f"{fields[0]}/{fields[1]}"] = default if chroot == "-" else chroot == "y"
    return found


def _uses(
    services: Mapping[str, bool], main: Mapping[str, str], overridden: Mapping[str, str]
) -> list[SocketUse]:
    found = []
    for service, chrooted in services.items():
        own = {
            name.removeprefix(service + "/"): value
            for name, value in overridden.items()
            if name.startswith(service + "/")
        }
        for parameter, value in {**main, **own}.items():
            for each in _UNIX.finditer(value):
                path = each["path"]
                if each["map"]:
                    # socketmap:unix:PATH:NAME
                    path = path.rpartition(":")[0]
                found.append(SocketUse(service, parameter, path, chrooted))
    return found


def _postconf(folder: str | None, *words: str) -> str:
    argv = ["postconf", *(["-c", folder] if folder is not None else []), *words]
    try:
        done = subprocess.run(argv, capture_output=True, check=False, timeout=_PATIENCE)
    except subprocess.TimeoutExpired:
        raise PostfixError(f"{' '.join(argv)} gave no answer for {_PATIENCE} s") from None
    if done.returncode:
        text = done.stderr.decode("utf-8", "backslashreplace").strip().replace("\n", "; ")
        raise PostfixError(text or f"{' '.join(argv)} failed with code {done.returncode}")
    return done.stdout.decode("utf-8", "backslashreplace")


def _lines(text: str) -> dict[str, str]:
    """`name = value` lines."""
    pairs = (line.partition("=") for line in text.splitlines())
    return {name.strip(): value.strip() for name, equals, value in pairs if equals}
