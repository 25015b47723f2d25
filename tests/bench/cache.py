"""Where the benchmark keeps what is dear to make: stores, compiled clients, other people's servers.

One folder, `SMMAPD_BENCH_CACHE` or `/var/tmp/smmapd-bench`: not below a home,
since user cyrus must reach the stores.  `make bench-clean` removes it.
"""

from __future__ import annotations

import os
import shutil
import stat

VARIABLE = "SMMAPD_BENCH_CACHE"
DEFAULT = "/var/tmp/smmapd-bench"
_MODE = 0o755


def cache_path() -> str:
    """The folder's path, whether it exists or not."""
    return os.path.realpath(os.environ.get(VARIABLE) or DEFAULT)


def cache_folder() -> str:
    """The folder, made if it is missing, open to everybody for reading."""
    path = cache_path()
    os.makedirs(path, exist_ok=True)
    # Not each time: a process that watches the stores would have to look at everything again.
    if stat.S_IMODE(os.stat(path).st_mode) != _MODE:
        os.chmod(path, _MODE)
    return path


def clean() -> None:
    """Remove it with everything in it."""
    shutil.rmtree(cache_path(), ignore_errors=True)


if __name__ == "__main__":
    clean()
