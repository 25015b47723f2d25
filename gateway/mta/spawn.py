"""Starts a program without holding up this process' other threads.

Python's own ways keep the interpreter's lock until the new process has begun
with its program, which on a busy machine takes as long as that process waits
for a processor; an event loop would stand still meanwhile.  glibc's
posix_spawn(3) is called directly here, by way of ctypes, which gives the lock
back for that time.

Promises: the program has three descriptors and no others, no signal is blocked
or ignored for it, and it leads a session of its own.  Raises OSError.

Limits: glibc 2.34 or later (`AVAILABLE`); else the caller uses subprocess.
"""

from __future__ import annotations

import ctypes
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

# More than glibc's opaque types have, on every machine (80 and 336 bytes on x86-64), and
# than a sigset_t (128).
_ROOM = 1024

# spawn.h of glibc.
_SETSIGDEF = 0x04
_SETSIGMASK = 0x08
_SETSID = 0x80

_libc = ctypes.CDLL(None, use_errno=True)

AVAILABLE = hasattr(_libc, "posix_spawn_file_actions_addclosefrom_np")


def spawn(argv: Sequence[str], environment: Mapping[str, str], files: tuple[int, int, int]) -> int:
    """Start `argv` with `files` as its standard input, output and error; the process' id."""
    actions, attributes, signals = (ctypes.create_string_buffer(_ROOM) for _ in range(3))
    _done(_libc.posix_spawn_file_actions_init(actions))
    _done(_libc.posix_spawnattr_init(attributes))
    try:
        for target, descriptor in enumerate(files):
            _done(_libc.posix_spawn_file_actions_adddup2(actions, descriptor, target))
        _done(_libc.posix_spawn_file_actions_addclosefrom_np(actions, len(files)))
        _libc.sigemptyset(signals)
        _done(_libc.posix_spawnattr_setsigmask(attributes, signals))
        _libc.sigfillset(signals)
        _done(_libc.posix_spawnattr_setsigdefault(attributes, signals))
        flags = ctypes.c_short(_SETSIGDEF | _SETSIGMASK | _SETSID)
        _done(_libc.posix_spawnattr_setflags(attributes, flags))
        pid = ctypes.c_int()
        path = os.fsencode(argv[0])
        words = _strings(map(os.fsencode, argv))
        variables = _strings(os.fsencode(f"{name}={value}") for name, value in environment.items())
        _done(
            _libc.posix_spawn(ctypes.byref(pid), path, actions, attributes, words, variables),
            argv[0],
        )
        return pid.value
    finally:
        _libc.posix_spawn_file_actions_destroy(actions)
        _libc.posix_spawnattr_destroy(attributes)


def _strings(texts: Iterable[bytes]) -> ctypes.Array[ctypes.c_char_p]:
    """A vector of C strings with its end."""
    every = [*texts]
    return (ctypes.c_char_p * (len(every) + 1))(*every, None)


def _done(code: int, path: str = "") -> None:
    if code:
        raise OSError(code, os.strerror(code), path)
