"""Writes the archive of compiled modules that smmapd's start reads (smmapd/archive.py).

    python3 -I contrib/writearchive.py FOLDER

FOLDER holds our packages.  What installs the program runs this once, with the Python that is to
run smmapd, as it has Python's compiled files written; where nobody does, smmapd starts without,
a millisecond later.

Limits: a source that was changed a moment ago is left out, since it may change once more without
showing it.
"""

from __future__ import annotations

import contextlib
import importlib
import marshal
import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType

# What smmapd/main.py loads where it is needed: the ways to serve that answer before anything
# else is loaded, and the formats that Cyrus has by default.
START = (
    "smmapd.main",
    "smmapd.master",
    "smmapd.stdio",
    "smmapd.syslog",
    "smmapd.waitingclients",
    "gateway.cyrus.db.quotalegacy",
    "gateway.cyrus.db.twoskip.twoskip",
    "gateway.cyrus.imapdconf",
    "gateway.cyrus.store",
    "gateway.verification.verifier",
)

# Whose modules are written: ours, and the one of Python's own that each of ours imports. What else
# ours import is part of the interpreter.
_WRITTEN = ("gateway", "smmapd", "__future__")

# Loaded before the archive is.
_NOT_WRITTEN = ("smmapd", "smmapd.archive")

# Nanoseconds: more than between two ticks of any file system's clock.
RECENT = 2_000_000_000


def main(root: str) -> int:
    """Write that of the packages in the folder `root`; the exit code."""
    sys.path.insert(0, root)
    from smmapd.archive import MAGIC, PATH  # noqa: PLC0415  (those of `root`)

    for name in START:
        importlib.import_module(name)
    found = {}
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in _WRITTEN and name not in _NOT_WRITTEN:
            assert module.__file__ is not None
            entry = compiled(module.__file__, root, package=hasattr(module, "__path__"))
            if entry is not None:
                found[name] = entry
    _write(PATH, MAGIC + marshal.dumps(found))
    return os.EX_OK


def compiled(path: str, root: str, *, package: bool) -> tuple[str, int, int, bool, CodeType] | None:
    """What archive.py has of the source at `path`; None where that has just changed.

    Raises OSError where it cannot be read, and SyntaxError.
    """
    with open(path, "rb") as file:
        status = os.fstat(file.fileno())
        source = file.read()
    if status.st_mtime_ns > time.time_ns() - RECENT or len(source) != status.st_size:
        return None
    below = os.path.relpath(path, root) if path.startswith(f"{root}/") else path
    code = compile(source, path, "exec", dont_inherit=True, optimize=0)
    return below, status.st_size, status.st_mtime_ns, package, code


def _write(path: str, data: bytes) -> None:
    """The whole of it or nothing: a start may read it meanwhile."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    temporary = f"{path}.{os.getpid()}"
    try:
        with open(temporary, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
    except OSError:  # no room, as a rule: less of it is of no use
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


if __name__ == "__main__":
    sys.exit(main(os.path.abspath(sys.argv[1])))
