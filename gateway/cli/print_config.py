"""`print-config`: what another program's configuration needs to use our sockets.

`settings` prints our own settings that are in force, and where each was set; `example` is
a gateway.toml of every setting with its default, and needs no configuration.
Prints to standard output and changes nothing.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from gateway.cli import output
from gateway.cli.common import settings_of
from gateway.cli.snippets import SNIPPETS

if TYPE_CHECKING:
    import argparse

# What a configuration begins with.
EXAMPLE = "example"
_PROGRAMS = (*SNIPPETS, EXAMPLE)


def add(parser: argparse.ArgumentParser) -> None:
    """The subcommand's arguments."""
    parser.description = __doc__
    parser.add_argument("program", metavar="PROGRAM", choices=_PROGRAMS, help=", ".join(_PROGRAMS))
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the piece."""
    if options.program == EXAMPLE:
        from gateway.config import reference  # noqa: PLC0415  (only here)

        output.emit(reference.example().rstrip("\n"))
        return os.EX_OK
    output.emit(SNIPPETS[options.program](settings_of(options)))
    return os.EX_OK
