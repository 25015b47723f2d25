"""Counts what a front end answers, by outcome, and keeps the last refusals.

An outcome is a verdict's kind, or why the recipient was not judged, and why a
refusal was not carried out.  Each has one `Cell`; who answers the same again
and again keeps the cell at hand, so that counting costs one addition.

Limits: one thread at a time, as everything of an event loop; the milter's
threads take a lock (gateway.worker.milterprocess).
"""

from __future__ import annotations

from gateway.verification.cell import Cell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import deque

    from gateway.frontends.judge import Decision
    from gateway.frontends.waiver import Waiver
    from gateway.verification.cell import Outcome, Refused
    from gateway.verification.model import Verdict


class Tally:
    """The cells of one front end.

    `refusals` takes the last refusals.  What is ready to be sent is counted apart, by who sends it:
    `ready` has those cells.
    """

    def __init__(self, refusals: deque[Refused]) -> None:
        self.refusals = refusals
        self.ready: dict[Outcome, Cell] = {}
        self._cells: dict[Outcome, Cell] = {}

    @property
    def answers_ready(self) -> int:
        """How many verdicts were given ready to be sent."""
        return sum(cell.count for (kind, _, _), cell in self.ready.items() if kind)

    def ready_verdict(self, verdict: Verdict, waiver: Waiver | None) -> Cell:
        """Where the ready replies of a socketmap with this verdict are counted."""
        return self._of_verdict(self.ready, verdict, waiver)

    def ready_decision(self, decision: Decision) -> Cell:
        """Where the ready actions of this decision are counted."""
        return self._of_decision(self.ready, decision)

    def verdict(self, key: bytes, verdict: Verdict, waiver: Waiver | None) -> None:
        """Count one answer of a socketmap that was not ready."""
        cell = self._of_verdict(self._cells, verdict, waiver)
        cell.count += 1
        if cell.refusals is not None:
            cell.refused(key, verdict.reason)

    def decision(
        self, decision: Decision, recipient: bytes, sender: bytes | None, client: bytes
    ) -> None:
        """Count one decision that was not ready."""
        cell = self._of_decision(self._cells, decision)
        cell.count += 1
        if cell.refusals is not None and decision.verdict is not None:
            cell.refused(recipient, decision.verdict.reason, sender, client)

    def outcomes(self) -> list[tuple[Outcome, int]]:
        """How often each outcome was given; one may come twice."""
        every = (*self._cells.values(), *self.ready.values())
        return [(cell.outcome, cell.count) for cell in every]

    def _of_verdict(
        self, cells: dict[Outcome, Cell], verdict: Verdict, waiver: Waiver | None
    ) -> Cell:
        kind = verdict.kind
        outcome = (kind.name, "", waiver.value if waiver is not None else "")
        return self._cell(cells, outcome, refuses=not kind.accepts)

    def _of_decision(self, cells: dict[Outcome, Cell], decision: Decision) -> Cell:
        verdict, skip, waiver = decision.verdict, decision.skip, decision.waiver
        outcome = (
            verdict.kind.name if verdict is not None else "",
            skip.value if skip is not None else "",
            waiver.value if waiver is not None else "",
        )
        return self._cell(cells, outcome, refuses=decision.refuse or waiver is not None)

    def _cell(self, cells: dict[Outcome, Cell], outcome: Outcome, *, refuses: bool) -> Cell:
        cell = cells.get(outcome)
        if cell is None:
            cell = cells[outcome] = Cell(outcome, self.refusals if refuses else None)
        return cell
