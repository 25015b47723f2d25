"""`print-completion`: completion of this command line for a shell.

For bash, put it into /usr/share/bash-completion/completions/smmapd-gateway or
source it; for zsh, into a file _smmapd-gateway in a folder of $fpath.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from gateway.cli import output
from gateway.cli.completion import bash, zsh

if TYPE_CHECKING:
    import argparse

SHELLS = {"bash": bash, "zsh": zsh}


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """The subcommand's arguments."""
    parser = commands.add_parser(
        "print-completion", help="print completion for a shell", description=__doc__
    )
    parser.add_argument("shell", metavar="SHELL", choices=SHELLS, help=", ".join(SHELLS))
    parser.set_defaults(run=run)
    return parser


def run(options: argparse.Namespace) -> int:
    """Print the script."""
    output.emit(SHELLS[options.shell](options.top))
    return os.EX_OK
