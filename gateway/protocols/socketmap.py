"""The socketmap protocol, server side: netstrings in, requests out.

A request is a netstring `LENGTH:NAME KEY,` and a reply one too (Sendmail's
README, "socket map"; Postfix socketmap_table(5)).  The decoder takes bytes in
any pieces and hands out whole requests in order.  It promises that

- every split of the same bytes gives the same requests and the same error;
- it never holds more than one unfinished request, of at most MAX_REQUEST
  bytes: a longer announced length is an error before any of it is kept;
- after an error nothing more is parsed: what follows a framing error is not a
  request, whatever it looks like.

The texts of the errors are the C program's; they become the reply
`PERM Bad protocol (TEXT)`, after which the connection ends.
"""

from __future__ import annotations

from gateway.errors import ProtocolError

# Postfix asks with at most 10 000 bytes (dict_sockmap.c, 3.12), map name and
# blank included; Sendmail with far less.
MAX_REQUEST = 10_240  # only a bound

# Decimal digits before the colon.  Leading zeros are allowed, as in the C
# program; a peer that sends nothing but zeros must come to an end, too.
MAX_LENGTH_DIGITS = 64  # only a bound

MISSING_LENGTH = "missing length"
MISSING_TERMINATOR = "missing terminator"
MISSING_KEY = "missing key"
WRONG_SIZE = "request size doesn't match length"

# See `with_hops`.
_HOP = b";hop="
_HOP_DIGITS = 3  # only a bound

_COMMA = 0x2C


def encode(payload: bytes) -> bytes:
    """One netstring around `payload`."""
    return b"%d:%b," % (len(payload), payload)


def split_request(payload: bytes) -> tuple[bytes, bytes]:
    """The map name and the key of a request: the text before and behind the first space.

    Raises ProtocolError where there is no space, or where a NUL comes before
    it (the C program reads the request as a C string up to there).
    """
    name, space, key = payload.partition(b" ")
    if not space or b"\0" in name:
        raise ProtocolError(MISSING_KEY)
    return name, key


def with_hops(map_name: bytes, hops: int) -> bytes:
    """The map name of a question that has been passed on `hops` times.

    Every smmapd ignores the map name, so it can tell ours how many servers a
    question has seen.
    """
    return b"%b%b%d" % (map_name, _HOP, hops)


def hops_of(map_name: bytes) -> int:
    """How often a question with that map name has been passed on; 0 from a mail server."""
    _, mark, number = map_name.rpartition(_HOP)
    if not mark or not number.isdigit() or len(number) > _HOP_DIGITS:
        return 0
    return int(number)


def bad_protocol(error: ProtocolError) -> bytes:
    """The reply's payload that tells the peer about its error; the connection ends behind it."""
    return b"PERM Bad protocol (%b)" % str(error).encode("ascii", "replace")


class Decoder:
    """Turns the bytes of one connection into request payloads.

    Call `feed` with whatever arrived and take the list it returns; look at
    `error` afterwards: where it is set, the peer broke the protocol behind
    those requests and the decoder is finished.  Call `end` when the peer has
    closed its side.
    """

    __slots__ = ("_buffer", "error")

    def __init__(self) -> None:
        self._buffer = b""
        self.error: ProtocolError | None = None

    @property
    def idle(self) -> bool:
        """True between requests: nothing of an unfinished one is held."""
        return not self._buffer

    def feed(self, data: bytes) -> list[bytes]:
        """The payloads of all requests that `data` completes.

        The cost is linear in the bytes of `data` plus one unfinished request,
        which is short: the length digits are looked at again with each piece.
        """
        if self.error is not None:
            return []
        if self._buffer:
            data = self._buffer + data
        payloads: list[bytes] = []
        start = 0
        size = len(data)
        while start < size:
            colon = data.find(b":", start, start + MAX_LENGTH_DIGITS + 1)
            # same with >, 1: without digits there is no length
            end_of_digits = colon if colon >= 0 else min(size, start + MAX_LENGTH_DIGITS + 1)
            digits = data[start:end_of_digits]
            if not digits.isdigit():  # bytes.isdigit knows ASCII digits only
                self._fail(MISSING_LENGTH)
                return payloads
            if colon < 0:  # same with <=, 1: without digits there is no length
                if len(digits) > MAX_LENGTH_DIGITS:
                    self._fail(WRONG_SIZE)
                    return payloads
                break
            length = int(digits)
            if length > MAX_REQUEST:
                self._fail(WRONG_SIZE)
                return payloads
            end = colon + 1 + length
            if end >= size:
                break
            if data[end] != _COMMA:
                self._fail(MISSING_TERMINATOR)
                return payloads
            payloads.append(data[colon + 1 : end])
            start = end + 1
        self._buffer = data[start:]
        return payloads

    def end(self) -> None:
        """The peer sends no more: an unfinished request becomes the error it is."""
        if self.error is not None or not self._buffer:
            return
        digits, colon, rest = self._buffer.partition(b":")
        if not colon:
            self._fail(MISSING_LENGTH)
        elif len(rest) < int(digits):
            self._fail(WRONG_SIZE)
        else:
            self._fail(MISSING_TERMINATOR)

    def _fail(self, text: str) -> None:
        self._buffer = b""
        self.error = ProtocolError(text)
