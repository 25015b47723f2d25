"""The table that must be reached, as data, and how a row is computed from the samples."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.bench.measures import Sample
from tests.bench.scenarios import (
    FIRST_ANSWERS,
    MILTER_CONNECTIONS,
    WITNESSED,
    control_label,
    first_answers_label,
)

# By scenario and label: the samples of each round, None where the round gave none.
Results = Mapping[str, Mapping[str, Sequence[Sample | None]]]

# A row whose control is further from 1 than this tells less than it seems to.
NOISE = 0.1


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of one entrant of a scenario."""

    scenario: str
    label: str
    name: str

    def values(self, results: Results) -> list[float | None]:
        """Its value in each round; empty if the entrant was not measured."""
        samples = results.get(self.scenario, {}).get(self.label, ())
        return [None if sample is None else sample.get(self.name) for sample in samples]

    @property
    def control(self) -> Figure:
        """The same number of the entrant's control."""
        return Figure(self.scenario, control_label(self.label), self.name)


@dataclass(frozen=True, slots=True)
class Row:
    """`over` divided by `under` (or `over` itself) is at least, or at most, `target`."""

    what: str
    over: Figure
    under: Figure | None
    target: float
    at_least: bool = True
    unit: str = "times"


@dataclass(frozen=True, slots=True)
class Outcome:
    """A row's value: the median of the rounds' ratios, their range, and the two medians.

    `control` is that of the server of `over` against itself, started a second time; None
    where that was not measured.
    """

    row: Row
    value: float
    lowest: float
    highest: float
    over: float
    under: float | None
    control: float | None = None

    @property
    def noisy(self) -> bool:
        """Is the control further from 1 than `NOISE`?"""
        return self.control is not None and abs(self.control - 1) > NOISE

    @property
    def reached(self) -> bool:
        """Is the target met?"""
        if self.row.at_least:
            return self.value >= self.row.target
        return self.value <= self.row.target


def outcome(row: Row, results: Results) -> Outcome | None:
    """The row's outcome, or None where a part of it was not measured.

    Both sides of a ratio come from the same round, so that a machine that is
    slower for a while does not favour one.
    """
    over = row.over.values(results)
    if row.under is None:
        values = [value for value in over if value is not None]
        pairs = [(value, 1.0) for value in values]
    else:
        pairs = _pairs(over, row.under.values(results))
    if not pairs:
        return None
    ratios = [a / b for a, b in pairs]
    return Outcome(
        row,
        statistics.median(ratios),
        min(ratios),
        max(ratios),
        statistics.median(a for a, _ in pairs),
        statistics.median(b for _, b in pairs) if row.under is not None else None,
        _median_ratio(row.over.control.values(results), over),
    )


def _pairs(
    over: Sequence[float | None], under: Sequence[float | None]
) -> list[tuple[float, float]]:
    """Both sides of each round that has both."""
    both = zip(over, under, strict=False)
    return [(a, b) for a, b in both if a is not None and b]


def _median_ratio(over: Sequence[float | None], under: Sequence[float | None]) -> float | None:
    """The median of the rounds' ratios, or None where no round has both sides."""
    pairs = _pairs(over, under)
    return statistics.median(a / b for a, b in pairs) if pairs else None


def _against(scenario: str, name: str, what: str, target: float, *, at_least: bool = True) -> Row:
    """Ours under master against the C daemon under master."""
    return Row(what, Figure(scenario, "ours", name), Figure(scenario, "c", name), target, at_least)


# Scenarios of a process that has just started.
NEW_PROCESS = (
    ("new-process", "its first second"),
    ("new-process-everybody", "everybody asked once"),
)

