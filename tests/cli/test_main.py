"""The command line as a whole: usage, exit codes, and no traceback for a user."""

from __future__ import annotations

import errno
import importlib
import os
import re
import subprocess

import pytest

from gateway.cli.failures import system_fault
from gateway.cli.main import COMMANDS, parser
from tests.rigs.commandline import Site, command, environment, run


@pytest.mark.parametrize(
    "words", [[], ["frobnicate"], ["explain"], ["explain", "a", "--no-such"], ["list"]], ids=str
)
def test_a_wrong_command_line(words: list[str]) -> None:
    """Usage and the reason go to standard error, and the code is EX_USAGE."""
    done = run(*words)
    assert done.code == os.EX_USAGE
    assert done.err.startswith("usage: smmapd-gateway")
    assert done.out == ""


def test_every_command_has_help() -> None:
    """One line in the list of commands, and a description of its own."""
    for module, line in COMMANDS.values():
        assert importlib.import_module(module).__doc__
        assert line
    shown = run("--help")
    assert shown.code == 0
    assert shown.err == ""
    assert "explain" in shown.out
    assert parser().prog == "smmapd-gateway"


def test_a_missing_configuration(tmp_path: os.PathLike[str]) -> None:
    """The message names the file and what to do; the code is EX_CONFIG."""
    path = os.path.join(tmp_path, "none.toml")
    done = run("check", "-c", path, "fred")
    assert done.code == os.EX_CONFIG
    assert done.err.startswith(f"smmapd-gateway: {path}: cannot be read")
    assert "Traceback" not in done.err


def test_every_problem_of_a_configuration(site: Site) -> None:
    """All of them at once, one a line."""
    site.configure('wurkers = 2\n[policy]\nlisten = ["unix:relative"]\n')
    done = site.run("check", "fred")
    assert done.code == os.EX_CONFIG
    lines = done.err.splitlines()
    assert any("wurkers" in line for line in lines)
    assert any("policy.listen" in line for line in lines)
    assert all(line.startswith("smmapd-gateway: ") for line in lines)


def test_an_imapd_conf_that_is_missing(site: Site) -> None:
    """It is named."""
    os.unlink(site.store.conf_path)
    done = site.run("explain", "fred")
    assert done.code == os.EX_CONFIG
    assert site.store.conf_path in done.err


def test_debug_shows_the_traceback(site: Site) -> None:
    """Before or behind the command's name."""
    os.unlink(site.config)
    for words in (["--debug", "check"], ["check", "--debug"]):
        done = run(*words, "-c", site.config, "fred")
        assert "Traceback" in done.err


