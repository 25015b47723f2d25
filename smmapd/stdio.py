"""Serves one client on standard input and output, until end of file.

This is `-X`, and any start without master's descriptors: by hand, from inetd,
from systemd's `Accept=yes`.  It imports neither gevent nor logging, so that a
process that lives for one question costs little more than the interpreter.
Limits: one client, blocking; questions for other servers are asked in line.
"""

from __future__ import annotations

import gc
import os

from gateway.frontends.socketmap_session import SocketmapSession

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.frontends.socketmap_replies import Observer
    from gateway.verification.verifier import Verifier

# Bytes read at once.
CHUNK = 65_536  # only a bound

STDIN = 0  # same with 1: seen only in a program of its own
STDOUT = 1  # same with 2: seen only in a program of its own


def check() -> None:
    """Raise OSError where standard input or output is closed.

    Called before any file is opened: it would take the place of what is
    missing, and a database be read as the client's requests.
    """
    for descriptor, name in ((STDIN, "standard input"), (STDOUT, "standard output")):
        try:
            os.fstat(descriptor)
        except OSError as error:
            raise _named(error, name) from error


def serve(verifier: Verifier, observe: Observer | None = None) -> None:
    """Answer requests from descriptor 0 on descriptor 1 until the client ends.

    A client that goes away is an ordinary end.  Raises OSError, which names
    the side, for any other trouble with the two.
    """
    # The launcher starts without, and a client may stay for long.  What the start has made stays,
    # too: a search through it, before the first answer, takes half as long as the answer.
    gc.freeze()
    gc.enable()
    session = SocketmapSession(verifier, observe)
    try:
        while not session.finished:
            data = _read()
            session.receive(data)
            _write(session.replies())
            while session.busy:
                if session.pending is not None:
                    _write(session.resolved(verifier.resolve(session.pending)))
                _write(session.replies())
            if not data:
                return
    except (BrokenPipeError, ConnectionResetError):
        return


def _read() -> bytes:
    try:
        return os.read(STDIN, CHUNK)
    except OSError as error:
        raise _named(error, "standard input") from error


def _write(data: bytes) -> None:
    try:
        while data:
            data = data[os.write(STDOUT, data) :]
    except OSError as error:
        raise _named(error, "standard output") from error


def _named(error: OSError, name: str) -> OSError:
    """The same trouble, with what it was met on; BrokenPipeError stays one."""
    return OSError(error.errno, error.strerror, name)
