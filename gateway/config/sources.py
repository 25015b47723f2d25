"""Where settings come from: gateway.toml, and the files of gateway.toml.d beside it.

Every `*.toml` in the folder named as the file with `.d` behind it is read after the file,
in the order of the names' bytes; names that begin with a dot are left alone.  Tables go
together, and a key that a later file sets has its value alone: a list replaces a list.

What was read travels as one run of bytes, so that the children of the supervisor judge by
exactly what was validated: the file alone as it is, or all of them behind a header that no
TOML begins with.

Limits: FILE_LIMIT bytes a file, FOLDER_LIMIT files.
"""

from __future__ import annotations

import errno
import json
import os
import re
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeVar, cast

from gateway.config.lines import key_lines
from gateway.errors import ConfigurationError, ConfigurationErrors
from gateway.files import NotAFile, TooLong, read_file

T = TypeVar("T")

# A configuration of a megabyte is another file by mistake, a folder of so many files another one.
FILE_LIMIT = 1 << 20
FOLDER_LIMIT = 100
FOLDER_SUFFIX = ".d"

# A NUL: TOML allows none.
_MARK = b"\0"
_TOML_PLACE = re.compile(
    r" \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)\Z"
)
# What to do, by how the words of Python's reader begin.
_TOML_ADVICE = (
    ("Cannot declare", "each table is written once: put its settings together"),
    ("Cannot overwrite", "each key is written once in a table: remove one"),
    ("Expected '=' after a key", 'write key = value, for example mode = "observe"'),
    ("Expected ']' at the end of a table", "a table is written [name]"),
    (
        "",
        'strings are written in straight quotes ("), lists in brackets, true and false in small '
        "letters",
    ),
)
_STRING_OR_COMMENT = re.compile(r""""(?:[^"\\]|\\.)*"|'[^']*'|#.*""")
# What editors and web pages put in the place of a quote or a blank.
_LOOKALIKES = {
    **dict.fromkeys("\u201c\u201d\u201e\u201f\u2018\u2019\u00ab\u00bb", "a typographic quote"),
    "\u00a0": "a no-break space",
    "\ufeff": "a byte order mark",
}
# More digits than int() takes of a text by default (sys.int_info).
_LONG_NUMBER = re.compile(rf"(?:[0-9]_?){{{sys.int_info.default_max_str_digits + 1}}}")


@dataclass(frozen=True, slots=True, order=True)
class SourceLocation:
    """Where a key stands: `index` counts the files as they are read, `line` from 1."""

    index: int
    file: str
    line: int


# Of what no file says.
NO_PLACES: Mapping[str, SourceLocation] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Document:
    """What all files say together, and where each key and table stands, by its dotted name."""

    values: Mapping[str, object]
    places: Mapping[str, SourceLocation]


def read(path: str) -> bytes:
    """What the file at `path` and those of its folder hold; raises ConfigurationErrors."""
    parts = [(path, _read(path, "name the file with -c"))]
    return joined(parts + [(each, _read(each)) for each in _drop_ins(path)])


def joined(parts: Sequence[tuple[str, bytes]]) -> bytes:
    """The files as one run of bytes."""
    if len(parts) == 1 and not parts[0][1].startswith(_MARK):
        return parts[0][1]
    header = json.dumps([(path, len(data)) for path, data in parts]).encode()
    return _MARK + header + b"\n" + b"".join(data for _, data in parts)


def parse(data: bytes, path: str) -> Document:
    """What `data` from `read` says; `path` is the file's name where it is one alone.

    Raises ConfigurationErrors with the fault of every file that is not TOML.
    """
    values: dict[str, object] = {}
    places: dict[str, SourceLocation] = {}
    faults = []
    for index, (file, content) in enumerate(_parts(data, path)):
        try:
            text, document = _document(content, file)
        except ConfigurationError as fault:
            faults.append(fault)
            continue
        for name, line in key_lines(text).items():
            if not isinstance(_value(document, name), dict):
                places[name] = SourceLocation(index, file, line)
            else:
                places.setdefault(name, SourceLocation(index, file, line))
        _merge(values, document)
    if faults:
        raise ConfigurationErrors(faults, file=path)
    return Document(values, places)


def _read(path: str, fix: str = "") -> bytes:
    def read_it() -> bytes:
        try:
            return read_file(path, FILE_LIMIT)
        except (NotAFile, TooLong) as error:
            problem = f"{error.strerror}; this is not a gateway.toml"
        raise ConfigurationErrors([ConfigurationError(problem, file=path)], file=path)

    return _seen(path, read_it, fix)


