"""What a person asks about a recipient, and what a front end says: of its judge, or when it serves.

`explain` asks a front end's judge and hears an `Answer`; `ask` asks the running gateway, as a
mail server does, and has `Heard` what came over the socket.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.frontends.scope import Skip
    from gateway.frontends.waiver import Waiver
    from gateway.verification.model import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Inquiry:
    """What a person asks of a front end, by `explain` or by `ask`, in no protocol's form.

    Addresses are bare, without angle brackets; `sender` is empty for the null sender and None
    where nobody said, `client` is the SMTP client's address and `mailer` the MTA's transport,
    each empty where nobody knows it; `size` is in bytes.
    """

    recipient: bytes
    size: int | None = None
    client: bytes = b""
    sender: bytes | None = None
    mailer: bytes = b""


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
