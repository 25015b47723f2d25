"""What an administrator hears of a reload, a start and a lost socket: always, and everywhere."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable

import pytest

from tests.rigs.load import FRED, NOBODY
from tests.rigs.managed import ManagedGateway
from tests.rigs.ports import LOOPBACK, free_ports
from tests.rigs.waiting import wait_until

REFUSED = "new configuration refused, the old one stays in force"
MISTAKES = 25


def reload(managed: ManagedGateway, lines: int, *texts: str) -> list[str]:
    """SIGHUP; the log lines with `texts`, as soon as there are so many."""
    managed.reload()
    return managed.wait_log(*texts, count=lines)


def _folder(managed: ManagedGateway) -> None:
    os.unlink(managed.configuration)
    os.mkdir(managed.configuration)


def _pipe(managed: ManagedGateway) -> None:
    os.unlink(managed.configuration)
    os.mkfifo(managed.configuration)


def _unreadable_include(managed: ManagedGateway) -> None:
    os.mkfifo(managed.path("more"))
    with open(managed.path("imapd.conf"), "a", encoding="utf-8") as file:
        file.write(f"@include: {managed.path('more')}\n")


def _certificate(managed: ManagedGateway) -> None:
    os.mkfifo(managed.path("cert"))
    (port,) = free_ports(1)
    listen = [f"unix:{managed.path('socketmap')}", f"inet:{LOOPBACK}:{port}?tls=yes"]
    tls: dict[str, str | bool] = {"certificate": managed.path("cert"), "verify_clients": False}
    managed.configure({"tls": tls, "socketmap": {"listen": listen}})


STRANGE: dict[str, tuple[Callable[[ManagedGateway], None], tuple[str, ...]]] = {
    "folder": (_folder, ("gateway.toml", "is a folder")),
    "pipe": (_pipe, ("gateway.toml", "is a named pipe")),
    "include": (_unreadable_include, ("/more", "is a named pipe")),
    "certificate": (_certificate, ("/cert", "is a named pipe")),
}


@pytest.mark.parametrize("what", STRANGE)
def test_what_is_no_file_is_refused_at_once(what: str) -> None:
    """In the place of any file that is read; no process waits for it, and a stop is a stop."""
    spoil, texts = STRANGE[what]
    with ManagedGateway() as managed:
        managed.begin()
        spoil(managed)
        told = managed.reload()
        assert REFUSED in told["STATUS"]
        assert managed.wait_log(*texts)
        assert managed.ask("policy", NOBODY).startswith(b"550 ")
        managed.signal(signal.SIGTERM)
        assert managed.exit_code() == os.EX_OK


def test_at_a_start_what_is_no_file_is_an_error_at_once() -> None:
    """As in a reload."""
    with ManagedGateway() as managed:
        _pipe(managed)
        managed.start()
        assert managed.exit_code() == os.EX_CONFIG
        assert managed.logged("gateway.toml", "is a named pipe")


def test_the_answer_is_in_the_log_each_time() -> None:
    """Whatever was logged before, and whatever the level: the same refusal three times, then a yes."""
    with ManagedGateway({"logging": {"level": "error"}}) as managed:
        managed.begin()
        with open(managed.configuration, encoding="utf-8") as file:
            good = file.read()
        managed.write_configuration("[polic")
        for count in (1, 2, 3):
            reload(managed, count, REFUSED)
            assert len(managed.wait_log("gateway.toml: is not TOML", count=count)) >= count
        managed.write_configuration(good)
        reload(managed, 1, "new configuration in force: serving with core")


def test_every_mistake_is_told_with_file_and_line() -> None:
    """However many there are."""
    with ManagedGateway() as managed:
        managed.begin()
        managed.write_configuration("".join(f"mistake{n} = 1\n" for n in range(MISTAKES)))
        reload(managed, MISTAKES, "gateway.toml:", "unknown setting")
        for line in range(1, MISTAKES + 1):
            assert managed.logged(f"gateway.toml:{line}: mistake{line - 1}:")


def test_a_lost_socket_is_missed_and_made_again() -> None:
    """Its file was removed, or is another program's."""
    with ManagedGateway() as managed:
        managed.begin()
        os.unlink(managed.path("policy"))
        assert "the file has gone" in managed.wait_told("STATUS")["STATUS"]
        assert managed.wait_log("no client reaches", "/policy", "SIGHUP")
        assert "no client reaches" not in managed.reload()["STATUS"]
        assert managed.ask("policy", NOBODY).startswith(b"550 ")
        os.unlink(managed.path("socketmap"))
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(managed.path("socketmap"))
            other.listen()
            assert "is another program's" in managed.wait_told("STATUS")["STATUS"]
            status = managed.reload()["STATUS"]
            assert "new configuration refused" in status  # what is behind it may be cut
            assert managed.wait_log("another process accepts connections there")
        managed.reload()
        assert managed.ask("socketmap", FRED) == b"OK " + FRED


def test_a_start_without_readable_databases_says_so() -> None:
    """In the log and to systemd, before anybody has asked; and when it is over."""
    with ManagedGateway() as managed:
        path = os.path.join(managed.folder, "conf", "mailboxes.db")
        with open(path, "rb") as file:
            sound = file.read()
        os.unlink(path)
        managed.start()
        status = managed.wait_told("READY")["STATUS"]
        assert status.startswith("serving with core; cannot read mailboxes (")
        assert managed.logged("error", "cannot read mailboxes", path)
        with open(path, "wb") as file:
            file.write(sound)
        wait_until(
            lambda: managed.wait_told("STATUS")["STATUS"] == "serving with core",
            "systemd hears that it is over",
        )
        assert managed.ask("socketmap", FRED) == b"OK " + FRED
