"""Cyrus' lmtpd as the judge: a small mail to each recipient, each from the same store.

    with Judge(cyrus) as judge:
        truths = judge.deliver([b"fred@example.com", ...])

LMTP answers for each recipient of a mail by itself after DATA (RFC 2033), so
that one mail asks about many; the store is put back after each mail.
lmtpd serves one end of a socket pair, as a child of master would.  It may die
of a recipient: then the recipients of that mail are asked again in halves,
until the one that it dies of stands alone.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from tests.delivery.sites import SERVICE
from tests.delivery.snapshot import Snapshot
from tests.rigs.cyrus import Cyrus
from tests.rigs.cyrus_tools import PROGRAMS

TIMEOUT_S = 60.0
MAIL = b"From: <>\r\nSubject: a small mail\r\nMessage-ID: <%d@sender.test>\r\n\r\ntext\r\n"
# Of the mail above, with the longest number.
MAIL_SIZE = 90
_LINE = 65536
# RFC 5321, 4.1.2: what may stand in a local part without quotes; 8-bit is RFC 6531's.
_ATEXT = frozenset(
    b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-/=?^_`{|}~."
) | frozenset(range(0x80, 0x100))
ABORTED = b"421 4.3.0 lmtpd died"


class LmtpdDiedError(Exception):
    """lmtpd closed the connection before it had answered."""


@dataclass(frozen=True, slots=True)
class Truth:
    """What lmtpd said of one recipient: at RCPT, and after DATA (empty where RCPT refused)."""

    rcpt: bytes
    data: bytes

    @property
    def last(self) -> bytes:
        """The reply that counts."""
        return self.data or self.rcpt

    @property
    def outcome(self) -> str:
        """`delivered`, `deferred` or `refused`."""
        return {b"2": "delivered", b"4": "deferred", b"5": "refused"}[self.last[:1]]


def quoted(address: bytes) -> bytes:
    """The address as RCPT TO has it.

    Where only dots are out of place (`two..dots`) Sendmail hands on what the
    client said, which may be without quotes; Postfix puts it into quotes, and so
    lmtpd delivers less.
    """
    local, at, domain = address.rpartition(b"@") if b"@" in address else (address, b"", b"")
    if local and _ATEXT.issuperset(local):
        return address
    escaped = local.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    return b'"' + escaped + b'"' + at + domain


class _Lmtpd:
    """One process and the conversation with it."""

    def __init__(self, cyrus: Cyrus) -> None:
        self._process, self._link = cyrus.on_socket(
            f"{PROGRAMS}/lmtpd",
            "-C",
            cyrus.imapd_conf,
            service=SERVICE,
            errors=f"{cyrus.folder}/lmtpd.err",
        )
        self._link.settimeout(TIMEOUT_S)
        self._reader = self._link.makefile("rb")
        self._number = 0
        try:
            self.reply()
            self.command(b"LHLO sender.test")
        except LmtpdDiedError:
            self.close()
            raise

    def send(self, data: bytes) -> None:
        try:
            self._link.sendall(data)
        except OSError as error:
            raise LmtpdDiedError from error

    def reply(self) -> bytes:
        while True:
            try:
                line = self._reader.readline(_LINE)
            except ConnectionError as error:
                raise LmtpdDiedError from error
            if not line.endswith(b"\n"):
                raise LmtpdDiedError
            if line[3:4] != b"-":
                if line.startswith(b"421"):
                    raise LmtpdDiedError
                return line.rstrip(b"\r\n")

    def command(self, line: bytes) -> bytes:
        self.send(line + b"\r\n")
        return self.reply()

    def mail(self, recipients: Sequence[bytes]) -> list[Truth]:
        """One mail to all of them."""
        self._number += 1
        self.command(b"MAIL FROM:<>")
        self.send(b"".join(b"RCPT TO:<%s>\r\n" % quoted(each) for each in recipients))
        first = [self.reply() for _ in recipients]
        if not any(each.startswith(b"2") for each in first):
            return [Truth(each, b"") for each in first]
        ready = self.command(b"DATA")
        if not ready.startswith(b"354"):
            return [Truth(each, ready) for each in first]
        self.send(MAIL % self._number + b".\r\n")
        return [Truth(each, self.reply() if each.startswith(b"2") else b"") for each in first]

    def close(self) -> None:
        self._reader.close()
        self._link.close()
        try:
            self._process.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise


class Judge:
    """lmtpd on a store whose master is not running."""

    def __init__(self, cyrus: Cyrus) -> None:
        self._cyrus = cyrus
        self._snapshot = Snapshot(cyrus.folder)
        self._server: _Lmtpd | None = None
        self.deaths = 0

    def __enter__(self) -> Self:
        self._snapshot.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()
        self._snapshot.__exit__(kind, error, trace)

    def deliver(self, recipients: Sequence[bytes]) -> list[Truth]:
        """The truth about each of them, from one mail if lmtpd lives through it.

        The process lives on: it finds that the databases are others now, as it
        does where a database is written again.
        """
        try:
            if self._server is None:
                self._server = _Lmtpd(self._cyrus)
            truths = self._server.mail(recipients)
        except LmtpdDiedError:
            self.deaths += 1
            self._end()
            self._snapshot.restore()
            if len(recipients) == 1:
                return [Truth(ABORTED, b"")]
            half = len(recipients) // 2
            return self.deliver(recipients[:half]) + self.deliver(recipients[half:])
        self._snapshot.restore()
        return truths

    def alone(self, recipient: bytes) -> Truth:
        """The truth about one recipient, from a process that has seen nothing else."""
        self._end()
        (truth,) = self.deliver([recipient])
        self._end()
        return truth

    def _end(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
