"""All places are taken and other clients wait: which ones are disconnected, and what the log says."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.server import crowding
from tests.support.lines import BIG, Site, run_loop_until, site


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Where the server listens."""
    return str(tmp_path / "socket")


def crowd(lines: Site) -> crowding.Crowding:
    """What looks after a server whose clients are bounded."""
    found = lines.server._crowding
    assert found is not None
    return found


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients may have to go for others at once, and it is looked whether they have to all the time."""
    monkeypatch.setattr(crowding, "IDLE", 0.0)
    monkeypatch.setattr(crowding, "LOOK", 0.01)


@pytest.mark.usefixtures("impatient")
def test_idle_clients_go_where_others_wait(path: str) -> None:
    """They would hold every place for minutes; a client in the middle of something stays."""
    with site(path, max_connections=4, limited_by="max_connections of [lines]") as lines:
        idle, mailing, half, unread = (lines.connect() for _ in range(4))
        assert idle.ask(b"one") == mailing.ask(b"one") == b"one"
        lines.sessions[1].engaged = True
        half.send(b"hal")
        unread.send(b"big\n")
        run_loop_until(
            lambda: [s.received for s in lines.sessions] == [4, 4, 3, 4], "everything has been read"
        )
        new = lines.connect()
        assert new.ask(b"me") == b"me"
        assert idle.line() == b""
        assert mailing.ask(b"two") == b"two"
        half.send(b"f\n")
        assert half.line() == b"half"
        assert unread.line() == BIG
        (said,) = lines.reported
        assert said.startswith(
            "4 clients are connected, all that max_connections of [lines] allows"
        )


@pytest.mark.usefixtures("impatient")
def test_idle_clients_stay_where_nobody_waits(path: str) -> None:
    """Nothing is said, either: as many as may be are not too many."""
    with site(path, max_connections=2) as lines:
        first, second = lines.connect(), lines.connect()
        assert first.ask(b"one") == second.ask(b"one") == b"one"
        for _ in range(3):
            crowd(lines).look()  # what the timer calls
        assert first.ask(b"two") == second.ask(b"two") == b"two"
        assert lines.reported == []


@pytest.mark.usefixtures("impatient")
def test_an_smtp_session_is_not_ended_for_another_one(path: str) -> None:
    """Nor between two mails: its MTA could not begin it again; a client that never said a word has none."""
    with site(path, max_connections=2, follows_smtp=True) as lines:
        session = lines.connect()
        assert session.ask(b"one") == b"one"
        silent = lines.connect()
        new = lines.connect()
        assert new.ask(b"me") == b"me"
        assert silent.line() == b""
        assert session.ask(b"two") == b"two"


@pytest.mark.usefixtures("impatient")
def test_a_crowd_is_reported_again_once_there_was_room(path: str) -> None:
    """Not for each client that waits."""
    with site(path, max_connections=10) as lines:
        for _ in range(10):
            lines.connect()
        for _ in range(3):
            assert lines.connect().ask(b"me") == b"me"
        assert len(lines.reported) == 1
        for client in lines._clients:
            client.close()
        run_loop_until(lambda: not crowd(lines)._timer.active, "there is room")
        for _ in range(10):
            lines.connect()
        assert lines.connect().ask(b"me") == b"me"
        assert len(lines.reported) == 2
