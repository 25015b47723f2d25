"""What postmap's and postalias' output means, and what their faults do."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.errors import MailServerError
from gateway.mta.lookups import Lookup, Lookups
from gateway.mta.postmap import CALL_SECONDS, MAX_KEYS, Asker
from gateway.mta.tablecache import TableCache, Tables
from gateway.mta.tables import Run, Table, runs

RUN = runs("postmap", [Table("hash", "/x"), Table("cdb", "/y")])[0]
ALIASES = runs("postalias", [Table("hash", "/etc/aliases")])[0]
KEYS = [b"a@x.test", b"b c@x.test", b"d\te", b"nobody@x.test"]
LONG = 30.0

Program = Callable[[str], Asker]


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """Puts scripts in the place of postmap and postalias."""

    def make(text: str) -> Asker:
        for name in ("postmap", "postalias"):
            (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
            (tmp_path / name).chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        return Asker("/etc/postfix", "cyrus")

    return make


def ask(asker: Asker, run: Run = RUN, keys: list[bytes] = KEYS) -> dict[bytes, bytes | None]:
    """Ask with time enough."""
    return asker.ask(run, keys, time.monotonic() + LONG)


@pytest.mark.parametrize(
    ("run", "separator"), [(RUN, "\\t"), (ALIASES, ":\\t")], ids=["postmap", "postalias"]
)
def test_keys_and_values_may_hold_separators(program: Program, run: Run, separator: str) -> None:
    """A key may hold what separates it from its value, and a value may, too."""
    lines = [("a@x.test", "1, 2"), ("b c@x.test", "v\\tw"), ("d\\te", ":\\tx")]
    text = "".join(f"{key}{separator}{value}\\n" for key, value in lines)
    told = ask(program(f"cat >/dev/null; printf '{text}'"), run)
    assert told == {
        b"a@x.test": b"1, 2",
        b"b c@x.test": b"v\tw",
        b"d\te": b":\tx",
        b"nobody@x.test": None,
    }


def test_the_command_line_and_the_keys(program: Program) -> None:
    """The instance, the tables in their order, a key a line."""
    asker = program('echo "$@" >&2; cat >&2; exit 2')
    with pytest.raises(MailServerError) as caught:
        ask(asker, keys=[b"a", b"b"])
    assert caught.value.subject == "hash:/x, cdb:/y"
    asker = program('printf "a\\t%s\\n" "$*"')
    assert ask(asker, keys=[b"a"]) == {b"a": b"-c /etc/postfix -q - hash:/x cdb:/y"}


def test_nothing_is_found(program: Program) -> None:
    """Code 1 without a fatal word; warnings may come before."""
    told = ask(program("cat >/dev/null; echo 'postmap: warning: old' >&2; exit 1"))
    assert set(told.values()) == {None}


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("echo 'postmap: fatal: open /x.db: No such file' >&2; exit 1", "open /x.db: No such file"),
        (
            "echo 'postmap: fatal: open database /x.db: Permission denied' >&2; exit 1",
            "let cyrus read it, as by: setfacl -m u:cyrus:r /x.db",
        ),
        (
            "echo 'postmap: fatal: unsupported dictionary type: ldap' >&2; exit 1",
            "install postfix-ldap, or take the table out",
        ),
        ("exit 75", "it ended with code 75"),
        ("kill -9 $$", "it ended with code -9"),
        ("echo 'usage: postmap'", "prints what it never prints"),
        ("head -c 9 /dev/urandom | od -c; exit 1", "prints what it never prints"),
    ],
)
def test_a_fault_says_what_to_do(program: Program, script: str, problem: str) -> None:
    """Each names the tables, and what to do."""
    with pytest.raises(MailServerError) as caught:
        ask(program("cat >/dev/null\n" + script))
    assert caught.value.subject == "hash:/x, cdb:/y"
    assert problem in caught.value.problem


def test_one_that_hangs(program: Program) -> None:
    """It is asked for fewer keys at once from then on."""
    asker = program("sleep 1000")
    assert asker.keys_at_once(RUN) == MAX_KEYS
    with pytest.raises(MailServerError, match="gives no answer in time"):
        asker.ask(RUN, KEYS, time.monotonic() + 0.2)
    assert asker.keys_at_once(RUN) < len(KEYS)
    assert asker.seconds_a_key(RUN) >= CALL_SECONDS / len(KEYS)


def test_who_waits_gets_answers_and_faults(program: Program) -> None:
    """A run that cannot be asked does not keep the others from it."""
    asker = program(
        'case "$*" in *aliases*) echo "postalias: fatal: no" >&2; exit 1;; esac\n'
        'while read -r key; do printf "%s\\tv\\n" "$key"; done'
    )
    tables = Tables(asker, TableCache())
    found = tables.ask(Lookups((Lookup(RUN, b"a"), Lookup(ALIASES, b"a"), Lookup(RUN, b"b"))))
    assert found.value(Lookup(RUN, b"b")) == b"v"
    assert found.fault(Lookup(RUN, b"a")) is None
    assert "postalias: fatal: no" in (found.fault(Lookup(ALIASES, b"a")) or "")
