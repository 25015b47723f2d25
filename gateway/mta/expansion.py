"""The right sides of tables: what an address becomes.

A value is a list of addresses in RFC 5322 syntax; of alias_maps it may hold
commands, files and lists as well, which are Postfix' own business.

Sources: canonical(5), virtual(5), aliases(5); src/global/mail_addr_map.c,
mail_addr_crunch.c.
"""

from __future__ import annotations

from gateway.mta.keys import Mailbox
from gateway.protocols.address import BadAddress, outside_quotes, parse_path

# What an alias may be besides addresses: a command, a file, a list in a file.
_NO_ADDRESSES = (b"|", b"/", b":")

# Targets that are looked at; more is a mailing list, and left to Postfix.
MAX_TARGETS = 8

_COMMA = 0x2C


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
    try:
        items = _items(value)
    except ValueError:
        return None
    for item in items:
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


def _items(value: bytes) -> list[bytes]:
    """What is between commas outside of quotes.  Raises ValueError where these do not end."""
    found = []
    begin = 0
    for position, byte in outside_quotes(value):
        if byte == _COMMA:
            found.append(value[begin:position].strip())
            begin = position + 1
    return [item for item in (*found, value[begin:].strip()) if item]
