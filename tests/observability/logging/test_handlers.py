"""Where log lines go, and what happens when they cannot."""

from __future__ import annotations

import json
import logging
import os
import re
import resource
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.observability.logging.handlers import (
    LINE_LIMIT,
    LINES_OF_A_KIND,
    REPEAT_SECONDS,
    RecordLimiter,
    StreamHandler,
    SyslogHandler,
    severity,
)
from gateway.observability.logging.setup import JsonFormatter


@pytest.fixture
def syslog(tmp_path: Path) -> Iterator[socket.socket]:
    """A socket that stands for /dev/log."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "log"))
        listener.settimeout(10)
        yield listener


def record(message: str, level: int = logging.INFO) -> logging.LogRecord:
    """A record of that message."""
    return logging.LogRecord("gateway.test", level, __file__, 1, message, (), None)


def handler_for(syslog: socket.socket, ident: str = "smmapd-gateway") -> SyslogHandler:
    """A handler that writes to it."""
    return SyslogHandler(ident, "mail", path=syslog.getsockname())


def test_a_line_has_the_form_of_rfc_3164(syslog: socket.socket) -> None:
    """Priority (mail is 2, info is 6), time, ident, pid, text."""
    handler = handler_for(syslog)
    handler.emit(record("hello"))
    line = syslog.recv(9999).decode()
    expected = (
        rf"<22>[A-Z][a-z][a-z] [ 123]\d \d\d:\d\d:\d\d smmapd-gateway\[{os.getpid()}\]: hello"
    )
    assert re.fullmatch(expected, line)
    handler.close()


def test_a_long_line_is_cut(syslog: socket.socket) -> None:
    """To what syslogd takes."""
    handler = handler_for(syslog)
    handler.emit(record("x" * 100_000))
    assert len(syslog.recv(200_000)) == LINE_LIMIT
    handler.close()


def test_a_full_syslog_blocks_nobody_and_the_loss_is_told(syslog: socket.socket) -> None:
    """The next line that goes through is preceded by the number of those that did not."""
    handler = handler_for(syslog)
    sent = 0
    while not handler.lost:
        handler.emit(record("fill"))
        sent += 1
    handler.emit(record("lost too"))
    for _ in range(sent - 1):
        syslog.recv(9999)
    handler.emit(record("after"))
    assert syslog.recv(9999).endswith(b": 2 log lines were lost: they were not read in time")
    assert syslog.recv(9999).endswith(b": after")
    handler.close()


def test_a_missing_syslog_is_survived_and_a_new_one_found(tmp_path: Path) -> None:
    """As at boot, and after a restart of syslogd."""
    path = tmp_path / "log"
    handler = SyslogHandler("i", "mail", path=str(path))
    handler.emit(record("one"))
    assert handler.lost == 1
    for name in ("two", "three"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
            listener.bind(str(path))
            listener.settimeout(10)
            handler.emit(record(name))
            lines = [listener.recv(9999)]
            if b"lost" in lines[0]:
                lines.append(listener.recv(9999))
            assert lines[-1].endswith(f": {name}".encode())
        path.unlink()
    handler.close()


def test_the_journals_lines_begin_with_their_priority() -> None:
    """As sd-daemon(3) says."""
    reader, writer = os.pipe()
    handler = StreamHandler(writer, priorities=True)
    handler.emit(record("bad", logging.ERROR))
    handler.emit(record("good"))
    assert os.read(reader, 999) == b"<3>bad\n<6>good\n"
    os.close(reader)
    os.close(writer)


def test_a_closed_standard_error_is_survived() -> None:
    """Lines are counted and lost."""
    reader, writer = os.pipe()
    os.close(reader)
    handler = StreamHandler(writer)
    handler.emit(record("nobody hears"))
    assert handler.lost == 1
    os.close(writer)


@pytest.fixture(params=["pipe", "socket"])
def stalled(request: pytest.FixtureRequest) -> Iterator[tuple[int, int]]:
    """Reader and writer of what standard error may be; nobody reads unless the test does."""
    if request.param == "pipe":
        reader, writer = os.pipe()
    else:
        reader, writer = (each.detach() for each in socket.socketpair())
    yield reader, writer
    os.close(reader)
    os.close(writer)


def test_a_reader_that_does_not_read_blocks_nobody(stalled: tuple[int, int]) -> None:
    """What has no room is counted; when there is room again, the first word is how many it was."""
    reader, writer = stalled
    handler = StreamHandler(writer)
    sent = 0
    while handler.lost < 3:
        handler.emit(record(f"{sent} " + "x" * 5000))
        sent += 1
    arrived = b""
    while arrived.count(b"\n") < sent - handler.lost - 1:
        arrived += os.read(reader, 1 << 20)
    handler.emit(record("after"))
    handler.close()
    while b"after\n" not in arrived:
        arrived += os.read(reader, 1 << 20)
    *whole, told, after, end = arrived.decode().split("\n")
    assert [line[: line.index(" ")] for line in whole] == [str(n) for n in range(sent - 3)]
    assert {len(line.partition(" ")[2]) for line in whole} == {5000}
    assert (told, after, end) == (
        "3 log lines were lost: they were not read in time",
        "after",
        "",
    )


def test_a_full_disk_is_survived() -> None:
    """Each line is lost and counted; nothing is raised."""
    with open("/dev/full", "wb") as full:
        handler = StreamHandler(full.fileno())
        for _ in range(3):
            handler.emit(record("nowhere"))
        assert handler.lost == 3


def test_a_line_that_a_full_disk_cuts_off_is_finished_when_there_is_room(tmp_path: Path) -> None:
    """The next line does not go on in it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with open(tmp_path / "log", "ab") as file:
        handler = StreamHandler(file.fileno())
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (20, hard))
            for line in ("the first line", "the second line", "the third line"):
                handler.emit(record(line))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        handler.emit(record("room again"))
    told = (tmp_path / "log").read_text().splitlines()
    assert told == [
        "the first line",
        "the second line",
        "1 log lines were lost: File too large",
        "room again",
    ]


