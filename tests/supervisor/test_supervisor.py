"""The supervisor from outside, with dummy children."""

from __future__ import annotations

import json
import os
import pwd
import signal
import socket
import stat
import sys
import time

import pytest

from gateway.supervisor.supervisor import LATE
from tests.rigs.require import require_root
from tests.rigs.waiting import wait_until
from tests.supervisor.conftest import DEADLINE, Connection, Running

SERVING = {"name": "core", "listeners": ["main"]}


def begin(running: Running) -> int:
    """Start, wait until it is ready, and give the pid of the child that serves."""
    running.start()
    running.wait_told("READY")
    return running.ask().pid


def test_it_is_ready_when_every_child_is(running: Running) -> None:
    """Each child knows its name, number and sockets, and nothing of systemd's variables."""
    running.plan({**SERVING, "count": 2}, {"name": "milter", "listeners": ["other"]},
                 listeners={"main": [f"unix:{running.socket_path}"],
                            "other": [f"unix:{running.folder}/o"]})  # fmt: skip
    running.start()
    told = running.wait_told("READY")
    assert told == {
        "READY": "1",
        "STATUS": "serving with core[0], core[1], milter",
        "MAINPID": str(running.process.pid),
    }
    answer = running.ask()
    assert (answer.name, answer.generation) == ("core", 1)
    assert answer.index in (0, 1)
    assert answer.environment == []
    assert running.ask(running.folder / "o").name == "milter"


def test_a_killed_child_is_replaced_on_the_same_socket(running: Running) -> None:
    """A client that comes in between waits and is served; nobody is refused."""
    running.plan()
    first = begin(running)
    before = running.socket_path.lstat().st_ino
    gone = running.watch(first)
    os.kill(first, signal.SIGKILL)
    running.wait_gone(gone)
    answer = running.ask()
    assert answer.pid != first
    assert answer.generation == 1
    assert running.socket_path.lstat().st_ino == before
    assert running.wait_log("was ended by") == f"ERROR core (pid {first}) was ended by SIGKILL"


def test_children_hear_how_often_others_were_restarted(running: Running) -> None:
    """For the metrics of the core."""
    running.plan(
        SERVING,
        {"name": "milter", "listeners": ["other"]},
        listeners={
            "main": [f"unix:{running.socket_path}"],
            "other": [f"unix:{running.folder}/o"],
        },
    )
    running.start()
    running.wait_told("READY")
    for count in (1, 2):
        milter = running.ask(running.folder / "o").pid
        gone = running.watch(milter)
        os.kill(milter, signal.SIGKILL)
        running.wait_gone(gone)
        assert running.ask(running.folder / "o").pid != milter
        assert running.ask().restarts == {"milter": count}


def test_a_child_that_dies_at_first_is_tried_again(running: Running) -> None:
    """And readiness is told when it is there at last."""
    running.plan({**SERVING, "behaviour": {"crash_unless": str(running.folder / "marker")}})
    running.start()
    assert "was ended by SIGSEGV" in running.wait_log("was ended by")
    assert running.wait_log("starts again") == "INFO core starts again in 0.1 seconds"
    assert running.wait_told("READY")["STATUS"] == "serving with core"


def test_a_reload_puts_new_children_on_the_same_sockets(running: Running) -> None:
    """The old one finishes what it has, the new one takes what comes."""
    running.plan()
    first = begin(running)
    old = Connection(running.socket_path)
    gone = running.watch(first)
    running.signal(signal.SIGHUP)
    told = running.wait_told("RELOADING")
    assert told["RELOADING"] == "1"
    assert int(told["MONOTONIC_USEC"]) > 0
    assert running.wait_told("READY")["READY"] == "1"
    running.wait_log("new configuration in force: serving with core")
    assert old.echo(b"still there") == b"still there"
    old.close()
    running.wait_gone(gone)
    answer = running.ask()
    assert (answer.generation, answer.pid != first) == (2, True)


def test_no_connection_is_lost_in_a_reload(running: Running) -> None:
    """Every client that connects meanwhile is answered, by the old child or by the new."""
    running.plan({**SERVING, "count": 2})
    begin(running)
    for wanted in (2, 3):
        running.signal(signal.SIGHUP)
        wait_until(
            lambda: running.ask().generation >= wanted,  # noqa: B023
            f"generation {wanted} answers",
        )
        assert running.wait_told("READY")["READY"] == "1"


def test_two_hangups_at_once_are_two_reloads_in_a_row(running: Running) -> None:
    """The second waits for the first, so that the newest configuration stands in the end."""
    running.plan()
    begin(running)
    running.signal(signal.SIGHUP)
    running.wait_told("RELOADING")
    running.signal(signal.SIGHUP)
    wait_until(lambda: running.ask().generation >= 3, "the third generation answers")


