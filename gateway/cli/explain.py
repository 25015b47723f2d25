"""`explain`: what happens to one recipient, and why.

Prints every step of the engine with the file, the record and the numbers that
it saw, the verdict, and for each front end whether it judges the recipient
and exactly what it replies.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from gateway.cli import output
from gateway.cli.colour import Palette, Style
from gateway.cli.common import add_mail, engine_of, inquiry, settings_of
from gateway.explain.explainer import Explainer
from gateway.explain.explanation import AUTHORITIES

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from gateway.explain.explanation import Explanation, FrontEndAnswer

_OFF = "off: it listens nowhere"


def add(parser: argparse.ArgumentParser) -> None:
    """The subcommand's arguments."""
    parser.description = __doc__
    parser.add_argument("recipient", metavar="RECIPIENT", help="the address, in brackets or not")
    add_mail(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Explain; the exit code is 0 whatever the verdict."""
    asked = inquiry(options, options.recipient)
    settings = settings_of(options)
    explainer = Explainer(settings, engine_of(settings))
    explanation = explainer.explain(asked)
    if options.json:
        output.emit(output.json_line(explanation.as_json()))
        return os.EX_OK
    rows = _rows(explanation, Palette(options.color), checks_size=explainer.checks_size)
    for line in output.columns(rows):
        output.emit(line)
    return os.EX_OK


def _rows(
    explanation: Explanation, palette: Palette, *, checks_size: bool
) -> Iterator[tuple[str, str, str]]:
    """Three columns: the step, a label, a text; an empty row between two steps."""
    if explanation.problem is not None:
        yield "address", "problem", explanation.problem
        yield "", "", ""
    for title, rows in explanation.sections:
        for index, (label, text) in enumerate(rows):
            yield "" if index else palette.paint(title, Style.HEADING), label, text
        if title == "size" and not checks_size:
            yield "", "note", "size_check is off: policy and milter do not look at it"
        yield "", "", ""
    verdict = explanation.verdict
    yield (
        palette.paint("verdict", Style.HEADING),
        "kind",
        palette.verdict(verdict.kind.name, verdict.kind),
    )
    if verdict.reason:
        yield "", "reason", output.show(verdict.reason)
    yield "", "later", "may change by itself" if verdict.kind.temporary else "final"
    for answer in explanation.front_ends:
        yield "", "", ""
        yield from _front_end(answer, explanation.answers, palette)


def _front_end(
    answer: FrontEndAnswer, authority: str, palette: Palette
) -> Iterator[tuple[str, str, str]]:
    yield palette.paint(answer.name, Style.HEADING), "listens", ", ".join(answer.listen) or _OFF
    if answer.listen:
        yield "", "mode", answer.mode
    if answer.answers != authority:
        yield "", "answers", AUTHORITIES[answer.answers]
    yield "", "scope", answer.scope
    if answer.verdict:
        yield "", "verdict", answer.verdict
    yield "", "reply" if answer.listen else "would say", output.show(answer.reply)
    if answer.withheld:
        yield "", "withheld", f"{output.show(answer.withheld)} ({answer.waiver})"
