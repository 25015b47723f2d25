"""What check-config says of folders and units that not every user may look at."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from gateway import config
from gateway.cli.checks import asuser, sockets, unit
from gateway.cli.checks.finding import Finding, Level
from gateway.config import Settings
from gateway.supervisor import privileges
from tests.rigs.folders import folder, make_subfolder, write_text
from tests.rigs.require import require_root

TOML = """
user = "nobody"
[policy]
listen = ["unix:{root}/outer/inner/policy"]
[admin]
listen = []
[scope]
domains = ["example.org"]
"""


@pytest.fixture
def root() -> Iterator[str]:
    """A folder that every user may enter."""
    require_root("checks are made as another user")
    with folder("sockets") as path:
        yield path


def settings_in(root: str) -> Settings:
    return config.loads(TOML.format(root=root).encode(), f"{root}/gateway.toml")


def found_by_nobody(settings: Settings) -> list[Finding]:
    return asuser.seen_by(privileges.resolve("nobody", ""), lambda: sockets.check(settings))


def test_a_missing_folder_behind_one_that_the_user_may_not_enter_is_told(root: str) -> None:
    """A start opens sockets as root, and the check of a start, as the user, cannot see it."""
    make_subfolder(root, "outer", mode=0o700)
    (finding,) = sockets.check(settings_in(root))
    assert finding.level is Level.ERROR
    assert f"{root}/outer/inner" in finding.fix


def test_a_missing_folder_that_the_user_sees_is_told_by_the_check_of_a_start(root: str) -> None:
    """And not once more."""
    make_subfolder(root, "outer")
    assert list(sockets.check(settings_in(root))) == []


def test_who_may_not_look_is_told_so(root: str) -> None:
    """Whether the folder is there is not known then."""
    make_subfolder(root, "outer", mode=0o700)
    make_subfolder(root, "outer/inner")
    (finding,) = found_by_nobody(settings_in(root))
    assert finding.level is Level.WARNING
    assert "cannot be looked at" in finding.what


@pytest.mark.parametrize("mode", [0o755, 0o700])
def test_a_drop_in_that_cannot_be_read_is_named(root: str, mode: int) -> None:
    """The checks that come after it are made all the same."""
    write_text(os.path.join(root, unit.UNIT), "[Service]\n")
    drop_ins = make_subfolder(root, f"{unit.UNIT}.d", mode=mode)
    write_text(os.path.join(drop_ins, "secret.conf"), "[Service]\n", mode=0o600)
    settings = settings_in(root)
    (finding,) = asuser.seen_by(
        privileges.resolve("nobody", ""), lambda: unit.check(settings, [], [root])
    )
    assert finding.level is Level.WARNING
    assert drop_ins in finding.what
