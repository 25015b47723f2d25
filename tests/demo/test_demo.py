"""The demo from outside, as `make demo` starts it."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.demo import table
from tests.demo.running import Answer
from tests.demo.store import QUESTIONS

ROOT = Path(__file__).parents[2]
# Far more than it takes; only a failure waits so long.
DEADLINE_S = 120.0
DEMO = (sys.executable, "-m", "tests.demo")

# recipient, verdict, socketmap reply, policy action, SMTP reply
ROWS = (
    ("fred@example.org", "deliverable", "OK fred@example.org", "DUNNO", "250"),
    ("fred+nothing@example.org", "deliverable", "OK fred+nothing@example.org", "DUNNO", "250"),
    (
        "fred+Entwürfe@example.org",
        "bad-address",
        "NOTFOUND Bad recipient address syntax",
        "553 5.1.3 Bad recipient address syntax",
        "553 5.1.3 Bad recipient address syntax",
    ),
    (
        "nobody@example.org",
        "nonexistent",
        "NOTFOUND Mailbox does not exist",
        "550 5.1.1 User unknown",
        "550 5.1.1 User unknown",
    ),
    (
        "dora@example.org",
        "denied",
        "NOTFOUND Your account is locked",
        "550 5.2.1 Your account is locked",
        "550 5.2.1 Your account is locked",
    ),
    (
        "olga@example.org",
        "over-quota",
        "TEMP Over quota",
        "DEFER_IF_PERMIT 4.2.2 Over quota",
        "452 4.2.2 Over quota",
    ),
    (
        "+archive@example.org",
        "not-postable",
        "PERM Permission denied",
        "550 5.7.1 Permission denied",
        "550 5.7.1 Permission denied",
    ),
    (
        "somebody@elsewhere.example",
        "(not-our-domain)",
        "NOTFOUND the domain is none of [scope]'s",
        "DUNNO",
        "250",
    ),
)


@pytest.fixture
def temporary() -> Iterator[str]:
    """A TMPDIR with a path that is short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="t") as path:
        Path(path).chmod(0o755)
        yield path


def left_behind(folder: str) -> list[str]:
    """What is left in `folder`, and the processes that were started for it."""
    found = os.listdir(folder)
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if folder.encode() in words:
            found.append(words.replace(b"\0", b" ").decode())
    return found


def test_it_answers_through_every_interface_and_leaves_nothing(temporary: str) -> None:
    """Without a terminal it prints the table, ends with 0, and is gone."""
    done = subprocess.run(
        DEMO,
        cwd=ROOT,
        env={**os.environ, "TMPDIR": temporary},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=DEADLINE_S,
        encoding="utf-8",
    )
    assert (done.returncode, done.stderr) == (0, "")
    printed = [tuple(filter(None, line.split("  "))) for line in done.stdout.splitlines()]
    rows = [tuple(cell.strip() for cell in line) for line in printed]
    for row in ROWS:
        assert row in rows
    assert "19:OK fred@example.org,\n" in done.stdout
    assert left_behind(temporary) == []


class Terminal:
    """The demo on a terminal of its own."""

    def __init__(self, folder: str) -> None:
        self._master, slave = pty.openpty()
        self._seen = b""
        self.process = subprocess.Popen(
            DEMO,
            cwd=ROOT,
            env={**os.environ, "TMPDIR": folder, "COLUMNS": "70"},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)

    def wait_for(self, text: str) -> None:
        """Read until `text` appears."""
        while text.encode() not in self._seen:
            assert select.select([self._master], [], [], DEADLINE_S)[0], self._seen.decode()
            self._seen += os.read(self._master, 65536)
        self._seen = self._seen.partition(text.encode())[2]

    def type(self, text: str) -> None:
        """Type `text`."""
        os.write(self._master, text.encode())

    def close(self) -> int:
        """The exit code."""
        code = self.process.wait(DEADLINE_S)
        os.close(self._master)
        return code


@pytest.mark.parametrize("end", ["\n", "\x04"], ids=["empty line", "ctrl-D"])
def test_on_a_terminal_it_answers_more_questions(temporary: str, end: str) -> None:
    """A recipient a line; the empty line or the end of file ends it."""
    terminal = Terminal(temporary)
    terminal.wait_for("recipient: ")
    terminal.type("olaf+trash@example.org\n")
    terminal.wait_for("550 5.1.1 User unknown")
    terminal.wait_for("recipient: ")
    terminal.type("nina@example.org SIZE=2000000\n")
    terminal.wait_for("452 4.2.2 Message exceeds the free quota")
    terminal.wait_for("recipient: ")
    terminal.type(end)
    assert terminal.close() == 0
    assert left_behind(temporary) == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_whole(temporary: str, number: signal.Signals, code: int) -> None:
    """ctrl-C, or SIGTERM: no traceback, and nothing is left."""
    terminal = Terminal(temporary)
    terminal.wait_for("recipient: ")
    terminal.process.send_signal(number)
    assert terminal.close() == code
    assert left_behind(temporary) == []


def test_every_row_names_another_recipient() -> None:
    """A dozen recipients of every kind, at least."""
    assert len({asked.recipient for asked in QUESTIONS}) == len(QUESTIONS) >= 12


def test_a_narrow_terminal_gets_blocks() -> None:
    """No line is folded in the middle of a column."""
    answers = [Answer("fred@example.org", "deliverable", "OK fred@example.org", "DUNNO", "250")]
    wide, narrow = list(table.lines(answers, None)), list(table.lines(answers, 60))
    assert len(wide) == 3
    assert narrow[0] == "fred@example.org"
    assert max(map(len, narrow)) <= 60


def test_what_a_server_says_cannot_steer_the_terminal() -> None:
    """Control characters are shown as a question mark."""
    answers = [Answer("\x1b[2J@example.org", "nonexistent", "NOTFOUND \x07", "DUNNO", "250")]
    assert "\x1b" not in "".join(table.lines(answers))
