"""cyrus.conf, as far as it says which services there are and what they are called.

Source: cyrus.conf(5).  Read are the entries of SERVICES with their
`name=value` arguments; whatever else is there is skipped.
"""

from __future__ import annotations

import os
import re

from gateway.files import open_file
from gateway.values import Value

# A file of settings is some kilobytes.
MAX_SIZE = 1 << 20  # only a bound

_ARGUMENT = re.compile(r'(\w+)=(?:"([^"]*)"|(\S+))')
_DELIVERY = "lmtpd"


class CyrusService(Value):
    """One entry of SERVICES: its name, and `cmd`, `listen` and so on."""

    __slots__ = ("arguments", "name")
    arguments: dict[str, str]
    name: str

    def __init__(self, name: str, arguments: dict[str, str]) -> None:
        self.arguments = arguments
        self.name = name
        self._freeze()

    @property
    def words(self) -> list[str]:
        """The command line of `cmd`, which is divided at blanks."""
        return self.arguments.get("cmd", "").split()

    @property
    def program(self) -> str:
        """The file name of the program that it starts."""
        return os.path.basename(self.words[0]) if self.words else ""

    @property
    def listen(self) -> str:
        """What it listens on, as it is written."""
        return self.arguments.get("listen", "")


def read(path: str) -> list[CyrusService]:
    """The entries of the file at `path`; raises OSError."""
    with open(open_file(path), encoding="utf-8", errors="backslashreplace") as file:
        return services(file.read(MAX_SIZE))


def services(text: str) -> list[CyrusService]:
    """The entries of the section SERVICES."""
    found = []
    section = ""
    for raw in text.splitlines():
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if line.endswith("{"):
            section = line.removesuffix("{").strip()
        elif line.startswith("}"):
            section = ""
        elif section == "SERVICES":
            name, *rest = line.split(maxsplit=1)
            pairs = _ARGUMENT.findall("".join(rest))
            found.append(CyrusService(name, {key: quoted or plain for key, quoted, plain in pairs}))
    return found


def deliveries(entries: list[CyrusService]) -> list[CyrusService]:
    """The entries that start lmtpd; those on a Unix socket, where MTAs usually deliver, first."""
    found = [each for each in entries if each.program == _DELIVERY]
    return sorted(found, key=lambda each: not each.listen.startswith("/"))