def test_the_loss_is_a_line_like_any_other() -> None:
    """In the form that the log has, for who reads it by a program."""
    reader, writer = os.pipe()
    with open("/dev/full", "wb") as full:
        handler = StreamHandler(full.fileno())
        handler.setFormatter(JsonFormatter())
        handler.emit(record("nowhere"))
        os.dup2(writer, full.fileno())
        os.close(writer)
        handler.emit(record("there"))
    with open(reader, encoding="utf-8") as log:
        lost, there = (json.loads(line) for line in log)
    assert lost["message"] == "1 log lines were lost: No space left on device"
    assert (lost["level"], there["message"]) == ("warning", "there")


def test_levels_become_severities() -> None:
    """Those of syslog(3)."""
    levels = (logging.CRITICAL, logging.ERROR, logging.WARNING, logging.INFO, logging.DEBUG, 1)
    assert [severity(level) for level in levels] == [2, 3, 4, 6, 7, 7]


class Clock:
    """A clock that the test sets."""

    now = 0.0

    def __call__(self) -> float:
        """The time that was set."""
        return self.now


def texts(records: list[logging.LogRecord]) -> list[str]:
    """Their messages."""
    return [each.getMessage() for each in records]


def test_equal_lines_are_one_line_and_a_count() -> None:
    """The first is written at once, the others as a number when the time is over."""
    clock = Clock()
    limiter = RecordLimiter(clock)
    assert texts(limiter.admit(record("disk", logging.ERROR))) == ["disk"]
    for _ in range(1000):
        assert limiter.admit(record("disk", logging.ERROR)) == []
    assert texts(limiter.admit(record("other", logging.ERROR))) == ["other"]
    clock.now = REPEAT_SECONDS
    assert texts(limiter.admit(record("disk", logging.ERROR))) == [
        "disk (1000 more times in 30 s)",
        "disk",
    ]


def from_one_place(values: list[str], level: int = logging.WARNING) -> list[logging.LogRecord]:
    """Lines of one call with different values."""
    return [
        logging.LogRecord("gateway.test", level, __file__, 1, "client sent %s", (value,), None)
        for value in values
    ]


def test_nonsense_that_is_ever_new_is_held_back_too() -> None:
    """Of lines that only differ in their values a few are written, then the last and a count."""
    clock = Clock()
    limiter = RecordLimiter(clock)
    lines = from_one_place([str(number) for number in range(1000)])
    written = [text for line in lines for text in texts(limiter.admit(line))]
    assert written == [f"client sent {number}" for number in range(LINES_OF_A_KIND)]
    assert texts(limiter.admit(record("another place", logging.WARNING))) == ["another place"]
    clock.now = REPEAT_SECONDS
    assert texts(limiter.admit(from_one_place(["more"])[0])) == [
        "client sent 999 (the last of 990 more such lines in 30 s)",
        "client sent more",
    ]


def test_different_verdicts_are_all_written() -> None:
    """Lines at INFO from one place are all written."""
    limiter = RecordLimiter(Clock())
    lines = from_one_place([str(number) for number in range(100)], logging.INFO)
    assert [len(limiter.admit(line)) for line in lines] == [1] * 100


def test_equal_verdicts_are_all_written() -> None:
    """Equal lines at INFO are all written."""
    limiter = RecordLimiter(Clock())
    assert [len(limiter.admit(record("verdict"))) for _ in range(3)] == [1, 1, 1]


def test_counts_are_not_lost_at_the_end(syslog: socket.socket) -> None:
    """close writes what is held back."""
    handler = handler_for(syslog)
    for _ in range(3):
        handler.emit(record("disk", logging.ERROR))
    handler.close()
    assert syslog.recv(9999).endswith(b": disk")
    assert syslog.recv(9999).endswith(b": disk (2 more times in 0 s)")


def test_many_different_lines_do_not_grow_memory() -> None:
    """The oldest is forgotten, its count written."""
    limiter = RecordLimiter(Clock())
    limiter.admit(record("first", logging.ERROR))
    limiter.admit(record("first", logging.ERROR))
    written = [
        text
        for number in range(1000)
        for text in texts(limiter.admit(record(f"line {number}", logging.ERROR)))
    ]
    assert written.count("first (1 more times in 0 s)") == 1
    assert len(limiter.rest()) == 0
