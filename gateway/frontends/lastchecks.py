"""What a refusal has to pass before it is said: does the mail server do something else?

    verdict that refuses -> is its domain ours? -> does Postfix rewrite it, is it
    bound for Cyrus? -> the addresses that it becomes, judged like any other

An acceptance pays for none of this.  An `LastCheck` is a generator: it yields what
has to be asked, a `Query` for the engine or `Lookups` for the mail server's
tables, is sent the answer, and ends with why the recipient is not judged, or
with the final verdict.

- Where Postfix makes other addresses of it, the refusal is final only if each of
  them is one of ours and is refused itself.
- Where a table that could save it cannot be asked, a permanent refusal becomes a
  temporary failure (a store fault, whose evidence names the table).

Limits: MAX_ADDRESSES addresses are looked at; what becomes more is left to
Postfix, and so is every address that goes to another domain.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from gateway.frontends.scope import Skip
from gateway.mta.keys import Mailbox
from gateway.mta.lookups import DEADLINE, Lookups, TableAnswers
from gateway.mta.routing import RoutingKind
from gateway.protocols.address import Address, BadAddress, parse_bare
from gateway.verification.kinds import Kind
from gateway.verification.model import Evidence, Query, Verdict

if TYPE_CHECKING:
    from gateway.frontends.replies import ReplyTable
    from gateway.frontends.scope import Scope
    from gateway.mta.postfix import Postfix

Asked: TypeAlias = Query | Lookups
Told: TypeAlias = Verdict | TableAnswers
LastCheck: TypeAlias = Generator[Asked, Told, Skip | Verdict]

# Addresses that one recipient may become before it is left to Postfix.
MAX_ADDRESSES = 16

_SKIPS = {
    RoutingKind.LEFT: Skip.REWRITTEN,
    RoutingKind.NOT_OURS: Skip.NOT_OUR_DOMAIN,
    RoutingKind.OTHER_TRANSPORT: Skip.NOT_OUR_MAILER,
}


@dataclass(frozen=True, slots=True)
class LastChecks:
    """Makes the last checks of one front end."""

    scope: Scope
    postfix: Postfix
    replies: ReplyTable

    def of(self, recipient: Address | BadAddress, mailer: bytes, verdict: Verdict) -> LastCheck:
        """The last check of `verdict`, which refuses; `mailer` as Question has it."""
        if isinstance(recipient, BadAddress):
            mailbox = Mailbox(b"", recipient.domain)
        else:
            mailbox = Mailbox(recipient.local, recipient.domain)
        transport = mailer.decode("utf-8", "backslashreplace")
        until = time.monotonic() + DEADLINE
        return self._checked(mailbox, verdict, {mailbox}, until, transport)

    def _checked(
        self,
        mailbox: Mailbox,
        verdict: Verdict,
        seen: set[Mailbox],
        until: float,
        transport: str = "",
    ) -> LastCheck:
        """What is left of `verdict` on `mailbox`; tables are asked no longer than `until`."""
        explicit = self.scope.lists(mailbox.domain)
        routing = self.postfix.routing(mailbox, explicit=explicit, transport=transport)
        try:
            wanted = next(routing)
            while True:
                told = yield Lookups(wanted.wanted, until)
                assert isinstance(told, TableAnswers)
                wanted = routing.send(told)
        except StopIteration as ended:
            found = ended.value
        if found.kind is RoutingKind.REWRITTEN:
            return (yield from self._of_targets(found.targets, verdict, seen, until))
        if found.kind is RoutingKind.UNKNOWN and not self._temporary(verdict):
            fault = f"Postfix' table {found.detail}"
            return Verdict(
                Kind.STORE_FAULT, Kind.STORE_FAULT.text, Evidence(fault=fault), cacheable=False
            )
        return _SKIPS.get(found.kind, verdict)

    def _of_targets(
        self, targets: tuple[Mailbox, ...], verdict: Verdict, seen: set[Mailbox], until: float
    ) -> LastCheck:
        """What is left of `verdict` on an address that becomes `targets`."""
        refusals: list[Verdict] = []
        for target in targets:
            if target in seen:
                # An alias that holds itself: what it is without being an alias.
                refusals.append(verdict)
                continue
            seen.add(target)
            address = parse_bare(target.address)
            foreign = isinstance(address, BadAddress) or not self.scope.owns(target.domain)
            if foreign or len(seen) > MAX_ADDRESSES:
                return Skip.REWRITTEN
            told = yield Query(target.address)
            assert isinstance(told, Verdict)
            if told.kind.accepts:
                return Skip.REWRITTEN
            checked = yield from self._checked(target, told, seen, until)
            if isinstance(checked, Skip):
                return Skip.REWRITTEN
            refusals.append(checked)
        # One that may be delivered later defers the whole.
        return next((each for each in refusals if self._temporary(each)), refusals[0])

    def _temporary(self, verdict: Verdict) -> bool:
        return self.replies[verdict.kind].temporary
