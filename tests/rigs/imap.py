"""A small IMAP client for administrators, on imaplib: what a test changes through a real imapd.

Mailbox names are bytes in the form that IMAP has on the wire (modified
UTF-7); `modified_utf7` makes it from text.
"""

from __future__ import annotations

import base64
import imaplib
import socket
from typing import Any, Self

TIMEOUT_S = 60.0
ALL_RIGHTS = b"lrswipkxtecdan"


class ImapError(AssertionError):
    """imapd answered NO or BAD; the message holds the command and the answer."""


class _UnixIMAP4(imaplib.IMAP4):
    """imaplib on a Unix socket, whose path stands in the place of the host."""

    def _create_socket(self, timeout: float | None) -> socket.socket:
        link = socket.socket(socket.AF_UNIX)
        link.settimeout(timeout)
        try:
            link.connect(self.host)
        except OSError:
            link.close()
            raise
        return link


def modified_utf7(text: str) -> bytes:
    """A mailbox name for the wire, as RFC 3501 section 5.1.3 has it."""
    out = b""
    run = ""
    for char in [*text, ""]:
        if run and (not char or " " <= char <= "~"):
            encoded = base64.b64encode(run.encode("utf-16-be")).rstrip(b"=")
            out += b"&" + encoded.replace(b"/", b",") + b"-"
            run = ""
        if char == "&":
            out += b"&-"
        elif " " <= char <= "~":
            out += char.encode()
        else:
            run += char
    return out


def quoted(name: bytes) -> bytes:
    """A name as an IMAP quoted string."""
    return b'"' + name.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


class Admin:
    """One authenticated connection to an imapd on a Unix socket; a `with` ends it."""

    def __init__(self, path: str, user: str, password: str) -> None:
        """Connect to `path` and log in.  Raises `ImapError` if imapd does not let `user` in."""
        self._imap = _UnixIMAP4(path, timeout=TIMEOUT_S)
        try:
            self._imap.login(user, password)
        except imaplib.IMAP4.error as error:
            self._imap.shutdown()
            raise ImapError(f"LOGIN {user}: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._imap.logout()

    def abandon(self) -> None:
        """Hang up without a word, as when imapd has gone."""
        self._imap.shutdown()

    def command(self, name: str, *arguments: bytes) -> list[bytes]:
        """Send any command, arguments as they go on the wire; returns the untagged data.

        Raises `ImapError` unless the answer is OK.
        """
        # imaplib's own type hints know only text arguments; it sends bytes as they are.
        words: list[Any] = list(arguments)
        try:
            status, data = self._imap.xatom(name, *words)
        except imaplib.IMAP4.error as error:
            raise ImapError(f"{name} {arguments!r}: {error}") from error
        if status != "OK":
            raise ImapError(f"{name} {arguments!r}: {status} {data!r}")
        return [line for line in data if isinstance(line, bytes)]

    def create(self, mailbox: bytes) -> None:
        """CREATE, without folders inside of it."""
        self.command("CREATE", quoted(mailbox))

    def delete(self, mailbox: bytes) -> None:
        """DELETE; an administrator needs the right first, so it is taken."""
        self.setacl(mailbox, b"admin", ALL_RIGHTS)
        self.command("DELETE", quoted(mailbox))

    def rename(self, old: bytes, new: bytes) -> None:
        """RENAME; user mailboxes need allowusermoves."""
        self.command("RENAME", quoted(old), quoted(new))

    def setacl(self, mailbox: bytes, who: bytes, rights: bytes) -> None:
        """SETACL; rights of b"" remove the entry, a leading "-" in `who` makes them negative."""
        self.command("SETACL", quoted(mailbox), quoted(who), quoted(rights))

    def setquota(
        self, root: bytes, *, storage_kib: int | None = None, messages: int | None = None
    ) -> None:
        """SETQUOTA; a resource that is None gets no limit."""
        limits = []
        if storage_kib is not None:
            limits.append(b"STORAGE %d" % storage_kib)
        if messages is not None:
            limits.append(b"MESSAGE %d" % messages)
        self.command("SETQUOTA", quoted(root), b"(" + b" ".join(limits) + b")")

    def append(self, mailbox: bytes, size: int = 200) -> None:
        """APPEND one message of exactly `size` bytes (at least 100)."""
        head = b"From: <a@example.org>\r\nSubject: filler\r\n\r\n"
        line = b"x" * 76 + b"\r\n"
        body = (line * (size // len(line) + 1))[: size - len(head) - 2] + b"\r\n"
        try:
            # As above: bytes go through, whatever the hints say.
            name: Any = quoted(mailbox)
            status, data = self._imap.append(name, "", "", head + body)
        except imaplib.IMAP4.error as error:
            raise ImapError(f"APPEND {mailbox!r}: {error}") from error
        if status != "OK":
            raise ImapError(f"APPEND {mailbox!r}: {status} {data!r}")

    def empty(self, mailbox: bytes) -> None:
        """Remove all messages of `mailbox` (STORE and EXPUNGE)."""
        # As above.
        name: Any = quoted(mailbox)
        try:
            self._done("SELECT", self._imap.select(name))
            self._done("STORE", self._imap.store("1:*", "+FLAGS.SILENT", "(\\Deleted)"))
            self._done("EXPUNGE", self._imap.expunge())
            self._done("UNSELECT", self._imap.unselect())
        except imaplib.IMAP4.error as error:
            raise ImapError(f"emptying {mailbox!r}: {error}") from error

    @staticmethod
    def _done(what: str, answer: tuple[str, Any]) -> None:
        if answer[0] != "OK":
            raise ImapError(f"{what}: {answer!r}")
