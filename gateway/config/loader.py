"""gateway.toml: from the file to `Settings`, or to every problem at once.

Unknown keys, wrong values and contradictions are all collected before
anything is raised; each names the file (gateway.toml or one of gateway.toml.d), the
dotted key, its line where the scan finds it, the reason and what to do.  Files that
settings name (imapd.conf, domains, aliases) are not opened here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

from gateway.config import checks
from gateway.config.declaration import BadValue, Section, T
from gateway.config.frontends import FRONT_ENDS
from gateway.config.lines import line_of
from gateway.config.model import SECTIONS, Settings
from gateway.config.sources import Document, SourceLocation, parse, read
from gateway.config.tables import (
    admin,
    general,
    logging,
    murder,
    remote,
    replies,
    scope,
    sql,
    store,
    tls,
)
from gateway.errors import ConfigurationError, ConfigurationErrors


def load(path: str) -> Settings:
    """The settings of the file at `path`; raises ConfigurationErrors."""
    return loads(read(path), path)


def loads(data: bytes, path: str) -> Settings:
    """The settings that `data` from `read` holds; `path` is the file's name in the result.

    Raises ConfigurationErrors.
    """
    reader = _Reader(path, parse(data, path))
    settings = reader.settings()
    for key, reason in checks.problems(settings, reader.faulty):
        reader.report(key, reason)
    reader.finish()
    return settings


class _Reader:
    """One reading of one document: takes the sections out and remembers what was wrong."""

    def __init__(self, path: str, document: Document) -> None:
        self._path = path
        self._document = document.values
        self._places = document.places
        self._problems: list[tuple[SourceLocation | None, ConfigurationError]] = []
        self._given: set[str] = set()
        self.faulty: set[str] = set()

    def settings(self) -> Settings:
        """The settings, with the default in the place of whatever is wrong."""
        top = self._section(general.SECTION, {})
        inheritable: dict[str, object] = {"answers": top.answers, "mode": top.mode}
        front_ends: dict[str, Any] = {
            row.name: self._section(row.section, inheritable) for row in FRONT_ENDS
        }
        settings = Settings(
            file=self._path,
            general=top,
            cyrus=self._section(store.SECTION, inheritable),
            sql=self._section(sql.SECTION, inheritable),
            murder=self._section(murder.SECTION, inheritable),
            remote=self._section(remote.SECTION, inheritable),
            tls=self._section(tls.SECTION, inheritable),
            **front_ends,
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
            places=self._places,
        )
        self._check_kinds()
        return settings

    def report(self, key: str, reason: str, where: str = "") -> None:
        """Remember a problem of the dotted `key`; `where` is a place inside its value."""
        place = line_of(self._places, key)
        file, line = (self._path, None) if place is None else (place.file, place.line)
        error = ConfigurationError(reason, file=file, line=line, option=key + where)
        self._problems.append((place, error))

    def finish(self) -> None:
        """Raise ConfigurationErrors if there was any problem, in the order of files and lines."""
        if self._problems:
            nowhere = SourceLocation(0, "", 0)
            ordered = sorted(self._problems, key=lambda each: (each[0] is None, each[0] or nowhere))
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
        """The table of that dotted name; empty where there is none or it is not a table."""
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
        owners = [each.name for each in SECTIONS if key in each.declarations]
        hint = f" it belongs {_places(owners)};" if owners else _closest(key, known)
        self.report(section.dotted(key), f"unknown setting;{hint} see gateway.toml(5)")


def _is_table(dotted: str) -> bool:
    return dotted == "replies" or any(dotted == each.name for each in SECTIONS)


def _places(tables: Sequence[str]) -> str:
    """The tables as a person names them; "" is the top of the file."""
    names = [f"[{each}]" for each in tables if each]
    inside = f"in {' or '.join(filter(None, (', '.join(names[:-1]), names[-1])))}" if names else ""
    return ", or ".join(filter(None, ("at the top of the file" if "" in tables else "", inside)))


def _closest(word: str, known: Mapping[str, object] | list[str]) -> str:
    close = get_close_matches(word, list(known), n=1)
    return f' did you mean "{close[0]}"?' if close else ""
