"""How many files this process may have open, and how many of them are left for clients.

Every client is one descriptor.  The soft limit is only a default (1024 in
most shells and services); the hard limit is the administrator's word.  A
process that lets clients take all of them can open no database any more, so
a part is kept back.
"""

from __future__ import annotations

import errno
import os
import resource

from gateway.errors import ConfigurationError

# For databases (each engine has a handful open), quota files, threads' engines, the log.
KEPT_BACK = 256

# For one client and its question: three databases, a quota root and its folder, a connection to
# another server and what looks its name up, a table's program with its pipes, an alias file.
FOR_ONE = 16

SETTING = "LimitNOFILE= in the unit, ulimit -Hn"
ADVICE = f"raise the hard limit of open files ({SETTING})"


def raise_limit() -> int:
    """Raise the soft limit of this process to its hard limit; gives the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def require_enough(limit: int) -> None:
    """Raise ConfigurationError where `limit` leaves too few for a client's question.

    To be called when all is open that is open without clients.
    """
    in_use = len(os.listdir("/proc/self/fd"))
    if in_use + FOR_ONE > limit:
        raise ConfigurationError(
            f"{limit} open files are too few: {in_use} are open before the first question, and a "
            f"question takes up to {FOR_ONE}; {ADVICE}"
        )


def too_many(error: OSError) -> ConfigurationError | None:
    """`error` as what an administrator can fix, where no more files can be opened; else None."""
    if error.errno == errno.ENFILE:
        return ConfigurationError(
            "the system has too few open files left; raise their number (sysctl fs.file-max)"
        )
    if error.errno != errno.EMFILE:
        return None
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return ConfigurationError(f"{limit} open files are too few to start; {ADVICE}")


def soft_limit() -> int:
    """How many files this process may have open as it was started."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def for_clients(limit: int) -> int:
    """How many of `limit` descriptors clients may have: all but what is kept back, or half."""
    return max(limit - KEPT_BACK, limit // 2)
