"""hosts_access(5) for TCP clients, by the library that Cyrus itself uses.

Cyrus' services ask libwrap about every TCP client, with the service's name
from cyrus.conf as the daemon (master/service.c).  The rules are the
administrator's, so they are read by the same library and not by a copy of its
grammar.  Where neither hosts.allow nor hosts.deny has a rule, everybody is
let in and the library is not needed.
"""

from __future__ import annotations

from gateway.errors import ConfigurationError
from gateway.files import open_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ctypes
    import socket
    from collections.abc import Callable

RULES = ("/etc/hosts.allow", "/etc/hosts.deny")
LIBRARY = "libwrap.so.0"

# libwrap's word for what it is not told (tcpd.h, STRING_UNKNOWN).
_UNKNOWN = b"unknown"


class Access:
    """Decides for each TCP client of `service`; `report` hears of those that are refused.

    It gets a line as logging takes it, the text and then its values.  Raises
    ConfigurationError at construction where there are rules and no library to
    enforce them.
    """

    __slots__ = ("_library", "_report", "_service")

    def __init__(self, service: str, report: Callable[..., None]) -> None:
        self._service = service.encode()
        self._report = report
        self._library: ctypes.CDLL | None = None
        if _rules_exist():
            self._library = _load()

    def allows(self, peer: socket.socket) -> bool:
        """Whether the rules let this client in, and it is there; names are not looked up.

        To look one up would block.
        """
        if self._library is None and _rules_exist():
            self._library = _load()
        if self._library is None:
            return True
        try:
            address = str(peer.getpeername()[0])
        except OSError:  # it is gone already
            return False
        if self._library.hosts_ctl(self._service, _UNKNOWN, address.encode(), _UNKNOWN):
            return True
        self._report("refused connection from [%s]", address)
        return False


def _rules_exist() -> bool:
    for path in RULES:
        try:
            with open(open_file(path), encoding="utf-8", errors="replace") as file:
                if any(line.strip() and not line.startswith("#") for line in file):
                    return True
        except OSError:
            continue
    return False


def _load() -> ctypes.CDLL:
    import ctypes  # noqa: PLC0415

    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError as error:
        raise ConfigurationError(
            f"there are access rules and {LIBRARY} cannot be loaded ({error});"
            " install libwrap0 or remove the rules",
            file=RULES[0],
        ) from error
    library.hosts_ctl.argtypes = [ctypes.c_char_p] * 4
    library.hosts_ctl.restype = ctypes.c_int
    return library
