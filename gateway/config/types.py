"""The types of values that gateway.toml knows, each with its check and its name.

A type takes what tomllib gives and returns the typed value or raises
BadValue with a reason and what to do.  Lists report every bad element, each
with its index.  No file is opened and no name is looked up here.
"""

from __future__ import annotations

import ipaddress
import json
import os
from collections.abc import Callable
from enum import Enum
from typing import TypeAlias, TypeVar

from gateway.config import endpoints
from gateway.config.declaration import BadValue, SettingType
from gateway.config.endpoints import Endpoint, EndpointError
from gateway.frontends.domains import entry_problem
from gateway.protocols.address import is_domain

T = TypeVar("T")
E = TypeVar("E", bound=Enum)
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_PATH_LIMIT = 4095  # PATH_MAX without its NUL
_ADDRESS_LIMIT = 320  # RFC 5321, 4.5.3.1: 64 octets, "@", 255 octets
_NAME_LIMIT = 64
_WRITTEN_BITS = 64  # what TOML's whole numbers have; a longer one is not repeated in a message
_TOML_NAMES: dict[type, str] = {
    bool: "a boolean",
    int: "a whole number",
    float: "a number with a fraction",
    str: "a string",
    list: "a list",
    dict: "a table",
}


def toml_string(text: str) -> str:
    """`text` as a TOML basic string (JSON's escapes are TOML's, apart from DEL)."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")


def _wrong(expected: str, value: object) -> BadValue:
    got = _TOML_NAMES.get(type(value), "a date or time")
    return BadValue(("", f"must be {expected}, not {got}"))


def _text(expected: str, value: object) -> str:
    if not isinstance(value, str):
        raise _wrong(expected, value)
    return value


def _number(value: float) -> str:
    """`value` for a message; Python refuses to write very long whole numbers."""
    if isinstance(value, int) and value.bit_length() > _WRITTEN_BITS:
        return f"a number of {value.bit_length()} bits"
    return str(value)


def boolean() -> SettingType[bool]:
    """true or false."""

    def parse(value: object) -> bool:
        if not isinstance(value, bool):
            raise _wrong("true or false (without quotes)", value)
        return value

    return SettingType("boolean", parse, lambda value: "true" if value else "false")


def integer(minimum: int, maximum: int) -> SettingType[int]:
    """A whole number within bounds, both included."""
    name = f"whole number, {minimum} to {maximum}"

    def parse(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise _wrong(f"a whole number from {minimum} to {maximum}", value)
        if not minimum <= value <= maximum:
            raise BadValue(("", f"{_number(value)} is not between {minimum} and {maximum}"))
        return value

    return SettingType(name, parse, str)


def seconds(minimum: float, maximum: float) -> SettingType[float]:
    """A duration in seconds, fractions allowed, bounds included."""
    name = f"number of seconds, {minimum:g} to {maximum:g}"

    def parse(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise _wrong(f"a number of seconds from {minimum:g} to {maximum:g}", value)
        # nan is not between any two numbers, and a whole number may be too large for a float.
        if not minimum <= value <= maximum:
            reason = f"{_number(value)} is not between {minimum:g} and {maximum:g} seconds"
            raise BadValue(("", reason))
        return float(value)

    return SettingType(name, parse, lambda value: f"{value:g}")


def choice(values: type[E]) -> SettingType[E]:
    """One word of a closed set: the values of an enumeration of strings."""
    words = {str(each.value): each for each in values}
    listed = ", ".join(toml_string(word) for word in words)

    def parse(value: object) -> E:
        text = _text(f"one of {listed}", value)
        if text not in words:
            raise BadValue(("", f"must be one of {listed}, not {toml_string(text)}"))
        return words[text]

    return SettingType(f"one of {listed}", parse, lambda each: toml_string(str(each.value)))


def name(what: str, *, empty: str = "") -> SettingType[str]:
    """A short printable name without blanks; `empty` says what an empty one means, if it may be."""

    def parse(value: object) -> str:
        text = _text(f"a string: {what}", value)
        if not text and not empty:
            raise BadValue(("", f"must not be empty; give {what}"))
        if len(text) > _NAME_LIMIT or not text.isprintable() or " " in text:
            reason = f"{toml_string(text)} is not {what}: at most {_NAME_LIMIT} characters"
            raise BadValue(("", f"{reason}, no blanks"))
        return text

    return SettingType(f"string: {what}{', ' + empty if empty else ''}", parse, toml_string)


def absolute_path() -> SettingType[str]:
    """The path of a file, from the root."""
    return SettingType("string: absolute path", _absolute_path, toml_string)


def file_path(*, empty: str) -> SettingType[str]:
    """The path of a file, from the root, or an empty string, of which `empty` says the meaning."""

    def parse(value: object) -> str:
        return "" if value == "" else _absolute_path(value)

    return SettingType(f"string: absolute path, {empty}", parse, toml_string)


def _absolute_path(value: object) -> str:
    text = _text("a string: an absolute path", value)
    if not text.startswith("/"):
        kind, colon, rest = text.partition(":")
        if colon and rest.startswith("/") and kind.isalnum():
            raise BadValue(("", f"{toml_string(text)} is a table of Postfix, not a path; write "
                            f"{toml_string(rest)}, the text file that it is made of"))  # fmt: skip
        raise BadValue(
            ("", f"{toml_string(text)} is a relative path; a daemon has no folder of its own, "
             "so let it begin with /")
        )  # fmt: skip
    if "\0" in text or len(os.fsencode(text)) > _PATH_LIMIT:
        raise BadValue(("", f"is not a path: NUL byte or more than {_PATH_LIMIT} bytes"))
    return text


def list_of(
    what: str, parse_one: Callable[[object], T], show_one: Callable[[T], str]
) -> SettingType[tuple[T, ...]]:
    """A list of strings that `parse_one` takes; equal elements are an error."""

    def parse(value: object) -> tuple[T, ...]:
        if not isinstance(value, list):
            hint = f"; write [{toml_string(value)}]" if isinstance(value, str) else ""
            raise BadValue(*((w, r + hint) for w, r in _wrong(f"a list of {what}", value).problems))
        elements: list[T] = []
        problems: list[tuple[str, str]] = []
        for index, each in enumerate(value):
            try:
                element = parse_one(each)
            except BadValue as error:
                problems += [(f"[{index}]{where}", reason) for where, reason in error.problems]
                continue
            if element in elements:
                problems.append((f"[{index}]", f"{show_one(element)} is given twice; remove one"))
            elements.append(element)
        if problems:
            raise BadValue(*problems)
        return tuple(elements)

    def show(values: tuple[T, ...]) -> str:
        return "[" + ", ".join(show_one(each) for each in values) + "]"

    return SettingType(f"list of {what}", parse, show)


def paths() -> SettingType[tuple[str, ...]]:
    """Absolute paths."""
    return list_of("absolute paths", _absolute_path, toml_string)


def listen() -> SettingType[tuple[Endpoint, ...]]:
    """Listen strings (gateway.config.endpoints)."""

    def one(value: object) -> Endpoint:
        text = _text('a string such as "unix:/PATH"', value)
        try:
            return endpoints.parse(text)
        except EndpointError as error:
            raise BadValue(("", error.problem)) from None

    return list_of("sockets", one, lambda endpoint: toml_string(str(endpoint)))


def networks() -> SettingType[tuple[Network, ...]]:
    """IPv4 and IPv6 networks in CIDR notation; an address alone is a network of one."""

    def one(value: object) -> Network:
        text = _text("a string: a network", value)
        try:
            return ipaddress.ip_network(text)
        except ValueError:
            pass
        try:
            wider = ipaddress.ip_network(text, strict=False)
        except ValueError:
            raise BadValue(
                ("", f"{toml_string(text)} is not a network; write for example "
                 '"192.0.2.0/24" or "2001:db8::/32"')
            ) from None  # fmt: skip
        raise BadValue(("", f'"{text}" has bits set behind its prefix; write "{wider}"'))

    return list_of("networks in CIDR notation", one, lambda each: toml_string(str(each)))


def domains() -> SettingType[tuple[str, ...]]:
    """Mail domains, and `.example.org` for all below one (gateway.frontends.domains)."""

    def one(value: object) -> str:
        text = _text("a string: a domain", value)
        if "@" in text:
            raise BadValue(("", f"{toml_string(text)} is an address; write what follows the @"))
        problem = entry_problem(text.encode())
        if problem is not None:
            raise BadValue(("", problem))
        return text

    return list_of("domains", one, toml_string)


def recipient_patterns() -> SettingType[tuple[str, ...]]:
    """Patterns of addresses or of local parts: `*` stands for any run of characters."""

    def one(value: object) -> str:
        text = _text("a string: a pattern of addresses", value)
        shown = toml_string(text)
        if not text or not text.isprintable() or " " in text:
            raise BadValue(("", f'{shown} is not a pattern; write for example "postmaster@*"'))
        if not set(text) - set("*@"):
            raise BadValue(
                ("", f'{shown} exempts every recipient; write mode = "observe" if nothing '
                 "is to be refused")
            )  # fmt: skip
        if len(text.encode()) > _ADDRESS_LIMIT:
            raise BadValue(("", f"{shown} is longer than any address; write a shorter pattern"))
        return text

    return list_of("patterns of addresses", one, toml_string)


def names(what: str) -> SettingType[tuple[str, ...]]:
    """Printable ASCII names without blanks, compared as they are."""

    def one(value: object) -> str:
        text = _text(f"a string: the name of a {what}", value)
        if not text or not text.isascii() or not text.isprintable() or " " in text:
            raise BadValue(("", f"{toml_string(text)} is not the name of a {what}"))
        return text

    return list_of(f"names of {what}s", one, toml_string)


def delimiters() -> SettingType[str]:
    """Characters that may begin an extension of a local part; none where there are none."""

    def parse(value: object) -> str:
        text = _text("a string: the characters of recipient_delimiter", value)
        if not text.isascii() or any(each.isalnum() or each in "@ " for each in text):
            raise BadValue(
                ("", f'{toml_string(text)} holds what is not a delimiter; write "+" or "+-"')
            )
        return text

    return SettingType("string: characters such as + and -", parse, toml_string)


def host_names() -> SettingType[tuple[str, ...]]:
    """Host names as an HTTP client sends them in Host, without the port; kept in lower case."""

    def one(value: object) -> str:
        text = _text("a string: a host name", value)
        if not is_domain(text.encode()):
            raise BadValue(
                ("", f"{toml_string(text)} is not a host name; write for example "
                 '"mx1.example.org", without a port')
            )  # fmt: skip
        return text.lower()

    return list_of("host names", one, toml_string)


def sentence(what: str, *, empty: str = "") -> SettingType[str]:
    """Any string; what it may hold is checked where its meaning is known."""

    def parse(value: object) -> str:
        return _text(f"a string: {what}", value)

    return SettingType(f"string: {what}{', ' + empty if empty else ''}", parse, toml_string)
