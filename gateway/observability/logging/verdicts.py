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

from gateway.observability.logging import setup

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.config.choices import Mode
    from gateway.frontends.judge import Decision
    from gateway.frontends.origin import AnswerOrigin
    from gateway.frontends.waiver import Waiver
    from gateway.observability.logging.setup import AddressWriter, Field
    from gateway.verification.model import Verdict

_log = logging.getLogger(__name__)


class VerdictLog:
    """Writes the verdicts of one front end (gateway.frontends.frontend.VerdictWriter).

    `address` shows an address as the settings want it.  The caller tells
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

    def address(self, address: bytes) -> str:
        """`address` as private as the settings want it."""
        return self._address(address)

    def sender(self, sender: bytes | None) -> str:
        """The same of a sender; the null sender tells of no one, and is always shown."""
        if sender is None:
            return ""
        return self._address(sender) if sender else "<>"

    def quiet(self, verdict: Verdict | None) -> bool:
        """Whether nothing would be written, so that nothing need be put together."""
        fault = verdict is not None and verdict.evidence.fault is not None
        return not fault and not self.enabled

    def decision(
        self,
        decision: Decision,
        origin: AnswerOrigin | None,
        who: Mapping[str, Field],
        reply: bytes,
    ) -> None:
        """Write a decision; a recipient that was not judged is DEBUG."""
        if decision.verdict is None:
            if decision.skip is not None:
                self._write(logging.DEBUG, "skipped", {**who, "why": decision.skip.value})
            return
        self.verdict(decision.verdict, origin, who, reply, decision.waiver)

    def verdict(
        self,
        verdict: Verdict,
        origin: AnswerOrigin | None,
        who: Mapping[str, Field],
        reply: bytes,
        waiver: Waiver | None,
    ) -> None:
        """Write a verdict, and its fault where it is one."""
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
