"""wildmat: `*`, `?`, `[a-z]`, `[^a-z]` and `\\` in deny patterns (lib/wildmat.c).

The whole text must match; upper and lower case differ.  The time is bounded
by the product of both lengths.

One difference: where the C code reads behind the end of a pattern (a `[` that
is not closed), the pattern matches nothing.
"""

from __future__ import annotations

_STAR, _ONE, _CLASS, _CLASS_END, _LITERAL, _RANGE = b"*?[]\\-"


def wildmat(text: bytes, pattern: bytes) -> bool:
    """Whether all of `text` matches `pattern`."""
    at = place = 0
    # Behind the last star: the pattern's place, and the text's to match it at.
    star: tuple[int, int] | None = None
    while at < len(text):
        if place < len(pattern) and pattern[place] == _STAR:
            place += 1
            star = place, at
            continue
        following = _match_one(text[at], pattern, place)
        if following is not None:
            at += 1
            place = following
        elif star is not None:
            place, at = star = star[0], star[1] + 1
        else:
            return False
    return not pattern[place:].strip(b"*")


def _match_one(byte: int, pattern: bytes, place: int) -> int | None:
    """Where the pattern goes on after it matched `byte` at `place`; None if it does not."""
    if place >= len(pattern):
        return None
    mark = pattern[place]
    if mark == _ONE:
        return place + 1
    if mark == _CLASS:
        return _match_class(byte, pattern, place)
    if mark == _LITERAL:
        place += 1
    return place + 1 if pattern[place : place + 1] == bytes((byte,)) else None


def _match_class(byte: int, pattern: bytes, place: int) -> int | None:
    """The same for the class whose `[` is at `place`.

    `]` and `-` are members where they come first.  Bytes are signed, as in C
    on the machines that Cyrus runs on.
    """
    place += 1
    negated = pattern[place : place + 1] == b"^"
    place += negated
    matched = False
    first = last = place
    while place < len(pattern):
        member = pattern[place]
        if member == _CLASS_END and place > first:
            return place + 1 if matched != negated else None
        if member == _RANGE and place > first and pattern[place + 1 : place + 2] != b"]":
            place += 1
            if place == len(pattern):
                break
            low, high = _as_signed(pattern[last]), _as_signed(pattern[place])
            # same with < in place 1: the lowest member has matched by itself before
            matched = matched or low <= _as_signed(byte) <= high
        else:
            matched = matched or member == byte
        last = place
        place += 1
    return None


def _as_signed(byte: int) -> int:
    """A number that grows as a signed byte does."""
    return byte ^ 0x80
