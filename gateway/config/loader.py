"""gateway.toml: from the file to `Settings`, or to every problem at once.

Unknown keys, wrong values and contradictions are all collected before
anything is raised; each names the file, the dotted key, its line where the
scan finds it, the reason and what to do.  Files that settings name (imapd.conf,
domains, aliases) are not opened here.
"""

from __future__ import annotations

import os
import re
import sys
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from types import MappingProxyType

from gateway.config import checks
from gateway.config.declaration import BadValue, Section, T
from gateway.config.errors import ConfigurationErrors
from gateway.config.lines import key_lines, line_of
from gateway.config.model import SECTIONS, Settings
from gateway.config.tables import (
    admin,
    general,
    logging,
    milter,
    murder,
    policy,
    remote,
    replies,
    scope,
    socketmap,
    sql,
    store,
    tls,
)
from gateway.errors import ConfigurationError
from gateway.files import NotAFile, TooLong, read_file

# A configuration of a megabyte is another file by mistake.
FILE_LIMIT = 1 << 20
_TOML_PLACE = re.compile(
    r" \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)\Z"
)
# More digits than int() takes of a text by default (sys.int_info).
_LONG_NUMBER = re.compile(rf"(?:[0-9]_?){{{sys.int_info.default_max_str_digits + 1}}}")


def read(path: str) -> bytes:
    """The bytes of the file at `path`, at most FILE_LIMIT; raises ConfigurationErrors."""
    try:
        return read_file(path, FILE_LIMIT)
    except (NotAFile, TooLong) as error:
        problem = f"{error.strerror}; this is no gateway.toml"
    except OSError as error:
        mend = "name the file with -c, and let the user who starts the gateway read it"
        problem = f"cannot be read: {os.strerror(error.errno or 0)}; {mend}"
    except ValueError as error:  # a NUL byte in the path
        problem = f"cannot be read: {error}; name the file with -c"
    raise ConfigurationErrors([ConfigurationError(problem, file=path)], file=path)


def load(path: str) -> Settings:
    """The settings of the file at `path`; raises ConfigurationErrors."""
    return loads(read(path), path)


def loads(data: bytes, path: str) -> Settings:
    """The settings that `data` holds; `path` is the file's name in messages and in the result."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        problem = "is not UTF-8, as TOML must be; save the file in that encoding"
        raise ConfigurationErrors(
            [ConfigurationError(problem, file=path, line=line)], file=path
        ) from None
    try:
        document: dict[str, object] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationErrors([_syntax_error(str(error), path)], file=path) from None
    except (ValueError, RecursionError) as error:
        raise ConfigurationErrors([_beyond_python(error, text, path)], file=path) from None
    reader = _Reader(path, document, text)
    settings = reader.settings()
    for key, reason in checks.problems(settings, reader.faulty):
        reader.report(key, reason)
    reader.finish()
    return settings


def _syntax_error(message: str, path: str) -> ConfigurationError:
    place = _TOML_PLACE.search(message)
    line = int(place["line"]) if place and place["line"] else None
    column = f" (column {place['column']})" if place and place["column"] else ""
    if place and not place["line"]:
        column = " (at the end of the file)"
    reason = message[: place.start()] if place else message
    return ConfigurationError(
        f"is not TOML: {reason}{column}; strings stand in quotes, lists in brackets",
        file=path,
        line=line,
    )


def _beyond_python(error: ValueError | RecursionError, text: str, path: str) -> ConfigurationError:
    """TOML may have it, and Python's reader does not take it."""
    if isinstance(error, RecursionError):
        problem = "has too many brackets within each other; no setting needs more than two"
        return ConfigurationError(problem, file=path)
    long = _LONG_NUMBER.search(text)
    line = text.count("\n", 0, long.start()) + 1 if long else None
    problem = "has a number that is too long to be read; no setting needs more than twenty digits"
    return ConfigurationError(problem, file=path, line=line)


