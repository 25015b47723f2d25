"""Writes the routers of contrib/exim again, below its comment: `python contrib/routers.py FILE`.

They are made from the table of replies (gateway/frontends/socketmap_snippets.py), as
`smmapd-gateway print-config exim` prints them.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from gateway.frontends.socketmap_snippets import ROUTERS


def made(text: str) -> str:
    """The file's comment and the routers."""
    comment, _, _ = text.partition("\n\n")
    return f"{comment}\n{ROUTERS}"


def main(path: str) -> int:
    """Write the file."""
    file = Path(path)
    file.write_text(made(file.read_text(encoding="utf-8")), encoding="utf-8")
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
