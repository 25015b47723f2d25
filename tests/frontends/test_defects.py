"""A defect of ours in a callback: its client is disconnected, and everybody else is served.

The event loop would print the exception, stop watching the socket that it
came from, and leave its client waiting for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import gevent
import pytest

from gateway.server.dispatcher import Dispatcher
from gateway.verification.model import Evidence, Pending, Query, Verdict
from tests.support.lines import Lines, Site, far, run_loop_until, site


def defect(*_arguments: object) -> bytes:
    """What nobody expected."""
    raise ZeroDivisionError


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch) -> list[type[BaseException]]:
    """The exceptions that the loop was left with."""
    found: list[type[BaseException]] = []
    monkeypatch.setattr(
        gevent.get_hub(), "handle_error", lambda _context, kind, _value, _trace: found.append(kind)
    )
    return found


@pytest.fixture
def lines(tmp_path: Path) -> Iterator[Site]:
    """A server of Lines."""
    with site(str(tmp_path / "socket")) as made:
        yield made


@pytest.mark.parametrize(
    ("method", "sent"),
    [
        ("cached_reply", b"known\n"),
        ("receive", b"one\n"),
        ("replies", b"one\n"),
        # The rest of these is answered in a turn of its own.
        ("replies", b"one\n" * 9),
        ("resolved", b"far one\n"),
    ],
)
def test_a_defect_costs_its_client_the_connection(
    lines: Site,
    printed: list[type[BaseException]],
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    sent: bytes,
) -> None:
    """It asks again on another one; the server has forgotten it."""
    other = lines.connect()
    assert other.ask(b"one") == b"one"
    with monkeypatch.context() as patch:
        patch.setattr(Lines, method, defect)
        concerned = lines.connect()
        concerned.send(sent)
        assert concerned.line() == b""
    assert [type(each) for each in lines.defects] == [ZeroDivisionError]
    assert printed == []
    assert len(lines.server.connections) == 1
    assert other.ask(b"two") == b"two"


def test_after_a_defect_others_are_accepted(
    lines: Site, printed: list[type[BaseException]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It struck while one was let in."""
    with monkeypatch.context() as patch:
        patch.setattr(lines.server, "session_for", defect)
        unlucky = lines.connect()
        run_loop_until(lambda: lines.reported, "the defect was met")
    assert printed == []
    assert unlucky.line() == b""
    assert lines.connect().ask(b"one") == b"one"


def test_a_defect_keeps_an_answer_from_nobody_else() -> None:
    """Several wait for the same one."""
    defects: list[BaseException] = []
    told: list[Verdict] = []
    dispatcher = Dispatcher(lambda pending, _since: far(pending), defect=defects.append)
    waiting: tuple[Callable[[Verdict], object], ...] = (defect, told.append)
    for answered in waiting:
        dispatcher.ask(Pending(Query(b"fred"), "far", Evidence()), answered)  # type: ignore[arg-type]
    run_loop_until(lambda: told, "the second was told")
    assert [type(each) for each in defects] == [ZeroDivisionError]
