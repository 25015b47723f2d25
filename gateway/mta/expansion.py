"""The right sides of tables: what an address becomes.

A value is a list of addresses in RFC 5322 syntax; of alias_maps it may hold
commands, files and lists as well, which are Postfix' own business.

Sources: canonical(5), virtual(5), aliases(5); src/global/mail_addr_map.c,
mail_addr_crunch.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.mta.keys import Mailbox
from gateway.protocols.address import BadAddress, parse_path

if TYPE_CHECKING:
    from collections.abc import Iterator

# What an alias may be besides addresses: a command, a file, a list in a file.
_NO_ADDRESSES = (b"|", b"/", b":")

# Targets that are looked at; more is a mailing list, and left to Postfix.
MAX_TARGETS = 8


def addresses(
    value: bytes, mailbox: Mailbox, extension: bytes, origin: bytes
) -> tuple[Mailbox, ...] | None:
    """What canonical and virtual tables make of `mailbox`; None where that is not known.

    `extension` was cut off to find the key and goes with the result, "" where
    it is not to; a name without a domain gets `origin`.
    """
    if value.startswith(b"@"):
        # The same user in another domain; what was cut off is gone (mail_addr_map.c).
        local = mailbox.local
        if extension and local.endswith(extension):
            local = local[: -len(extension)]
        return (Mailbox(local, value[1:].strip().lower()),)
    return _targets(value, extension, origin)


def aliases(value: bytes, extension: bytes, origin: bytes) -> tuple[Mailbox, ...] | None:
    """What an alias is; None where a part of it is not an address."""
    return _targets(value, extension, origin)


def _targets(value: bytes, extension: bytes, origin: bytes) -> tuple[Mailbox, ...] | None:
    found: list[Mailbox] = []
    for item in _items(value):
        if item.lstrip(b'"').startswith(_NO_ADDRESSES):
            return None
        address = parse_path(item.removeprefix(b"\\"))
        if isinstance(address, BadAddress):
            return None
        local, domain = address.local, address.domain or origin
        found.append(Mailbox(local + extension, domain))
        if len(found) > MAX_TARGETS:
            return None
    return tuple(found) or None


def _items(value: bytes) -> Iterator[bytes]:
    """What is between commas outside of quotes."""
    item = bytearray()
    quoted = escaped = False
    for byte in value:
        char = bytes((byte,))
        if escaped:
            escaped = False
        elif char == b"\\":
            escaped = True
        elif char == b'"':
            quoted = not quoted
        elif char == b"," and not quoted:
            if item.strip():
                yield bytes(item).strip()
            item.clear()
            continue
        item += char
    if item.strip():
        yield bytes(item).strip()
