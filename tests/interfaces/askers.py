"""One connection per interface that stays open, and one question at a time on it.

What changes in the store between two questions must show in the second one:
no interface may be opened again for that.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from gateway.verification.kinds import Kind
from gateway.verification.model import Query
from tests.interfaces.askcases import MailSite, ask_policy, policy_request
from tests.interfaces.model import Case, Interface, Rcpt
from tests.interfaces.replies import INTERFACES
from tests.rigs.milter import MilterClient
from tests.rigs.smtp import Conversation
from tests.rigs.socketmap import Connection


class Askers:
    """A client at every interface; a `with` ends them all."""

    def __init__(self, site: MailSite) -> None:
        self._site = site
        self._stack = ExitStack()
        self._ask: dict[Interface, Callable[[Rcpt], bytes]] = {}

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for interface in Interface:
                self._ask[interface] = self._open(stack, interface)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def _open(self, stack: ExitStack, interface: Interface) -> Callable[[Rcpt], bytes]:
        site = self._site
        if interface is Interface.ENGINE:
            return lambda rcpt: site.verifier.verify(Query(rcpt.address)).kind.name.encode()
        if interface is Interface.SOCKETMAP:
            map_client = stack.enter_context(Connection.to(site.gateway.path("socketmap")))
            return lambda rcpt: map_client.ask(rcpt.address)
        if interface is Interface.POLICY:
            link = stack.enter_context(socket.socket(socket.AF_UNIX))
            link.connect(site.gateway.path("policy"))
            return lambda rcpt: ask_policy(link, policy_request(_case(rcpt), rcpt))
        if interface is Interface.MILTER:
            mta = stack.enter_context(MilterClient(site.gateway.path("milter")))
            mta.connect()
            mta.mail()
            return lambda rcpt: mta.rcpt(b"<%s>" % rcpt.argument)
        smtp = stack.enter_context(Conversation(site.smtp(interface)))
        smtp.mail(b"joe@sender.test")
        return lambda rcpt: smtp.rcpt(rcpt.argument).last

    def replies(self, rcpt: Rcpt) -> dict[Interface, bytes]:
        """What each interface says now."""
        return {interface: ask(rcpt) for interface, ask in self._ask.items()}


def expected(rcpt: Rcpt, kind: Kind, reason: bytes = b"") -> dict[Interface, bytes]:
    """What each interface must say of a recipient of which `kind` is true."""
    now = Rcpt(rcpt.argument, kind, reason=reason)
    return {interface: reply(_case(now), now) for interface, reply in INTERFACES.items()}


def _case(rcpt: Rcpt) -> Case:
    return Case("one question", (rcpt,))
