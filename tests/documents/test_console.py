"""The sessions in the documents, run: commands in front of the demo's gateway, and what they print.

A program of ours is given the demo's configuration, or, where the remark above says
that it observes, that of the quick start.  `...` stands for whatever is printed there,
within a line or for lines.
"""

from __future__ import annotations

import doctest
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.demo.running import BIN, Gateway
from tests.rigs.folders import folder, write_text
from tests.rigs.ports import free_ports
from tests.rigs.require import require_command
from tests.support.blocks import Block, blocks

pytestmark = pytest.mark.milter

# What the documents look through: a mail of the day before.
LOG = (
    "Nov 29 10:00:00 mx postfix/smtpd[7]: NOQUEUE: reject: RCPT from c.example[192.0.2.1]: 550 "
    "5.1.1 <nobody@example.org>: Recipient address rejected: User unknown in relay recipient "
    "table; from=<joe@client.example> to=<nobody@example.org> proto=ESMTP helo=<c.example>\n"
    "Nov 29 10:00:01 mx postfix/lmtp[8]: 4ABC: to=<fred@example.org>, relay=mx[/run/lmtp], "
    "delay=1, delays=0/0/0/1, dsn=2.1.5, status=sent (250 2.1.5 Ok)\n"
)
_COMMAND = re.compile(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)
# Exit codes that are answers: some are refused, some are deferred.
_ANSWERS = (0, 1, 75)


@dataclass(frozen=True, slots=True)
class Place:
    """Where the commands run."""

    folder: str
    config: str
    imapd_conf: str
    port: int
    gateway: Gateway

    def complete(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a shell's line."""
        words = command.replace("127.0.0.1:9625", f"127.0.0.1:{self.port}")
        words = re.sub(r"smmapd-gateway ([\w-]+)", rf"smmapd-gateway \1 -c {self.config}", words)
        words = re.sub(r"smmapd -X", f"smmapd -X -C {self.imapd_conf}", words)
        return subprocess.run(
            ["/bin/sh", "-c", words],
            cwd=self.folder,
            env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """The demo's gateway, with the page on a port."""
    (port,) = free_ports(1)
    with folder("gw") as path, Gateway(path, admin=f"inet:127.0.0.1:{port}") as gateway:
        write_text(f"{path}/mail.log", LOG)
        yield Place(path, gateway.config, gateway.store.conf_path, port, gateway)


def _first_configuration() -> str:
    """Its gateway.toml, on the demo's store and domains."""
    (written,) = (each.text for each in blocks("toml") if each.document == "docs/quick-start.md")
    changes = (
        ("unix:/var/spool/postfix/smmapd/policy?mode=0660&group=postfix", "unix:{folder}/policy"),
        ('postfix = "/etc/postfix"', "domains = [{domains}]"),
    )
    for old, new in changes:
        assert old in written
        written = written.replace(old, new)
    return (
        f'user = ""\n{written}[cyrus]\nimapd_conf = "{{folder}}/imapd.conf"\n'
        '[admin]\nlisten = [{admin}]\n[logging]\ntarget = "stderr"\n'
    )


@pytest.fixture(scope="module")
def observing() -> Iterator[Place]:
    """A gateway as the quick start first has it."""
    with folder("gw") as path, Gateway(path, configuration=_first_configuration()) as gateway:
        write_text(f"{path}/mail.log", LOG)
        yield Place(path, gateway.config, gateway.store.conf_path, 0, gateway)


@pytest.mark.parametrize("block", list(blocks("console")), ids=str)
def test_a_session_goes_as_it_is_shown(place: Place, observing: Place, block: Block) -> None:
    """Every command of it."""
    if block.remark == "observing":
        place = observing
    if "curl" in block.text:
        require_command("curl", "as root: apt-get install curl")
    commands = _COMMAND.findall(block.text)
    assert "".join(f"$ {command}\n{shown}" for command, shown in commands) == block.text
    for command, shown in commands:
        done = place.complete(command)
        assert done.returncode in _ANSWERS, done.stderr
        assert done.stdout
        assert _alike(shown, done.stdout), f"$ {command}\n{done.stdout}"


def test_the_line_of_a_verdict_is_as_it_is_shown(place: Place) -> None:
    """docs/log.md has one of the policy service, with every field that is always there."""
    (shown,) = [
        block.text
        for block in blocks("text")
        if block.document == "docs/log.md" and block.text.startswith("verdict ")
    ]
    place.complete("smmapd-gateway ask --front policy --client 192.0.2.1 nobody@example.org")
    lines = re.findall(r"verdict frontend=policy .*", place.gateway.daemon.output())
    assert lines
    # The demo enforces.
    assert _fields(lines[-1]) == [each for each in _fields(shown) if each != "not_enforced"]


def _fields(line: str) -> list[str]:
    return re.findall(r"(\w+)=", re.sub(r'"[^"]*"', "", line))


def _alike(shown: str, printed: str) -> bool:
    """Whether it is what is shown, but for blanks at the ends of lines."""
    wanted = re.sub(r"[ \t]+$", "", shown, flags=re.MULTILINE)
    got = re.sub(r"[ \t]+$", "", printed.replace("\n\n", "\n"), flags=re.MULTILINE)
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    return doctest.OutputChecker().check_output(
        wanted, got + "\n" * (not got.endswith("\n")), flags
    )