def test_a_reader_that_has_enough(site: Site) -> None:
    """`smmapd-gateway list | head` ends quietly, as any other program would."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        command("list", "-c", site.config, "--mailboxes"),
        stdout=writer,
        stderr=subprocess.PIPE,
        env=environment(),
        check=False,
        timeout=60,
    )
    os.close(writer)
    assert done.returncode == 141
    assert b"Error" not in done.stderr


def test_a_full_disk(site: Site) -> None:
    """A result that cannot be written is a failure and is told."""
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            command("explain", "-c", site.config, "fred"),
            stdout=full,
            stderr=subprocess.PIPE,
            env=environment(),
            check=False,
            timeout=60,
        )
    assert done.returncode == os.EX_IOERR
    assert b"No space left" in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("explain", "fred"), os.EX_IOERR),
        (("check", "fred"), os.EX_IOERR),
        (("check-config",), os.EX_IOERR),
    ],
)
def test_a_closed_standard_output(site: Site, words: tuple[str, ...], code: int) -> None:
    """Nobody sees the result, and the exit code says so; nothing is taken for standard output."""
    argv = command(words[0], "-c", site.config, *words[1:])
    done = subprocess.run(
        ["/bin/sh", "-c", 'exec "$@" >&-', "sh", *argv],
        stderr=subprocess.PIPE,
        env=environment(),
        check=False,
        timeout=60,
    )
    assert done.returncode == code
    assert b"standard output is closed" in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.EIO, os.strerror(errno.EIO), "/x"), "/x: Input/output error"),
        (OSError("odd"), "odd"),
        (
            OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT)),
            "Address family not supported by protocol; RestrictAddressFamilies= of the unit has "
            "to allow AF_UNIX, AF_INET, AF_INET6 and AF_NETLINK",
        ),
    ],
)
def test_a_call_of_the_system_that_fails(error: OSError, said: str) -> None:
    """The file, if there is one, and what a unit may have to do with it; no number."""
    assert system_fault(error) == said


def test_a_full_disk_under_the_version() -> None:
    """What argparse itself prints is written like everything else."""
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            command("--version"),
            stdout=full,
            stderr=subprocess.PIPE,
            env=environment(),
            check=False,
            timeout=60,
        )
    assert done.returncode == os.EX_IOERR
    assert done.stderr == b"smmapd-gateway: standard output: No space left on device\n"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("list",), os.EX_USAGE),
        (("nonsense",), os.EX_USAGE),
        (("check-config", "-c", "/nowhere"), os.EX_CONFIG),
        (("serve", "-c", "/nowhere"), os.EX_CONFIG),
        (("replay", "-c", "{config}", "/nowhere"), os.EX_NOINPUT),
    ],
)
def test_a_full_disk_under_the_messages(site: Site, words: tuple[str, ...], code: int) -> None:
    """The exit code is what it is anyway: systemd must not start a wrong configuration again."""
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            command(*(each.format(config=site.config) for each in words)),
            stdout=subprocess.DEVNULL,
            stderr=full,
            env=environment(),
            check=False,
            timeout=60,
        )
    assert done.returncode == code


def test_the_configuration_may_stand_before_the_command(site: Site) -> None:
    """Behind it as well; what comes behind overrides what comes before."""
    behind = run("check", "-c", site.config, "fred")
    assert behind.code == 0
    assert run("-c", site.config, "check", "fred") == behind
    assert run("--config", "/nowhere", "check", "-c", site.config, "fred") == behind


@pytest.mark.parametrize(
    ("words", "usage"),
    [
        (["explain", "a", "b"], "explain"),
        (["serve", "now"], "serve"),
        (["check", "a", "--no-such"], "check"),
        (["-c", "x", "list", "--denied", "fred"], "list"),
        (["--no-such", "explain", "a"], ""),
    ],
    ids=str,
)
def test_usage_is_that_of_the_command(words: list[str], usage: str) -> None:
    """Whose arguments are wrong says how they are written."""
    done = run(*words)
    assert done.code == os.EX_USAGE
    assert done.err.startswith(f"usage: smmapd-gateway {usage or '[-h]'} ")


@pytest.mark.parametrize("name", COMMANDS)
def test_help_names_nothing_of_the_program_s_inside(name: str) -> None:
    """A command's user knows no Python modules."""
    done = run(name, "--help")
    assert (done.code, done.err) == (0, "")
    assert re.findall(r"\bgateway\.(?!toml)\w+|\bsmmapd\.\w+", done.out) == []


def test_a_narrow_terminal(site: Site) -> None:
    """Of 20 columns, and of one: help, usage and results are the same words."""
    for columns in ("20", "1"):
        narrow = {"COLUMNS": columns}
        for words in (["--help"], ["explain", "--help"], ["check-config", "--help"]):
            done = run(*words, env=narrow)
            assert (done.code, done.err) == (0, "")
            assert "".join(done.out.split()) == "".join(run(*words).out.split())
        assert site.run("explain", "fred", env=narrow) == site.run("explain", "fred")


@pytest.mark.parametrize("locale", ["C", "de_DE.ISO-8859-1", ""])
def test_any_locale(site: Site, locale: str) -> None:
    """Results are the same bytes in each, also for an address that is not ASCII, or no UTF-8."""
    # Python would take UTF-8 by itself for some of them.
    env = {"LC_ALL": locale, "LANG": "", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    recipients = ("fr\u00e9d@example.org".encode(), b"fr\xe9d@example.org")
    for words in (["check", *recipients], ["explain", "fr\u00e9d"], ["serve", "fr\u00e9d"]):
        done = site.run(*words, env=env)
        assert done == site.run(*words)
        assert "error" not in done.err
