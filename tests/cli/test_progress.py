"""The progress bar: on a terminal only, and gone at the end."""

from __future__ import annotations

import io

import pytest

from gateway.cli import progress
from gateway.cli.progress import Progress, render


class Terminal(io.StringIO):
    """A stream that calls itself a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("read", 0, 200, "records", 1.0), "read  [..............................]   0 %  0 records"),
        (("read", 50, 200, "records", 10.0), "read  [#######.......................]  25 %  50 records  0:30 left"),
        (("read", 300, 200, "records", 1.0), "read  [##############################] 100 %  300 records  0:00 left"),
        (("read", 1234, None, "records", 1.0), "read  1,234 records"),
        (("log", 1_500_000, 3_000_000, "bytes", 90.0), "log  [###############...............]  50 %  1.5 MB  1:30 left"),
    ],
)  # fmt: skip
def test_the_line_tells_how_far_it_is_and_how_long_it_takes(
    arguments: tuple[str, int, int | None, str, float], line: str
) -> None:
    """What, how far, how much, and how long it still takes."""
    assert render(*arguments) == line


def test_nothing_is_written_where_nobody_looks() -> None:
    """A file or a pipe stays clean."""
    stream = io.StringIO()
    with Progress("read", 10, "bytes", stream) as bar:
        bar.reach(10)
    assert stream.getvalue() == ""


def test_nothing_is_written_on_a_dumb_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """TERM=dumb cannot wipe a line."""
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr(progress, "_INTERVAL", 0.0)
    stream = Terminal()
    with Progress("read", 10, "bytes", stream) as bar:
        bar.reach(5)
    assert stream.getvalue() == ""


def test_the_bar_is_wiped_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last thing on the terminal is an empty line."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(progress, "_INTERVAL", 0.0)
    stream = Terminal()
    with Progress("read", 10, "bytes", stream) as bar:
        bar.reach(5)
        assert " 50 %" in stream.getvalue()
    assert stream.getvalue().endswith("\r\x1b[K")
