"""Access rules for TCP clients: when they are asked, and what is asked."""

from __future__ import annotations

import socket
import struct
from pathlib import Path

import pytest

from gateway.errors import ConfigurationError
from smmapd import access
from smmapd.access import Access
from tests.rigs.require import require
from tests.rigs.waiting import wait_until


class Library:
    """Instead of libwrap: refuses one address, and remembers what it was asked."""

    def __init__(self, refused: bytes = b"") -> None:
        self.asked: list[tuple[bytes, ...]] = []
        self._refused = refused

    def hosts_ctl(self, *words: bytes) -> int:
        """1 to let in, 0 to refuse, as hosts_access(3) has it."""
        self.asked.append(words)
        return int(words[2] != self._refused)


@pytest.fixture
def rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The place of hosts.deny; there is no hosts.allow."""
    path = tmp_path / "hosts.deny"
    monkeypatch.setattr(access, "RULES", (str(tmp_path / "hosts.allow"), str(path)))
    return path


@pytest.fixture
def peer() -> object:
    """A server's end of a connection over the loopback."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
    ):
        accepted, _ = server.accept()
        with accepted:
            yield accepted
        assert client


@pytest.mark.parametrize("text", [None, "", "\n  \n", "# ALL: ALL\n#\n"])
def test_without_a_rule_everybody_is_let_in(
    rules: Path, peer: socket.socket, text: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library is not needed then, and not loaded."""
    if text is not None:
        rules.write_text(text)
    monkeypatch.setattr(access, "LIBRARY", "libnonexistent.so.0")
    assert Access("smmap", print).allows(peer)


@pytest.mark.parametrize(("refused", "allowed"), [(b"", True), (b"127.0.0.1", False)])
def test_rules_are_asked_by_service_and_address(
    rules: Path,
    peer: socket.socket,
    refused: bytes,
    allowed: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The daemon is the service's name in cyrus.conf; no name is looked up."""
    rules.write_text("smmap: 192.0.2.0/24\n")
    library = Library(refused)
    monkeypatch.setattr(access, "_load", lambda: library)
    refused_lines: list[tuple[object, ...]] = []
    access_ = Access("smmap", lambda *line: refused_lines.append(line))
    assert access_.allows(peer) is allowed
    line = ("refused connection from [%s]", "127.0.0.1")
    assert refused_lines == ([] if allowed else [line])
    assert library.asked == [(b"smmap", b"unknown", b"127.0.0.1", b"unknown")]


def test_rules_that_come_later_count(
    rules: Path, peer: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An administrator need not restart anything to shut somebody out."""
    library = Library(b"127.0.0.1")
    monkeypatch.setattr(access, "_load", lambda: library)
    access_ = Access("smmap", lambda *_line: None)
    assert access_.allows(peer)
    rules.write_text("ALL: ALL\n")
    assert not access_.allows(peer)


def test_a_client_that_is_gone_already_is_no_error(
    rules: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reset the connection before it was accepted: nobody is there to be asked about."""
    rules.write_text("ALL: ALL\n")
    library = Library()
    monkeypatch.setattr(access, "_load", lambda: library)
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        accepted, _ = server.accept()
        with accepted:
            wait_until(lambda: is_gone(accepted), "the reset has arrived")
            reported: list[object] = []
            assert not Access("smmap", reported.append).allows(accepted)
    assert library.asked == reported == []


def is_gone(peer: socket.socket) -> bool:
    """Whether the system has no name any more for the other end."""
    try:
        peer.getpeername()
    except OSError:
        return True
    return False


def test_rules_without_the_library_are_a_wrong_configuration(
    rules: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rules that cannot be enforced must not be passed over in silence."""
    rules.write_text("ALL: ALL\n")
    monkeypatch.setattr(access, "LIBRARY", "libnonexistent.so.0")
    with pytest.raises(
        ConfigurationError, match=r"libnonexistent\.so\.0 cannot be loaded"
    ) as caught:
        Access("smmap", print)
    assert caught.value.file == access.RULES[0]


@pytest.mark.real
def test_the_real_library_has_what_is_called() -> None:
    """hosts_ctl takes four strings and says yes or no."""
    require("cyrus")
    library = access._load()
    assert library.hosts_ctl(b"smmap", b"unknown", b"127.0.0.1", b"unknown") in (0, 1)
