"""What a person asks about a recipient, and what a front end says: of its judge, or when it serves.

`explain` asks a front end's judge and hears an `Answer`; `ask` asks the running gateway, as a
mail server does, and has `Heard` what came over the socket.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from gateway.frontends.scope import client_address
from gateway.printable import printable
from gateway.protocols.address import bare
from gateway.protocols.policy import MAX_DIGITS

if TYPE_CHECKING:
    from gateway.frontends.scope import Skip
    from gateway.frontends.waiver import Waiver
    from gateway.verification.model import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Inquiry:
    """What a person asks of a front end, by `explain` or by `ask`, in no protocol's form.

    Addresses are bare, without angle brackets; `sender` is empty for the null sender and None
    where that was not said, `client` is the SMTP client's address and `mailer` the MTA's transport,
    each empty where it is not known; `size` is in bytes.
    """

    recipient: bytes
    size: int | None = None
    client: bytes = b""
    sender: bytes | None = None
    mailer: bytes = b""


class BadInquiry(Exception):
    """What was typed asks nothing; the message names the part, and says how to ask."""


def typed(
    recipient: bytes, *, size: bytes | None, client: bytes, sender: bytes | None, mailer: bytes
) -> Inquiry:
    """The inquiry of what a person has typed; raises BadInquiry.

    Addresses may be in angle brackets; `size` and `sender` are None where they were not given.
    """
    # More digits than a mail can have bytes would be slow to convert.
    if size is not None and not (size.isdigit() and len(size) <= MAX_DIGITS):
        raise BadInquiry(f"size {printable(size)}: write a number of bytes")
    if client and client_address(client) is None:
        raise BadInquiry(
            f"client {printable(client)}: this is not an IP address, write for example 192.0.2.1"
        )
    return Inquiry(
        recipient=bare(recipient),
        size=None if size is None else int(size),
        client=client,
        sender=None if sender is None else bare(sender),
        mailer=mailer,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a front end says to an inquiry.

    `scope` says why the recipient is judged, or the reason why it is not (`judged`).
    `reply` is exactly what goes out, without framing; `withheld` the refusal that is not
    given because of `waiver`.
    """

    judged: bool
    scope: Skip | str
    verdict: Verdict | None
    reply: bytes
    withheld: bytes = b""
    waiver: Waiver | None = None


class Means(Enum):
    """What an answer means for the recipient; the values are those of --expect."""

    ACCEPTED = "ok"
    REFUSED = "no"
    DEFERRED = "later"


@dataclass(frozen=True, slots=True)
class Heard:
    """An answer: what it means, and its bytes without the protocol's frame."""

    means: Means
    answer: bytes
