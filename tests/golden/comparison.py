"""The golden rows put to an engine: what it says otherwise than the C program."""

from __future__ import annotations

from gateway.frontends.socketmap_session import SocketmapSession
from gateway.verification.verifier import Verifier
from tests.golden import Configuration, Row
from tests.golden.differences import expected


def wrong_replies(configuration: Configuration, verifier: Verifier) -> list[str]:
    """Every key of a configuration that gets another reply than it should, a sentence each."""
    session = SocketmapSession(verifier)
    wrong: list[str] = []
    for row in configuration.rows("key"):
        session.receive(row.query)
        reply = session.replies()
        if session.pending is not None:
            reply = session.resolved(verifier.resolve(session.pending))
        if reply != expected(configuration, row):
            wrong.append(difference(configuration, row, reply, expected(configuration, row)))
    return wrong


def difference(configuration: Configuration, row: Row, said: bytes, wanted: bytes) -> str:
    """Which configuration and which spelling of a recipient it is, and what was said of it."""
    return (
        f"{configuration.id} ({configuration.summary}): the recipient written {row.key!r}"
        f" gets {said!r}, and should get {wanted!r}"
    )
