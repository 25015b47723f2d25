"""LMTP, client side, as far as asking about a recipient needs it (RFC 2033, RFC 5321).

Commands are made here and replies taken apart; no socket.  A reply is one or
more lines `250-text`, the last one `250 text`; where the text begins with an
enhanced status code (RFC 2034, RFC 3463) of the same class, the reply has it.
The decoder takes bytes in any pieces and promises that

- every split of the same bytes gives the same replies and the same error;
- it never holds more than MAX_LINE bytes of a line and MAX_LINES lines;
- after an error nothing more is parsed.

Lines may end with LF alone.  Limits: a reply's text is kept as it came,
unfiltered.
"""

from __future__ import annotations

from gateway.errors import ProtocolError
from gateway.values import Value

# Bytes of a line without its end: RFC 5321 (4.5.3.1.5) allows 512 octets;
# real servers say more.
MAX_LINE = 4096  # only a bound

# Lines of one reply; the greeting's list of extensions is the longest.
MAX_LINES = 128  # only a bound

# What a bare local part may be made of without quotes: RFC 5321, 4.1.2, and
# bytes above 127 (RFC 6531).
_ATEXT = frozenset(
    b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-/=?^_`{|}~."
) | frozenset(range(0x80, 0x100))
# What a domain may be made of, an address in brackets too (RFC 5321, 4.1.3), and bytes above 127
# (RFC 6531); a blank or > would end the path, and what follows be a parameter.
_DOMAIN = frozenset(
    b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._:[]"
) | frozenset(range(0x80, 0x100))
_CONTROLS = frozenset((*range(0x20), 0x7F))

MAIL_NULL = b"MAIL FROM:<>\r\n"
RSET = b"RSET\r\n"

# Extensions that make a difference (RFC 2920, RFC 2034).
PIPELINING = b"PIPELINING"


class LmtpReply(Value):
    """One whole reply.

    `code` is the number at its beginning, `enhanced` its enhanced status code
    or empty, `lines` the texts of its lines, without both.
    """

    __slots__ = ("code", "enhanced", "lines")
    code: int
    enhanced: bytes
    lines: tuple[bytes, ...]

    def __init__(self, code: int, enhanced: bytes, lines: tuple[bytes, ...]) -> None:
        self.code = code
        self.enhanced = enhanced
        self.lines = lines
        self._freeze()

    @property
    def good(self) -> bool:
        """Whether the command was carried out."""
        return self.code // 100 == 2

    @property
    def text(self) -> bytes:
        """The texts of all lines in one."""
        return b" ".join(line for line in self.lines if line)

    def __str__(self) -> str:
        """For a log line; still to be made printable."""
        words = (str(self.code).encode(), self.enhanced, self.text)
        return b" ".join(word for word in words if word).decode("utf-8", "backslashreplace")


def lhlo(name: bytes) -> bytes:
    """The greeting of a client called `name`."""
    return b"LHLO " + name + b"\r\n"


def rcpt(address: bytes) -> bytes:
    """The question about a bare `address`.

    Raises ProtocolError for one with control characters, which no command can
    hold, and for one whose domain would be more than a domain there.
    """
    if not _CONTROLS.isdisjoint(address):
        raise ProtocolError("the address has a control character")
    _, at, domain = address.rpartition(b"@")
    if at and not _DOMAIN.issuperset(domain):
        raise ProtocolError("the domain has a character that no domain has")
    return b"RCPT TO:<" + path(address) + b">\r\n"


def path(address: bytes) -> bytes:
    """`address` as a command writes it: a local part with specials is quoted."""
    local, at, domain = address.rpartition(b"@")
    if not at:
        local, domain = domain, b""
    if _ATEXT.issuperset(local):
        return address
    escaped = local.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    return b'"' + escaped + b'"' + at + domain


def features(greeting: LmtpReply) -> frozenset[bytes]:
    """The extensions that a reply to LHLO names, in capitals, without their parameters."""
    # same with 2 in place 1: the first word is used alone
    return frozenset(line.split(b" ", 1)[0].upper() for line in greeting.lines[1:] if line)


class ReplyDecoder:
    """Turns the bytes of one connection into replies.

    `feed` whatever arrived, and take the list it returns; then look at
    `error`: where it is set, the peer broke the protocol behind those replies.
    """

    __slots__ = ("_buffer", "_code", "_enhanced", "_lines", "error")

    def __init__(self) -> None:
        self._buffer = b""
        self._code = b""
        self._enhanced = b""
        self._lines: list[bytes] = []
        self.error: ProtocolError | None = None

    @property
    def idle(self) -> bool:
        """True between replies."""
        return not self._buffer and not self._lines

    def feed(self, data: bytes) -> list[LmtpReply]:
        """The replies that `data` completes."""
        replies: list[LmtpReply] = []
        if self.error is not None:
            return replies
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            self._line(line.removesuffix(b"\r"), replies)
            if self.error is not None:
                return replies
        # One byte more than a line may have: it could be the CR.
        if len(self._buffer) > MAX_LINE + 1:
            self._fail(f"a line of a reply is longer than {MAX_LINE} bytes")
        return replies

    def _line(self, line: bytes, replies: list[LmtpReply]) -> None:
        if len(line) > MAX_LINE:
            self._fail(f"a line of a reply is longer than {MAX_LINE} bytes")
            return
        code, mark, text = line[:3], line[3:4], line[4:]
        if not (len(code) == 3 and code.isdigit() and code[:1] in b"2345") or mark not in b"- ":
            # same with 61: how much of a wrong line is shown
            self._fail(f"not a line of a reply: {line[:60]!r}")
            return
        if self._lines and code != self._code:
            self._fail(f"a reply has two codes: {self._code!r} and {code!r}")
            return
        self._code = code
        enhanced, text = _enhanced(code, text)
        self._enhanced = enhanced or self._enhanced
        self._lines.append(text)
        if mark != b"-":
            replies.append(LmtpReply(int(code), self._enhanced, tuple(self._lines)))
            self._lines = []
            self._enhanced = b""
        elif len(self._lines) >= MAX_LINES:
            self._fail(f"a reply has more than {MAX_LINES} lines")

    def _fail(self, text: str) -> None:
        self._buffer = b""
        self._lines = []
        self.error = ProtocolError(text)


def _enhanced(code: bytes, text: bytes) -> tuple[bytes, bytes]:
    """The enhanced status code at the beginning of `text`, if there is one, and the rest."""
    word, _, rest = text.partition(b" ")
    parts = word.split(b".")
    if len(parts) != 3 or parts[0] != code[:1]:
        return b"", text
    if all(part.isdigit() and len(part) <= 3 for part in parts[1:]):
        return word, rest
    return b"", text
