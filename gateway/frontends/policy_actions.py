"""Actions ready to be sent, for all sessions of a policy server.

No two requests of Postfix are alike, but few of their attributes make a
difference: state, recipient, whether there is a sender, and, where the
configuration heeds them, client and login.

Left to the judge each time: announced sizes, and senders that may be an MTA's
probe.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.frontends.judge import PROBE_PREFIX
from gateway.frontends.ready import Ready
from gateway.protocols.policy import END_OF_MESSAGE, RCPT, VRFY, request_of, whole_request
from gateway.verification.model import MAX_RECIPIENT

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.frontends.judge import Decision, Judge
    from gateway.protocols.policy import PolicyRequest
    from gateway.verification.cell import Cell
    from gateway.verification.decider import Memory

    Observer = Callable[[PolicyRequest, Decision], None]
    Key = tuple[bytes, bytes, bool, bytes, bool]
    Attributes = dict[bytes, bytes]

# Bytes of a client's address: an IPv6 address with a scope, and more than that.
MAX_CLIENT = 64

_STATES = frozenset({RCPT, VRFY, END_OF_MESSAGE})


class Actions:
    """Remembers the actions of one judge."""

    def __init__(
        self,
        memory: Memory,
        judge: Judge,
        cell_of: Callable[[Decision], Cell] | None = None,
    ) -> None:
        """`cell_of` says where the ready actions of a decision are counted."""
        self._judge = judge
        self._heeds_clients = judge.scope.heeds_clients
        self._heeds_logins = judge.scope.heeds_logins
        self._ready: Ready[Key] = Ready(memory, judge, cell_of)

    def quick(self, data: bytes, observe: Observer | None) -> bytes | None:
        """The action for `data` where it is one request and the action is known, else None."""
        attributes = whole_request(data)
        if attributes is None:
            return None
        key = self._key(attributes)
        if key is None:
            return None
        kept = self._ready.get(key)
        if kept is None:
            return None
        kept.count(attributes.get(b"sender", b""), attributes.get(b"client_address", b""))
        if observe is not None:
            observe(request_of(attributes), kept.decision)
        return kept.reply

    def keep(self, request: PolicyRequest, decision: Decision, action: bytes) -> None:
        """Remember the action for `request`, decided in this turn, if that is possible."""
        key = self._key(
            {
                b"protocol_state": request.protocol_state,
                b"recipient": request.recipient,
                b"sender": request.sender,
                b"client_address": request.client_address,
                b"sasl_username": request.sasl_username,
                b"size": b"" if request.size is None else b"1",
            }
        )
        if key is not None:
            self._ready.keep(key, request.recipient, decision, action)

    def _key(self, attributes: Attributes) -> Key | None:
        """What the action rests on besides the files; None where it is not remembered."""
        get = attributes.get
        state = get(b"protocol_state", b"")
        sender = get(b"sender", b"")
        if state not in _STATES or sender[: len(PROBE_PREFIX)].lower() == PROBE_PREFIX:
            return None
        recipient = get(b"recipient", b"")
        client = get(b"client_address", b"") if self._heeds_clients else b""
        if len(recipient) > MAX_RECIPIENT or len(client) > MAX_CLIENT:
            return None
        if self._judge.checks_size and get(b"size", b"0").strip(b"0"):
            return None
        return (
            state,
            recipient,
            not sender,
            client,
            self._heeds_logins and bool(get(b"sasl_username")),
        )
