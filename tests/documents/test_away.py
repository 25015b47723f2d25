"""docs/operation.md says what becomes of mail while the gateway is away: as a real Postfix has it.

The lines are those of contrib's main.cf, in front of the demo's gateway.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator

import pytest

from tests.contrib.snippets import WAYS, main_cf
from tests.demo.running import Gateway
from tests.documents.blocks import table
from tests.rigs import smtp
from tests.rigs.folders import folder
from tests.rigs.postfix import Postfix
from tests.rigs.require import require

pytestmark = [pytest.mark.real, pytest.mark.milter]

DOCUMENT, TITLE = "docs/operation.md", "While the gateway is away"
KNOWN, UNKNOWN = b"fred@example.org", b"nobody@example.org"
_COLUMNS = ("serving", "stopped", "removed")


def _said(mta: Postfix, door: str) -> str:
    """Codes to the known and the unknown recipient; a session that ends at MAIL has the code of that."""
    codes = []
    for recipient in (KNOWN, UNKNOWN):
        with smtp.Conversation(mta.address(door)) as client:
            mail = client.mail(b"joe@client.example")
            reply = client.rcpt(recipient) if mail.code == 250 else mail
            codes.append(f"{reply.code} {reply.enhanced.decode()}")
    return ", ".join(dict.fromkeys(codes))


@pytest.fixture(scope="module")
def measured() -> Iterator[dict[str, list[str]]]:
    """What each way says while the gateway serves, is stopped, and is removed with its folder."""
    require("postfix")
    doors = {way.removesuffix(".cf"): {name: main_cf(way)[name]} for name, way in WAYS.items()}
    with folder("gw") as path, Postfix(doors=doors) as mta:
        link = f"{mta.folder}/queue/smmapd"
        os.symlink(path, link)
        found: dict[str, list[str]] = {door: [] for door in doors}
        mta.start()
        with Gateway(path) as gateway:
            for front in ("socketmap", "policy", "milter"):
                os.chmod(f"{path}/{front}", 0o666)
            for door in doors:
                found[door].append(_said(mta, door))
            # Reloads change nothing for a client that asks meanwhile.
            gateway.daemon.send_signal(signal.SIGHUP)
            assert [[_said(mta, door)] for door in doors] == list(found.values())
        for door in doors:
            found[door].append(_said(mta, door))
        os.unlink(link)
        for door in doors:
            found[door].append(_said(mta, door))
        yield found


@pytest.mark.parametrize("way", ["socketmap", "policy", "milter"])
def test_the_document_has_what_postfix_says(measured: dict[str, list[str]], way: str) -> None:
    """Codes, by state of the gateway."""
    (row,) = [row for row in table(DOCUMENT, TITLE) if row[0] == f"Postfix {way}"]
    assert dict(zip(_COLUMNS, row[1:], strict=True)) == dict(
        zip(_COLUMNS, measured[way], strict=True)
    )


def test_nobody_is_refused_for_good_while_it_is_away(measured: dict[str, list[str]]) -> None:
    """Known or not."""
    for said in measured.values():
        for away in said[1:]:
            assert re.fullmatch(r"45\d 4\.\d\.\d", away), said
