"""What strangers write reaches no log, no SMTP reply and no page as it is.

Strangers are the SMTP clients, by way of each field that a mail server passes
on, and everybody that wrote a text into the store.  That the page takes nothing for
markup is in test_page.py, with a real browser.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from tests.rigs.adminpage import TIMEOUT_S, Site, running
from tests.rigs.folders import folder
from tests.rigs.gateway import Tables
from tests.rigs.milter import MilterClient
from tests.rigs.socketmap import Connection

# Local parts; each means something to somebody: a log's reader, a terminal, an SMTP client,
# a formatter, SQL, HTML.
EVIL = {
    "a line of its own": b"x\n2026-01-01T00:00:00+0000 error: forged",
    "an SMTP reply of its own": b"x\r\n250 2.1.5 Ok",
    "a terminal's title": b"\x1b]0;owned\x07",
    "C1 controls": b"\xc2\x9b31m",
    "no UTF-8": b"\xff\xfe\x80",
    "a line for Unicode": "x\u2028y\u2029z\x85".encode(),
    "right to left": "\u202egro".encode(),
    "a formatter's marks": b"%s%n%(name)s{reason}{recipient}",
    "a pair of its own": b'x" verdict=deliverable x="',
    "SQL": b"' OR '1'='1'; DROP TABLE mailboxes; --",
    "HTML": b"</script><img src=x onerror=alert(1)>",
    "long": b"x" * 5000,
}
DOMAIN = b"@example.org"
# Longer ones are none of Postfix' (line_length_limit), and it sends no line feed and no NUL.
POSTFIX_MOST = 2000
DENIED = b"paul"
STAMPED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} (debug|info|warning|error): .*")


@pytest.fixture(scope="module", params=["text", "json"])
def gateway(request: pytest.FixtureRequest) -> Iterator[Site]:
    """One whose replies quote recipient and reason, and whose store says what it likes."""
    quoting: Tables = {
        f"replies.{kind}": {"code": 550, "enhanced": enhanced, "text": "{recipient}: {reason}!"}
        for kind, enhanced in (("nonexistent", "5.1.1"), ("denied", "5.7.1"))
    }
    with (
        folder("evil") as path,
        running(path, {"logging": {"format": request.param}, **quoting}) as site,
    ):
        yield site


def shown(reply: bytes) -> None:
    """It is one line of printable ASCII."""
    assert re.fullmatch(rb"[ -~]+", reply), reply


def policy(site: Site, **attributes: bytes) -> bytes:
    """The action about a request in which strangers have filled in everything."""
    fields = {
        "request": b"smtpd_access_policy",
        "protocol_state": b"RCPT",
        "sender": b"joe@client.example",
        "client_address": b"192.0.2.1",
        "size": b"0",
        **attributes,
    }
    request = b"".join(b"%b=%b\n" % (name.encode(), text) for name, text in fields.items())
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(TIMEOUT_S)
        link.connect(site.gateway.path("policy"))
        link.sendall(request + b"\n")
        received = b""
        while not received.endswith(b"\n\n"):
            data = link.recv(4096)
            if not data:
                return b""  # Postfix defers
            received += data
    assert received.count(b"\n") == 2, received
    return received.strip().removeprefix(b"action=")


@pytest.mark.parametrize("evil", EVIL)
def test_what_smtp_clients_write(gateway: Site, evil: str) -> None:
    """As recipient, sender, name, login or queue id, at every interface."""
    text = EVIL[evil]
    with Connection.to(gateway.gateway.path("socketmap")) as client:
        shown(client.ask(text[:900] + DOMAIN))
    said = text[:POSTFIX_MOST].replace(b"\n", b" ")
    shown(policy(gateway, recipient=said + DOMAIN))
    others = ("sender", "helo_name", "client_name", "sasl_username", "queue_id", "instance")
    shown(policy(gateway, recipient=b"nobody" + DOMAIN, **dict.fromkeys(others, said)))
    with MilterClient(gateway.gateway.path("milter")) as mta:
        mta.connect(host=b"client.test")
        macros = {b"i": text, b"{auth_authen}": text}
        mta.mail(b"<%b>" % text, b"SIZE=%b" % text, macros=macros)
        shown(mta.rcpt(b"<%b>" % (text + DOMAIN), macros={b"{rcpt_addr}": text}))
    check_pages(gateway, text)
    check_log(gateway)


def test_what_the_store_says(gateway: Site) -> None:
    """An administrator's reason for a block may hold anything, too."""
    for text in EVIL.values():
        reason = text.replace(b"\n", b" ")
        gateway.store.denials[DENIED] = b"2\t*\t" + reason
        gateway.store.write()
        reply = policy(gateway, recipient=DENIED + DOMAIN)
        assert reply.startswith(b"550 5.7.1 "), reply
        shown(reply)
        check_pages(gateway, DENIED)
    check_log(gateway)


def check_pages(site: Site, recipient: bytes) -> None:
    """JSON, which no browser takes for anything else."""
    for path in ("/status.json", f"/explain?recipient={quote(recipient[:300] + DOMAIN)}"):
        page = site.get(path)
        assert (page.status, page.headers["Content-Type"]) == (200, "application/json")
        assert page.headers["X-Content-Type-Options"] == "nosniff"
        # Whatever does not print, and all that is not ASCII, is an escape of JSON's.
        assert page.text.removesuffix("\n").isprintable()
        assert page.text.isascii()
        assert page.json()
    # A path is never repeated.
    assert "onerror" not in site.get(f"/{quote(recipient[:300])}").text


def texts(found: object) -> Iterator[str]:
    """Every string in a JSON document."""
    if isinstance(found, str):
        yield found
    elif isinstance(found, dict):
        for key, value in found.items():
            yield from (*texts(key), *texts(value))
    elif isinstance(found, list):
        for each in found:
            yield from texts(each)


def check_log(site: Site) -> None:
    """Every line is one of ours, from its beginning to its end, and short."""
    with open(site.gateway.log_path, "rb") as file:
        lines = file.read().decode("utf-8").split("\n")
    assert lines.pop() == ""
    for line in lines:
        assert line.isprintable(), line
        assert len(line) < 8000
        if line.startswith("{"):
            assert [each for each in texts(json.loads(line)) if not each.isprintable()] == []
        else:
            assert STAMPED.fullmatch(line), line
            assert line.count(" verdict=") <= 1 or '\\"' in line, line
