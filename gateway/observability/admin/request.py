"""The head of an HTTP/1 request, checked before anything else looks at it.

A pure function from bytes to a refusal or nothing.  What it lets through is a
GET or HEAD with a path, a sane set of headers, no body, and a Host that is
ours; all the rest is answered in one line and hung up on.  It is stricter than
RFC 9112 allows a general server to be: no bare line feeds, no folded lines, no
absolute or asterisk form.

Host is looked at because a browser lets a page of another site talk to this
machine under that site's name (DNS rebinding).  A numeric address is not such
a name, and always good.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from dataclasses import dataclass

# Bytes of a request's head; a browser's is below 2 KiB, the longest recipient
# adds 3 for each of its 320 bytes.
MAX_HEAD = 8192
MAX_TARGET = 4096
MAX_HEADERS = 64

END = b"\r\n\r\n"

_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([!-~]+) HTTP/([0-9])\.([0-9])")
# RFC 9110, 5.6.2 and 5.5: a token, and a value without controls.
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t -~\x80-\xff]*)")
_METHODS = (b"GET", b"HEAD")
_ALWAYS = ("localhost", "localhost.localdomain", "ip6-localhost")


@dataclass(frozen=True, slots=True)
class BadRequest:
    """Why a request is not answered: status code, its phrase, and a sentence."""

    code: int
    phrase: str
    reason: str


def check(head: bytes, hosts: Collection[str]) -> BadRequest | None:
    """What is wrong with `head`, the bytes up to and with the empty line; None if nothing is.

    `hosts` are names in lower case, besides localhost and numeric addresses.
    """
    first, *lines = head.removesuffix(END).split(b"\r\n")
    refusal = _check_line(first)
    if refusal is not None:
        return refusal
    if len(lines) > MAX_HEADERS:
        return BadRequest(
            431, "Request Header Fields Too Large", f"more than {MAX_HEADERS} headers"
        )
    headers: dict[bytes, list[bytes]] = {}
    for line in lines:
        found = _HEADER.fullmatch(line)
        if found is None:
            return _bad("a line of the head is not a header")
        headers.setdefault(found[1].lower(), []).append(found[2].rstrip(b" \t"))
    if b"transfer-encoding" in headers or set(headers.get(b"content-length", [])) - {b"0"}:
        return BadRequest(413, "Content Too Large", "nothing here takes a body")
    named = headers.get(b"host", [])
    if len(named) != 1:
        return _bad("exactly one Host is needed")
    if not is_ours(named[0], hosts):
        return BadRequest(
            421, "Misdirected Request", "this name is not one of hosts in [admin] of gateway.toml"
        )
    return None


def _check_line(line: bytes) -> BadRequest | None:
    found = _REQUEST_LINE.fullmatch(line)
    if found is None:
        return _bad("the first line is not an HTTP request")
    method, target, major, _ = found.groups()
    if major != b"1":
        return BadRequest(505, "HTTP Version Not Supported", "HTTP/1.1 is spoken here")
    if method not in _METHODS:
        return BadRequest(405, "Method Not Allowed", "only GET and HEAD are supported")
    if len(target) > MAX_TARGET:
        return BadRequest(414, "URI Too Long", f"more than {MAX_TARGET} bytes")
    if not target.startswith(b"/") or b"#" in target:
        return _bad("the target is not a path")
    return None


def is_ours(host: bytes, hosts: Collection[str]) -> bool:
    """Whether the value of a Host header is a name or address of ours."""
    text = host.decode("latin-1").lower()
    if text.startswith("["):
        address, bracket, port = text[1:].partition("]")
        return bool(bracket) and _is_port(port, colon=True) and _is_address(address, 6)
    name, colon, port = text.partition(":")
    if colon and not _is_port(port, colon=False):
        return False
    return _is_address(name, 4) or name.removesuffix(".") in (*_ALWAYS, *hosts)


def _is_port(text: str, *, colon: bool) -> bool:
    if colon:
        if not text:
            return True
        if not text.startswith(":"):
            return False
        text = text[1:]
    return text.isascii() and (not text or text.isdigit()) and len(text) <= 5


def _is_address(text: str, version: int) -> bool:
    try:
        return ipaddress.ip_address(text).version == version
    except ValueError:
        return False


def _bad(reason: str) -> BadRequest:
    return BadRequest(400, "Bad Request", reason)
