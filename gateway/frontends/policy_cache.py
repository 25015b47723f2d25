"""Actions that are encoded already, for all sessions of a policy server.

No two requests of Postfix are alike, but few of their attributes make a
difference: state, recipient, whether there is a sender, and, where the
configuration heeds them, client and login.

Left to the judge each time: announced sizes, and senders that may be an MTA's
probe.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.frontends.outcome import UNCOUNTED
from gateway.frontends.replycache import DecisionCache
from gateway.frontends.waiver import PROBE_PREFIX
from gateway.protocols.policy import END_OF_MESSAGE, RCPT, VRFY, request_of, whole_request
from gateway.protocols.policy_shapes import Shapes
from gateway.verification.model import MAX_RECIPIENT

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.frontends.judge import Decision, Judge
    from gateway.frontends.outcome import OutcomeCounter
    from gateway.protocols.policy import PolicyRequest
    from gateway.verification.decider import Memory

    Observer = Callable[[PolicyRequest, Decision], None]
    Key = tuple[bytes, bytes, bool, bytes, bool]

# Bytes of a client's address: an IPv6 address with a scope, and more than that.
MAX_CLIENT = 64

_STATES = frozenset({RCPT, VRFY, END_OF_MESSAGE})
_PROBE = len(PROBE_PREFIX)


class PolicyActionCache:
    """Remembers the actions of one judge."""

    def __init__(
        self,
        memory: Memory,
        judge: Judge,
        counter_of: Callable[[Decision], OutcomeCounter] = lambda _decision: UNCOUNTED,
    ) -> None:
        """`counter_of` says where the cached actions of a decision are counted."""
        self._checks_size = judge.checks_size
        self._heeds_clients = judge.scope.heeds_clients
        self._heeds_logins = judge.scope.heeds_logins
        self._reply_cache: DecisionCache[Key] = DecisionCache(memory, judge, counter_of)
        self._shapes = Shapes()

    def cached_reply(self, data: bytes, observe: Observer | None) -> bytes | None:
        """The action for `data` where it is one request and the action is known, else None."""
        values = self._shapes.read(data)
        if values is None:
            return None
        key = self._key(values)
        if key is None:
            return None
        cached = self._reply_cache.get(key)
        if cached is None:
            return None
        cached.count(values[2], values[3])
        if observe is not None and cached.decision is not None:
            observe(request_of(whole_request(data) or {}), cached.decision)
        return cached.reply

    def keep(self, request: PolicyRequest, decision: Decision, action: bytes) -> None:
        """Remember the action for `request`, decided in this tick, if that is possible."""
        key = self._key(
            (
                request.protocol_state,
                request.recipient,
                request.sender,
                request.client_address,
                request.sasl_username,
                b"" if request.size is None else b"1",
            )
        )
        if key is not None:
            self._reply_cache.decided(key, request.recipient, decision, action)

    def shrink(self) -> bool:
        """Give back memory in pieces, until it is False; few actions are cached from now on."""
        return self._reply_cache.shrink()

    def _key(self, values: tuple[bytes, ...]) -> Key | None:
        """What the action rests on besides the files; None where it is not remembered.

        `values` are those of policy_shapes.READ.
        """
        state, recipient, sender, client, login, size = values
        if state not in _STATES or sender[:_PROBE].lower() == PROBE_PREFIX:
            return None
        if not self._heeds_clients:
            client = b""
        if len(recipient) > MAX_RECIPIENT or len(client) > MAX_CLIENT:
            return None
        if self._checks_size and size.strip(b"0"):
            return None
        return state, recipient, not sender, client, self._heeds_logins and login != b""
