"""A small SMTP client that shows exactly what the server said, line by line.

    with Conversation(("127.0.0.1", 2525)) as smtp:
        smtp.command(b"EHLO client.test")
        reply = smtp.command(b"RCPT TO:<fred@example.org>")
        assert reply.lines == (b"250 2.1.5 Ok",)

Bytes go out as they are given and come back as they arrived, without their
line ends.  Nothing is interpreted but where a reply ends (RFC 5321, 4.2.1).
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

TIMEOUT_S = 60.0
# RFC 5321 allows 512; what is far beyond that is not SMTP.
_LONGEST_LINE = 65536


class SmtpError(AssertionError):
    """The server closed too early or sent something that is not an SMTP reply."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply: its lines as they came, without CR LF."""

    lines: tuple[bytes, ...]

    @property
    def code(self) -> int:
        """The three digits."""
        return int(self.lines[-1][:3])

    @property
    def last(self) -> bytes:
        """The last line, which for most replies is the only one."""
        return self.lines[-1]

    @property
    def enhanced(self) -> bytes:
        """The enhanced status code (RFC 3463) of the last line, or b""."""
        word = self.lines[-1][4:].partition(b" ")[0]
        return word if word.count(b".") == 2 and word.replace(b".", b"").isdigit() else b""

    def has(self, keyword: bytes) -> bool:
        """For EHLO: does the server announce this extension?"""
        return any(line[4:].split(b" ")[0].upper() == keyword for line in self.lines)


class Conversation:
    """One SMTP connection; a `with` ends it with QUIT, or hard if the server is gone."""

    def __init__(
        self,
        address: tuple[str, int],
        *,
        hello: bytes | None = b"client.test",
        source: str | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """Connect, read the greeting and say EHLO unless `hello` is None.

        `source` is the client's own address: any of 127.0.0.0/8 is on the loopback interface.
        """
        self._link = socket.create_connection(
            address, timeout=timeout_s, source_address=(source, 0) if source else None
        )
        self._reader = self._link.makefile("rb")
        self.greeting = self.reply()
        self.ehlo = self.command(b"EHLO " + hello) if hello is not None else None

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._link.sendall(data)

    def reply(self) -> Reply:
        """Read one reply.  Raises `SmtpError` if the server closes or talks something else."""
        lines: list[bytes] = []
        while True:
            line = self._reader.readline(_LONGEST_LINE)
            if not line.endswith(b"\n"):
                raise SmtpError(f"connection closed after {lines!r} {line!r}")
            line = line.rstrip(b"\r\n")
            if not line[:3].isdigit() or line[3:4] not in (b" ", b"-", b""):
                raise SmtpError(f"no SMTP reply: {line!r}")
            lines.append(line)
            if line[3:4] != b"-":
                return Reply(tuple(lines))

    def command(self, line: bytes) -> Reply:
        """Send one command (without its line end) and read its reply."""
        self.send(line + b"\r\n")
        return self.reply()

    def pipeline(self, lines: Iterable[bytes]) -> list[Reply]:
        """Send commands in one piece, then read a reply for each (RFC 2920)."""
        sent = list(lines)
        self.send(b"".join(line + b"\r\n" for line in sent))
        return [self.reply() for _ in sent]

    def mail(self, sender: bytes = b"", parameters: bytes = b"") -> Reply:
        """MAIL FROM, `parameters` such as b"SIZE=1000 SMTPUTF8"."""
        return self.command(b"MAIL FROM:<%s>%s" % (sender, parameters and b" " + parameters))

    def rcpt(self, recipient: bytes) -> Reply:
        """RCPT TO."""
        return self.command(b"RCPT TO:<%s>" % recipient)

    def xclient(self, **attributes: str) -> Reply:
        """Postfix' XCLIENT (`addr="192.0.2.1", login="alice"`) and the EHLO that must follow it.

        Returns the reply to EHLO.  Raises `SmtpError` if XCLIENT is refused.
        """
        words = " ".join(f"{name.upper()}={value}" for name, value in attributes.items())
        answer = self.command(b"XCLIENT " + words.encode())
        if answer.code != 220:
            raise SmtpError(f"XCLIENT was refused: {answer.lines!r}")
        return self.command(b"EHLO client.test")

    def rset(self) -> Reply:
        """RSET."""
        return self.command(b"RSET")

    def data(self, message: bytes = b"Subject: test\r\n\r\ntext\r\n") -> Reply:
        """DATA with a message (CR LF line ends, dots are doubled); the reply is the last one.

        Where DATA itself is refused, that reply is returned and nothing is sent.
        """
        ready = self.command(b"DATA")
        if ready.code != 354:
            return ready
        lines = message.removesuffix(b"\r\n").split(b"\r\n")
        stuffed = (b"." + line if line.startswith(b".") else line for line in lines)
        return self.command(b"\r\n".join(stuffed) + b"\r\n.")

    def closed(self) -> bool:
        """Has the server closed?  Waits until it closes or says something."""
        return not self._reader.peek(1)

    def close(self) -> None:
        """Close without QUIT."""
        self._reader.close()
        self._link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self.command(b"QUIT")
        except (SmtpError, OSError):
            # After a 421 the server has gone already; that is not this client's business.
            pass
        finally:
            self.close()


def rcpt_replies(
    address: tuple[str, int], recipients: Sequence[bytes], sender: bytes = b"", mail: bytes = b""
) -> list[bytes]:
    """The last reply line to each recipient, all in one mail that is not sent."""
    with Conversation(address) as smtp:
        answer = smtp.mail(sender, mail)
        if answer.code != 250:
            raise SmtpError(f"MAIL FROM was refused: {answer.lines!r}")
        return [smtp.rcpt(recipient).last for recipient in recipients]
