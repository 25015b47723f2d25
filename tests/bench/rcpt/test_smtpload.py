"""smtpload.c against a server of the test's own: what it counts is what was said."""

from __future__ import annotations

import json
import os
import socketserver
import subprocess
import threading
from collections.abc import Iterator

import pytest

from tests.bench.build import program
from tests.rigs.require import require_command

DOMAIN = "example.org"


class _Smtp(socketserver.StreamRequestHandler):
    """Takes `known...`, refuses everybody else, and notes each command."""

    def handle(self) -> None:
        server = self.server
        assert isinstance(server, SmtpServer)
        self.wfile.write(b"220 test\r\n")
        while line := self.rfile.readline():
            server.heard.append(line.rstrip(b"\r\n"))
            verb = line[:4].upper().rstrip()
            if verb == b"EHLO":
                self.wfile.write(b"250-test\r\n250-SIZE\r\n250 PIPELINING\r\n")
            elif verb == b"RCPT" and b"<known" not in line:
                self.wfile.write(b"550-5.1.1 No\r\n550 5.1.1 such user\r\n")
            elif verb == b"QUIT":
                self.wfile.write(b"221 bye\r\n")
                return
            else:
                self.wfile.write(b"250 Ok\r\n")


class SmtpServer(socketserver.ThreadingTCPServer):
    """On a free loopback port."""

    daemon_threads = True

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        super().__init__(("127.0.0.1", 0), _Smtp)

    def verbs(self, verb: bytes) -> list[bytes]:
        """The commands that begin so."""
        return [line for line in self.heard if line.startswith(verb)]


@pytest.fixture
def server() -> Iterator[SmtpServer]:
    """A running one; where there is no compiler there is no load client either."""
    require_command(os.environ.get("CC") or "cc", "apt-get install gcc libc6-dev, or set CC")
    with SmtpServer() as found:
        thread = threading.Thread(target=found.serve_forever, args=(0.01,))
        thread.start()
        yield found
        found.shutdown()
        thread.join(timeout=30)


def load(server: SmtpServer, *words: str) -> dict[str, object]:
    """What smtpload prints."""
    address = f"127.0.0.1:{server.server_address[1]}"
    done = subprocess.run(
        [program("smtpload"), "-a", address, "-D", DOMAIN, *words],
        capture_output=True,
        check=True,
        timeout=60,
    )
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    assert found["broken"] == found["lost"] == found["refused"] == found["stalled"] == 0
    return found


@pytest.fixture
def keys(tmp_path: os.PathLike[str]) -> str:
    """Six names, of which every second is known."""
    path = os.path.join(tmp_path, "keys")
    with open(path, "w", encoding="ascii") as file:
        file.write("".join(f"{'known' if n % 2 else 'other'}.{n}\n" for n in range(6)))
    return path


@pytest.mark.parametrize("connections", [1, 7])
def test_each_recipient_is_asked_once(server: SmtpServer, keys: str, connections: int) -> None:
    """In turn, on however many connections; a mail ends by RSET when it has enough of them."""
    found = load(server, "-k", keys, "-n", str(connections), "-r", "60", "-m", "5")
    assert found["answered"] == 60
    assert found["statuses"] == {"250": 30, "550": 30}
    recipients = sorted(server.verbs(b"RCPT TO:"))
    names = [f"{'known' if n % 2 else 'other'}.{n}" for n in range(6)] * 10
    assert recipients == sorted(f"RCPT TO:<{name}@{DOMAIN}>".encode() for name in names)
    # One that is connected late finds nothing left to ask, and begins no mail.
    unfinished = len(server.verbs(b"MAIL")) - len(server.verbs(b"RSET"))
    assert 1 <= unfinished <= connections


def test_it_begins_behind_those_that_are_skipped(server: SmtpServer, keys: str) -> None:
    """So that each round has recipients of its own."""
    load(server, "-k", keys, "-r", "2", "-o", "4")
    asked = [b"RCPT TO:<other.4@example.org>", b"RCPT TO:<known.5@example.org>"]
    assert server.verbs(b"RCPT") == asked


def test_names_that_never_repeat(server: SmtpServer) -> None:
    """Two ranges share none."""
    for start in ("0", "1000000"):
        load(server, "-u", start, "-r", "50", "-e", "5")
    asked = server.verbs(b"RCPT")
    assert len(set(asked)) == len(asked) == 100


def test_a_session_each(server: SmtpServer, keys: str) -> None:
    """With -s each recipient has a connection of its own, from EHLO to QUIT."""
    found = load(server, "-k", keys, "-s", "-n", "3", "-r", "20")
    assert found["answered"] == 20
    for verb in (b"EHLO", b"MAIL", b"RCPT", b"QUIT"):
        assert len(server.verbs(verb)) == 20


@pytest.mark.parametrize(("expected", "wrong"), [("250", 3), ("2", 3), ("5", 3), ("4", 6)])
def test_a_code_that_is_not_expected(
    server: SmtpServer, keys: str, expected: str, wrong: int
) -> None:
    """Whole or by its first digit; how often, and the first of them."""
    found = load(server, "-k", keys, "-r", "6", "-e", expected)
    assert found["wrong"] == wrong
    assert str(found["first_wrong"]).startswith(f"expected {expected}, got ")
