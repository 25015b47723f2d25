"""Modified UTF-7, the encoding of mailbox names (RFC 3501, section 5.1.3).

Printable ASCII stands for itself, `&` is `&-`, everything else is UTF-16 in
base64 with `,` for `/` between `&` and `-`.  Bytes that are not UTF-8 become
U+FFFD, one for each maximal ill-formed part (Unicode, chapter 3), as the
converter behind Cyrus' charset_to_imaputf7 makes them.
"""

from __future__ import annotations

from binascii import Error, a2b_base64, b2a_base64

# What `&...-` may hold, in the order of the letters' values (b64mbox in imap/mboxname.c).
BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,"

_LETTER_BITS, _UNIT_BITS = 6, 16

_AMPERSAND = ord("&")
_DIRECT = frozenset(range(0x20, 0x7F)) - {_AMPERSAND}


def encode(name: bytes) -> bytes:
    """The modified UTF-7 of `name`, which is UTF-8 or meant to be."""
    if _is_direct(name):
        return name
    out = bytearray()
    shifted: list[str] = []
    for character in name.decode("utf-8", "replace"):
        code = ord(character)
        if code in _DIRECT or code == _AMPERSAND:
            if shifted:
                out += _base64("".join(shifted))
                shifted.clear()
            out += b"&-" if code == _AMPERSAND else character.encode("ascii")
        else:
            shifted.append(character)
    if shifted:
        out += _base64("".join(shifted))
    return bytes(out)


def decode(name: bytes) -> str:
    """What `name` shows to a person; raises ValueError where it is not modified UTF-7."""
    out: list[str] = []
    rest = name
    while rest:
        direct, ampersand, rest = rest.partition(b"&")
        if not _is_direct(direct):
            raise ValueError(f"bytes outside of printable ASCII in {name!r}")
        out.append(direct.decode("ascii"))
        if not ampersand:
            break
        inside, end, rest = rest.partition(b"-")
        if not end or inside.strip(BASE64):
            raise ValueError(f"`&` without its `-` in {name!r}")
        out.append(_utf16(inside, name) if inside else "&")
    return "".join(out)


def is_encoded(name: bytes) -> bool:
    """Whether `name` is well-formed modified UTF-7.

    Between each `&` and its `-` there are whole units of 16 bits, and what is
    left of the last letter is zero.
    """
    rest = name
    while rest:
        direct, ampersand, rest = rest.partition(b"&")
        if not _is_direct(direct):
            return False
        if not ampersand:
            break
        inside, end, rest = rest.partition(b"-")
        if not end or not _is_whole(inside):
            return False
    return True


def looks_encoded(name: bytes) -> bool:
    """Whether Cyrus from 3.13 on takes `name` for modified UTF-7.

    That is so where the first `&` is followed by base64 or nothing, and a `-`
    (mbname_from_recipient in imap/mboxname.c); the rest is not looked at.
    """
    _, ampersand, rest = name.partition(b"&")
    return bool(ampersand) and rest.lstrip(BASE64).startswith(b"-")


def _is_whole(inside: bytes) -> bool:
    """Whether letters of base64 are whole units of 16 bits, padded with zeros."""
    if inside.strip(BASE64):
        return False
    over = len(inside) * _LETTER_BITS % _UNIT_BITS
    padding = BASE64.find(inside[-1:]) & (1 << over) - 1
    return not inside or (over < _LETTER_BITS and not padding)


def _is_direct(name: bytes) -> bool:
    return name.isascii() and b"&" not in name and name.decode("ascii").isprintable()


def _base64(text: str) -> bytes:
    encoded = b2a_base64(text.encode("utf-16-be"), newline=False)
    return b"&" + encoded.rstrip(b"=").replace(b"/", b",") + b"-"


def _utf16(inside: bytes, name: bytes) -> str:
    padded = inside.replace(b",", b"/") + b"=" * (-len(inside) % 4)
    try:
        return a2b_base64(padded).decode("utf-16-be")
    except (Error, UnicodeDecodeError) as error:
        raise ValueError(f"no UTF-16 between `&` and `-` in {name!r}: {error}") from error
