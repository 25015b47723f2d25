"""SIGHUP under load: nobody is lost, and a configuration that cannot serve changes nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from tests.life.load import FRED, NOBODY, Load
from tests.life.running import Life
from tests.rigs.folders import write_text
from tests.rigs.gateway import Tables
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
    clients that still talk; who meets that asks again.
    """
    tables = {"": {"workers": workers, "graceful_timeout": 10}, **text("one")}
    words = ["one", "two", "three", "four"]
    with Life(tables) as life:
        life.begin()
        first = [life.watch(pid) for pid in life.pids("core")]
        with Load({door: life.path(door) for door in life.fronts}) as load:
            for word in words[1:]:
                life.configure(text(word))
                told = life.reload()
                assert told["STATUS"].startswith("serving with ")
                # The old process may be about to hear that it should accept no more.
                wait_until(lambda: life.ask("policy", NOBODY) == action(word), f"{word} answers")  # noqa: B023
                load.wait_progress()
            for pidfd in first:
                life.wait_gone(pidfd)
            load.wait_progress()
        assert load.faults == []
        assert load.answers("socketmap") == {b"OK " + FRED, b"NOTFOUND Mailbox does not exist"}
        assert load.answers("policy") == {b"DUNNO", *map(action, words)}


def test_old_processes_leave_after_a_reload() -> None:
    """With the clients that they had: nothing of an old generation stays for ever."""
    with Life({"": {"graceful_timeout": 2}}) as life:
        life.begin()
        old = life.watch(life.pid("core"))
        with life.open("socketmap") as client:
            assert client.ask(FRED) == b"OK " + FRED
            life.reload()
            client.wait_closed()
        life.wait_gone(old)
        assert len(life.pids("core")) == 1


def _spoil(content: str) -> Callable[[Life], None]:
    return lambda life: life.write_configuration(content)


def _missing(life: Life) -> None:
    os.unlink(life.configuration)


def _foreign(life: Life) -> None:
    with open(life.path("precious"), "w", encoding="utf-8") as file:
        file.write("not a socket")
    life.configure({"socketmap": {"listen": [f"unix:{life.path('precious')}"]}})


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
            lambda life: life.configure({"cyrus": {"imapd_conf": "/nonexistent/imapd.conf"}}),
            ["/nonexistent/imapd.conf"],
            id="no imapd.conf",
        ),
        pytest.param(
            lambda life: life.configure(
                {"policy": {"listen": [f"unix:{life.folder}/none/policy"]}}
            ),
            ["/none/policy", "create the folder"],
            id="no folder for a socket",
        ),
        pytest.param(_foreign, ["precious is not a socket; it is left alone"], id="foreign file"),
    ],
)
def test_a_bad_configuration_is_refused_and_the_old_one_stays(
    spoil: Callable[[Life], None], complaints: list[str]
) -> None:
    """The log names every fault; the same process goes on; a mended file is taken later."""
    with Life(text("old")) as life:
        life.begin()
        core = life.pid("core")
        with Load({"policy": life.path("policy")}, each=1) as load:
            spoil(life)
            assert REFUSED in life.reload()["STATUS"]
            life.wait_log(REFUSED)
            for complaint in complaints:
                assert life.logged(complaint), life.log()
            assert life.pids("core") == [core]
            load.wait_progress()
            life.configure({"socketmap": {"listen": [f"unix:{life.path('socketmap')}"]},
                            "policy": {"listen": [f"unix:{life.path('policy')}"]},
                            "cyrus": {"imapd_conf": f"{life.folder}/imapd.conf"},
                            **text("mended")})  # fmt: skip
            life.reload()
            wait_until(lambda: life.ask("policy", NOBODY) == action("mended"), "it is taken")
        assert load.faults == []
        assert load.answers("policy") <= {b"DUNNO", action("old"), action("mended")}


def test_a_configuration_that_changes_during_a_reload_is_taken_whole() -> None:
    """Each reload takes one state of the file, and after the last SIGHUP the newest is in force."""
    words = [f"word {number}" for number in range(5)]
    with Life(text(words[0])) as life:
        life.begin()
        with Load({"policy": life.path("policy")}) as load:
            for word in words[1:]:
                life.configure(text(word))
                life.signal(signal.SIGHUP)
                # Not ready yet: the next change meets the reload under way.
                life.wait_told("RELOADING")
            wait_until(
                lambda: life.ask("policy", NOBODY) == action(words[-1]),
                "the newest configuration is in force",
            )
        assert load.faults == []
        assert load.answers("policy") <= {b"DUNNO", *map(action, words)}
        assert not life.logged(REFUSED)


def test_a_process_that_is_started_again_gets_what_was_validated() -> None:
    """Whatever has become of the file since: nothing counts before SIGHUP."""
    with Life(text("validated")) as life:
        life.begin()
        core = life.pid("core")
        life.write_configuration("[half a chang")
        gone = life.watch(core)
        os.kill(core, signal.SIGKILL)
        life.wait_gone(gone)
        assert life.ask("policy", NOBODY) == action("validated")
        assert not life.logged("gateway.toml:")


def test_files_beside_the_configuration_count_at_a_reload() -> None:
    """A drop-in is in force after it; an old name in one refuses all, and the old one serves on."""
    with Life(text("one")) as life:
        life.begin()
        assert life.ask("policy", NOBODY) == action("one")
        folder = f"{life.configuration}.d"
        os.mkdir(folder)
        write_text(f"{folder}/50-site.toml", '[replies.nonexistent]\ntext = "two"\n')
        life.reload()
        wait_until(lambda: life.ask("policy", NOBODY) == action("two"), "the drop-in answers")
        write_text(f"{folder}/60-old.toml", "[milter]\ntimeout = 30\n")
        life.reload()
        (line,) = life.logged(REFUSED)
        assert f"{folder}/60-old.toml:2: milter.timeout: is called idle_timeout now" in line
        assert life.ask("policy", NOBODY) == action("two")
