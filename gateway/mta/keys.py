"""The keys that Postfix looks an address up with, in its order.

Sources: src/global/mail_addr_find.c, split_addr.c, quote_822_local.c;
ADDRESS EXTENSION in virtual(5), canonical(5) and aliases(5), and transport(5).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# A local part that needs no quotes (RFC 5322 dot-atom, and every byte above 127).
_PLAIN = re.compile(rb"[^\x00-\x20\x7f()<>\[\]:;@\\,.\"]+(\.[^\x00-\x20\x7f()<>\[\]:;@\\,.\"]+)*")
_SPECIAL = re.compile(rb"([\"\\\r])")

# Never split, whatever the delimiter (split_addr.c).
_WHOLE = frozenset({b"postmaster", b"mailer-daemon"})


@dataclass(frozen=True, slots=True)  # same with False: nobody writes to it: they show a mistake
class Mailbox:
    """An address in two parts, unquoted; `domain` is in lower case and may be empty."""

    local: bytes
    domain: bytes

    @property
    def address(self) -> bytes:
        """Both parts, unquoted."""
        return self.local + b"@" + self.domain if self.domain else self.local


@dataclass(frozen=True, slots=True)  # same with False: nobody writes to it: they show a mistake
class Key:
    """One key; `part`: it is not a whole address; `extension` what was cut off."""

    text: bytes
    part: bool = False
    extension: bytes = b""


@dataclass(frozen=True, slots=True)  # same with False: nobody writes to it: they show a mistake
class Delimiters:
    """recipient_delimiter, and names that are split by none of them."""

    characters: bytes = b"+"
    owner_request: bool = True
    double_bounce: bytes = b"double-bounce"

    def split(self, local: bytes) -> tuple[bytes, bytes] | None:
        """The base and the extension with its delimiter; None where there is none."""
        folded = local.lower()
        if folded in _WHOLE or folded == self.double_bounce:
            return None
        if (
            self.owner_request
            and b"-" in self.characters
            # same with >=: -request alone is not split anyway
            and (folded.startswith(b"owner-") or (folded.endswith(b"-request") and len(local) > 8))
        ):
            return None
        at = next((at for at, byte in enumerate(local) if byte in self.characters), 0)
        return (local[:at], local[at:]) if at else None


def quoted(local: bytes) -> bytes:
    """The local part as tables have it (quote_822_local)."""
    return local if _PLAIN.fullmatch(local) else b'"' + _SPECIAL.sub(rb"\\\1", local) + b'"'


def of_address(mailbox: Mailbox, delimiters: Delimiters, *, local: bool) -> list[Key]:
    """What mail_addr_find asks a table; `local` where the domain is the machine's own."""
    parted = delimiters.split(mailbox.local)
    at = b"@" + mailbox.domain
    found = [Key(form + at) for form in _forms(mailbox.local)]
    if parted is not None:
        base, extension = parted
        found += [Key(form + at, part=True, extension=extension) for form in _forms(base)]
    if local:
        found += [Key(form, part=True) for form in _forms(mailbox.local)]
        if parted is not None:
            found += [Key(form, part=True, extension=parted[1]) for form in _forms(parted[0])]
    found.append(Key(at, part=True))
    return found


def of_alias(mailbox: Mailbox, delimiters: Delimiters) -> list[Key]:
    """What local(8) asks alias_maps."""
    found = [Key(mailbox.local)]
    parted = delimiters.split(mailbox.local)
    if parted is not None:
        found.append(Key(parted[0], extension=parted[1]))
    return found


def of_transport(mailbox: Mailbox, delimiters: Delimiters, *, parents: bool) -> list[Key]:
    """What trivial-rewrite asks transport_maps; `parents` as parent_domain_matches_subdomains."""
    found = [key for key in of_address(mailbox, delimiters, local=False) if key.text[:1] != b"@"]
    found += [Key(name, part=True) for name in of_domain(mailbox.domain, dotted=not parents)]
    found.append(Key(b"*", part=True))
    return found


def of_domain(domain: bytes, *, dotted: bool) -> list[bytes]:
    """The domain and those above it, `dotted` with a dot in front."""
    found = [domain]
    _, dot, parent = domain.partition(b".")
    while dot:
        found.append(b"." + parent if dotted else parent)
        _, dot, parent = parent.partition(b".")
    return found


def _forms(local: bytes) -> tuple[bytes, ...]:
    """Quoted first, then as it is where that differs."""
    form = quoted(local)
    return (form,) if form == local else (form, local)