def _drop_ins(path: str) -> list[str]:
    folder = path + FOLDER_SUFFIX
    if not os.path.lexists(folder):
        return []
    names = [
        name
        for name in _seen(folder, lambda: os.listdir(folder))
        if name.endswith(".toml") and not name.startswith(".")
    ]
    if len(names) > FOLDER_LIMIT:
        problem = f"holds {len(names)} files, and {FOLDER_LIMIT} are enough; put some together"
        raise ConfigurationErrors([ConfigurationError(problem, file=folder)], file=folder)
    return [os.path.join(folder, name) for name in sorted(names, key=os.fsencode)]


def _seen(path: str, look: Callable[[], T], fix: str = "") -> T:
    """What `look` gives; raises ConfigurationErrors where `path` cannot be read."""
    try:
        return look()
    except OSError as error:
        if fix and error.errno == errno.ENOENT:
            fix += ", or write it: smmapd-gateway print-config example prints one to begin with"
        else:
            fix += f"{', and ' if fix else ''}let the user that starts the gateway read it"
        problem = f"cannot be read: {os.strerror(error.errno or 0)}; {fix}"
    except ValueError as error:  # a NUL byte in the path
        problem = f"cannot be read: {error}; name the file with -c"
    raise ConfigurationErrors([ConfigurationError(problem, file=path)], file=path)


def _parts(data: bytes, path: str) -> Iterator[tuple[str, bytes]]:
    if not data.startswith(_MARK):
        yield path, data
        return
    header, _, rest = data[len(_MARK) :].partition(b"\n")
    for file, length in cast("list[tuple[str, int]]", json.loads(header)):
        yield file, rest[:length]
        rest = rest[length:]


def _document(data: bytes, path: str) -> tuple[str, dict[str, object]]:
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        problem = "is not UTF-8, as TOML must be; save the file in that encoding"
        raise ConfigurationError(problem, file=path, line=line) from None
    try:
        return text, tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _syntax_error(str(error), text, path) from None
    except (ValueError, RecursionError) as error:
        raise _beyond_python(error, text, path) from None


def _merge(into: dict[str, object], more: Mapping[str, object]) -> None:
    for key, value in more.items():
        there = into.get(key)
        if isinstance(there, dict) and isinstance(value, dict):
            _merge(there, value)
        else:
            into[key] = value


def _value(document: Mapping[str, object], name: str) -> object:
    """What stands under a dotted name; None where a quoted key has a dot itself."""
    found: object = document
    for part in name.split("."):
        if not isinstance(found, dict):
            return None
        found = found.get(part)
    return found


def _syntax_error(message: str, text: str, path: str) -> ConfigurationError:
    place = _TOML_PLACE.search(message)
    line = int(place["line"]) if place and place["line"] else None
    column = f" (column {place['column']})" if place and place["column"] else ""
    if place and not place["line"]:
        column = " (at the end of the file)"
    reason = message[: place.start()] if place else message
    advice = next(fix for start, fix in _TOML_ADVICE if reason.startswith(start))
    odd = _odd_character(text.split("\n")[line - 1]) if line is not None else ""
    return ConfigurationError(
        f"is not TOML: {reason}{column}; {odd or advice}", file=path, line=line
    )


def _odd_character(line: str) -> str:
    """What is said of a character that TOML has only in strings and comments; "" without one."""
    plain = _STRING_OR_COMMENT.sub("", line)
    odd = next((each for each in plain if not each.isascii()), "")
    if not odd:
        return ""
    name = _LOOKALIKES.get(odd, "not ASCII")
    return f"the line has U+{ord(odd):04X} ({name}) outside of a string: replace or remove it"


def _beyond_python(error: ValueError | RecursionError, text: str, path: str) -> ConfigurationError:
    """TOML may have it, and Python's reader does not take it."""
    if isinstance(error, RecursionError):
        problem = "has too many brackets within each other; no setting needs more than two"
        return ConfigurationError(problem, file=path)
    long = _LONG_NUMBER.search(text)
    line = text.count("\n", 0, long.start()) + 1 if long else None
    problem = "has a number that is too long to be read; no setting needs more than twenty digits"
    return ConfigurationError(problem, file=path, line=line)
