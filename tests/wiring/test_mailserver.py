"""The mail server of the settings: what is read of it, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.config import Settings, loads
from gateway.errors import ConfigurationError
from gateway.mta import postconf
from gateway.mta.tables import Table
from gateway.wiring.mailserver import announce, make_postfix, own_tables

TOML = """
[socketmap]
listen = ["unix:/var/spool/postfix/smmapd/socketmap", "inet:127.0.0.1:9999"]
[policy]
listen = ["unix:/run/policy"]
[scope]
postfix = "/etc/postfix"
"""
GOOD = (
    "mail_version = 3.7.11\\nmydestination = mx.test\\nvirtual_mailbox_domains = virt.test\\n"
    "local_transport = local:mx.test\\n"
)

Program = Callable[[str], None]


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """Puts a script in the place of postconf."""

    def make(text: str) -> None:
        path = tmp_path / "postconf"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))

    return make


def settings(text: str = TOML) -> Settings:
    """What gateway.toml says."""
    return loads(text.encode(), "gateway.toml")


def test_without_a_mail_server() -> None:
    """Nothing is asked."""
    assert (
        make_postfix(settings(TOML.replace('postfix = "/etc/postfix"', 'domains = ["a.b"]')))
        is None
    )


def test_parameters_are_those_of_the_instance_that_is_named(program: Program) -> None:
    """Asked of the instance that the settings name."""
    program(f'[ "$1 $2" = "-c /etc/postfix" ] || exit 9; printf "{GOOD}"')
    found = make_postfix(settings())
    assert found is not None
    assert found.may_own(b"virt.test")
    assert not found.may_own(b"gmail.example")


@pytest.mark.parametrize(
    ("transport", "level", "words"),
    [
        (
            "lmtp:unix:/cyrus",
            "INFO",
            "recipients of virtual_mailbox_domains (by lmtp:unix:/cyrus) are judged",
        ),
        (
            "virtual",
            "WARNING",
            "no recipient is judged; those of mydestination (by local:mx.test), ",
        ),
    ],
)
def test_what_is_judged_is_told(
    program: Program, caplog: pytest.LogCaptureFixture, transport: str, level: str, words: str
) -> None:
    """And that nothing is, where no transport leads to Cyrus as far as can be told."""
    program(f'printf "{GOOD}virtual_transport = {transport}\n"')
    with caplog.at_level("INFO"):
        announce(make_postfix(settings()), settings())
        announce(None, settings())
    (record,) = caplog.records
    assert record.levelname == level
    assert words in record.getMessage()
    assert "Postfix 3.7.11 in /etc/postfix" in record.getMessage()


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("sleep 100", "postconf: gives no answer in time; look at its tables"),
        ("exec yes", "postconf: says more than"),
        ("echo hello", "postconf: says nothing about /etc/postfix"),
        ("exit 0", "postconf: says nothing about /etc/postfix"),
        (
            "echo 'postconf: fatal: /etc/postfix/main.cf, line 3: missing =' >&2; exit 1",
            "line 3: missing =",
        ),
        ("kill -9 $$", "postconf: it ended with code -9"),
        (
            f'printf "{GOOD}relay_domains = /nonexistent/list\\n"',
            "/nonexistent/list: cannot be read",
        ),
    ],
)
def test_what_may_be_wrong(
    program: Program, monkeypatch: pytest.MonkeyPatch, script: str, problem: str
) -> None:
    """The start, or the reload, is refused, and the setting is named."""
    monkeypatch.setattr(postconf, "PATIENCE", 1.0)
    program(script)
    with pytest.raises(ConfigurationError) as caught:
        make_postfix(settings())
    assert (caught.value.file, caught.value.option) == ("gateway.toml", "scope.postfix")
    assert problem in caught.value.problem


def test_a_machine_without_postfix(monkeypatch: pytest.MonkeyPatch) -> None:
    """What to do is said."""
    monkeypatch.setattr("shutil.which", lambda *_words, **_path: None)
    with pytest.raises(ConfigurationError, match=r"postconf: is not installed.*install Postfix"):
        make_postfix(settings())


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("unix:/var/spool/postfix/smmapd/socketmap:cyrus", True),
        ("unix:smmapd/socketmap:cyrus", True),
        ("unix:/smmapd/socketmap:cyrus", True),  # as a chrooted smtpd sees it
        ("unix:/run/srs:forward", False),
        ("unix:/run/other/socketmap:x", False),
        ("inet:127.0.0.1:9999:cyrus", True),
        ("inet:localhost:9999:cyrus", True),
        ("inet:192.0.2.1:9999:cyrus", False),
        ("inet:127.0.0.1:10003:srs", False),
    ],
)
def test_our_own_socketmap_is_told_from_others(name: str, ours: bool) -> None:
    """The gateway would ask itself, and find no alias."""
    assert own_tables(settings())(Table("socketmap", name)) is ours
    assert not own_tables(settings())(Table("hash", name))
