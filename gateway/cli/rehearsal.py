"""What the gateway would have said to the recipients of a log, beside what happened to them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.cli import output
from gateway.cli.logheads import EXPECTED
from gateway.cli.maillog import Outcome, Skipped
from gateway.frontends.judge import Question, unscoped
from gateway.protocols.address import parse_bare

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from gateway.cli.logfiles import ReadLines, Strange
    from gateway.frontends.judge import Judge
    from gateway.frontends.replies import ReplyTable
    from gateway.verification.decider import Engine

NOT_JUDGED = "not judged"
# The columns of the table: what would happen now.
NOW = (Outcome.ACCEPTED.value, Outcome.REFUSED.value, Outcome.DEFERRED.value, NOT_JUDGED)

# Which difference is told under which heading: outcome in the log, outcome now.
_A, _R, _D = Outcome.ACCEPTED, Outcome.REFUSED, Outcome.DEFERRED
HEADINGS: tuple[tuple[str, tuple[tuple[Outcome, Outcome], ...]], ...] = (
    ("Accepted then, would be refused", ((_A, _R),)),
    ("Accepted then, would be deferred", ((_A, _D),)),
    ("Refused or deferred then, would be accepted", ((_R, _A), (_D, _A))),
    ("Answered differently", ((_R, _D), (_D, _R))),
)


@dataclass(frozen=True, slots=True)
class Result:
    """One recipient: what happened how often, and what would happen now.

    `now` is one of NOW, `verdict` the engine's or why there is none, `reply`
    the SMTP reply of a refusal.
    """

    recipient: bytes
    log: Mapping[Outcome, int]
    now: str
    verdict: str
    reply: str


class Rehearsal:
    """Judges recipients now.

    `judge` decides who is ours and what is said; where it is None everybody
    is judged, and `replies` says what a verdict becomes.
    """

    def __init__(self, judge: Judge | None, replies: ReplyTable, verifier: Engine) -> None:
        self._judge = judge
        self._replies = replies
        self._verifier = verifier

    def judge(self, recipient: bytes, log: Mapping[Outcome, int]) -> Result:
        """One recipient beside its past; may wait for a backend."""
        parsed = parse_bare(recipient)
        if self._judge is not None:
            decision = self._judge.judge(Question(parsed), self._verifier)
            if decision.skip is not None or decision.verdict is None:
                why = decision.skip.value if decision.skip is not None else ""
                return Result(recipient, log, NOT_JUDGED, why, "")
            verdict, reply = decision.verdict, decision.reply
        else:
            verdict = unscoped(parsed, self._verifier)
            reply = self._replies.smtp(verdict, recipient)
        if reply is None:
            return Result(recipient, log, Outcome.ACCEPTED.value, verdict.kind.name, "")
        now = Outcome.DEFERRED if reply.temporary else Outcome.REFUSED
        return Result(recipient, log, now.value, verdict.kind.name, reply.line())


def report(results: Sequence[Result], read_lines: ReadLines) -> Iterator[str]:
    """The table of counts, and the recipients that would be answered differently."""
    counts = _counts(results)
    shown = [["in the log", *(f"now {now}" for now in NOW)]]
    shown += [
        [outcome.value, *(output.grouped(counts[outcome, now]) for now in NOW)]
        for outcome in Outcome
    ]
    # The last column is not padded otherwise, and numbers stand to the right.
    yield from output.columns(shown, right=frozenset(range(1, len(NOW) + 1)))
    yield ""
    yield f"{output.plural(len(results), 'recipient')} {_lines(read_lines)}"
    rows = counts.total()
    if rows > len(results):
        yield (
            f"the table adds up to {output.grouped(rows)}: a recipient is counted once in the row "
            "of each outcome that it had"
        )
    if read_lines.strange is not None:
        yield strange_line(read_lines.strange)
    for heading, pairs in HEADINGS:
        differing = sorted(_differing(results, pairs))
        if differing:
            yield ""
            yield f"{heading}: {output.plural(len(differing), 'recipient')}"
            yield from (f"  {line}" for line in output.columns(differing))


def report_json(results: Iterable[Result], read_lines: ReadLines) -> Iterator[str]:
    """One object a recipient, then one with the counts."""
    results = list(results)
    for result in results:
        yield output.json_line(
            {
                "recipient": output.text(result.recipient),
                "log": {outcome.value: number for outcome, number in result.log.items()},
                "now": result.now,
                "verdict": result.verdict,
                "reply": result.reply or None,
            }
        )
    counts = _counts(results)
    yield output.json_line(
        {
            "counts": {
                outcome.value: {now: counts[outcome, now] for now in NOW} for outcome in Outcome
            },
            "lines": read_lines.lines,
            "first_not_understood": _strange_json(read_lines.strange),
            "skipped": {why.value: read_lines.skipped[why] for why in Skipped},
        }
    )


def strange_line(strange: Strange) -> str:
    """The first line that was not understood, and what was expected."""
    return (
        f"not understood first: {strange.path}, line {strange.number}: "
        f'"{output.show(strange.line)}"; expected is {EXPECTED}'
    )


def _strange_json(strange: Strange | None) -> dict[str, object] | None:
    if strange is None:
        return None
    return {"file": strange.path, "line": strange.number, "text": output.text(strange.line)}


def _counts(results: Iterable[Result]) -> Counter[tuple[Outcome, str]]:
    """How many recipients there are of each outcome, then and now."""
    return Counter((outcome, result.now) for result in results for outcome in result.log)


def _differing(
    results: Iterable[Result], pairs: tuple[tuple[Outcome, Outcome], ...]
) -> Iterator[tuple[str, str, str]]:
    for result in results:
        for outcome, number in result.log.items():
            if any(outcome is then and result.now == now.value for then, now in pairs):
                said = f"{result.verdict}: {result.reply}" if result.reply else result.verdict
                yield (
                    output.show(result.recipient),
                    f"{outcome.value} {output.plural(number, 'time')}",
                    f"now {said}",
                )


def _lines(read_lines: ReadLines) -> str:
    skipped = read_lines.skipped
    return (
        f"in {output.plural(read_lines.lines, 'line')}; skipped: "
        f"{output.grouped(skipped[Skipped.OTHER])} {Skipped.OTHER.value}, "
        f"{output.grouped(skipped[Skipped.BROKEN])} {Skipped.BROKEN.value}"
    )
