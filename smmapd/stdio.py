"""Serves one client on standard input and output, until end of file.

This is `-X`, and any start without master's descriptors: by hand, from inetd,
from systemd's `Accept=yes`.  It imports neither gevent nor logging, so that a
process that lives for one question costs little more than the interpreter.
Limits: one client, blocking; questions for other servers are asked in line.
"""

from __future__ import annotations

import gc
import os

from gateway.frontends.socketmap_session import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.frontends.socketmap_session import Observer
    from gateway.verification.verifier import Verifier

# Bytes read at once.
CHUNK = 65_536

STDIN = 0
STDOUT = 1


def serve(verifier: Verifier, observe: Observer | None = None) -> None:
    """Answer requests from descriptor 0 on descriptor 1 until the client ends.

    A client that goes away is an ordinary end.
    """
    gc.enable()  # the launcher starts without; a client may stay for long
    session = Session(verifier, observe)
    try:
        while not session.finished:
            data = os.read(STDIN, CHUNK)
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


def _write(data: bytes) -> None:
    while data:
        data = data[os.write(STDOUT, data) :]
