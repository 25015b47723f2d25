"""The systemd unit beside the configuration: does its sandbox hide or forbid what we need?

Sources: systemd.exec(5); systemd.unit(5) for drop-ins: those of all folders in the order
of their names, where a file of an earlier folder hides one of its name in a later one.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from gateway.cli.checks.finding import error, ok, warning
from gateway.config.endpoints import UnixEndpoint
from gateway.files import open_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from gateway.cli.checks.finding import Finding
    from gateway.config import Settings

UNIT = "smmapd-gateway.service"
# In systemd's order.
FOLDERS = (
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)
_SUBJECT = "unit"
# Lists, to which a line adds, and which an empty one clears; other settings replace.
_LISTS = ("ReadWritePaths", "InaccessiblePaths", "RuntimeDirectory")
_HOMES = ("/home", "/root", "/run/user")
_TEMPORARY = ("/tmp", "/var/tmp")  # noqa: S108  (nothing is written there)
_YES = ("yes", "true", "on", "1")


def check(
    settings: Settings, databases: Sequence[str], folders: Sequence[str] = FOLDERS
) -> Iterator[Finding]:
    """What the unit hides or forbids; `databases` are the paths that imapd.conf names."""
    path = next((p for each in folders if os.path.isfile(p := os.path.join(each, UNIT))), None)
    if path is None:
        yield ok(_SUBJECT, f"no {UNIT} is installed")
        return
    try:
        unit = parse("\n".join(_text(each) for each in (path, *_drop_ins(folders))))
    except OSError as fault:
        what = f"{fault.filename} cannot be read: {fault.strerror}"
        yield warning(_SUBJECT, what, "run check-config as a user that can read it")
        return
    sockets = {
        each.path: f"[{name}] listens at {each.path}"
        for name, listen in settings.listeners.items()
        for each in listen
        if isinstance(each, UnixEndpoint)
    }
    files = [settings.file, settings.cyrus.imapd_conf, *databases]
    files += [*settings.scope.aliases, *settings.scope.domain_files]
    read = {each: f"{each} is read" for each in files}
    hidden = [*_hidden(unit)]
    found: set[str] = set()
    for where, what in {**read, **sockets}.items():
        for setting, folder in hidden:
            if _is_below(where, folder):
                found.add(where)
                yield error(
                    _SUBJECT,
                    f"{path} has {setting}, and {what}: the service does not see it, or others "
                    "do not see what it makes there",
                    f"use another folder than {folder}, or change {setting} in a drop-in "
                    f"(systemctl edit {UNIT})",
                )
    writable = [each.lstrip("-+") for each in unit.get("ReadWritePaths", "").split()]
    writable += [f"/run/{each}" for each in unit.get("RuntimeDirectory", "").split()]
    if unit.get("ProtectSystem") == "strict":
        for where, what in sockets.items():
            # Where it is hidden, it is not for want of a right.
            if where not in found and not any(_is_below(where, each) for each in writable):
                found.add(where)
                yield error(
                    _SUBJECT,
                    f"{path} has ProtectSystem=strict, and {what}: the socket cannot be made",
                    f"add ReadWritePaths={os.path.dirname(where)} in a drop-in (systemctl edit "
                    f"{UNIT})",
                )
    if not found:
        yield ok(_SUBJECT, f"{path} hides nothing that is needed")


def parse(text: str) -> dict[str, str]:
    """The settings of a unit; a list that is spread over several lines is one."""
    found: dict[str, str] = {}
    for line in text.replace("\\\n", " ").splitlines():
        name, equals, value = line.strip().partition("=")
        if not equals or name.startswith(("#", ";")):
            continue
        more = name in _LISTS and value and name in found
        found[name] = f"{found[name]} {value}" if more else value
    return found


def _text(path: str) -> str:
    with open(open_file(path), encoding="utf-8", errors="backslashreplace") as file:
        return file.read()


def _drop_ins(folders: Sequence[str]) -> Iterator[str]:
    """The drop-ins of the unit, in the order in which they count."""
    found: dict[str, str] = {}
    for folder in reversed(folders):
        own = os.path.join(folder, f"{UNIT}.d")
        if os.path.isdir(own):
            found.update({each: os.path.join(own, each) for each in os.listdir(own)})
    for name in sorted(found):
        # A link to /dev/null masks one.
        if name.endswith(".conf") and os.path.isfile(found[name]):
            yield found[name]


def _hidden(unit: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Settings with the folders that they hide."""
    if unit.get("PrivateTmp", "").lower() in _YES:
        yield from (("PrivateTmp=yes", folder) for folder in _TEMPORARY)
    home = unit.get("ProtectHome", "").lower()
    if home in (*_YES, "tmpfs"):
        yield from ((f"ProtectHome={home}", folder) for folder in _HOMES)
    for folder in unit.get("InaccessiblePaths", "").split():
        plain = folder.lstrip("-+")
        yield f"InaccessiblePaths={plain}", plain


def _is_below(path: str, folder: str) -> bool:
    real = os.path.realpath(path)
    return os.path.commonpath([real, os.path.normpath(folder)]) == os.path.normpath(folder)
