"""One connection a door that stays open, and one question at a time on it.

What changes in the store between two questions must show in the second one:
no door may be opened anew for that.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from gateway.verification.model import Kind, Query
from tests.doors.model import Case, Door, Rcpt
from tests.doors.players import House, ask_policy, policy_request
from tests.doors.replies import DOORS
from tests.rigs.milter import MilterClient
from tests.rigs.smtp import Conversation
from tests.rigs.socketmap import Connection


class Askers:
    """A client at every door; a `with` ends them all."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._stack = ExitStack()
        self._ask: dict[Door, Callable[[Rcpt], bytes]] = {}

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for door in Door:
                self._ask[door] = self._open(stack, door)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def _open(self, stack: ExitStack, door: Door) -> Callable[[Rcpt], bytes]:
        house = self._house
        if door is Door.ENGINE:
            return lambda rcpt: house.verifier.verify(Query(rcpt.address)).kind.name.encode()
        if door is Door.SOCKETMAP:
            map_client = stack.enter_context(Connection.to(house.gateway.path("socketmap")))
            return lambda rcpt: map_client.ask(rcpt.address)
        if door is Door.POLICY:
            link = stack.enter_context(socket.socket(socket.AF_UNIX))
            link.connect(house.gateway.path("policy"))
            return lambda rcpt: ask_policy(link, policy_request(_case(rcpt), rcpt))
        if door is Door.MILTER:
            mta = stack.enter_context(MilterClient(house.gateway.path("milter")))
            mta.connect()
            mta.mail()
            return lambda rcpt: mta.rcpt(b"<%s>" % rcpt.argument)
        smtp = stack.enter_context(Conversation(house.smtp(door)))
        smtp.mail(b"joe@sender.test")
        return lambda rcpt: smtp.rcpt(rcpt.argument).last

    def replies(self, rcpt: Rcpt) -> dict[Door, bytes]:
        """What each door says now."""
        return {door: ask(rcpt) for door, ask in self._ask.items()}


def expected(rcpt: Rcpt, kind: Kind, reason: bytes = b"") -> dict[Door, bytes]:
    """What each door must say of a recipient of which `kind` is true."""
    now = Rcpt(rcpt.argument, kind, reason=reason)
    return {door: reply(_case(now), now) for door, reply in DOORS.items()}


def _case(rcpt: Rcpt) -> Case:
    return Case("one question", (rcpt,))
