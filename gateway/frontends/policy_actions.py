"""Actions ready to be sent, by what they rest on, for all sessions of a policy server.

No two requests of Postfix are alike, but few of their attributes make a
difference: state, recipient, whether there is a sender, and, where the
configuration heeds them, client and login.  An action is given again only
while the verdict behind it stands (Memory.stands) and the files of the scope
say what they said.

Left to the judge each time: announced sizes, and senders that may be an MTA's
probe.  Limits: MAX_ACTIONS; the oldest give way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.frontends.judge import PROBE_PREFIX
from gateway.protocols.policy import END_OF_MESSAGE, RCPT, VRFY, request_of, whole_request
from gateway.verification.cell import UNCOUNTED
from gateway.verification.model import MAX_RECIPIENT, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.frontends.judge import Decision, Judge
    from gateway.protocols.policy import PolicyRequest
    from gateway.verification.cache import Entry
    from gateway.verification.cell import Cell
    from gateway.verification.decider import Memory

    Observer = Callable[[PolicyRequest, Decision], None]
    Key = tuple[bytes, bytes, bool, bytes, bool]
    Attributes = dict[bytes, bytes]

MAX_ACTIONS = 65_536

# Bytes of a client's address: an IPv6 address with a scope, and more than that.
MAX_CLIENT = 64

_STATES = frozenset({RCPT, VRFY, END_OF_MESSAGE})


class Actions:
    """Remembers the actions of one judge."""

    def __init__(
        self,
        cache: Memory,
        judge: Judge,
        cell_of: Callable[[Decision], Cell] | None = None,
    ) -> None:
        """`cell_of` says where the ready actions of a decision are counted."""
        self._cell_of = cell_of if cell_of is not None else lambda _decision: UNCOUNTED
        self._cache = cache
        self._judge = judge
        self._has_files = judge.scope.has_files
        self._heeds_clients = judge.scope.heeds_clients
        self._heeds_logins = judge.scope.heeds_logins
        self._turn = -1
        self._version = judge.scope.version  # what everything that is known rests on, or older
        self._known: dict[Key, tuple[Entry | None, bytes, Decision, Cell]] = {}

    def quick(self, data: bytes, observe: Observer | None) -> bytes | None:
        """The action for `data` where it is one request and the action is known, else None."""
        attributes = whole_request(data)
        if attributes is None:
            return None
        key = self._key(attributes)
        if key is None:
            return None
        if self._has_files:
            self._look_at_files()
        found = self._known.get(key)
        if found is None or (found[0] is not None and not self._cache.stands(found[0])):
            return None
        cell = found[3]
        cell.count += 1
        if cell.refusals is not None and found[2].verdict is not None:
            cell.refused(
                attributes.get(b"recipient", b""),
                found[2].verdict.reason,
                attributes.get(b"sender", b""),
                attributes.get(b"client_address", b""),
            )
        if observe is not None:
            observe(request_of(attributes), found[2])
        return found[1]

    def _look_at_files(self) -> None:
        """Once in a turn: forget what rests on what they said before."""
        turn = self._cache.now()
        if turn == self._turn:
            return
        self._turn = turn
        scope = self._judge.scope
        scope.refresh()
        if scope.version != self._version:
            self._version = scope.version
            self._known.clear()

    def keep(self, request: PolicyRequest, decision: Decision, action: bytes) -> None:
        """Remember the action for `request` if anything tells later that it stands.

        It must have been decided in this turn of the event loop.
        """
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
        if key is None:
            return
        entry: Entry | None = None
        if isinstance(decision.verdict, Verdict):
            entry = self._cache.entry(request.recipient)
            # Another spelling may have been asked for (a dot behind the
            # domain), or the verdict is one that is not remembered.
            if entry is None or entry.verdict.kind is not decision.verdict.kind:
                return
        if len(self._known) >= MAX_ACTIONS:
            for old in list(self._known)[: MAX_ACTIONS // 16]:
                del self._known[old]
        self._known[key] = (entry, action, decision, self._cell_of(decision))

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
