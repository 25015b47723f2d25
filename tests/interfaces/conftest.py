"""One store, one gateway and three MTAs for all tests of a module that only ask."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import pytest

from gateway.config import load
from gateway.verification.decider import Engine
from gateway.verification.remote import RemoteVerifier
from gateway.verification.servers import Server
from gateway.verification.verifier import Verifier
from gateway.wiring.engines import make_engines
from tests.interfaces.askcases import MailSite
from tests.interfaces.cases import EXEMPT_CLIENT, EXEMPT_CLIENT_IPV6
from tests.interfaces.kinds import SETTINGS
from tests.interfaces.store import Backend, populate
from tests.rigs.cyrus import Cyrus
from tests.rigs.folders import folder, write_text
from tests.rigs.gateway import Gateway, Tables
from tests.rigs.postfix import RELAY_DOMAIN, VIRTUAL_DOMAIN, Postfix
from tests.rigs.require import missing, require
from tests.rigs.sendmail import Sendmail

DOMAINS = [RELAY_DOMAIN, VIRTUAL_DOMAIN]
# A domain below ours is not ours, and clients may have IPv6 addresses.
POSTFIX_SETTINGS = {"parent_domain_matches_subdomains": "", "inet_protocols": "all"}
ALIASES = """\
# as in aliases(5)
sales: fred,
    joe@other.test
info@virt.example fred@example.org
"""


def tables(aliases: str, port: int) -> Tables:
    """The gateway's settings for the table of cases; at `port` the backend is asked."""
    return {
        "": {"size_check": "temporary"},
        "murder": {"port": port},
        "scope": {
            "domains": list(DOMAINS),
            "aliases": [aliases],
            "exempt_recipients": ["postmaster@*", "list-*"],
            "exempt_clients": [f"{EXEMPT_CLIENT}/32", f"{EXEMPT_CLIENT_IPV6}/128"],
            "exempt_authenticated": True,
        },
    }


@contextmanager
def engine(configuration: str) -> Iterator[Engine]:
    """An engine of the test's own, as a gateway.toml asks for."""
    asking = make_engines(load(configuration)).engine()
    yield asking
    servers: Sequence[Server] = ()
    if isinstance(asking, RemoteVerifier):
        servers = asking.servers
    elif isinstance(asking, Verifier) and asking.murder is not None:
        servers = asking.murder.backends.servers
    for server in servers:
        server.pool.close()


@contextmanager
def open_site(
    cyrus: Cyrus,
    settings: Tables,
    *,
    started: bool = True,
    timeout: int = 10,
    lenient: bool = False,
) -> Iterator[MailSite]:
    """A gateway on a store, started unless told otherwise, and MTAs whose interfaces lead to it.

    The MTAs wait `timeout` seconds for an answer, and then defer, or accept if `lenient`.
    """
    with ExitStack() as stack:
        gateway = stack.enter_context(Gateway(cyrus.imapd_conf, settings))
        if started:
            gateway.start()
        maps = stack.enter_context(
            Postfix(socketmap=gateway.unix("socketmap"), main=POSTFIX_SETTINGS)
        )
        postfix = stack.enter_context(
            Postfix(
                policy=gateway.unix("policy"),
                milter=gateway.unix("milter"),
                main={**POSTFIX_SETTINGS, "relay_domains": ", ".join(DOMAINS)},
                timeout=timeout,
                lenient=lenient,
            )
        )
        sendmail = stack.enter_context(
            Sendmail(
                socketmap=gateway.local("socketmap"),
                milter=gateway.local("milter"),
                domains=DOMAINS,
                timeout=timeout,
                lenient=lenient,
            )
        )
        for mta in (maps, postfix, sendmail):
            mta.start()
        verifier = stack.enter_context(engine(gateway.configuration))
        yield MailSite(verifier, gateway, maps, postfix, sendmail)


@pytest.fixture(scope="module")
def site() -> Iterator[MailSite]:
    """The table's store behind every interface."""
    require("cyrus", "postfix", "sendmail")
    if not os.path.exists("/proc/net/if_inet6"):
        missing("this machine has no IPv6, so Postfix takes no client address of it")
    with ExitStack() as stack:
        backend = stack.enter_context(Backend())
        cyrus = stack.enter_context(Cyrus(SETTINGS))
        populate(cyrus)
        aliases = write_text(f"{stack.enter_context(folder('al'))}/aliases", ALIASES)
        yield stack.enter_context(open_site(cyrus, tables(aliases, backend.port)))
