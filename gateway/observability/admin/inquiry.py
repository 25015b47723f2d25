"""The query of /explain as an inquiry.

    recipient   the address, with or without angle brackets
    size        announced size in bytes
    client      the SMTP client's address
    sender      the address of MAIL FROM; empty or <> is the null sender
    mailer      the MTA's mailer, for the milter

Values are percent-encoded bytes; a plus sign is a plus sign, because addresses
have them.
"""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from gateway.frontends.inquiry import Inquiry
from gateway.frontends.scope import client_address
from gateway.protocols.address import bare

FIELDS = ("recipient", "size", "client", "sender", "mailer")
_MAX_DIGITS = 20


class BadInquiry(Exception):
    """A query that asks nothing; the message says how to ask."""


def parse(query: str) -> Inquiry:
    """The inquiry; raises BadInquiry."""
    told: dict[str, bytes] = {}
    for pair in query.split("&") if query else ():
        name, _, value = pair.partition("=")
        if name not in FIELDS:
            raise BadInquiry(f"there is no {name!r:.80}; there are {', '.join(FIELDS)}")
        if name in told:
            raise BadInquiry(f"{name} is given twice")
        told[name] = unquote_to_bytes(value)
    recipient = bare(told.get("recipient", b""))
    if not recipient:
        raise BadInquiry("write the recipient: /explain?recipient=fred@example.org")
    return Inquiry(
        recipient=recipient,
        size=_size(told.get("size", b"")),
        client=_client(told.get("client", b"")),
        sender=bare(told["sender"]) if "sender" in told else None,
        mailer=told.get("mailer", b""),
    )


def _size(value: bytes) -> int | None:
    if not value:
        return None
    if not (value.isdigit() and len(value) <= _MAX_DIGITS):
        raise BadInquiry("size is a number of bytes")
    return int(value)


def _client(value: bytes) -> bytes:
    if value and client_address(value) is None:
        raise BadInquiry("client is not an IP address; write for example 192.0.2.1")
    return value
