"""Other servers: does each of them answer, and in its protocol?

An LMTP server is greeted and asked about nobody, because one that makes
mailboxes for recipients that it is asked about (Cyrus' lmtpd with autocreate_post) must
not make one here.  With `ask` it is asked about a name that no mailbox can
have, which tells such a server from others.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from gateway.cli.checks.finding import error, ok, warning
from gateway.config.lines import line_of
from gateway.errors import ConfigurationError, UpstreamError
from gateway.upstream.lmtpclient import CREATES, NOBODY, Creators
from gateway.verification.servers import LmtpServer
from gateway.wiring.upstreams import make_remote

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.cli.checks.finding import Finding
    from gateway.config import Settings
    from gateway.verification.servers import SocketmapServer

# RFC 5321, 4.5.1: a server that takes mail has it, and if not, that is an answer too.
_RECIPIENT = b"postmaster"
# What to do, by words of the fault: OpenSSL's, the resolver's and our clients'.
_ADVICE = (
    ("mismatch", "name it in store as its certificate names it (subjectAltName)"),
    ("certificate in certificate chain", "ca of [tls] must hold the authority that signs for it"),
    ("local issuer certificate", "ca of [tls] must hold the authority that signs for it"),
    ("alert", "its log says what it has against the certificate of [tls], or that it wants one"),
    ("closed", "its log says why: allow or client_names there, or only one side speaks TLS"),
    ("name resolution", "correct the host in store, or the name service of this machine"),
    ("not known", "correct the host in store, or the name service of this machine"),
    ("", "see that it runs at that port, and that this machine may ask it"),
)


def check(settings: Settings, *, ask: bool = False) -> Iterator[Finding]:
    """A finding or two for each server of the setting `store`."""
    try:
        # A server that makes mailboxes is reported below.
        creators = Creators(lambda _text: None, are_spared=True) if ask else None
        verifier = make_remote(settings, creators)
    except ConfigurationError as fault:
        # A file of [tls], in the words of the check of a start, so that it is told once.
        place = line_of(settings.places, fault.option or "")
        if place is not None and fault.line is None:
            fault.file, fault.line = place.file, place.line
        yield error("store", str(fault), "see [tls] in gateway.toml(5)")
        return
    for server in verifier.servers:
        try:
            yield from _lmtp(server) if isinstance(server, LmtpServer) else _smmapd(server)
        except UpstreamError as fault:
            yield error("store", str(fault), advice(fault.problem))
            continue
        server.pool.close()


def advice(problem: str) -> str:
    """What to do about a server that gives no answer for that reason."""
    return next(fix for words, fix in _ADVICE if words in problem.lower())


def _smmapd(server: SocketmapServer) -> Iterator[Finding]:
    told = server.ask(_RECIPIENT, 1, time.monotonic() + server.deadline)
    words = told.words.decode("utf-8", "backslashreplace")
    yield ok("store", f"{server.pool.server} answers for {_RECIPIENT.decode()}: {words}")


def _lmtp(server: LmtpServer) -> Iterator[Finding]:
    name = server.pool.server
    server.greet(time.monotonic() + server.deadline)
    if server.creates is None:
        yield ok(
            "store",
            f"{name} answers to LHLO; with --ask it is asked whether it makes mailboxes",
        )
    elif server.creates:
        problem, _, fix = CREATES.partition(". ")
        yield warning("store", f"{name}: {problem}", fix)
    else:
        yield ok("store", f"{name} answers, and makes no mailbox for {NOBODY.decode()}")
