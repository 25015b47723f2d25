"""Makes the completion for shells with shtab: `python contrib/completion.py FOLDER`.

FOLDER is gateway/cli/completion, where the program reads it.  What a value may be is seen
from its choices and its metavar.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator

import shtab

from gateway.cli.main import parser
from gateway.cli.print_completion import FILES

_BY_METAVAR = {
    "FILE": shtab.FILE,
    "MAILLOG": shtab.FILE,
    "DIR": shtab.DIRECTORY,
}


def made(shell: str) -> str:
    """The script for `shell`, one of FILES."""
    top = parser()
    for each in _with_commands(top):
        for action in each._actions:
            values = _BY_METAVAR.get(str(action.metavar))
            if values is not None and action.nargs != 0:
                action.complete = values  # type: ignore[attr-defined]
    return shtab.complete(top, shell) + "\n"


def _with_commands(top: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """The parser, and those of its commands, each described by its one line."""
    yield top
    for action in top._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {each.dest: each.help for each in action._choices_actions}
            for name, command in action.choices.items():
                command.description = helps.get(name)
                yield command


def main(folder: str) -> int:
    """Write every script."""
    for shell, name in FILES.items():
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(made(shell))
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
