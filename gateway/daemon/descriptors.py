"""How many files this process may have open, and how many of them are left for clients.

Every client is one descriptor.  The soft limit is only a default (1024 in
most shells and services); the hard limit is the administrator's word.  A
process that lets clients take all of them can open no database any more, so
a part is kept back.
"""

from __future__ import annotations

import resource

# For databases (each engine has a handful open), quota files, threads' engines, the log.
KEPT_BACK = 256


def raise_limit() -> int:
    """Raise the soft limit of this process to its hard limit; gives the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def for_clients(limit: int) -> int:
    """How many of `limit` descriptors clients may have: all but what is kept back, or half."""
    return max(limit - KEPT_BACK, limit // 2)
