"""The words of the table of cases: interfaces, flows, recipients and what is true of them.

A case says what is true of a recipient and nothing about replies; those are
derived, one function per interface, in `replies`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType

from gateway.frontends.scope import Skip
from gateway.verification.kinds import Kind

# Domains of ours: that of the store's users without a domain, and a virtual one.
DOMAIN = b"example.org"
VIRTUAL = b"virt.example"


class Interface(Enum):
    """A way to ask the gateway."""

    ENGINE = "engine"
    SOCKETMAP = "socketmap"
    POLICY = "policy"
    MILTER = "milter"
    # relay_recipient_maps for DOMAIN and virtual_mailbox_maps for VIRTUAL.
    POSTFIX_MAPS = "postfix-maps"
    POSTFIX_POLICY = "postfix-policy"
    POSTFIX_MILTER = "postfix-milter"
    SENDMAIL_MAP = "sendmail-map"
    SENDMAIL_MILTER = "sendmail-milter"


POSTFIX = (Interface.POSTFIX_MAPS, Interface.POSTFIX_POLICY, Interface.POSTFIX_MILTER)
SENDMAIL = (Interface.SENDMAIL_MAP, Interface.SENDMAIL_MILTER)
# What these MTAs ask has no upper case letters any more.
FOLDING = (Interface.POSTFIX_MAPS, Interface.SENDMAIL_MAP)
# What these are asked is the recipient alone.
MAPS = (Interface.SOCKETMAP, *FOLDING)


class Flow(Enum):
    """What the client does with the recipients of a case."""

    RCPT = "one mail, one RCPT after the other"
    PIPELINED = "one mail, all commands in one piece"
    RSET = "one mail, RSET, and the same again"
    TWO_MAILS = "the mail is sent, and the same again on the same connection"
    VRFY = "VRFY instead of RCPT"


@dataclass(frozen=True, slots=True)
class Rcpt:
    """One recipient, and what is true of it.

    `argument` stands between the angle brackets of RCPT.  `kind` is the
    verdict on the bare address `bare` (the argument itself unless given), with
    `reason` where the store has a text of its own.  `folded` is a map's
    verdict on the address in lower case where it is another one.  `skip` says why policy
    and milter do not judge it; with `bad` they refuse it as no address, and
    with `lenient` they do not carry their verdict out.  `shown` is how Postfix
    writes the address, if not like `bare`.  `by_mta` are replies that the MTA
    gives without asking, by interface.
    """

    argument: bytes
    kind: Kind = Kind.DELIVERABLE
    bare: bytes = b""
    reason: bytes = b""
    folded: Kind | None = None
    skip: Skip | None = None
    bad: bool = False
    lenient: bool = False
    shown: bytes = b""
    by_mta: Mapping[Interface, bytes] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def address(self) -> bytes:
        """The bare address."""
        return self.bare or self.argument

    @property
    def domain(self) -> bytes:
        """Its domain in lower case, without the root's dot; empty if there is none."""
        return self.address.rpartition(b"@")[2].lower() if b"@" in self.address else b""

    @property
    def ours(self) -> bool:
        """Is it in a domain of ours?"""
        return self.domain in (DOMAIN, VIRTUAL)

    def asked_of_map(self, interface: Interface) -> Kind:
        """The verdict that a map can know: about the recipient, never about a size."""
        folds = interface in FOLDING or self.address == self.address.lower()
        kind = self.folded if self.folded is not None and folds else self.kind
        return Kind.DELIVERABLE if kind is Kind.SIZE_OVER_QUOTA else kind

    def judged(self) -> Kind:
        """The verdict that policy and milter act on."""
        if self.skip is not None or self.lenient:
            return Kind.DELIVERABLE
        return Kind.BAD_ADDRESS if self.bad else self.kind


@dataclass(frozen=True, slots=True)
class Case:
    """One conversation.

    `client` is the client's address, `login` its name where it has
    authenticated, `size` what MAIL FROM announces, `smtputf8` whether it asks
    for that.  `message` is the size of a mail that is sent after all: then the
    last reply is that to the message, and the recipients' `kind` is the
    verdict when the real size is known.
    """

    name: str
    rcpts: tuple[Rcpt, ...]
    flow: Flow = Flow.RCPT
    sender: bytes = b"joe@sender.test"
    client: str = "127.0.0.1"
    login: str = ""
    size: int | None = None
    smtputf8: bool = False
    message: int | None = None

    @property
    def needs_xclient(self) -> bool:
        """Whether the loopback interface alone cannot show such a client."""
        return bool(self.login) or not self.client.startswith("127.")

    def interfaces(self) -> tuple[Interface, ...]:
        """The interfaces at which this can be played: XCLIENT is Postfix', and no milter sees VRFY."""
        left_out: tuple[Interface, ...] = SENDMAIL if self.needs_xclient else ()
        if self.flow is Flow.VRFY:
            left_out += (Interface.MILTER,)
        return tuple(interface for interface in Interface if interface not in left_out)
