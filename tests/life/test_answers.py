"""What an administrator hears of a reload, a start and a lost socket: always, and everywhere."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable

import pytest

from tests.life.load import FRED, NOBODY
from tests.life.running import Life
from tests.rigs.ports import LOOPBACK, free_ports
from tests.rigs.waiting import wait_until

REFUSED = "new configuration refused, the old one stays in force"
MISTAKES = 25


def reload(life: Life, lines: int, *texts: str) -> list[str]:
    """SIGHUP; the log lines with `texts`, as soon as there are so many."""
    life.reload()
    return life.wait_log(*texts, count=lines)


def _folder(life: Life) -> None:
    os.unlink(life.configuration)
    os.mkdir(life.configuration)


def _pipe(life: Life) -> None:
    os.unlink(life.configuration)
    os.mkfifo(life.configuration)


def _unreadable_include(life: Life) -> None:
    os.mkfifo(life.path("more"))
    with open(life.path("imapd.conf"), "a", encoding="utf-8") as file:
        file.write(f"@include: {life.path('more')}\n")


def _certificate(life: Life) -> None:
    os.mkfifo(life.path("cert"))
    (port,) = free_ports(1)
    listen = [f"unix:{life.path('socketmap')}", f"inet:{LOOPBACK}:{port}?tls=yes"]
    tls: dict[str, str | bool] = {"certificate": life.path("cert"), "verify_clients": False}
    life.configure({"tls": tls, "socketmap": {"listen": listen}})


STRANGE: dict[str, tuple[Callable[[Life], None], tuple[str, ...]]] = {
    "folder": (_folder, ("gateway.toml", "is a folder")),
    "pipe": (_pipe, ("gateway.toml", "is a named pipe")),
    "include": (_unreadable_include, ("/more", "is a named pipe")),
    "certificate": (_certificate, ("/cert", "is a named pipe")),
}


@pytest.mark.parametrize("what", STRANGE)
def test_what_is_no_file_is_refused_at_once(what: str) -> None:
    """In the place of any file that is read; no process waits for it, and a stop is a stop."""
    spoil, texts = STRANGE[what]
    with Life() as life:
        life.begin()
        spoil(life)
        told = life.reload()
        assert REFUSED in told["STATUS"]
        assert life.wait_log(*texts)
        assert life.ask("policy", NOBODY).startswith(b"550 ")
        life.signal(signal.SIGTERM)
        assert life.exit_code() == os.EX_OK


def test_at_a_start_what_is_no_file_is_an_error_at_once() -> None:
    """As in a reload."""
    with Life() as life:
        _pipe(life)
        life.start()
        assert life.exit_code() == os.EX_CONFIG
        assert life.logged("gateway.toml", "is a named pipe")


def test_the_answer_is_in_the_log_each_time() -> None:
    """Whatever was logged before, and whatever the level: the same refusal three times, then a yes."""
    with Life({"logging": {"level": "error"}}) as life:
        life.begin()
        with open(life.configuration, encoding="utf-8") as file:
            good = file.read()
        life.write_configuration("[polic")
        for count in (1, 2, 3):
            reload(life, count, REFUSED)
            assert len(life.wait_log("gateway.toml: is not TOML", count=count)) >= count
        life.write_configuration(good)
        reload(life, 1, "new configuration in force: serving with core")


def test_every_mistake_is_told_with_file_and_line() -> None:
    """However many there are."""
    with Life() as life:
        life.begin()
        life.write_configuration("".join(f"mistake{n} = 1\n" for n in range(MISTAKES)))
        reload(life, MISTAKES, "gateway.toml:", "unknown setting")
        for line in range(1, MISTAKES + 1):
            assert life.logged(f"gateway.toml:{line}: mistake{line - 1}:")


def test_a_lost_socket_is_missed_and_made_anew() -> None:
    """Its file was removed, or another program's stands there."""
    with Life() as life:
        life.begin()
        os.unlink(life.path("policy"))
        assert "the file has gone" in life.wait_told("STATUS")["STATUS"]
        assert life.wait_log("nobody reaches", "/policy", "SIGHUP")
        assert "nobody reaches" not in life.reload()["STATUS"]
        assert life.ask("policy", NOBODY).startswith(b"550 ")
        os.unlink(life.path("socketmap"))
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(life.path("socketmap"))
            other.listen()
            assert "is another program's" in life.wait_told("STATUS")["STATUS"]
            status = life.reload()["STATUS"]
            assert REFUSED in status
            assert life.wait_log("another process accepts connections there")
        life.reload()
        assert life.ask("socketmap", FRED) == b"OK " + FRED


def test_a_start_without_readable_databases_says_so() -> None:
    """In the log and to systemd, before anybody has asked; and when it is over."""
    with Life() as life:
        path = os.path.join(life.folder, "conf", "mailboxes.db")
        with open(path, "rb") as file:
            sound = file.read()
        os.unlink(path)
        life.start()
        status = life.wait_told("READY")["STATUS"]
        assert status.startswith("serving with core; cannot read mailboxes (")
        assert life.logged("error", "cannot read mailboxes", path)
        with open(path, "wb") as file:
            file.write(sound)
        wait_until(
            lambda: life.wait_told("STATUS")["STATUS"] == "serving with core",
            "systemd hears that it is over",
        )
        assert life.ask("socketmap", FRED) == b"OK " + FRED
