"""`smmapd-gateway` and its subcommands.

Standard input, output and error are something before any other module is loaded.
Where one is closed, it gets /dev/null: the next file would have its number
otherwise, and be written to.  A client's socket is such a file, and so is
libffi's own library, which it keeps open from when ctypes is loaded (3.5).
"""

from __future__ import annotations

import os

_STANDARD_ERROR = 2


def _occupy_standard_descriptors() -> None:
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _STANDARD_ERROR:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


_occupy_standard_descriptors()
