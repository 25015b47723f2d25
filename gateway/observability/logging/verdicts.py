"""One log line a verdict, with the same fields whichever front end gave it.

Fields: frontend, queue id or instance, client, sender, recipient, verdict (or
why it was not judged), reason, the reply where the verdict refuses, mode, where the
answer is from and the time it took; what a front end was not told is not there.
Addresses are as private as the setting `addresses` says.  Verdicts are INFO, skipped
recipients DEBUG; a fault is one ERROR line a minute with a count, however
many recipients meet it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from gateway.frontends.socketmap_session import rendered
from gateway.observability.logging import setup

if TYPE_CHECKING:
    from gateway.config.choices import Mode
    from gateway.frontends.judge import Decision
    from gateway.frontends.milter_conversation import Rcpt
    from gateway.frontends.origin import AnswerOrigin
    from gateway.frontends.waiver import Waiver
    from gateway.observability.logging.setup import AddressWriter, Field
    from gateway.protocols.policy import PolicyRequest
    from gateway.verification.model import Verdict

_log = logging.getLogger(__name__)


class VerdictLog:
    """Writes the verdicts of one front end.

    `address` shows an address as the settings want it.  Each method is told
    the question's `origin`, or None where verdicts are not written.
    """

    def __init__(self, frontend: str, mode: Mode, address: AddressWriter) -> None:
        self._frontend = frontend
        self._mode = mode
        self._address = address

    @property
    def enabled(self) -> bool:
        """Whether verdicts are written at all; faults are, whatever this says."""
        return _log.isEnabledFor(logging.INFO)

    def socketmap(
        self,
        key: bytes,
        verdict: Verdict,
        waiver: Waiver | None,
        *,
        client: str = "",
        origin: AnswerOrigin | None = None,
    ) -> None:
        """One look-up of `client`; the protocol tells nothing but the recipient."""
        if self._quiet(verdict):
            return
        who: dict[str, Field] = {"client": client, "recipient": self._address(key)}
        reply = b"" if verdict.kind.accepts else rendered(key, verdict, waiver)
        self._verdict(verdict, origin, who, reply, waiver)

    def policy(
        self, request: PolicyRequest, decision: Decision, *, origin: AnswerOrigin | None = None
    ) -> None:
        """One policy request that was judged or skipped."""
        if self._quiet(decision.verdict):
            return
        self._decision(
            decision,
            origin,
            {
                "instance": request.instance,
                "queue_id": request.queue_id,
                "state": request.protocol_state,
                "client": request.client_address,
                "sender": self._sender(request.sender),
                "recipient": self._address(request.recipient),
            },
            decision.action,
        )

    def milter(self, rcpt: Rcpt, decision: Decision, *, origin: AnswerOrigin | None = None) -> None:
        """One RCPT that was judged or skipped."""
        if self._quiet(decision.verdict):
            return
        transaction = rcpt.transaction
        self._decision(
            decision,
            origin,
            {
                "queue_id": rcpt.queue_id,
                "client": transaction.client,
                "sender": self._sender(transaction.sender),
                "recipient": self._address(rcpt.recipient),
            },
            decision.reply.line().encode() if decision.reply is not None else b"continue",
        )

    def _sender(self, sender: bytes | None) -> str:
        """The null sender is nobody's address and so always shown."""
        if sender is None:
            return ""
        return self._address(sender) if sender else "<>"

    def _quiet(self, verdict: Verdict | None) -> bool:
        """Whether nothing would be written, so that nothing need be put together."""
        fault = verdict is not None and verdict.evidence.fault is not None
        return not fault and not self.enabled

    def _decision(
        self, decision: Decision, origin: AnswerOrigin | None, who: dict[str, Field], reply: bytes
    ) -> None:
        if decision.verdict is None:
            if decision.skip is not None:
                self._write(logging.DEBUG, "skipped", {**who, "why": decision.skip.value})
            return
        self._verdict(decision.verdict, origin, who, reply, decision.waiver)

    def _verdict(
        self,
        verdict: Verdict,
        origin: AnswerOrigin | None,
        who: dict[str, Field],
        reply: bytes,
        waiver: Waiver | None,
    ) -> None:
        facts: dict[str, Field] = {**who, "verdict": verdict.kind.name}
        if verdict.reason:
            facts["reason"] = verdict.reason
        if not verdict.kind.accepts:
            facts["reply"] = self._address.reply(self._frontend, reply)
        if waiver is not None:
            facts["not_enforced"] = waiver.value
        if origin is not None:
            facts["cache"] = origin.source
            facts["microseconds"] = origin.microseconds
        fault = verdict.evidence.fault
        if fault is not None:
            _log.error("%s", fault)
        self._write(logging.INFO, "verdict", facts)

    def _write(self, level: int, message: str, facts: dict[str, Field]) -> None:
        setup.event(
            _log,
            level,
            message,
            {
                "frontend": self._frontend,
                "mode": self._mode.value,
                **{name: value for name, value in facts.items() if value not in ("", b"")},
            },
        )
