"""`check`: the verdict on each of many recipients, for scripts.

Prints one line a recipient: the recipient, the verdict and the reason,
separated by tabs; control characters are written as escapes.  The engine is
asked as socketmap asks it: [scope] and `mode` play no part.  The exit code is 0
if all recipients are deliverable, 75 if any of them cannot get mail now but perhaps
later, whatever the others get, and otherwise 1: some are refused permanently.
On a terminal a bar on standard error shows the progress through a long list.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import IO, TYPE_CHECKING

from gateway.cli import output
from gateway.cli.colour import Palette
from gateway.cli.common import STANDARD_INPUT, engine_of, settings_of
from gateway.cli.failures import SOME_NOT, ArgumentsError, InputError
from gateway.cli.progress import Progress
from gateway.frontends.judge import unscoped
from gateway.protocols.address import bare, parse_bare

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from gateway.verification.model import Verdict

# Bytes of a line of a list; no address is longer (gateway.protocols.address).
_MAX_LINE = 4096


def add(parser: argparse.ArgumentParser) -> None:
    """The subcommand's arguments."""
    parser.description = __doc__
    parser.add_argument(
        "recipients",
        metavar="RECIPIENT",
        nargs="*",
        help="an address; - reads them from standard input",
    )
    parser.add_argument(
        "-f",
        "--file",
        metavar="FILE",
        action="append",
        default=[],
        help="a file with one address a line; empty lines and lines that begin with # are skipped",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Judge all; the exit code says the worst."""
    if not options.recipients and not options.file:
        raise ArgumentsError(
            "check: name recipients, or a file of them with -f, or - for standard input"
        )
    engine = engine_of(settings_of(options))
    palette = Palette(options.color)
    code = os.EX_OK
    total = _total(options.recipients, options.file)
    with Progress("judging", total, "recipients") as progress:
        for recipient in _recipients(options.recipients, options.file):
            verdict = unscoped(parse_bare(recipient), engine)
            progress.advance()
            progress.make_room()
            output.emit(
                _json(recipient, verdict) if options.json else _line(recipient, verdict, palette)
            )
            if verdict.kind.temporary:
                code = os.EX_TEMPFAIL
            elif not verdict.kind.accepts and code == os.EX_OK:
                code = SOME_NOT
    return code


def _line(recipient: bytes, verdict: Verdict, palette: Palette) -> str:
    kind = palette.verdict(verdict.kind.name, verdict.kind)
    return "\t".join((output.field(recipient), kind, output.field(verdict.reason)))


def _json(recipient: bytes, verdict: Verdict) -> str:
    return output.json_line(
        {
            "recipient": output.text(recipient),
            "verdict": verdict.kind.name,
            "temporary": verdict.kind.temporary,
            "reason": output.text(verdict.reason),
        }
    )


def _total(named: list[str], files: list[str]) -> int | None:
    """How many recipients there are; None where that is not known before they are read."""
    if STANDARD_INPUT in named or not all(map(os.path.isfile, files)):
        return None
    total = len(named)
    for path in files:
        with suppress(OSError, InputError), open(path, "rb") as file:  # told when it is read
            total += sum(1 for _ in _lines(file, path))
    return total


def _recipients(named: list[str], files: list[str]) -> Iterator[bytes]:
    for argument in named:
        if argument == STANDARD_INPUT:
            yield from _lines(sys.stdin.buffer, "standard input")
        else:
            yield bare(os.fsencode(argument))
    for path in files:
        if path == STANDARD_INPUT:
            yield from _lines(sys.stdin.buffer, "standard input")
            continue
        try:
            with open(path, "rb") as file:
                yield from _lines(file, path)
        except OSError as error:
            raise InputError(path, f"cannot be read: {os.strerror(error.errno or 0)}") from None


def _lines(file: IO[bytes], name: str) -> Iterator[bytes]:
    number = 0
    while line := file.readline(_MAX_LINE + 1):
        number += 1
        if len(line) > _MAX_LINE:
            problem = f"line {number} has more than {_MAX_LINE} bytes; write one address a line"
            raise InputError(name, problem, os.EX_DATAERR)
        address = bare(line)
        if address and not line.startswith(b"#"):
            yield address
