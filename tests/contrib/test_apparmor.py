"""The AppArmor profile: its own parser takes it, and it goes with the unit and the package."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.contrib.units import UNITS, value
from tests.rigs.processes import complete
from tests.rigs.require import require, unpacked

PROFILE = UNITS.parent / "apparmor" / "smmapd-gateway"


def parse(path: Path) -> tuple[int, str]:
    """The exit code and the complaints of AppArmor's parser, which loads nothing into the kernel."""
    require("apparmor")
    root = unpacked("apparmor")
    # In /sbin in Debian 12, in /usr/sbin in Debian 13.
    (parser,) = (each for each in Path(root).glob("**/sbin/apparmor_parser") if each.is_file())
    words = ["--skip-kernel-load", "--skip-cache", f"--base={root}/etc/apparmor.d"]
    done = complete([str(parser), *words, str(path)])
    return done.returncode, done.stderr.decode()


@pytest.mark.real
def test_apparmor_takes_it() -> None:
    """Every rule and every abstraction that is included."""
    code, said = parse(PROFILE)
    assert code == 0, said
    assert "error" not in said


@pytest.mark.real
def test_apparmor_would_say_what_is_wrong(tmp_path: Path) -> None:
    """Else the test before would show nothing."""
    wrong = tmp_path / "wrong"
    wrong.write_text(PROFILE.read_text().replace(" rwk,", " rwzk,"))
    code, said = parse(wrong)
    assert code != 0
    assert "syntax error" in said


def test_the_unit_asks_for_it() -> None:
    """By its name, and does without it where it is not loaded."""
    (name,) = re.findall(r"^profile (\S+) ", PROFILE.read_text(), re.MULTILINE)
    assert value("AppArmorProfile") == f"-{name}"
    assert name == os.path.basename(PROFILE)


def test_sockets_can_be_made_where_the_unit_lets_them() -> None:
    """The folders of ReadWritePaths=, of Postfix' queue the one that README names."""
    text = PROFILE.read_text()
    for folder in value("ReadWritePaths").split():
        plain = folder.lstrip("-").replace("/run/", "@{run}/")
        assert re.search(rf"^  {re.escape(plain)}/\S* rwk,$", text, re.MULTILINE), folder


def test_capabilities_are_those_of_the_unit() -> None:
    """No less, and only what reads in addition."""
    found = set(re.findall(r"^  capability (\w+),", PROFILE.read_text(), re.MULTILINE))
    unit = {each.removeprefix("CAP_").lower() for each in value("CapabilityBoundingSet").split()}
    # The kernel asks for it before dac_override, and goes on to that.
    assert found - unit <= {"dac_read_search"}
    assert unit <= found


def test_the_package_installs_and_loads_it() -> None:
    """dh_apparmor loads it where AppArmor is on, and takes it away with a purge."""
    debian = UNITS.parent / "debian"
    install = (debian / "smmapd-gateway.install").read_text().splitlines()
    assert f"contrib/apparmor/{PROFILE.name} etc/apparmor.d" in install
    assert f"dh_apparmor --profile-name={PROFILE.name}" in (debian / "rules").read_text()
