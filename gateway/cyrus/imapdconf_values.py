"""What the value of an option in imapd.conf may be (lib/libconfig.c).

Each function takes the bytes behind the colon and gives the value, or raises
ValueError with a reason for the administrator.  Words are compared with
regard to case, as Cyrus does: `Yes` is not a switch.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# What fits a 32-bit int; Cyrus keeps numbers and durations in one.
_INT_MAX = 2**31 - 1
_INT64_MAX = 2**63 - 1
_LAST_PORT = 65_535

# The power of two of a size's unit.
_SIZES = {b"": 0, b"K": 10, b"M": 20, b"G": 30}

# Seconds a unit; a number without a unit is in seconds.
_UNITS = {b"d": 86400, b"h": 3600, b"m": 60, b"s": 1}

# The words that an ENUM takes for its values `on` and `off`.
_ON = ("1", "yes", "t", "true")
_OFF = ("0", "no", "f", "false")


def raw(value: bytes) -> bytes:
    """STRING, kept as bytes: names of domains, users and folders."""
    return value


def text(value: bytes) -> str:
    """STRING: a path or a host's name; bytes that are not UTF-8 survive the way back."""
    return value.decode("utf-8", "surrogateescape")


def switch(value: bytes) -> bool:
    """SWITCH: the first letters decide: 0, n, of, f against 1, y, on, t."""
    if value.startswith((b"0", b"n", b"of", b"f")):
        return False
    if value.startswith((b"1", b"y", b"on", b"t")):
        return True
    raise ValueError(f"neither yes nor no: {text(value)}")


def number(value: bytes) -> int:
    """INT: decimal, octal with a leading 0, or hexadecimal with 0x."""
    word_ = value.lower()
    digits = word_[1:] if word_[:1] in (b"-", b"+") else word_
    try:
        if digits.startswith(b"0x"):
            result = _digits(digits[2:], b"0123456789abcdef", 16)
        elif digits.startswith(b"0"):
            result = _digits(digits, b"01234567", 8)
        else:
            result = _digits(digits, b"0123456789", 10)
    except ValueError:
        raise ValueError(f"not a number: {text(value)}") from None
    if result > _INT_MAX:
        raise ValueError(f"greater than {_INT_MAX}: {text(value)}")
    return -result if word_.startswith(b"-") else result


def kibibytes(value: bytes) -> int:
    """BYTESIZE in KiB: a number (of KiB), or one with a unit as in `10M` or `2 GiB`.

    Up to Cyrus 3.6 it was an INT, which may be hexadecimal.
    """
    rest = value[1:] if value.startswith((b"-", b"+")) else value
    if rest[:2].lower() == b"0x":
        return number(value)
    digits = rest[: len(rest) - len(rest.lstrip(b"0123456789"))]
    unit = rest[len(digits) :].strip().upper()
    shift = _SIZES.get(unit.removesuffix(b"B").removesuffix(b"I")) if unit else 10
    if not digits or shift is None or unit == b"IB":
        raise ValueError(f"not a size such as 5000 (KiB), 500M or 2G: {text(value)}")
    size = int(digits[:20]) << shift >> 10
    if size > _INT64_MAX >> 10:
        raise ValueError(f"greater than {_INT64_MAX} bytes: {text(value)}")
    return -size if value.startswith(b"-") else size


def duration(value: bytes) -> int:
    """DURATION in seconds: numbers with the units d, h, m, s, as in `1h30m`."""
    negative = value.startswith(b"-")
    rest = value[1:] if negative else value
    if rest[-1:].isdigit():
        rest += b"s"
    if not rest:
        raise ValueError(f"no number in the duration: {text(value)}")
    total = 0
    while rest:
        digits = rest[: len(rest) - len(rest.lstrip(b"0123456789"))]
        unit = rest[len(digits) : len(digits) + 1]
        if not digits or unit not in _UNITS:
            raise ValueError(f"not a duration such as 90, 15m or 1h30m: {text(value)}")
        total += int(digits) * _UNITS[unit]
        rest = rest[len(digits) + 1 :]
        if total > _INT_MAX:
            raise ValueError(f"longer than {_INT_MAX} seconds: {text(value)}")
    return -total if negative else total


def port(value: bytes) -> int:
    """INT: a TCP port."""
    found = number(value)
    if not 0 < found <= _LAST_PORT:
        raise ValueError(f"not a port from 1 to {_LAST_PORT}: {text(value)}")
    return found


def timeout(value: bytes) -> int:
    """DURATION: at least a second."""
    found = duration(value)
    if found < 1:
        raise ValueError(f"shorter than a second: {text(value)}")
    return found


def word(*allowed: str) -> Callable[[bytes], str]:
    """STRINGLIST: one of the `allowed` words."""

    def parse(value: bytes) -> str:
        found = text(value)
        if found not in allowed:
            raise ValueError(f"{found} is none of {', '.join(allowed)}")
        return found

    return parse


def enum(**allowed: int) -> Callable[[bytes], int]:
    """ENUM: one of the `allowed` words, with the usual spellings of `on` and `off`."""

    def parse(value: bytes) -> int:
        found = text(value)
        found = "on" if found in _ON else "off" if found in _OFF else found
        if found not in allowed:
            raise ValueError(f"{text(value)} is none of {', '.join(allowed)}")
        return allowed[found]

    return parse


def _digits(digits: bytes, allowed: bytes, base: int) -> int:
    if not digits or digits.strip(allowed):
        raise ValueError
    return int(digits, base)
