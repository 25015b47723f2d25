"""Where our own programs are, for the tools that start them."""

from __future__ import annotations

import os
import shutil
import sys


def program(name: str) -> str:
    """The path of one of our programs: beside the interpreter, in PATH, else the usual one."""
    beside = os.path.join(os.path.dirname(os.path.abspath(sys.executable)), name)
    if os.access(beside, os.X_OK):
        return beside
    return shutil.which(name) or f"/usr/bin/{name}"
