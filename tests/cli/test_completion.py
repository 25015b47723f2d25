"""`print-completion`: what a shell offers is what the parser knows."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys

import pytest

from gateway.cli import print_completion
from tests.rigs.commandline import ROOT, environment, run
from tests.rigs.require import require_command


def offered(script: str, folder: str, *words: str) -> list[str]:
    """What bash offers for the last of `words`."""
    program = f"""
{script}
compopt() {{ :; }}  # it works only while a person types
COMP_WORDS=(smmapd-gateway {" ".join(map(shlex.quote, words))})
COMP_CWORD={len(words)}
_shtab_smmapd_gateway
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(
        ["bash", "--norc", "-c", program], capture_output=True, check=True, text=True, cwd=folder
    )
    assert done.stderr == ""
    return done.stdout.split("\n")[:-1]


def test_scripts_are_those_of_this_command_line(tmp_path: os.PathLike[str]) -> None:
    """Else contrib/completion.py makes them again."""
    subprocess.run(
        [sys.executable, "contrib/completion.py", tmp_path], check=True, cwd=ROOT, env=environment()
    )
    for shell, name in print_completion.FILES.items():
        with open(os.path.join(tmp_path, name), encoding="utf-8") as file:
            assert file.read() == print_completion.script(shell)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["ex"], ["explain"]),
        (["print-"], ["print-config", "print-completion"]),
        (["--deb"], ["--debug"]),
        (["explain", "--s"], ["--size", "--sender"]),
        (["--debug", "list", "--over"], ["--over-quota"]),
        (["-c", "x", "li"], ["list"]),
        (["-c", "a"], ["a file", "another"]),
        (["check", "--color", "a"], ["always", "auto"]),
        (["list", "--color", ""], ["always", "auto", "never"]),
        (["print-config", "e"], ["example", "exim"]),
        (["print-config", "s"], ["sendmail", "settings", "systemd"]),
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


# A terminal in which zsh is typed into: what TAB shows below the line.
ZSH = r"""
zmodload zsh/zpty
zpty shell 'TERM=dumb COLUMNS=200 LINES=99 PS1=PROM''PT zsh -f -i'
zpty -r shell seen '*PROMPT*'
zpty -w shell "fpath=($1 \$fpath); autoload -U compinit; compinit -u -d $1/dump; echo read''y"
zpty -r shell seen '*ready*PROMPT*'
zpty -w -n shell "smmapd-gateway $2"$'\t\t'
zpty -w -n shell $'\x15echo do\x27\x27ne\r'
zpty -r shell seen '*done*PROMPT*'
print -r -- $seen
zpty -d shell
"""


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("", ["explain", "show what happens to one recipient, and why", "check-config"]),
        ("replay --do", ["--domain"]),
        ("print-config ", ["postfix", "sendmail", "prometheus"]),
        ("-c x list --", ["--over-quota", "the last one the counts", "(default: auto, on"]),
        ("replay --", ["those in [scope]"]),
    ],
)
def test_zsh(tmp_path: os.PathLike[str], typed: str, shown: list[str]) -> None:
    """Commands, options and choices with their words as they are written, brackets and all."""
    require_command("zsh", "apt-get install zsh")
    with open(os.path.join(tmp_path, "_smmapd-gateway"), "w", encoding="utf-8") as file:
        file.write(run("print-completion", "zsh").out)
    done = subprocess.run(
        ["zsh", "-f", "-c", ZSH, "zsh", os.fspath(tmp_path), typed],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        cwd=tmp_path,
    )
    assert [words for words in shown if words not in done.stdout] == [], done.stdout
