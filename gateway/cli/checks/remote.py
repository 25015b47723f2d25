"""Servers elsewhere: does each of them answer, and in its protocol?"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from gateway.cli.checks.finding import error, ok
from gateway.daemon.upstreams import make_remote
from gateway.errors import ConfigurationError, UpstreamError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.cli.checks.finding import Finding
    from gateway.daemon.settings import Settings

# RFC 5321, 4.5.1: whoever takes mail has it, and if not, that is an answer too.
_RECIPIENT = b"postmaster"


def check(settings: Settings) -> Iterator[Finding]:
    """One finding for each server of the setting `store`; asks each one question."""
    try:
        verifier = make_remote(settings)
    except ConfigurationError as fault:
        yield error("store", str(fault), "see [tls] in gateway.toml(5)")
        return
    for server in verifier.servers:
        name = server.pool.server
        try:
            told = server.ask(_RECIPIENT, 1, time.monotonic() + server.deadline)
        except UpstreamError as fault:
            yield error("store", str(fault), "see that it runs and that this machine may ask it")
            continue
        words = told.words.decode("utf-8", "backslashreplace")
        yield ok("store", f"{name} answers for {_RECIPIENT.decode()}: {words}")
        server.pool.close()