def test_a_bad_configuration_is_refused_and_the_old_one_stays(running: Running) -> None:
    """Each problem is a log line; systemd hears that the reload is over."""
    running.plan()
    first = begin(running)
    running.plan_path.write_text("{")
    running.signal(signal.SIGHUP)
    assert running.wait_log("problem") == f"ERROR {running.plan_path}: first problem"
    assert running.wait_log("problem") == "ERROR second problem"
    refused = f"new configuration refused, the old one stays in force: {running.plan_path}: first"
    assert running.wait_log("refused") == f"ERROR {refused} problem"
    running.wait_told("RELOADING")
    told = running.wait_told("READY")
    assert told["STATUS"] == f"serving with core; {refused} problem"
    assert running.ask().pid == first


def test_a_defect_in_loading_is_refused_like_a_bad_configuration(running: Running) -> None:
    """What nobody foresaw in a new file must not end the service of the old one."""
    running.plan()
    first = begin(running)
    running.plan(defect="nobody foresaw it")
    running.signal(signal.SIGHUP)
    assert running.wait_log("defect") == (
        "ERROR defect while loading the configuration: RuntimeError('nobody foresaw it')"
    )
    assert "it cannot be loaded" in running.wait_log("refused")
    running.wait_told("RELOADING")
    running.wait_told("READY")
    assert running.ask().pid == first
    running.plan()
    running.signal(signal.SIGHUP)
    running.wait_log("new configuration in force")


def test_a_configuration_that_no_child_can_start_with_is_refused(running: Running) -> None:
    """The old child goes on, and the child's own reason is in the log."""
    running.plan()
    first = begin(running)
    running.plan(
        {**SERVING, "behaviour": {"fail": [78, "imapd.conf:3: bad"]}},
        listeners={"main": [f"unix:{running.socket_path}", f"unix:{running.folder}/new"]},
    )
    running.signal(signal.SIGHUP)
    assert running.wait_log("ended").endswith("ended with exit code 78: imapd.conf:3: bad")
    assert running.wait_log("refused").endswith("core does not start with it")
    running.wait_told("RELOADING")
    running.wait_told("READY")
    assert running.ask().pid == first
    assert not (running.folder / "new").exists()


def test_a_reload_opens_new_sockets_and_closes_old_ones(running: Running) -> None:
    """The file of a socket that is not wanted any more goes."""
    running.plan()
    begin(running)
    other = running.folder / "other"
    running.plan(listeners={"main": [f"unix:{other}"]})
    running.signal(signal.SIGHUP)
    running.wait_log("new configuration in force")
    assert running.ask(other).generation == 2
    assert not running.socket_path.exists()


def test_a_socket_that_cannot_be_opened_refuses_the_reload(running: Running) -> None:
    """The message is that of the listener."""
    running.plan()
    first = begin(running)
    running.plan(listeners={"main": [f"unix:{running.folder}/none/s"]})
    running.signal(signal.SIGHUP)
    assert "No such file or directory" in running.wait_log("cannot listen on")
    running.wait_log("refused")
    assert running.ask().pid == first


def test_sigterm_lets_children_finish(running: Running) -> None:
    """What is in progress is finished; then the code is 0 and the socket's file is gone."""
    running.plan()
    first = begin(running)
    client = Connection(running.socket_path)
    running.signal(signal.SIGTERM)
    assert int(running.wait_told("STOPPING")["EXTEND_TIMEOUT_USEC"]) > 0
    assert client.echo(b"finish this") == b"finish this"
    gone = running.watch(first)
    client.close()
    running.wait_gone(gone)
    assert running.exit_code() == 0
    assert not running.socket_path.exists()


def test_a_child_that_does_not_stop_in_time_is_killed(running: Running) -> None:
    """After the graceful timeout."""
    running.plan({**SERVING, "behaviour": {"stubborn": True}}, graceful_timeout=0.1)
    begin(running)
    running.signal(signal.SIGTERM)
    assert running.exit_code() == 0
    assert "WARNING core did not stop in time; killed" in running.rest_of_log()


def test_a_second_signal_kills_at_once(running: Running) -> None:
    """A user that presses ctrl-C twice means it."""
    running.plan({**SERVING, "behaviour": {"stubborn": True}}, graceful_timeout=600)
    begin(running)
    running.signal(signal.SIGINT)
    running.wait_told("STOPPING")
    running.signal(signal.SIGINT)
    assert running.exit_code() == 0


@pytest.mark.parametrize("code", [64, 77, 78])
def test_a_child_that_cannot_start_ends_the_start(running: Running, code: int) -> None:
    """With its code and its message; the other children are stopped."""
    running.plan(SERVING, {"name": "milter", "behaviour": {"fail": [code, "install pymilter"]}})
    running.start()
    assert running.exit_code() == code
    log = running.rest_of_log()
    assert any(line.endswith(f"exit code {code}: install pymilter") for line in log)
    assert "ERROR milter cannot start; giving up" in log
    assert not running.socket_path.exists()


def test_a_bad_configuration_ends_the_start(running: Running) -> None:
    """With 78 and every problem."""
    running.plan_path.write_text("{")
    running.start()
    assert running.exit_code() == os.EX_CONFIG
    assert running.rest_of_log() == [
        f"ERROR {running.plan_path}: first problem",
        "ERROR second problem",
    ]


