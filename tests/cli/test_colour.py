"""Colour: on a terminal, where nobody has said otherwise, and never in a file."""

from __future__ import annotations

import os
import pty
import subprocess

import pytest

from tests.rigs.commandline import Site, command, environment

ESC = "\x1b["


def on_a_terminal(site: Site, *words: str, **changes: str) -> str:
    """What a command writes to a terminal."""
    master, slave = pty.openpty()
    done = subprocess.Popen(
        command(words[0], "-c", site.config, *words[1:]),
        stdout=slave,
        stderr=subprocess.DEVNULL,
        env=environment(changes),
    )
    os.close(slave)
    written = b""
    try:
        while data := os.read(master, 4096):
            written += data
    except OSError:  # the other end is closed
        pass
    finally:
        os.close(master)
        done.wait(timeout=60)
    return written.decode()


@pytest.mark.parametrize(
    ("words", "coloured"),
    [
        (("check", "fred"), "\x1b[32mdeliverable\x1b[0m"),
        (("check", "den"), "\x1b[31mdenied\x1b[0m"),
        (("check", "over"), "\x1b[33mover-quota\x1b[0m"),
        (("explain", "over"), "\x1b[33mover-quota\x1b[0m"),
        (("check-config",), "\x1b[32mok      \x1b[0m"),
        (("ask", "fred"), "\x1b[33mnone\x1b[0m"),
    ],
    ids=str,
)
def test_a_terminal(site: Site, words: tuple[str, ...], coloured: str) -> None:
    """Green is well, yellow for now, red for good; and the words are the same without."""
    shown = on_a_terminal(site, *words)
    assert coloured in shown
    plain = on_a_terminal(site, *words, "--color", "never")
    assert ESC not in plain
    if words[0] != "ask":  # its times differ
        for style in ("0", "1", "31", "32", "33"):
            shown = shown.replace(f"{ESC}{style}m", "")
        assert shown == plain


@pytest.mark.parametrize("changes", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {"TERM": ""}], ids=str)
def test_a_terminal_that_wants_none(site: Site, changes: dict[str, str]) -> None:
    """NO_COLOR (no-color.org) and terminals that know no colour; --color=always outdoes both."""
    assert ESC not in on_a_terminal(site, "explain", "fred", **changes)
    assert ESC in on_a_terminal(site, "explain", "fred", "--color=always", **changes)


def test_an_empty_no_color_says_nothing(site: Site) -> None:
    """As no-color.org has it."""
    assert ESC in on_a_terminal(site, "explain", "fred", NO_COLOR="")


def test_a_pipe(site: Site) -> None:
    """Colour only where it was asked for."""
    assert ESC not in site.run("explain", "fred").out
    assert ESC in site.run("explain", "fred", "--color", "always").out


def test_json_has_none(site: Site) -> None:
    """Programs read it."""
    for words in (("check", "fred"), ("explain", "fred"), ("check-config",)):
        assert ESC not in site.run(*words, "--json", "--color", "always").out
