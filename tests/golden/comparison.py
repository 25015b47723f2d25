"""The golden rows put to an engine: what it says otherwise than the C program."""

from __future__ import annotations

from gateway.frontends.socketmap_session import Session
from gateway.verification.verifier import Verifier
from tests.golden import Configuration
from tests.golden.differences import expected

# A key, what was said of it, and what had to be said.
Wrong = tuple[bytes, bytes, bytes]


def wrong_replies(configuration: Configuration, verifier: Verifier) -> list[Wrong]:
    """Every key of a configuration that gets another reply than it should."""
    session = Session(verifier)
    wrong: list[Wrong] = []
    for row in configuration.rows("key"):
        session.receive(row.query)
        reply = session.replies()
        if session.pending is not None:
            reply = session.resolved(verifier.resolve(session.pending))
        if reply != expected(configuration, row):
            wrong.append((row.key, reply, expected(configuration, row)))
    return wrong
