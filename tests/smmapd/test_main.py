"""The program as a user starts it: exit codes, and what it says."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest

from smmapd import stdio, syslog
from smmapd.main import main
from smmapd.options import USAGE
from tests.stores import FlatStore, record

ROOT = str(Path(__file__).resolve().parents[2])


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What goes to syslog at ERR, with the ident that it goes under."""
    lines: list[str] = []
    monkeypatch.setattr(syslog, "open_log", lambda *words, **_: lines.append(f"ident {words[:2]}"))
    monkeypatch.setattr(syslog, "error", lines.append)
    return lines


@pytest.fixture
def store(tmp_path: Path) -> FlatStore:
    """A store that knows fred."""
    store = FlatStore(str(tmp_path), mailboxes={b"user.fred": record()})
    store.write()
    return store


def run(*words: str, data: bytes = b"", **variables: str) -> subprocess.CompletedProcess[bytes]:
    """Run the program with a plain environment and `data` on standard input."""
    return subprocess.run(
        [sys.executable, "-m", "smmapd.main", *words],
        input=data,
        capture_output=True,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": ROOT, **variables},
        check=False,
        timeout=60,
    )


def test_wrong_usage_is_told_with_exit_code_64(
    capsys: pytest.CaptureFixture[str], logged: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """64, with the word and the usage on standard error and in syslog."""
    monkeypatch.delenv("CYRUS_SERVICE", raising=False)
    assert main(["-Z"]) == 64
    assert capsys.readouterr().err == f"smmapd: invalid option '-Z'\n{USAGE}\n"
    assert logged == ["ident ('smmap', None)", "invalid option '-Z'", USAGE]


def test_root_must_say_x(
    capsys: pytest.CaptureFixture[str], logged: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """64 for root without -X, as from the C program, before anything is read."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert main(["-C", "/nonexistent"]) == 64
    assert "must run as the Cyrus user" in capsys.readouterr().err
    assert len(logged) == 2


@pytest.mark.parametrize(
    ("variables", "ident"),
    [
        ({}, "ident ('smmap', None)"),
        ({"CYRUS_SERVICE": "other"}, "ident ('other', None)"),
        (
            {"CYRUS_SERVICE": "other", "CYRUS_SYSLOG_PREFIX": "site"},
            "ident ('other', 'site')",
        ),
    ],
)
def test_an_unusable_configuration_is_told_with_exit_code_78(
    variables: dict[str, str],
    ident: str,
    capsys: pytest.CaptureFixture[str],
    logged: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """78, with the file; the ident is the service's name as master gives it."""
    for name in ("CYRUS_SERVICE", "CYRUS_SYSLOG_PREFIX"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert main(["-X", "-C", "/nonexistent/imapd.conf"]) == 78
    said = "/nonexistent/imapd.conf: cannot read the configuration file: No such file or directory"
    assert capsys.readouterr().err == f"smmapd: {said}\n"
    assert logged == [ident, said]


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ({"virtdomains": "perhaps"}, "virtdomains: "),
        ({"mboxlist_db": "sql"}, "sql_database: "),
        ({"mboxlist_db": "sql", "sql_engine": "pgsql"}, "sql_database: "),
        ({"mboxlist_db": "sql", "sql_engine": "oracle"}, "sql_engine: "),
    ],
)
def test_option_that_cannot_be_used(store: FlatStore, option: dict[str, str], said: str) -> None:
    """78, and the message names the file and the option."""
    store.options = option
    store.write()
    done = run("-X", "-C", store.conf_path)
    assert done.returncode == 78
    assert done.stderr.decode().startswith(f"smmapd: {store.conf_path}:")
    assert said in done.stderr.decode()
    assert done.stdout == b""


def test_answers_on_standard_input_and_output(store: FlatStore) -> None:
    """0 at end of file, and nothing on standard error."""
    done = run("-X", "-C", store.conf_path, data=b"10:cyrus fred,8:cyrus no,")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == b"7:OK fred,31:NOTFOUND Mailbox does not exist,"


@pytest.mark.parametrize(
    ("redirection", "said"),
    [
        ("<&-", "standard input: Bad file descriptor"),
        (">&-", "standard output: Bad file descriptor"),
        ("<&- >&-", "standard input: Bad file descriptor"),
        (">/dev/full", "standard output: No space left on device"),
        ("0>/dev/null", "standard input: Bad file descriptor"),
    ],
)
def test_standard_input_or_output_that_fails(store: FlatStore, redirection: str, said: str) -> None:
    """74 and one line; no other file may take the place of one that is closed."""
    done = run_by_shell(store, redirection)
    assert (done.returncode, done.stdout, done.stderr.decode()) == (74, b"", f"smmapd: {said}\n")


def test_without_standard_error_the_client_is_not_told(store: FlatStore) -> None:
    """What is wrong goes to syslog; standard output has the replies and nothing else."""
    done = run_by_shell(store, "<&- 2>&-")
    assert (done.returncode, done.stdout, done.stderr) == (74, b"", b"")


def run_by_shell(store: FlatStore, redirection: str) -> subprocess.CompletedProcess[bytes]:
    """Run the program with the shell's `redirection`, and one question where it reads one."""
    words = (sys.executable, "-m", "smmapd.main", "-X", "-C", store.conf_path)
    return subprocess.run(
        ["/bin/sh", "-c", f'exec "$@" {redirection}', "sh", *words],
        input=b"10:cyrus fred,",
        capture_output=True,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": ROOT},
        check=False,
        timeout=60,
    )


def test_service_name_selects_options(store: FlatStore) -> None:
    """NAME_option in imapd.conf is for the service of that name."""
    store.options = {"smmap_lmtp_downcase_rcpt": "no", "lmtp_downcase_rcpt": "yes"}
    store.write()
    question = b"10:cyrus FRED,"
    words = ("-X", "-C", store.conf_path)
    assert run(*words, data=question).stdout.startswith(b"31:NOTFOUND ")
    assert run(*words, data=question, CYRUS_SERVICE="other").stdout == b"7:OK FRED,"


def test_without_masters_descriptors_it_serves_standard_input(
    store: FlatStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By hand, from inetd and from systemd no option is needed, except for root."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.delenv("CYRUS_SERVICE", raising=False)
    stdin, client = os.pipe()
    replies, stdout = os.pipe()
    monkeypatch.setattr(stdio, "STDIN", stdin)
    monkeypatch.setattr(stdio, "STDOUT", stdout)
    os.write(client, b"10:cyrus fred,")
    os.close(client)
    assert main(["-C", store.conf_path]) == 0
    gc.unfreeze()
    assert os.read(replies, 100) == b"7:OK fred,"
    for descriptor in (stdin, replies, stdout):
        os.close(descriptor)


def test_debugger_is_run_before_the_first_answer(store: FlatStore, tmp_path: Path) -> None:
    """debug_command is for the shell, with program, pid and service in its three places."""
    seen = tmp_path / "seen"
    store.options = {"debug_command": f"echo %s %d %s >{seen}"}
    store.write()
    done = run("-X", "-D", "-C", store.conf_path, data=b"10:cyrus fred,", CYRUS_SERVICE="map")
    assert done.returncode == 0
    name, pid, service = seen.read_text().split()
    assert (Path(name).name, service) == ("main.py", "map")
    assert pid.isdigit()


def test_debugger_that_fails_stops_nothing(store: FlatStore) -> None:
    """The C program goes on, too."""
    store.options = {"debug_command": "exit 3; : %s %d %s"}
    store.write()
    assert run("-X", "-D", "-C", store.conf_path, data=b"10:cyrus fred,").stdout == b"7:OK fred,"


@pytest.mark.parametrize("command", ["gdb %s", "gdb %s %d %s %s", "gdb %d %s %s", "100%"])
def test_debugger_with_other_places_is_a_wrong_configuration(
    store: FlatStore, command: str
) -> None:
    """78 and the option's name, where the C program would read beyond its arguments."""
    store.options = {"debug_command": command}
    store.write()
    done = run("-X", "-D", "-C", store.conf_path)
    assert done.returncode == 78
    assert b"debug_command: it takes %s, %d and %s for program, pid and service" in done.stderr


def test_without_a_debugger_d_does_nothing(store: FlatStore) -> None:
    """imapd.conf names none: a line in the log, and the service."""
    assert run("-X", "-D", "-C", store.conf_path, data=b"10:cyrus fred,").stdout == b"7:OK fred,"
