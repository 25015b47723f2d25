"""Modes: what is observed and not enforced, what a fault does, and a gateway without its milter."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import pytest

from gateway.verification.kinds import Kind
from tests.interfaces.askcases import MailSite
from tests.interfaces.conftest import DOMAINS, open_site, tables
from tests.interfaces.kinds import BROKEN, DENIED_USER, FRED, FULL, NOBODY, SEE_ONLY, SETTINGS
from tests.interfaces.model import Case, Interface, Rcpt
from tests.interfaces.replies import expected
from tests.interfaces.store import populate
from tests.rigs.cyrus import Cyrus
from tests.rigs.cyrus_tools import MAILBOX_LIST
from tests.rigs.folders import folder, write_text
from tests.rigs.gateway import Gateway, Tables
from tests.rigs.postfix import Postfix
from tests.rigs.require import require
from tests.rigs.smtp import Conversation
from tests.rigs.waiting import wait_until

pytestmark = pytest.mark.real

REFUSED = (NOBODY, FULL, SEE_ONLY, DENIED_USER, BROKEN)
# Nobody is asked there: these recipients live here.
NO_BACKEND = 9
INTERFACES_OF = {
    "socketmap": (Interface.SOCKETMAP, Interface.POSTFIX_MAPS, Interface.SENDMAIL_MAP),
    "policy": (Interface.POLICY, Interface.POSTFIX_POLICY),
    "milter": (Interface.MILTER, Interface.POSTFIX_MILTER, Interface.SENDMAIL_MILTER),
}


@pytest.fixture(scope="module")
def cyrus() -> Iterator[Cyrus]:
    """The store of the table."""
    require("cyrus", "postfix", "sendmail")
    with Cyrus(SETTINGS) as store:
        populate(store)
        yield store


@contextmanager
def changed(cyrus: Cyrus, changes: Tables) -> Iterator[MailSite]:
    """Every interface, with changed settings."""
    with ExitStack() as stack:
        aliases = write_text(f"{stack.enter_context(folder('al'))}/aliases", "nobody-else: fred\n")
        settings = {name: dict(table) for name, table in tables(aliases, NO_BACKEND).items()}
        for name, table in changes.items():
            settings.setdefault(name, {}).update(table)
        yield stack.enter_context(open_site(cyrus, settings))


def accepted(rcpt: Rcpt) -> Rcpt:
    """The same recipient, if all were well with it."""
    return replace(rcpt, kind=Kind.DELIVERABLE)


def test_observe_refuses_nobody(cyrus: Cyrus) -> None:
    """In mode observe every verdict is in the log, and every recipient is accepted."""
    case = Case("observed", REFUSED)
    let_through = Case("observed", tuple(map(accepted, REFUSED)))
    with changed(cyrus, {"": {"mode": "observe"}}) as site:
        for front, interfaces in INTERFACES_OF.items():
            for interface in interfaces:
                assert site.play(interface, case) == expected(interface, let_through), interface
            for rcpt in REFUSED:
                line = site.gateway.wait_log(
                    f"frontend={front}", rcpt.argument.decode(), f"verdict={rcpt.kind.name}"
                )
                assert "mode=observe" in line
                assert "not_enforced=observed" in line


@pytest.mark.parametrize("domains", [list(DOMAINS), []], ids=["scope", "no scope"])
def test_observe_opens_no_relay(cyrus: Cyrus, domains: list[str]) -> None:
    """Postfix asks its table for domains, too: by default it is how it knows its virtual ones."""
    settings: Tables = {"": {"mode": "observe"}, "policy": {"listen": []}, "milter": {"listen": []}}
    with ExitStack() as stack:
        gateway = Gateway(cyrus.imapd_conf, {**settings, "scope": {"domains": domains}})
        stack.enter_context(gateway).start()
        table = gateway.unix("socketmap")
        main = {"virtual_mailbox_domains": "$virtual_mailbox_maps", "relay_domains": "example.org"}
        postfix = stack.enter_context(Postfix(socketmap=table, main=main))
        postfix.start()
        for key in (b"gmail.example", b"@gmail.example", b"*", b"@example.org"):
            assert postfix.postmap(key, f"socketmap:{table}:vbox") is None, key
        for interface in ("relay", "virtual"):
            with Conversation(postfix.address(interface)) as client:
                assert client.mail(b"joe@sender.test").code == 250
                replies = [
                    client.rcpt(each).code
                    for each in (b"joe@gmail.example", b"joe@[192.0.2.1]", b"nobody@example.org")
                ]
            assert replies == [554, 554, 250], interface


@pytest.mark.parametrize("observer", INTERFACES_OF)
def test_one_front_end_observes(cyrus: Cyrus, observer: str) -> None:
    """The mode of one front end is its own; the others go on refusing."""
    case = Case("observed by one", REFUSED)
    let_through = Case("observed by one", tuple(map(accepted, REFUSED)))
    with changed(cyrus, {observer: {"mode": "observe"}}) as site:
        for front, interfaces in INTERFACES_OF.items():
            says = let_through if front == observer else case
            for interface in interfaces:
                assert site.play(interface, case) == expected(interface, says), interface


def test_observe_after_a_reload(cyrus: Cyrus) -> None:
    """A gateway that enforced observes after a reload, and enforces again after another one.

    An MTA that keeps asking on its old connection has the old settings until
    the old processes are gone.
    """
    says = {
        "enforce": Case("reloaded", (NOBODY,)),
        "observe": Case("reloaded", (accepted(NOBODY),)),
    }
    with changed(cyrus, {"": {"graceful_timeout": 1}}) as site:
        for mode in ("enforce", "observe", "enforce"):
            site.gateway.reload({"": {"mode": mode}})
            for interfaces in INTERFACES_OF.values():
                for interface in interfaces:
                    wait_until(
                        lambda interface=interface, mode=mode: (  # type: ignore[misc]
                            site.play(interface, says["enforce"]) == expected(interface, says[mode])
                        ),
                        f"{interface.value}: {mode}",
                    )


@contextmanager
def damaged(cyrus: Cyrus) -> Iterator[None]:
    """The mailbox list is not a database for as long as this lasts."""
    path = cyrus.tools.path(MAILBOX_LIST)
    away = f"{path}.away"
    os.rename(path, away)
    try:
        write_text(path, "this is not a mailbox list\n" * 100)
        yield
    finally:
        os.rename(away, path)


@pytest.mark.parametrize("on_error", ["tempfail", "accept"])
def test_a_damaged_store(cyrus: Cyrus, on_error: str) -> None:
    """While the store is damaged nobody is refused for good, and the next reply is right again."""
    case = Case("damaged", (FRED, NOBODY, BROKEN))
    fault = replace(FRED, kind=Kind.STORE_FAULT, reason=b"System I/O error")
    with changed(cyrus, {"": {"on_error": on_error}}) as site:
        for interfaces in INTERFACES_OF.values():
            for interface in interfaces:
                meanwhile = tuple(
                    accepted(rcpt)
                    if on_error == "accept"
                    else replace(fault, argument=rcpt.argument)
                    for rcpt in case.rcpts
                )
                with damaged(cyrus):
                    says = expected(interface, Case("damaged", meanwhile))
                    assert site.play(interface, case) == says, interface
                afterwards = tuple(
                    accepted(rcpt) if on_error == "accept" and rcpt is BROKEN else rcpt
                    for rcpt in case.rcpts
                )
                says = expected(interface, Case("mended", afterwards))
                assert site.play(interface, case) == says, interface
