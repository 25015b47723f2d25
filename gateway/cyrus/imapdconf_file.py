"""The text of imapd.conf: bytes in, options with their file and line out.

The rules are those of Cyrus' own reader (lib/libconfig.c):

- One option a line, `name: value`; blank lines and lines that begin with `#`
  are skipped.  White space around the line and around the value is dropped,
  none is allowed between the name and its colon.
- Names are letters, digits, `-` and `_`, in any case.
- A line that ends with a backslash goes on with the next one, comments
  included; a backslash on the last line of a file drops that line.
- A line ends at a NUL byte.
- `@include: file` reads another file at this place; the name is taken as it
  is.  No file is read twice, so a loop is an error.
- `SERVICE_name` counts for that service only and wins over `name`, wherever
  either is.  The same name given twice is an error; after the service's
  own form the general one is skipped without a look.

Problems raise `ConfigurationError` with file, line and option.  What a value
means is the business of the caller (`gateway.cyrus.imapdconf`); an option that
is not asked for is read only to find duplicates, as every other daemon of
Cyrus shares the file.
"""

from __future__ import annotations

from gateway.errors import ConfigurationError
from gateway.files import TooLong, read_file
from gateway.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

# No configuration nests deeper; a chain of links with ever new names must end somewhere.
MAX_INCLUDE_DEPTH = 16  # only a bound

# A file of settings is some kilobytes; what is larger is not one.
MAX_FILE_SIZE = 4 * 1024 * 1024  # only a bound

_NAME_BYTES = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")


class Setting(Value):
    """One option as it was written: `value` without the white space around it."""

    __slots__ = ("file", "line", "name", "value")
    file: str
    line: int
    name: str
    value: bytes

    def __init__(self, file: str, line: int, name: str, value: bytes) -> None:
        self.file = file
        self.line = line
        self.name = name
        self.value = value
        self._freeze()


def read_settings(
    path: str,
    service: str | None,
    known: Mapping[str, Callable[[bytes], object]],
    prefix: str | None = None,
    report: Callable[[ConfigurationError], None] | None = None,
) -> dict[str, object]:
    """The values of the `known` options that `path` and the files it includes give.

    `service` is the service's name in cyrus.conf, or None.  `known` maps an
    option's name to the function that turns its value into an object and
    raises ValueError where it cannot.  `prefix` is the value of CYRUS_PREFIX:
    each file is looked for below it first.  Where there is a `report`, it
    hears of each mistake of a line, and the next line is read; otherwise the
    first one is raised.
    """
    reader = _Reader(service.lower() if service is not None else None, known, prefix, report)
    reader.file(path, None)
    return reader.values


class _Reader:
    """Collects the options of one configuration, over all its files."""

    def __init__(
        self,
        service: str | None,
        known: Mapping[str, Callable[[bytes], object]],
        prefix: str | None,
        report: Callable[[ConfigurationError], None] | None,
    ) -> None:
        self._report = report
        self.values: dict[str, object] = {}
        self._seen: dict[str, tuple[Setting, bool]] = {}
        self._service_mark = f"{service}_" if service is not None else None
        self._known = known
        self._prefix = prefix
        self._files: set[str] = set()
        self._depth = 0

    def file(self, path: str, included_by: Setting | None) -> None:
        if path in self._files:
            raise _fault(included_by, f"configuration file {path} is included twice")
        if self._depth == MAX_INCLUDE_DEPTH:
            raise _fault(included_by, f"more than {MAX_INCLUDE_DEPTH} files include each other")
        self._files.add(path)
        self._depth += 1
        for line, text in _logical_lines(self._bytes(path, included_by)):
            try:
                self._line(path, line, text)
            except ConfigurationError as fault:
                if self._report is None:
                    raise
                self._report(fault)
        self._depth -= 1

    def _line(self, path: str, line: int, text: bytes) -> None:
        setting = _split(path, line, text)
        if setting is None:
            return
        if setting.name == "@include":
            self.file(_text(setting.value), setting)
        elif setting.name.startswith("@"):
            raise _fault(setting, f"there is no directive {setting.name}")
        else:
            self._take(setting)

    def _bytes(self, path: str, included_by: Setting | None) -> bytes:
        names = [path] if self._prefix is None else [self._prefix + path, path]
        for name in names:
            try:
                return read_file(name, MAX_FILE_SIZE)
            except TooLong as error:
                raise ConfigurationError(f"larger than {MAX_FILE_SIZE} bytes", file=path) from error
            except OSError as error:
                if name == path:
                    problem = f"cannot read the configuration file: {error.strerror}"
                    if included_by is None:
                        raise ConfigurationError(problem, file=path) from error
                    raise _fault(included_by, f"{path}: {problem}") from error
                continue
        raise AssertionError("the last name either opens or raises")

    def _take(self, setting: Setting) -> None:
        name = setting.name
        mark = self._service_mark
        own = mark is not None and name.startswith(mark) and name[len(mark) :] in self._known
        if mark is not None and own:
            name = name[len(mark) :]
        if name in self._seen:
            first, first_own = self._seen[name]
            if first_own == own:
                raise _fault(setting, f"given twice, first in {first.file}:{first.line}")
            if first_own:
                return
        self._seen[name] = (setting, own)
        parse = self._known.get(name)
        if parse is not None:
            try:
                self.values[name] = parse(setting.value)
            except ValueError as error:
                raise _fault(setting, str(error)) from error


def _logical_lines(content: bytes) -> Iterator[tuple[int, bytes]]:
    """The lines with continuations joined, each with the number of its last physical line."""
    pieces = content.split(b"\n")
    last = len(pieces)
    joined = b""
    for number, piece in enumerate(pieces, 1):
        text, nul, _ = piece.partition(b"\0")
        if not nul and number < last and text.endswith(b"\\"):
            joined += text[:-1]
        elif piece or number < last:
            yield number, joined + text
            joined = b""


def _split(path: str, line: int, text: bytes) -> Setting | None:
    """The option on one line; None for a blank line or a comment."""
    text = text.strip()
    if not text or text.startswith(b"#"):
        return None
    end = 1 if text.startswith(b"@") else 0
    while end < len(text) and text[end] in _NAME_BYTES:
        end += 1
    name = text[:end].decode("ascii").lower()
    if end == 0 or text[end : end + 1] != b":":
        raise ConfigurationError("expected `option: value`", file=path, line=line)
    value = text[end + 1 :].strip()
    if not value:
        raise ConfigurationError("the value is empty", file=path, line=line, option=name)
    return Setting(path, line, name, value)


def _fault(setting: Setting | None, problem: str) -> ConfigurationError:
    if setting is None:
        return ConfigurationError(problem)
    return ConfigurationError(problem, file=setting.file, line=setting.line, option=setting.name)


def _text(value: bytes) -> str:
    """File names as the file system has them: any bytes survive the way there and back."""
    return value.decode("utf-8", "surrogateescape")
