"""Completion for shells: scripts that shtab has made of the command line's parser.

They are made while the program is built and lie beside this file, so that neither
`print-completion` nor the package needs shtab; a test tells when they are old.
`python contrib/completion.py gateway/cli/completion` makes them again.
"""

from __future__ import annotations

from importlib import resources

# By shell: the file, named as the shell's own folder wants it.
FILES = {"bash": "smmapd-gateway", "zsh": "_smmapd-gateway"}


def script(shell: str) -> str:
    """The script for `shell`, one of FILES."""
    return resources.files(__name__).joinpath(FILES[shell]).read_text(encoding="utf-8")
