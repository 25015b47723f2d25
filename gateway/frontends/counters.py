"""Counts what a front end answers, by outcome, and keeps the last refusals.

An outcome is a verdict's kind, or why the recipient was not judged, and why a
refusal was not carried out.  Each has one `OutcomeCounter`; a front end that gives the
same answer again and again holds on to it, so that counting costs one addition.

Limits: one thread at a time, as everything of an event loop; the milter's
threads on pymilter take a lock (gateway.server.libmilter).
"""

from __future__ import annotations

from gateway.counted import Counts
from gateway.frontends.outcome import OutcomeCounter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import deque

    from gateway.frontends.judge import Decision
    from gateway.frontends.outcome import Outcome, Refused
    from gateway.frontends.waiver import Waiver
    from gateway.verification.model import Verdict


class OutcomeCounters:
    """The counters of one front end.

    `refusals` takes the last refusals.  What is cached is counted apart, by what sends it:
    `cached` has those counters.  `counted` is for whatever else happens in its conversations.
    """

    def __init__(self, refusals: deque[Refused]) -> None:
        self.refusals = refusals
        self.cached: dict[Outcome, OutcomeCounter] = {}
        self.counted = Counts()
        self._counted: dict[Outcome, OutcomeCounter] = {}

    @property
    def answers_from_cache(self) -> int:
        """How many verdicts were given from the reply cache."""
        return sum(counter.count for (kind, _, _), counter in self.cached.items() if kind)

    def cached_verdict(self, verdict: Verdict, waiver: Waiver | None) -> OutcomeCounter:
        """Where the cached replies of a socketmap with this verdict are counted."""
        return self._of_verdict(self.cached, verdict, waiver)

    def cached_decision(self, decision: Decision) -> OutcomeCounter:
        """Where the cached actions of this decision are counted."""
        return self._of_decision(self.cached, decision)

    def verdict(self, key: bytes, verdict: Verdict, waiver: Waiver | None) -> None:
        """Count one answer of a socketmap that was not cached."""
        counter = self._of_verdict(self._counted, verdict, waiver)
        counter.count += 1
        if counter.refusals is not None:
            counter.refused(key, verdict.reason)

    def decision(
        self, decision: Decision, recipient: bytes, sender: bytes | None, client: bytes
    ) -> None:
        """Count one decision that was not cached."""
        counter = self._of_decision(self._counted, decision)
        counter.count += 1
        if counter.refusals is not None and decision.verdict is not None:
            counter.refused(recipient, decision.verdict.reason, sender, client)

    def outcomes(self) -> list[tuple[Outcome, int]]:
        """How often each outcome was given; one may come twice."""
        every = (*self._counted.values(), *self.cached.values())
        return [(counter.outcome, counter.count) for counter in every]

    def _of_verdict(
        self,
        counters_of_outcome: dict[Outcome, OutcomeCounter],
        verdict: Verdict,
        waiver: Waiver | None,
    ) -> OutcomeCounter:
        kind = verdict.kind
        outcome = (kind.name, "", waiver.value if waiver is not None else "")
        return self._counter(counters_of_outcome, outcome, refuses=not kind.accepts)

    def _of_decision(
        self, counters_of_outcome: dict[Outcome, OutcomeCounter], decision: Decision
    ) -> OutcomeCounter:
        verdict, skip, waiver = decision.verdict, decision.skip, decision.waiver
        outcome = (
            verdict.kind.name if verdict is not None else "",
            skip.value if skip is not None else "",
            waiver.value if waiver is not None else "",
        )
        return self._counter(
            counters_of_outcome, outcome, refuses=decision.refuse or waiver is not None
        )

    def _counter(
        self, counters_of_outcome: dict[Outcome, OutcomeCounter], outcome: Outcome, *, refuses: bool
    ) -> OutcomeCounter:
        counter = counters_of_outcome.get(outcome)
        if counter is None:
            counter = counters_of_outcome[outcome] = OutcomeCounter(
                outcome, self.refusals if refuses else None
            )
        return counter
