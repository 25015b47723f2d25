"""Files in memory without a name (memfd_create(2)): the one function that makes them.

Nothing is ever run from one, and each says so (MFD_NOEXEC_SEAL).  Where the system takes no other
(sysctl vm.memfd_noexec=2), Linux 6.3 to 6.5 refuse what says nothing; earlier kernels do not know
the flag, and are asked without it.

Raises OSError, which has the system call's name as its file: a sandbox may refuse it.
"""

from __future__ import annotations

import errno
import os

# linux/memfd.h; Python 3.11 does not name it.
_NOEXEC_SEAL = 0x0008

CALL = "memfd_create"


def create(name: str) -> int:
    """The descriptor of a new, empty one that can be sealed; `name` is shown in /proc alone."""
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        try:
            return os.memfd_create(name, flags | _NOEXEC_SEAL)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            return os.memfd_create(name, flags)
    except OSError as error:
        raise OSError(error.errno, error.strerror, CALL) from error
