"""What becomes of a recipient in Postfix before it would reach Cyrus.

The kinds are closed.  `STAYS` says that there is no known reason against a
refusal; every other kind does, or says why that cannot be known.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.mta.keys import Mailbox


class RoutingKind(Enum):
    """What Postfix does with a recipient."""

    STAYS = "stays"  # it goes to Cyrus under its own name, as far as can be told
    REWRITTEN = "rewritten"  # it becomes other addresses, all of which are known
    LEFT = "left to Postfix"  # a command, a file, a list, a moved user: Postfix' own business
    NOT_OURS = "not ours"  # its domain is in no class with mailboxes
    OTHER_TRANSPORT = "elsewhere"  # its transport does not lead to Cyrus
    UNKNOWN = "unknown"  # a table that could tell cannot be asked


@dataclass(frozen=True, slots=True)
class Routing:
    """`targets` are what a rewritten recipient becomes, `by` the parameter that says so.

    `detail` is the transport or the fault.
    """

    kind: RoutingKind
    targets: tuple[Mailbox, ...] = ()
    by: str = ""
    detail: str = ""


STAYS = Routing(RoutingKind.STAYS)
