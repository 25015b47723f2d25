"""`check`: one line each, and an exit code that says the worst."""

from __future__ import annotations

import os

import pytest

from gateway.cli import check
from gateway.cli.main import main
from gateway.cli.progress import Progress
from tests.rigs.commandline import Site


@pytest.mark.parametrize(
    ("recipients", "code"),
    [
        (["fred"], 0),
        (["fred", "fred+Work@example.org"], 0),
        (["fred", "nobody"], 1),
        (["den"], 1),
        (["fred", "over"], 75),
        (["over", "nobody"], 75),
        (["nobody", "over", "fred"], 75),
        (["broken"], 75),
    ],
    ids=str,
)
def test_the_exit_code_tells_all_some_later_and_never(
    site: Site, recipients: list[str], code: int
) -> None:
    """0: all can get mail; 75: some may later, whatever others get; else 1: some never."""
    assert site.run("check", *recipients).code == code


def test_a_line_is_recipient_verdict_and_reason(site: Site) -> None:
    """Recipient, verdict and reason, separated by tabs."""
    done = site.run("check", "fred", "<over@example.org>", "den", "a@@")
    assert done.lines == [
        "fred\tdeliverable\t",
        "over@example.org\tover-quota\tOver quota",
        "den\tdenied\tclosed for good",
        "a@@\tbad-address\tno domain behind the @",
    ]


def test_recipients_come_from_files_and_standard_input(site: Site) -> None:
    """From files and from standard input; comments, empty lines and CR LF do not matter."""
    path = os.path.join(site.root, "list")
    with open(path, "wb") as file:
        file.write(b"# ours\n\nfred\r\n<nobody@example.org>\n")
    expected = ["fred\tdeliverable\t", "nobody@example.org\tnonexistent\tMailbox does not exist"]
    assert site.run("check", "-f", path).lines == expected
    assert site.run("check", "-", stdin=b"fred\nnobody@example.org").lines == expected
    assert site.run("check", "-f", "-", stdin=b"fred\nnobody@example.org").lines == expected


def test_no_recipient_breaks_the_line_or_the_terminal(site: Site) -> None:
    """No recipient breaks the line or the terminal."""
    done = site.run("check", "-", stdin=b"a\tb\x1b[2J@example.org\n\xff@example.org\n")
    assert done.lines[0].split("\t")[0] == r"a\tb\x1b[2J@example.org"
    assert done.lines[1].split("\t")[0] == r"\xff@example.org"


def test_json_is_one_object_a_line(site: Site) -> None:
    """One object a line."""
    (one,) = site.run("check", "--json", "over").objects
    assert one == {
        "recipient": "over",
        "verdict": "over-quota",
        "temporary": True,
        "reason": "Over quota",
    }


def test_nothing_to_check(site: Site) -> None:
    """Neither recipients nor a file: usage."""
    done = site.run("check")
    assert done.code == os.EX_USAGE
    assert "-f" in done.err


@pytest.mark.parametrize(
    ("content", "code"), [(None, os.EX_NOINPUT), (b"x" * 5000 + b"\n", os.EX_DATAERR)]
)
def test_a_list_that_cannot_be_used(site: Site, content: bytes | None, code: int) -> None:
    """The message names the file."""
    path = os.path.join(site.root, "list")
    if content is not None:
        with open(path, "wb") as file:
            file.write(content)
    done = site.run("check", "-f", path)
    assert done.code == code
    assert path in done.err


def test_an_empty_list(site: Site) -> None:
    """Nobody is refused where nobody is asked."""
    assert site.run("check", "-", stdin=b"").code == 0


def test_a_missing_mailbox_list(site: Site) -> None:
    """Nobody is called nonexistent: it is a fault of ours, and temporary."""
    os.unlink(os.path.join(site.store.configdirectory, "mailboxes.db"))
    done = site.run("check", "fred")
    assert done.code == os.EX_TEMPFAIL
    assert done.lines[0].startswith("fred\tstore-fault\t")


def test_progress_on_a_terminal(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """How many are done of how many, where a file has them; of standard input only how many."""
    path = os.path.join(site.root, "list")
    with open(path, "wb") as file:
        file.write(b"# ours\n" + b"fred\n" * 70)
    totals: list[int | None] = []

    class Bar(Progress):
        def __init__(self, label: str, total: int | None, unit: str) -> None:
            totals.append(total)
            super().__init__(label, total, unit)

    monkeypatch.setattr(check, "Progress", Bar)
    for words in (["-f", path, "fred"], ["-f", "/dev/null", "fred"]):
        assert main(["check", "-c", site.config, *words]) == 0
    assert totals == [71, None]
