"""docs/operation.md says what becomes of mail while the gateway is away: as real mail servers say.

Postfix with the lines of contrib's main.cf and Sendmail, in front of the demo's gateway.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

import pytest

from tests.demo.running import Gateway
from tests.rigs import smtp
from tests.rigs.folders import folder
from tests.rigs.postfix import Postfix
from tests.rigs.processes import kill
from tests.rigs.require import require
from tests.rigs.sendmail import Sendmail
from tests.rigs.waiting import wait_until
from tests.support.blocks import table
from tests.support.snippets import WAYS, main_cf

pytestmark = [pytest.mark.real, pytest.mark.milter]

DOCUMENT, TITLE = "docs/operation.md", "While the gateway is away"
KNOWN, UNKNOWN = b"fred@example.org", b"nobody@example.org"
_COLUMNS = ("serving", "killed", "removed")


# A way as the table has it, and how to reach it.
Ways = Mapping[str, tuple[str, int]]


def _said(address: tuple[str, int]) -> str:
    """Codes to the known and the unknown recipient; a session that ends at MAIL has that code."""
    codes = []
    for recipient in (KNOWN, UNKNOWN):
        with smtp.Conversation(address) as client:
            mail = client.mail(b"joe@client.example")
            reply = client.rcpt(recipient) if mail.code == 250 else mail
            codes.append(f"{reply.code} {reply.enhanced.decode()}")
    return ", ".join(dict.fromkeys(codes))


@contextmanager
def _postfix(path: str) -> Iterator[Ways]:
    require("postfix")
    interfaces = {way.removesuffix(".cf"): {name: main_cf(way)[name]} for name, way in WAYS.items()}
    with Postfix(interfaces=interfaces) as mta:
        os.symlink(path, f"{mta.folder}/queue/smmapd")
        mta.start()
        yield {f"Postfix {interface}": mta.address(interface) for interface in interfaces}


@contextmanager
def _sendmail(path: str) -> Iterator[Ways]:
    require("sendmail")
    with Sendmail(socketmap=f"local:{path}/socketmap", milter=f"local:{path}/milter") as mta:
        mta.start()
        yield {
            "Sendmail socket map": mta.address("map"),
            "Sendmail milter": mta.address("milter"),
        }


@pytest.fixture(scope="module")
def measured() -> Iterator[dict[str, list[str]]]:
    """What each way says while the gateway serves, is stopped, and is removed with its sockets."""
    with folder("gw") as path, _postfix(path) as postfix, _sendmail(path) as sendmail:
        ways = {**postfix, **sendmail}
        found: dict[str, list[str]] = {way: [] for way in ways}
        with Gateway(path) as gateway:
            for front in ("socketmap", "policy", "milter"):
                os.chmod(f"{path}/{front}", 0o666)
            for way, address in ways.items():
                found[way].append(_said(address))
            # A reload changes nothing for a client that asks meanwhile.
            gateway.daemon.send_signal(signal.SIGHUP)
            assert [[_said(address)] for address in ways.values()] == list(found.values())
            # Killed: its sockets stay, and nobody listens.
            for member in gateway.daemon.members():
                kill(member)
            wait_until(lambda: not gateway.daemon.running(), "it is gone")
            for way, address in ways.items():
                found[way].append(_said(address))
        for front in ("socketmap", "policy", "milter"):
            with suppress(FileNotFoundError):
                os.unlink(f"{path}/{front}")
        for way, address in ways.items():
            found[way].append(_said(address))
        yield found


@pytest.mark.parametrize("row", table(DOCUMENT, TITLE), ids=lambda row: row[0])
def test_the_document_has_what_the_mail_server_says(
    measured: dict[str, list[str]], row: list[str]
) -> None:
    """Codes, by state of the gateway."""
    assert dict(zip(_COLUMNS, row[1:], strict=True)) == dict(
        zip(_COLUMNS, measured[row[0]], strict=True)
    )


def test_the_document_has_every_way(measured: dict[str, list[str]]) -> None:
    """None is left out."""
    assert [row[0] for row in table(DOCUMENT, TITLE)] == list(measured)


def test_nobody_is_refused_for_good_while_it_is_away(measured: dict[str, list[str]]) -> None:
    """Known or not."""
    for said in measured.values():
        for away in said[1:]:
            assert re.fullmatch(r"45\d 4\.\d\.\d", away), said
