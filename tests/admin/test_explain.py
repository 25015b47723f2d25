"""/explain says what the command line says."""

from __future__ import annotations

import json
import subprocess
import sys
from urllib.parse import quote

import pytest

from tests.rigs.adminpage import Site
from tests.rigs.commandline import environment

RECIPIENTS = (
    "fred@example.org",
    "olga@example.org",
    "dora@example.org",
    "nobody@example.org",
    "fred+Entwürfe@example.org",
    "info@example.org",
    "fred@elsewhere.example",
    'a b"<script>@example.org',
    "@@",
)


@pytest.mark.parametrize("recipient", RECIPIENTS)
def test_the_page_and_the_command_say_the_same(site: Site, recipient: str) -> None:
    """Steps, verdict and replies, word for word."""
    reply = site.get(f"/explain?recipient={quote(recipient)}&size=1000&client=192.0.2.1")
    assert reply.status == 200
    assert reply.headers["Content-Type"] == "application/json"
    found = reply.json()
    assert found["sections"]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "gateway.cli.main", "explain", "--json"),
            *("-c", site.gateway.configuration, "--size", "1000", "--client", "192.0.2.1"),
            recipient,
        ],
        env=environment(),
        capture_output=True,
        check=True,
        encoding="utf-8",
    )
    assert found == json.loads(done.stdout)


@pytest.mark.parametrize("query", ["", "?", "?recipient=", "?recipient=a&size=x", "?to=a"])
def test_a_question_that_asks_nothing(site: Site, query: str) -> None:
    """400, and how to ask."""
    reply = site.get(f"/explain{query}")
    assert reply.status == 400
    assert reply.json()["error"]


def test_an_explanation_is_not_counted(site: Site) -> None:
    """It is nobody's mail."""
    name = "smmapd_requests_total"
    before = {key: value for key, value in site.samples().items() if key[0] == name}
    site.get("/explain?recipient=fred@example.org")
    assert {key: value for key, value in site.samples().items() if key[0] == name} == before
