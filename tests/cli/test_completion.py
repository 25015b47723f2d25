"""`print-completion`: what a shell offers is what the parser knows."""

from __future__ import annotations

import os
import shlex
import subprocess

import pytest

from gateway.cli import completion
from gateway.cli.main import parser
from tests.cli.program import run
from tests.rigs.require import require_command


def offered(script: str, folder: str, *words: str) -> list[str]:
    """What bash offers for the last of `words`."""
    program = f"""
{script}
compopt() {{ :; }}  # it works only while a person types
COMP_WORDS=(smmapd-gateway {" ".join(map(shlex.quote, words))})
COMP_CWORD={len(words)}
_smmapd_gateway
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(
        ["bash", "--norc", "-c", program], capture_output=True, check=True, text=True, cwd=folder
    )
    assert done.stderr == ""
    return done.stdout.split("\n")[:-1]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["ex"], ["explain"]),
        (["print-"], ["print-config", "print-completion"]),
        (["--deb"], ["--debug"]),
        (["explain", "--s"], ["--size", "--sender"]),
        (["--debug", "list", "--over"], ["--over-quota"]),
        (["print-config", "s"], ["sendmail", "systemd"]),
        (["print-completion", ""], ["bash", "zsh"]),
        (["check", "-f", "a"], ["a file", "another"]),
        (["replay", "--domain", "a"], [""]),
        (["replay", "a"], ["a file", "another"]),
        (["explain", "a"], [""]),
        (["check-config", "--postfix", ""], ["folder"]),
    ],
    ids=str,
)  # fmt: skip
def test_bash(tmp_path: os.PathLike[str], words: list[str], expected: list[str]) -> None:
    """Commands, options, choices, files and folders."""
    require_command("bash", "apt-get install bash")
    for name in ("a file", "another"):
        with open(os.path.join(tmp_path, name), "wb"):
            pass
    os.mkdir(os.path.join(tmp_path, "folder"))
    script = run("print-completion", "bash").out
    assert sorted(offered(script, str(tmp_path), *words)) == sorted(expected)


def test_zsh_understands_it() -> None:
    """The function's syntax is sound."""
    require_command("zsh", "apt-get install zsh")
    done = subprocess.run(
        ["zsh", "-fn"], input=run("print-completion", "zsh").out.encode(), check=False
    )
    assert done.returncode == 0


def test_zsh_knows_every_command_and_option() -> None:
    """Each command has its line, each option its spelling."""
    out = run("print-completion", "zsh").out
    assert out.startswith("#compdef smmapd-gateway\n")
    _, commands = completion.commands(parser())
    for command in commands:
        (line,) = [x for x in out.splitlines() if x.strip().startswith(f"{command.name}) ")]
        for option in command.options:
            assert all(f"'{flag}[" in line for flag in option.flags)
