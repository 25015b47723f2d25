"""What gateway.toml names and is not there: every fault at once, with file, line and key."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from gateway import config
from gateway.errors import ConfigurationErrors
from gateway.worker import prerequisites
from tests.rigs.require import require_root
from tests.stores import FlatStore, record

FILE = "/etc/smmapd/gateway.toml"
SOUND = """user = ""
[cyrus]
imapd_conf = "{root}/imapd.conf"
[socketmap]
listen = ["unix:{root}/socketmap"]
[policy]
listen = ["unix:{root}/policy"]
[milter]
listen = ["unix:{root}/milter"]
[scope]
domains = ["example.org"]
aliases = ["{root}/aliases"]
domain_files = ["{root}/domains"]
"""


@pytest.fixture
def root(tmp_path: Path) -> str:
    """A folder with everything that SOUND names."""
    FlatStore(str(tmp_path), mailboxes={b"user.fred": record()}).write()
    (tmp_path / "aliases").write_text("sales: fred\n")
    (tmp_path / "domains").write_text("example.net\n")
    return str(tmp_path)


def problems(root: str, *changes: tuple[str, str]) -> list[str]:
    """What is wrong with SOUND after these replacements, without the file's name."""
    text = SOUND
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    data = text.replace("{root}", root).encode()
    try:
        prerequisites.require(config.loads(data, FILE))
    except ConfigurationErrors as faults:
        assert faults.file == FILE
        return [line.removeprefix(FILE + ":") for line in str(faults).splitlines()]
    return []


def test_what_is_sound_passes(root: str) -> None:
    """And nothing is left behind: no socket has been made."""
    before = sorted(os.listdir(root))
    assert problems(root) == []
    assert sorted(os.listdir(root)) == before


NONE = "No such file or directory"
FAULTS = [
    (
        ("{root}/imapd.conf", "/nonexistent/imapd.conf"),
        "3: cyrus.imapd_conf: /nonexistent/imapd.conf: cannot read the configuration file: " + NONE,
    ),
    (
        ("unix:{root}/policy", "unix:/nonexistent/policy"),
        "7: policy.listen[0]: cannot listen on unix:/nonexistent/policy: " + NONE
        + "; create the folder: install -d -o cyrus -m 0755 /nonexistent",
    ),
    (
        ("unix:{root}/milter", "unix:/dev/null/milter"),
        "9: milter.listen[0]: cannot listen on unix:/dev/null/milter: Not a directory;"
        " /dev/null must be a folder",
    ),
    (
        ("{root}/policy", "{root}/policy?group=no-such-group"),
        "7: policy.listen[0]: cannot listen on unix:{root}/policy?group=no-such-group: there is"
        ' no group "no-such-group"; create it or name another one',
    ),
    (
        ('["{root}/aliases"]', '["{root}/aliases", "/nonexistent/aliases"]'),
        "12: scope.aliases[1]: /nonexistent/aliases: cannot be read: " + NONE,
    ),
    (("{root}/aliases", "/etc"), "12: scope.aliases[0]: /etc: cannot be read: is a folder, not a regular file"),
    (
        ("{root}/domains", "/nonexistent/domains"),
        "13: scope.domain_files[0]: /nonexistent/domains: cannot be read: " + NONE,
    ),
    (
        (
            'listen = ["unix:{root}/socketmap"]',
            'listen = ["inet:127.0.0.1:12345?tls=yes"]\n[tls]\ncertificate = "/nonexistent/pem"'
            "\nverify_clients = false",
        ),
        "7: tls.certificate: /nonexistent/pem cannot be read: " + NONE
        + "; the user that the gateway runs as must be able to",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("change", "message"), FAULTS, ids=[message for _, message in FAULTS])
def test_each_fault_is_told_once_with_line_and_key(
    root: str, change: tuple[str, str], message: str
) -> None:
    """Once, although policy and milter have the same scope."""
    assert problems(root, change) == [message.replace("{root}", root)]


def test_an_option_of_imapd_conf_is_told_with_that_file(root: str) -> None:
    """It has a line of its own."""
    with open(f"{root}/imapd.conf", "a", encoding="ascii") as file:
        file.write("virtdomains: perhaps\n")
    (problem,) = problems(root)
    assert problem.startswith(f"{root}/imapd.conf:")
    assert "virtdomains: " in problem


def test_every_fault_is_told_at_once(root: str) -> None:
    """Nobody has to start the daemon five times to find five mistakes."""
    require_root("only root looks the user up")
    found = problems(
        root,
        ('user = ""', 'user = "no-such-user"\ngroup = "no-such-group"'),
        ("{root}/imapd.conf", "/nonexistent/imapd.conf"),
        ("{root}/aliases", "/etc"),
        ("unix:{root}/socketmap", "unix:/nonexistent/s"),
        ("unix:{root}/policy", "unix:/nonexistent/p"),
        (
            'aliases = ["/etc"]\ndomain_files = ["{root}/domains"]',
            'domain_files = ["/nonexistent/domains"]\naliases = ["/etc"]',
        ),
    )
    assert [each.split(": ")[:2] for each in found] == [
        ["1", "user"],
        ["2", "group"],
        ["4", "cyrus.imapd_conf"],
        ["6", "socketmap.listen[0]"],
        ["8", "policy.listen[0]"],
        ["13", "scope.domain_files[0]"],
        ["14", "scope.aliases[0]"],
    ]
    assert "no-such-user" in found[0]


def test_root_cannot_be_the_user(root: str) -> None:
    """The gateway has no use for its rights."""
    require_root("only root looks the user up")
    (problem,) = problems(root, ('user = ""', 'user = "root"'))
    assert problem.startswith('1: user: "root" is root; name a user without special rights')


def test_what_the_system_withholds_is_named(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No /proc, as in a bare chroot, and no files in memory, as in a strict sandbox."""

    def refuse(_name: str, _flags: int) -> int:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    prerequisites.require_system()
    monkeypatch.setattr(os, "memfd_create", refuse)
    monkeypatch.setattr(prerequisites, "_OWN_FILES", f"{root}/proc")
    expected = [
        f"{root}/proc is not there; /proc has to be mounted where the gateway runs",
        "no file in memory can be made: memfd_create: Function not implemented; the unit's "
        "SystemCallFilter=, or the container, has to allow it",
    ]
    with pytest.raises(ConfigurationErrors) as withheld:
        prerequisites.require_system()
    assert str(withheld.value).splitlines() == expected
    assert set(expected) <= {line.strip() for line in problems(root)}