ROWS: tuple[Row, ...] = (
    _against(
        "existing-100k",
        "requests_per_s",
        "50 connections, existing recipients with quota roots, 100 000 mailboxes: requests/s",
        5,
    ),
    _against("existing-1m", "requests_per_s", "the same with 1 000 000 mailboxes", 6),
    _against(
        "unknown-100k",
        "requests_per_s",
        "50 connections, unknown recipients that never repeat, 100 000 mailboxes: requests/s",
        2,
    ),
    _against("unknown-1m", "requests_per_s", "the same with 1 000 000 mailboxes", 2),
    _against("existing-100k", "p99_us", "p99 latency at 50 connections", 0.2, at_least=False),
    _against(
        "open-500",
        "anonymous_mib",
        "summed anonymous PSS with 500 connections, under master",
        0.05,
        at_least=False,
    ),
    _against(
        "open-500",
        "setup_s",
        "500 connections opened and each answered once: time",
        0.2,
        at_least=False,
    ),
    _against("stdin", "ms", "standard input, exec to first answer: time", 1.0, at_least=False),
    Row(
        "standard input, exec to first answer, against Python with nothing to do: time",
        Figure("stdin", "ours", "ms"),
        Figure("stdin", "python", "ms"),
        1.3,
        at_least=False,
    ),
    _against("cold", "ms", "under master, cold process to first answer: time", 2.5, at_least=False),
    Row(
        "under master, cold process to first answer, against Python with nothing to do: time",
        Figure("cold", "ours", "ms"),
        Figure("cold", "python", "ms"),
        2,
        at_least=False,
    ),
    *(
        Row(
            f'a recipient asked for the first time, 1 000 000 mailboxes, answers = "{answers}",'
            f" {'with the index of keys' if index else 'without an index'}: CPU",
            Figure("first-answers", first_answers_label(answers, index), "cpu_us"),
            None,
            25 if index else 50,
            at_least=False,
            unit="us",
        )
        for answers, index in FIRST_ANSWERS
    ),
    *(
        _against(
            scenario,
            "requests_per_s",
            f"a new process at 1 000 000 mailboxes, {when}: requests/s",
            1.5,
        )
        for scenario, when in NEW_PROCESS
    ),
    *(
        _against(
            scenario,
            "p999_us",
            f"a new process at 1 000 000 mailboxes, {when}: p99.9",
            1,
            at_least=False,
        )
        for scenario, when in NEW_PROCESS
    ),
    Row(
        "everybody asked once, 1 000 000 mailboxes: the longest that one waits for our own work, CPU",
        Figure("waiting", "engine", "longest_ms"),
        None,
        5,
        at_least=False,
        unit="ms",
    ),
    Row(
        "CPU per request, repeated recipients, against the C echo server",
        Figure("repeated", "ours", "cpu_us"),
        Figure("repeated", "echo", "cpu_us"),
        2,
        at_least=False,
    ),
    Row(
        "CPU per look-up (unknown recipients), 1 000 000 against 1 000 mailboxes",
        Figure("sizes", "ours-unknown-1000000", "cpu_us"),
        Figure("sizes", "ours-unknown-1000", "cpu_us"),
        1.5,
        at_least=False,
    ),
    Row(
        "policy front end against the socketmap front end: requests/s",
        Figure("policy", "policy", "requests_per_s"),
        Figure("policy", "socketmap", "requests_per_s"),
        0.6,
    ),
    Row(
        "policy front end against Dovecot's quota-status: requests/s",
        Figure("policy", "policy", "requests_per_s"),
        Figure("policy", "quota-status", "requests_per_s"),
        40,
    ),
    Row(
        "socketmap front end against postfix-mta-sts-resolver with uvloop: requests/s",
        Figure("resolver", "gateway", "requests_per_s"),
        Figure("resolver", "resolver", "requests_per_s"),
        1.5,
    ),
    Row(
        "mailboxes on another gateway, remembered answers, against local ones: requests/s",
        Figure("remote", "remembered", "requests_per_s"),
        Figure("remote", "local", "requests_per_s"),
        0.8,
    ),
    Row(
        "mailboxes on another gateway, answers that are not remembered: CPU a request",
        Figure("remote", "cold", "cpu_us"),
        None,
        200,
        at_least=False,
        unit="us",
    ),
    Row(
        "500 connections against 50: requests/s",
        Figure("connections", "ours-500", "requests_per_s"),
        Figure("connections", "ours-50", "requests_per_s"),
        0.9,
    ),
    *(
        Row(
            f"milter on pymilter against a bare pymilter that always continues, {connections} busy:"
            " RCPT/s",
            Figure("milter", f"milter, {connections}", "requests_per_s"),
            Figure("milter", f"bare-milter, {connections}", "requests_per_s"),
            0.7,
        )
        for connections in MILTER_CONNECTIONS
    ),
    Row(
        "milter with the builtin codec against the same, 20 busy: RCPT/s",
        Figure("milter", "milter-builtin, 20", "requests_per_s"),
        Figure("milter", "bare-milter, 20", "requests_per_s"),
        0.9,
    ),
    *(
        Row(
            f"milter with the builtin codec, p99 of a witness beside {beside} connections: times"
            " that alone",
            Figure("milter-witness", f"milter-builtin, {beside}", "p99_us"),
            Figure("milter-witness", "milter-builtin, alone", "p99_us"),
            2,
            at_least=False,
        )
        for beside, _, _ in WITNESSED[1:]
    ),
    Row(
        "16 requests pipelined on each of 50 connections against 1: requests/s",
        Figure("repeated", "ours-pipelined", "requests_per_s"),
        Figure("repeated", "ours", "requests_per_s"),
        3,
    ),
    Row(
        "anonymous memory of the gateway, 1 000 000 mailboxes, every user asked once",
        Figure("everybody-once", "gateway", "anonymous_mib"),
        None,
        200,
        at_least=False,
        unit="MiB",
    ),
)
