"""`replay`: judge the recipients of a mail log again, the rehearsal before enforcing.

Reads logs of Postfix or Sendmail (plain, gzip, xz, bzip2 or zstd), takes every
recipient with what happened to it, judges each one now as the policy front end
would, and shows which would have been refused, accepted or answered
differently.  The mode `observe` is ignored.  Lines that are not understood,
and those of other programs, are counted and skipped; the first one that is not
understood is shown.

Only recipients in [scope] are judged, as the policy front end would: with `postfix` there,
Postfix' own domains and tables count.  If [scope] says nothing of domains, every recipient of
the log is judged, outbound ones too; --domain then says which are ours.
"""

from __future__ import annotations

import dataclasses
import os
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from gateway.cli import output
from gateway.cli.common import engine_of, settings_of
from gateway.cli.failures import InputError
from gateway.cli.logfiles import ReadLines, attempts, total_size
from gateway.cli.maillog import Outcome
from gateway.cli.progress import Progress
from gateway.cli.rehearsal import Rehearsal, report, report_json, strange_line
from gateway.config.choices import Mode
from gateway.frontends.policy_frontend import FRONT_END as POLICY
from gateway.frontends.scope import Scope
from gateway.wiring.judges import make_judge, make_replies

if TYPE_CHECKING:
    import argparse

    from gateway.config import Settings
    from gateway.frontends.judge import Judge


def add(parser: argparse.ArgumentParser) -> None:
    """The subcommand's arguments."""
    parser.description = __doc__
    parser.add_argument(
        "logs", metavar="MAILLOG", nargs="+", help="a log, compressed or not; - is standard input"
    )
    parser.add_argument(
        "--domain",
        metavar="DOMAIN",
        action="append",
        default=[],
        help="judge recipients of this domain instead of those in [scope]; may be repeated",
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="print one JSON object a recipient, and one with the counts at the end",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Replay; the exit code tells whether every log could be read."""
    settings = settings_of(options)
    rehearsal = Rehearsal(
        _judge(settings, options.domain), make_replies(settings), engine_of(settings)
    )
    read_lines = ReadLines()
    log, read, code = _read(options.logs, read_lines)
    if not log:
        # A table of nothing would look like a result.
        if read:
            raise InputError(", ".join(read), _nobody(read_lines), code or os.EX_DATAERR)
        return code
    results = []
    with Progress("judging", len(log), "recipients") as progress:
        for recipient, outcomes in log.items():
            results.append(rehearsal.judge(recipient, outcomes))
            progress.advance()
    for line in (report_json if options.json else report)(results, read_lines):
        output.emit(line)
    return code


def _nobody(read_lines: ReadLines) -> str:
    """Why a log tells of no recipient, as far as its lines tell."""
    if not read_lines.lines:
        return "is empty"
    said = f"none of {output.plural(read_lines.lines, 'line')} is about a recipient"
    if read_lines.strange is not None:
        return f"{said}; {strange_line(read_lines.strange)}"
    return f"{said}: all are of other programs, or of no delivery of Postfix or Sendmail"


def _judge(settings: Settings, domains: list[str]) -> Judge | None:
    """What decides who is judged; None where everybody is."""
    scope = settings.scope
    if domains:
        scope = dataclasses.replace(scope, domains=tuple(domains), domain_files=())
        Scope(scope.rules())  # a wrong domain is told by its own name
        settings = dataclasses.replace(settings, scope=scope)
    if scope.domains or scope.domain_files or scope.postfix:
        # A log tells what a policy service hears: no mailers.
        enforcing = dataclasses.replace(settings.policy, mode=Mode.ENFORCE)
        settings = dataclasses.replace(settings, policy=enforcing)
        return make_judge(settings, POLICY, answers=settings.general.answers)
    output.message(
        "[scope] says nothing of domains, so every recipient is judged, outbound ones too; "
        "say with --domain which are ours"
    )
    return None


def _read(
    paths: list[str], read_lines: ReadLines
) -> tuple[dict[bytes, Counter[Outcome]], list[str], int]:
    """Each recipient with its outcomes, the logs that could be read, and the exit code."""
    found: defaultdict[bytes, Counter[Outcome]] = defaultdict(Counter)
    read = []
    code = os.EX_OK
    with Progress("reading", total_size(paths), "bytes") as progress:
        for path in paths:
            try:
                for attempt in attempts(path, read_lines, progress):
                    found[attempt.recipient][attempt.outcome] += 1
                read.append(path)
            except InputError as error:
                progress.clear()
                output.message(str(error))
                code = error.code
    return dict(found), read, code
