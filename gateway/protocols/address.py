"""Recipient addresses as SMTP and milters write them, and the bare address in them.

`parse_path` reads the argument of RCPT (RFC 5321, 4.1.2, and what MTAs accept
besides: missing brackets, obsolete quoting within a local part); `parse_bare`
reads an address that is bare already, as Postfix' policy requests have it.
Both give an `Address`, or a `BadAddress` that says which of PROBLEMS it has;
nothing is raised, and every input of any bytes has one of these outcomes.

The bare address is what Cyrus would be asked: without brackets, source route,
quotes and backslashes, without a dot behind the domain, otherwise byte for
byte as it came.  Bytes above 127 are taken as they are: with SMTPUTF8 they
are UTF-8, and what is not UTF-8 is just the name of no mailbox.

Limits: comments, display names and IPv6 literals within a source route are
not understood; a domain is not looked up, nor checked beyond the characters
that it may have.
"""

from __future__ import annotations

from gateway.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# Bytes of an argument.  Postfix reads no longer command line than 2048
# (line_length_limit), Sendmail than 2048 (MAXLINE); SMTP allows 512.
MAX_LENGTH = 2048  # only a bound

# Everything that can be wrong with an address; the set is closed.
EMPTY = "no address"
TOO_LONG = f"more than {MAX_LENGTH} bytes"
CONTROL = "a control character"
BRACKETS = "unbalanced angle brackets"
ROUTE = "a source route without an address behind it"
QUOTES = "an unfinished quoted string or escape"
SPECIAL = "a special character outside of quotes"
NO_LOCAL_PART = "no local part"
NO_DOMAIN = "no domain behind the @"
BAD_DOMAIN = "a domain with characters or dots where none may be"
PROBLEMS = (
    EMPTY,
    TOO_LONG,
    CONTROL,
    BRACKETS,
    ROUTE,
    QUOTES,
    SPECIAL,
    NO_LOCAL_PART,
    NO_DOMAIN,
    BAD_DOMAIN,
)

_CONTROLS = frozenset((*range(0x20), 0x7F))
# RFC 5322, 3.2.3: specials; the dot, the @, quotes and backslashes have rules
# of their own below.
_SPECIALS = frozenset(b"()<>[],;: ")
_BACKSLASH = 0x5C
_QUOTE = 0x22
_AT = 0x40
# A label may hold any byte above 127 (RFC 6531) and an underscore, which no
# host has but which MTAs let through.
_DOMAIN_BYTES = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789-._") | frozenset(
    range(0x80, 0x100)  # same with 257: no byte is 256
)


class Address(Value):
    """A bare address: `address` is the whole of it, `local` and `domain` its parts.

    `domain` is in lower case (ASCII letters only) and empty where the address
    has none; an address literal keeps its square brackets.
    """

    __slots__ = ("address", "domain", "local")
    address: bytes
    domain: bytes
    local: bytes

    def __init__(self, address: bytes, domain: bytes, local: bytes) -> None:
        self.address = address
        self.domain = domain
        self.local = local
        self._freeze()


class BadAddress(Value):
    """Bytes that are not an address; `problem` is one of PROBLEMS.

    `domain` is what the domain would be if one can be made out, in lower
    case, else empty: it tells whether the address claims to be one of ours.
    """

    __slots__ = ("domain", "problem")
    domain: bytes
    problem: str

    def __init__(self, problem: str, domain: bytes = b"") -> None:
        self.domain = domain
        self.problem = problem
        self._freeze()


def parse_path(argument: bytes) -> Address | BadAddress:
    """The address in an argument of RCPT, or of a milter's envrcpt callback.

    `argument` is one argument, with or without angle brackets around it.
    """
    text = argument.strip(b" \t")
    problem = _bytes_problem(text)
    if problem is not None:
        return BadAddress(problem, _guess_domain(text))
    if text.startswith(b"<") is not text.endswith(b">"):
        return BadAddress(BRACKETS, _guess_domain(text))
    if text.startswith(b"<"):
        text = text[1:-1].strip(b" \t")
    if text.startswith(b"@"):
        # RFC 5321, appendix C: a source route is accepted and ignored.
        route, colon, rest = text.partition(b":")
        if not colon or not all(_is_hop(hop) for hop in route.split(b",")):
            return BadAddress(ROUTE, _guess_domain(text))
        text = rest
    if not text:
        return BadAddress(EMPTY)
    at = _last_at(text)
    if at is None:
        return BadAddress(QUOTES, _guess_domain(text))
    quoted, domain = (text, None) if at < 0 else (text[:at], text[at + 1 :])
    local = _unquote(quoted)
    if local is None:
        return BadAddress(SPECIAL, _guess_domain(text))
    return _assemble(local, domain)


