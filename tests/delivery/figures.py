"""Figures of many trials: how often what was said and what happened, and what differs, by kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from tests.delivery.reasons import BLOCKED, reason
from tests.delivery.trial import Row, Trial

# Of each kind, so many recipients are shown.
_SHOWN = 3
# Both outcomes, our words and lmtpd's, and the reason or "".
_Kind = tuple[str, str, str, str, str]


class Figures:
    """The sum of trials."""

    def __init__(self) -> None:
        self.stores = 0
        self.recipients = 0
        self.deaths = 0
        self.smmapds: list[str] = []
        self.counts: Counter[tuple[str, str, str]] = Counter()
        self.kinds: Counter[_Kind] = Counter()
        self._examples: dict[_Kind, list[str]] = {}

    def add(self, trial: Trial) -> None:
        """Count one more trial in."""
        self.stores += 1
        self.recipients += trial.recipients
        self.deaths += trial.deaths
        self.counts += trial.counts
        self.smmapds += [line for line in trial.told() if " smmapd: " in line]
        for row in trial.differing:
            kind = kind_of(row, reason(trial, row))
            self.kinds[kind] += 1
            shown = self._examples.setdefault(kind, [])
            if len(shown) < _SHOWN:
                shown.append(f"seed {trial.seed} {row.front_end} {row.recipient!r} ({trial.site})")

    @property
    def refused_though_delivered(self) -> int:
        """Answers "never" about recipients whose mail was delivered, but for blocked users."""
        return sum(
            count
            for (said, happened, *_, why), count in self.kinds.items()
            if (said, happened) == ("refused", "delivered") and why != BLOCKED
        )

    @property
    def unexplained(self) -> int:
        """Differences without a reason."""
        return sum(count for kind, count in self.kinds.items() if not kind[-1])

    def lines(self) -> Iterator[str]:
        """Everything, for people."""
        yield (
            f"{self.recipients} recipients of {self.stores} stores; lmtpd died {self.deaths} times"
        )
        for (front_end, said, happened), count in sorted(self.counts.items()):
            yield f"  {front_end:10} {said:9} {happened:10} {count}"
        yield f"smmapd and the C program: {len(self.smmapds)} differences"
        yield from (f"    {line}" for line in self.smmapds[:_SHOWN])
        for kind, count in self.kinds.most_common():
            said, happened, ours, theirs, why = kind
            yield (
                f"{said} but {happened}: {count} times; we said {ours!r}, lmtpd {theirs!r}:"
                f" {why or 'UNEXPLAINED'}"
            )
            yield from (f"    {example}" for example in self._examples[kind])


def kind_of(row: Row, why: str | None) -> _Kind:
    """What a difference is called; lmtpd's words are without its session."""
    theirs = row.truth.last.partition(b" SESSIONID")[0]
    ours = b"OK" if row.answer.outcome == "accepted" else row.answer.said
    return (*row.kind, ours.decode("latin-1")[:60], theirs.decode("latin-1")[:60], why or "")
