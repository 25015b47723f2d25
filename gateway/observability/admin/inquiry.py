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

from gateway.frontends.inquiry import BadInquiry, Inquiry, typed
from gateway.protocols.address import bare

FIELDS = ("recipient", "size", "client", "sender", "mailer")


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
    if not bare(told.get("recipient", b"")):
        raise BadInquiry("write the recipient: /explain?recipient=fred@example.org")
    return typed(
        told["recipient"],
        size=told.get("size") or None,
        client=told.get("client", b""),
        sender=told.get("sender"),
        mailer=told.get("mailer", b""),
    )