def bare(text: bytes) -> bytes:
    """An address as people write it, without the blanks and angle brackets around it."""
    address = text.strip()
    return address[1:-1] if address.startswith(b"<") and address.endswith(b">") else address


def parse_bare(address: bytes) -> Address | BadAddress:
    """The address in `address`, which has no brackets and no quotes to take away.

    This is Postfix' internal form: `a b@example.org` is the mailbox `"a b"`.
    """
    problem = _bytes_problem(address)
    if problem is not None:
        return BadAddress(problem, _guess_domain(address))
    if not address:
        return BadAddress(EMPTY)
    local, at, domain = address.rpartition(b"@")
    return _assemble(local, domain) if at else _assemble(domain, None)


def _assemble(local: bytes, domain: bytes | None) -> Address | BadAddress:
    if domain is None:
        return Address(local, b"", local) if local else BadAddress(NO_LOCAL_PART)
    if domain.endswith(b"."):
        # The root's dot: as Postfix' trivial-rewrite, take one away.
        domain = domain[:-1]
    folded = domain.lower()
    if not local:
        return BadAddress(NO_LOCAL_PART, folded)
    if not domain:
        return BadAddress(NO_DOMAIN)
    if not is_domain(domain):
        return BadAddress(BAD_DOMAIN, _guess_domain(b"@" + folded))
    return Address(local + b"@" + domain, folded, local)


def _bytes_problem(text: bytes) -> str | None:
    if len(text) > MAX_LENGTH:
        return TOO_LONG
    return None if _CONTROLS.isdisjoint(text) else CONTROL


def _is_hop(hop: bytes) -> bool:
    return hop.startswith(b"@") and is_domain(hop[1:])


def is_domain(domain: bytes) -> bool:
    """True for bytes that can follow the @: labels and dots, or an address literal."""
    if domain.startswith(b"["):
        # An address literal (RFC 5321, 4.1.3): printable ASCII without brackets.
        inner = domain[1:-1]
        return (
            domain.endswith(b"]")
            and bool(inner)
            and all(0x20 < byte < 0x7F and byte not in b"[]\\" for byte in inner)
        )
    return _DOMAIN_BYTES.issuperset(domain.lower()) and b"" not in domain.split(b".")


def _last_at(text: bytes) -> int | None:
    """Where the @ before the domain stands, -1 if nowhere, None for unfinished quotes."""
    if b'"' not in text and b"\\" not in text:
        return text.rfind(b"@")
    try:
        return max((at for at, byte in outside_quotes(text) if byte == _AT), default=-1)
    except ValueError:
        return None


def outside_quotes(text: bytes) -> Iterator[tuple[int, int]]:
    """Place and value of each byte that is neither in quotes nor behind a backslash.

    Raises ValueError behind the last one where quotes or an escape do not end.
    """
    quoted = escaped = False
    for position, byte in enumerate(text):
        if escaped:
            escaped = False
        elif byte == _BACKSLASH:
            escaped = True
        elif byte == _QUOTE:
            quoted = not quoted
        elif not quoted:
            yield position, byte
    if quoted or escaped:
        raise ValueError(QUOTES)


def _unquote(local: bytes) -> bytes | None:
    """The local part that `local` writes, or None if it has a special outside of quotes."""
    if _SPECIALS.isdisjoint(local) and b'"' not in local and b"\\" not in local:
        return local
    plain = bytearray()
    quoted = escaped = False
    for byte in local:
        if escaped:
            escaped = False
        elif byte == _BACKSLASH:
            escaped = True
            continue
        elif byte == _QUOTE:
            quoted = not quoted
            continue
        elif byte in _SPECIALS and not quoted:
            return None
        plain.append(byte)
    return bytes(plain)


def _guess_domain(text: bytes) -> bytes:
    """What follows the last @ of something that is not an address."""
    _, at, domain = text.rpartition(b"@")
    domain = domain.rstrip(b"> \t\r\n").removesuffix(b".").lower() if at else b""
    return domain if len(domain) <= MAX_LENGTH and domain and is_domain(domain) else b""