def test_a_second_instance_ends_with_78(running: Running) -> None:
    """And the first one's socket stays."""
    running.plan()
    with socket.socket(socket.AF_UNIX) as first:
        first.bind(str(running.socket_path))
        first.listen()
        running.start()
        assert running.exit_code() == os.EX_CONFIG
        assert "perhaps a second instance" in running.rest_of_log()[0]
        assert running.socket_path.exists()


def test_children_leave_when_the_supervisor_is_killed(running: Running) -> None:
    """Their sockets would keep its successor out."""
    running.plan()
    first = begin(running)
    gone = running.watch(first)
    running.signal(signal.SIGKILL)
    running.wait_gone(gone)
    assert running.exit_code() == -signal.SIGKILL
    with socket.socket(socket.AF_UNIX) as client:
        assert client.connect_ex(str(running.socket_path)) != 0


def test_a_silent_child_is_replaced(running: Running) -> None:
    """One that should say that it is alive, and does not, hangs."""
    running.plan({**SERVING, "silence_limit": 0.2, "behaviour": {"silent": True}})
    running.start()
    running.wait_told("READY")
    assert running.wait_log("is silent").endswith("is silent; killed")
    assert "SIGKILL" in running.wait_log("was ended by")


def test_a_child_that_is_alive_is_left_alone(running: Running) -> None:
    """As long as it says so; one that is stopped is replaced."""
    running.plan({**SERVING, "silence_limit": 10, "behaviour": {"silent": False}})
    first = begin(running)
    os.kill(first, signal.SIGSTOP)
    assert f"(pid {first}) is silent; killed" in running.wait_log("is silent")
    assert running.ask().pid != first


def test_who_stood_still_with_its_supervisor_is_left_alone(running: Running) -> None:
    """A container that was frozen, or a machine that was paused, for longer than the limit."""
    limit = 2
    running.plan({**SERVING, "silence_limit": limit, "behaviour": {"silent": False}})
    first = begin(running)
    for process in (first, running.process.pid):
        os.kill(process, signal.SIGSTOP)
    thawed = time.monotonic() + limit + LATE + 1
    wait_until(lambda: time.monotonic() > thawed, "both stood still for long", DEADLINE)
    for process in (running.process.pid, first):
        os.kill(process, signal.SIGCONT)
    # What it does now it does after it has looked at the clock.
    running.signal(signal.SIGHUP)
    running.wait_told("RELOADING")
    running.wait_told("READY")
    running.signal(signal.SIGTERM)
    assert running.exit_code() == 0
    lines = running.rest_of_log()
    assert [line for line in lines if "new configuration in force" in line]
    assert not [line for line in lines if "is silent" in line or f"(pid {first}) was" in line]


def test_the_watchdog_is_fed(running: Running) -> None:
    """Twice in its interval."""
    running.plan()
    running.start(WATCHDOG_USEC="200000")
    for _ in range(3):
        running.wait_told("WATCHDOG")


def test_root_is_left_after_the_sockets_are_open(running: Running) -> None:
    """Children run as the user, and the socket belongs to it."""
    require_root("only root drops privileges")
    running.plan(user="daemon", group="mail")
    running.start()
    running.wait_told("READY")
    daemon = pwd.getpwnam("daemon").pw_uid
    assert running.ask().uid == daemon
    found = running.socket_path.lstat()
    assert (found.st_uid, running.socket_path.group()) == (daemon, "mail")
    assert stat.S_IMODE(found.st_mode) == 0o660


def test_an_unknown_user_ends_the_start(running: Running) -> None:
    """Before any socket is opened."""
    require_root("only root drops privileges")
    running.plan(user="no-such-user")
    running.start()
    assert running.exit_code() == os.EX_CONFIG
    assert running.rest_of_log() == [
        'ERROR user: there is no user "no-such-user"; create it (systemd-sysusers, adduser '
        "--system) or name another one"
    ]


_PASS_AS_3 = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[2], sys.argv[2:])
"""


def test_a_socket_of_systemd_is_served(running: Running) -> None:
    """LISTEN_FDS names it, the plan asks for it, and it outlives the service."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(running.socket_path))
        listener.listen()
        listener.set_inheritable(True)
        running.plan(listeners={"main": ["fd:smmap"]})
        prefix = [sys.executable, "-c", _PASS_AS_3, str(listener.fileno())]
        running.start(prefix, LISTEN_FDS="1", LISTEN_FDNAMES="smmap")
        running.wait_told("READY")
        answer = running.ask()
        assert (answer.name, answer.environment) == ("core", [])
        running.signal(signal.SIGTERM)
        assert running.exit_code() == 0
        assert running.socket_path.exists()


def test_the_plan_that_children_get_is_the_one_that_was_validated(running: Running) -> None:
    """A file that changes afterwards does not reach a child that is started again."""
    running.plan()
    first = begin(running)
    running.plan({**SERVING, "behaviour": {"fail": [78, "not yet validated"]}})
    assert "fail" in json.loads(running.plan_path.read_text())["children"][0]["behaviour"]
    gone = running.watch(first)
    os.kill(first, signal.SIGKILL)
    running.wait_gone(gone)
    assert running.ask().pid != first
