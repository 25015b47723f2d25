"""SIGHUP under load: nobody is lost, and a configuration that cannot serve changes nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from tests.rigs.folders import write_text
from tests.rigs.gateway import Tables
from tests.rigs.load import FRED, NOBODY, Load
from tests.rigs.managed import ManagedGateway
from tests.rigs.waiting import wait_until

REFUSED = "new configuration refused, the old one stays in force"


def text(word: str) -> Tables:
    """Settings by which a reply tells which configuration it came from."""
    return {"replies.nonexistent": {"text": word}}


def action(word: str) -> bytes:
    """The policy action of an unknown recipient with that configuration."""
    return b"550 5.1.1 " + word.encode()


@pytest.mark.parametrize("workers", [1, 2])
def test_no_request_is_lost_in_reloads_under_load(workers: int) -> None:
    """Persistent and short connections, both protocols, several reloads in a row.

    Every answer is that of a configuration that was in force, and soon after
    READY=1 new connections get the new one's.  The first processes end with
    clients that still talk; those ask again.
    """
    tables = {"": {"workers": workers, "graceful_timeout": 10}, **text("one")}
    words = ["one", "two", "three", "four"]
    with ManagedGateway(tables) as managed:
        managed.begin()
        first = [managed.watch(pid) for pid in managed.pids("core")]
        with Load({interface: managed.path(interface) for interface in managed.front_ends}) as load:
            for word in words[1:]:
                managed.configure(text(word))
                told = managed.reload()
                assert told["STATUS"].startswith("serving with ")
                # The old process may be about to hear that it should accept no more.
                wait_until(lambda: managed.ask("policy", NOBODY) == action(word), f"{word} answers")  # noqa: B023
                load.wait_progress()
            for pidfd in first:
                managed.wait_gone(pidfd)
            load.wait_progress()
        assert load.faults == []
        assert load.answers("socketmap") == {b"OK " + FRED, b"NOTFOUND Mailbox does not exist"}
        assert load.answers("policy") == {b"DUNNO", *map(action, words)}


def test_old_processes_leave_after_a_reload() -> None:
    """With the clients that they had: nothing of an old generation stays for ever."""
    with ManagedGateway({"": {"graceful_timeout": 2}}) as managed:
        managed.begin()
        old = managed.watch(managed.pid("core"))
        with managed.open("socketmap") as client:
            assert client.ask(FRED) == b"OK " + FRED
            managed.reload()
            client.wait_closed()
        managed.wait_gone(old)
        assert len(managed.pids("core")) == 1


def _spoil(content: str) -> Callable[[ManagedGateway], None]:
    return lambda managed: managed.write_configuration(content)


def _missing(managed: ManagedGateway) -> None:
    os.unlink(managed.configuration)


def _foreign(managed: ManagedGateway) -> None:
    with open(managed.path("precious"), "w", encoding="utf-8") as file:
        file.write("not a socket")
    managed.configure({"socketmap": {"listen": [f"unix:{managed.path('precious')}"]}})


@pytest.mark.parametrize(
    ("spoil", "complaints"),
    [
        pytest.param(_spoil("[polic"), ["gateway.toml: is not TOML"], id="half written"),
        pytest.param(
            _spoil('mode = "strict"\nworkers = 0\n'),
            ["gateway.toml:1: mode", "gateway.toml:2: workers"],
            id="two mistakes",
        ),
        pytest.param(_spoil(""), ["listen"], id="empty"),
        pytest.param(_missing, ["gateway.toml", "No such file"], id="missing"),
        pytest.param(
            lambda managed: managed.configure({"cyrus": {"imapd_conf": "/nonexistent/imapd.conf"}}),
            ["/nonexistent/imapd.conf"],
            id="no imapd.conf",
        ),
        pytest.param(
            lambda managed: managed.configure(
                {"policy": {"listen": [f"unix:{managed.folder}/none/policy"]}}
            ),
            ["/none/policy", "create the folder"],
            id="no folder for a socket",
        ),
        pytest.param(_foreign, ["precious is not a socket; it is left alone"], id="foreign file"),
    ],
)
def test_a_bad_configuration_is_refused_and_the_old_one_stays(
    spoil: Callable[[ManagedGateway], None], complaints: list[str]
) -> None:
    """The log names every fault; the same process goes on; a mended file is taken later."""
    with ManagedGateway(text("old")) as managed:
        managed.begin()
        core = managed.pid("core")
        with Load({"policy": managed.path("policy")}, each=1) as load:
            spoil(managed)
            assert REFUSED in managed.reload()["STATUS"]
            managed.wait_log(REFUSED)
            for complaint in complaints:
                assert managed.logged(complaint), managed.log()
            assert managed.pids("core") == [core]
            load.wait_progress()
            managed.configure({"socketmap": {"listen": [f"unix:{managed.path('socketmap')}"]},
                            "policy": {"listen": [f"unix:{managed.path('policy')}"]},
                            "cyrus": {"imapd_conf": f"{managed.folder}/imapd.conf"},
                            **text("mended")})  # fmt: skip
            managed.reload()
            wait_until(lambda: managed.ask("policy", NOBODY) == action("mended"), "it is taken")
        assert load.faults == []
        assert load.answers("policy") <= {b"DUNNO", action("old"), action("mended")}


def test_a_configuration_that_changes_during_a_reload_is_taken_whole() -> None:
    """Each reload takes one state of the file, and after the last SIGHUP the newest is in force."""
    words = [f"word {number}" for number in range(5)]
    with ManagedGateway(text(words[0])) as managed:
        managed.begin()
        with Load({"policy": managed.path("policy")}) as load:
            for word in words[1:]:
                managed.configure(text(word))
                managed.signal(signal.SIGHUP)
                # Not ready yet: the next change meets the reload in progress.
                managed.wait_told("RELOADING")
            wait_until(
                lambda: managed.ask("policy", NOBODY) == action(words[-1]),
                "the newest configuration is in force",
            )
        assert load.faults == []
        assert load.answers("policy") <= {b"DUNNO", *map(action, words)}
        assert not managed.logged(REFUSED)


def test_a_process_that_is_started_again_gets_what_was_validated() -> None:
    """Whatever has become of the file since: nothing counts before SIGHUP."""
    with ManagedGateway(text("validated")) as managed:
        managed.begin()
        core = managed.pid("core")
        managed.write_configuration("[half a chang")
        gone = managed.watch(core)
        os.kill(core, signal.SIGKILL)
        managed.wait_gone(gone)
        assert managed.ask("policy", NOBODY) == action("validated")
        assert not managed.logged("gateway.toml:")


def test_files_beside_the_configuration_count_at_a_reload() -> None:
    """A drop-in is in force after it; an unknown name in one refuses all, and the old one serves on."""
    with ManagedGateway(text("one")) as managed:
        managed.begin()
        assert managed.ask("policy", NOBODY) == action("one")
        folder = f"{managed.configuration}.d"
        os.mkdir(folder)
        write_text(f"{folder}/50-site.toml", '[replies.nonexistent]\ntext = "two"\n')
        managed.reload()
        wait_until(lambda: managed.ask("policy", NOBODY) == action("two"), "the drop-in answers")
        write_text(f"{folder}/60-old.toml", "[milter]\ntimeout = 30\n")
        managed.reload()
        (line,) = managed.logged(REFUSED)
        assert (
            f'{folder}/60-old.toml:2: milter.timeout: unknown setting; did you mean "idle_' in line
        )
        assert managed.ask("policy", NOBODY) == action("two")
