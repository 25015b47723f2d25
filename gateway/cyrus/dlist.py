"""dlists, the lists in Cyrus' database records: `%(T e A %(anyone lrs) H ())`.

A value is an atom, a quoted string, a literal (`{3}` CR LF `abc`), a list in
parentheses or a list of names and values behind `%`.  Cyrus reads them in two
ways, which differ where a record is damaged (imap/dlist.c):

- `events` is strict (dlist_parsesax), for the mailbox list: one blank between
  the parts, an atom ends at a blank, and whatever is left over is a fault.
- `items` is lenient (dlist_parse), for quota roots: any white space, and a
  record that breaks off or contradicts the grammar counts as an empty one.

Nesting is bounded; deeper lists are damage.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeAlias

    Item: TypeAlias = "bytes | tuple[tuple[bytes, Item], ...]"
    Items: TypeAlias = tuple[tuple[bytes, Item], ...]

# What `events` reports; the second member of an event is the value's name.
LIST_START = 0
LIST_END = 1
KVLIST_START = 2
KVLIST_END = 3
STRING = 4  # same with 5: it only has to differ

# Cyrus' records nest three deep.
MAX_DEPTH = 16

_SPACE = b" \t\n\v\f\r"
_ATOM_END = frozenset(_SPACE + b'()"')
_DIGITS = frozenset(b"0123456789")
_CLOSE, _QUOTE = b')"'
_BRACE, _BACKSLASH = b"{\\"


class DlistError(ValueError):
    """The bytes are not dlist; `trailing` where a whole one has more behind it."""

    def __init__(self, problem: str, *, trailing: bool = False) -> None:
        self.trailing = trailing
        super().__init__(problem)


def events(data: bytes) -> Iterator[tuple[int, bytes, bytes | None]]:
    """What the one value in `data` consists of, in order: (event, name, string).

    The string is None for NIL and for the ends of lists.  Raises `DlistError`
    where the damage stands, after the events before it.
    """
    stack: list[int] = []
    position = 0
    name = b""
    while True:
        opener = data[position : position + 2]
        if opener[:1] == b"(" or opener == b"%(":
            start = KVLIST_START if opener == b"%(" else LIST_START
            yield start, name, None
            position += 2 if start == KVLIST_START else 1
            stack.append(start)
            if len(stack) > MAX_DEPTH:
                raise DlistError(f"lists in more than {MAX_DEPTH} lists")
            ended = data[position : position + 1] == b")"
        elif opener[:1] in (b"", b"%"):
            raise DlistError(f"no value at byte {position}")
        else:
            string, position = _strict_string(data, position)
            yield STRING, name, string
            ended = True
        while ended and stack:
            mark = data[position : position + 1]
            if mark == b")":
                yield (LIST_END if stack.pop() == LIST_START else KVLIST_END), b"", None
            elif mark == b" ":
                ended = data[position + 1 : position + 2] == b")"
            else:
                raise DlistError(f"no end of the list at byte {position}")
            position += 1
        if not stack:
            break
        name = b""
        if stack[-1] == KVLIST_START:
            name, position = _strict_name(data, position)
    if position < len(data):
        raise DlistError(f"more behind the end at byte {position}", trailing=True)


def _strict_name(data: bytes, position: int) -> tuple[bytes, int]:
    name, position = _strict_string(data, position)
    if name is None or data[position : position + 1] != b" ":
        raise DlistError(f"no value for the name before byte {position}")
    return name, position + 1


def _strict_string(data: bytes, position: int) -> tuple[bytes | None, int]:
    """The string at `position` and where it ends; None is NIL."""
    mark = data[position : position + 1]
    if mark == b'"':
        return _quoted(data, position)
    if mark == b"{":
        return _literal(data, position)
    if not mark:
        raise DlistError(f"breaks off at byte {position}")
    end = data.find(b" ", position)
    atom = data[position : end if end >= 0 else len(data)].rstrip(b")")
    return (None if atom == b"NIL" else atom), position + len(atom)


def _quoted(data: bytes, position: int) -> tuple[bytes, int]:
    string = bytearray()
    start = position
    position += 1
    while position < len(data):
        byte = data[position]
        if byte == _QUOTE:
            return bytes(string), position + 1
        if byte == _BACKSLASH:
            position += 1
            if position == len(data):
                break
            byte = data[position]
        string.append(byte)
        position += 1
    raise DlistError(f"no end of the quoted string at byte {start}")


def _literal(data: bytes, position: int) -> tuple[bytes, int]:
    """`{n}` or `{n+}`, CR LF, n bytes."""
    end = data.find(b"}\r\n", position)
    digits = data[position + 1 : end].removesuffix(b"+")
    # More digits than a length can have are damage; int() need not see them.
    if end == -1 or len(digits) > len("4294967295") or not _DIGITS.issuperset(digits):
        raise DlistError(f"no literal at byte {position}")
    start = end + len(b"}\r\n")
    stop = start + int(digits or b"0")
    if stop > len(data):
        raise DlistError(f"the literal at byte {position} breaks off")
    return data[start:stop], stop


def items(data: bytes) -> Items | None:
    """The names and values of the list in `data`; None where it is damaged.

    A list without names has empty ones.  Raises `DlistError` only for a whole
    list with something behind it.
    """
    if not data:
        return None
    try:
        item, position = _lenient_item(data, 0, 0)
    except DlistError:
        return None
    if position < len(data):
        raise DlistError(f"more behind the end at byte {position}", trailing=True)
    return item if isinstance(item, tuple) else None


def _lenient_item(data: bytes, position: int, depth: int) -> tuple[Item, int]:
    mark = data[position : position + 1]
    named = mark == b"%"
    if named:
        position += 1
        if data[position : position + 1] != b"(":
            raise DlistError(f"no list behind % at byte {position}")
    elif mark != b"(":
        return _lenient_string(data, position)
    if depth == MAX_DEPTH:
        raise DlistError(f"lists in more than {MAX_DEPTH} lists")
    members: list[tuple[bytes, Item]] = []
    position = _skip_space(data, position + 1)
    while data[position] != _CLOSE:
        name = b""
        if named:
            name, position = _lenient_string(data, position)
            position = _skip_space(data, position)
        item, position = _lenient_item(data, position, depth + 1)
        members.append((name, item))
        position = _skip_space(data, position)
    return tuple(members), position + 1


def _lenient_string(data: bytes, position: int) -> tuple[bytes, int]:
    mark = data[position]
    if mark == _QUOTE:
        string, end = _quoted(data, position)
        # As Cyrus does, take a line's end inside of quotes for damage.
        if b"\r" in string or b"\n" in string:
            raise DlistError(f"a line ends in the quoted string at byte {position}")
        return string, end
    if mark == _BRACE:
        return _literal(data, position)
    end = position
    while end < len(data) and data[end] not in _ATOM_END:
        end += 1
    if end == position:
        raise DlistError(f"no string at byte {position}")
    return data[position:end], end


def _skip_space(data: bytes, position: int) -> int:
    """Where the next byte is that is not white space; there must be one."""
    while position < len(data):
        if data[position] not in _SPACE:
            return position
        position += 1
    raise DlistError("breaks off")