class _Reader:
    """One reading of one document: takes the sections out and remembers what was wrong."""

    def __init__(self, path: str, document: Mapping[str, object], text: str) -> None:
        self._path = path
        self._document = document
        self._lines = key_lines(text)
        self._problems: list[tuple[int | None, ConfigurationError]] = []
        self._given: set[str] = set()
        self.faulty: set[str] = set()

    def settings(self) -> Settings:
        """The settings, with the default in the place of whatever is wrong."""
        top = self._section(general.SECTION, {})
        inheritable: dict[str, object] = {"answers": top.answers, "mode": top.mode}
        settings = Settings(
            file=self._path,
            general=top,
            cyrus=self._section(store.SECTION, inheritable),
            sql=self._section(sql.SECTION, inheritable),
            murder=self._section(murder.SECTION, inheritable),
            remote=self._section(remote.SECTION, inheritable),
            tls=self._section(tls.SECTION, inheritable),
            socketmap=self._section(socketmap.SECTION, inheritable),
            policy=self._section(policy.SECTION, inheritable),
            milter=self._section(milter.SECTION, inheritable),
            scope=self._section(scope.SECTION, inheritable),
            replies=MappingProxyType(
                {
                    replies.KINDS[name]: self._section(section, {}).template()
                    for name, section in replies.sections(top.size_check).items()
                }
            ),
            admin=self._section(admin.SECTION, inheritable),
            logging=self._section(logging.SECTION, inheritable),
            given=frozenset(self._given),
        )
        self._check_kinds()
        return settings

    def report(self, key: str, reason: str, where: str = "") -> None:
        """Remember a problem of the dotted `key`; `where` is a place inside its value."""
        line = line_of(self._lines, key)
        error = ConfigurationError(reason, file=self._path, line=line, option=key + where)
        self._problems.append((line, error))

    def finish(self) -> None:
        """Raise ConfigurationErrors if there was any problem, in the order of the lines."""
        if self._problems:
            last = len(self._lines) + max(self._lines.values(), default=0)
            ordered = sorted(self._problems, key=lambda each: last if each[0] is None else each[0])
            raise ConfigurationErrors([error for _, error in ordered], file=self._path)

    def _section(self, section: Section[T], inheritable: Mapping[str, object]) -> T:
        table = self._table(section.name)
        values: dict[str, object] = {}
        for key, declaration in section.declarations.items():
            dotted = section.dotted(key)
            if key in table:
                self._given.add(dotted)
            default = declaration.default_value
            if declaration.inherits is not None:
                default = inheritable[declaration.inherits]
            try:
                values[key] = declaration.parse(table[key]) if key in table else default
            except BadValue as error:
                values[key] = default
                self.faulty.add(dotted)
                for where, reason in error.problems:
                    self.report(dotted, reason, where)
        for key in table:
            if key not in section.declarations and not _is_table(section.dotted(key)):
                self._unknown(section, key)
        return section.build(**values)

    def _table(self, name: str) -> Mapping[str, object]:
        """The table of that dotted name; empty where there is none or it is no table."""
        found: object = self._document
        reached = ""
        for part in name.split(".") if name else ():
            reached = f"{reached}.{part}" if reached else part
            if not isinstance(found, dict) or part not in found:
                return {}
            found = found[part]
            if not isinstance(found, dict):
                if reached not in self.faulty:
                    self.faulty.add(reached)
                    self.report(reached, f"is a table; write [{reached}] and its settings below it")
                return {}
        return found if isinstance(found, Mapping) else {}

    def _check_kinds(self) -> None:
        for kind in self._table("replies"):
            if kind not in replies.KINDS:
                hint = _closest(kind, replies.KINDS)
                every = ", ".join(replies.KINDS)
                self.report(f"replies.{kind}", f"unknown kind of verdict;{hint} there are {every}")

    def _unknown(self, section: Section[object], key: str) -> None:
        known = [*section.declarations]
        if not section.name:
            known += [each.name for each in SECTIONS if each.name and "." not in each.name]
            known.append("replies")
        hint = _closest(key, known)
        if not hint:
            owners = [each for each in SECTIONS if key in each.declarations]
            if len(owners) == 1:
                place = f"in [{owners[0].name}]" if owners[0].name else "at the top of the file"
                hint = f" it belongs {place};"
        self.report(section.dotted(key), f"unknown setting;{hint} see gateway.toml(5)")


def _is_table(dotted: str) -> bool:
    return dotted == "replies" or any(dotted == each.name for each in SECTIONS)


def _closest(word: str, known: Mapping[str, object] | list[str]) -> str:
    close = get_close_matches(word, list(known), n=1)
    return f' did you mean "{close[0]}"?' if close else ""
