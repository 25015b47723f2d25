"""`print-completion`: completion of this command line for a shell.

For bash, put it into /usr/share/bash-completion/completions/smmapd-gateway or
source it; for zsh, into a file _smmapd-gateway in a folder of $fpath.
"""

from __future__ import annotations

import os
from importlib import resources
from typing import TYPE_CHECKING

from gateway.cli import completion, output

if TYPE_CHECKING:
    import argparse

# By shell: the file, named as the shell's own folder wants it.
FILES = {"bash": "smmapd-gateway", "zsh": "_smmapd-gateway"}


def add(parser: argparse.ArgumentParser) -> None:
    """The subcommand's arguments."""
    parser.description = __doc__
    parser.add_argument("shell", metavar="SHELL", choices=tuple(FILES), help=", ".join(FILES))
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the script."""
    output.emit(script(options.shell).rstrip("\n"))
    return os.EX_OK


def script(shell: str) -> str:
    """The script for `shell`, one of FILES."""
    return resources.files(completion).joinpath(FILES[shell]).read_text(encoding="utf-8")
