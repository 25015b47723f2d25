"""Our smmapd against the C program of a release, on the same stores and recipients.

`differing(cyrus, site, keys)` gives the keys of which the two say something
else, without what is meant: the newest C program's answers where the releases
differ (a block in userdeny, either reading of `&` in a folder), a fault of the
server that must not refuse permanently, and two spellings of a recipient whose
mailbox and quota the C program forgets.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from tests.delivery.histories import DENIALS
from tests.delivery.sites import Site
from tests.rigs.cyrus import Cyrus
from tests.rigs.cyrus_tools import PROGRAMS
from tests.rigs.program import smmapd_program
from tests.rigs.socketmap import SocketmapError, StdioServer
from tests.support.cprogram import as_ours

# The C program reads a request into 1024 bytes on its stack.
LONGEST_KEY = 1000
_DENIED = tuple(b"NOTFOUND " + each for each in DENIALS)


@dataclass(frozen=True, slots=True)
class Difference:
    """One key and both replies."""

    key: bytes
    theirs: bytes
    ours: bytes


class _CProgram:
    """The release's own smmapd, started again where it dies."""

    def __init__(self, cyrus: Cyrus) -> None:
        self._cyrus = cyrus
        self._server: StdioServer | None = None

    def ask(self, key: bytes) -> bytes | None:
        """Its reply, or None where it dies of the key."""
        if self._server is None:
            self._server = self._cyrus.smmapd(f"{PROGRAMS}/smmapd")
        try:
            return self._server.ask(key)
        except (SocketmapError, ConnectionError):
            self.close()
            return None

    def close(self) -> None:
        """End it."""
        if self._server is not None:
            self._server.abandon()
            self._server = None


def differing(cyrus: Cyrus, site: Site, keys: Sequence[bytes]) -> Iterator[Difference]:
    """Ask both programs on a store whose master is not running."""
    with ExitStack() as stack:
        theirs = _CProgram(cyrus)
        stack.callback(theirs.close)
        ours = stack.enter_context(cyrus.smmapd(smmapd_program()))
        for key in keys:
            if len(key) > LONGEST_KEY or b"\0" in key or _names_postuser(site, key):
                continue
            reply = theirs.ask(key)
            if reply is None:
                continue
            mine = ours.ask(key)
            if _same(key, reply, mine):
                continue
            if not any(_means(theirs, ours, key, mine, respelt) for respelt in _respelt(site, key)):
                yield Difference(key, reply, mine)


def _means(theirs: _CProgram, ours: StdioServer, key: bytes, mine: bytes, respelt: bytes) -> bool:
    """Is our reply to `key` that to another spelling of it, and the C program's to that, too?"""
    right = theirs.ask(respelt)
    meant = ours.ask(respelt)
    return (
        right is not None
        and _same(respelt, right, meant)
        and _tail(key, mine) == _tail(respelt, meant)
    )


def _same(key: bytes, theirs: bytes, ours: bytes) -> bool:
    """Is ours the C program's reply, or what is meant instead?"""
    if ours in (theirs, as_ours(theirs)) or ours in _DENIED:
        return True
    return b"&" in key.partition(b"+")[2]


def _names_postuser(site: Site, key: bytes) -> bool:
    """Is it the user with the name of `postuser`, that no other spelling reaches?"""
    user = key[1:].partition(b"@")[0].strip(site.separator.encode())
    user = user.partition(site.separator.encode())[0]
    postuser = site.plain("postuser").encode()
    return key.startswith(b"+") and bool(postuser) and user.lower() == postuser.lower()


def _tail(key: bytes, reply: bytes) -> bytes:
    """A reply without the key that it echoes."""
    return b"OK" if reply == b"OK " + key else reply


def _respelt(site: Site, key: bytes) -> Iterator[bytes]:
    """Other spellings of the same recipient, of which the C program answers one rightly."""
    local, at, domain = key.rpartition(b"@") if b"@" in key else (key, b"", b"")
    default = site.plain("defaultdomain").encode()
    if default and domain.lower() == default.lower():
        domain = default
    locals_ = [local]
    separator = site.separator.encode()
    if local.startswith(b"+"):
        user, _, folder = local[1:].strip(separator).partition(separator)
        locals_.append(user + (b"+" + folder if folder else b""))
    for each in locals_:
        user, plus, folder = each.partition(b"+")
        if site.plain("lmtp_downcase_rcpt", "yes") == "yes":
            user = user.lower()
        respelt = user + plus + folder + at + domain
        if respelt != key:
            yield respelt
