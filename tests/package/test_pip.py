"""docs/quick-start.md's way by pip, on clean machines of both Debian releases under a real systemd.

Every command of it is run as it is written, in the clone, with pip's packages from a
folder in place of the index: what constraints.txt pins.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.package.suite import SOURCE, copy_source, fetch_wheels
from tests.rigs.booted import PACKAGES, Booted
from tests.rigs.debian import DEBIAN_12, DEBIAN_13, debian
from tests.rigs.folders import write_text
from tests.rigs.require import require
from tests.rigs.waiting import wait_until
from tests.stores import FlatStore, record
from tests.support.blocks import pasted

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.clean]

PYTHONS = {DEBIAN_12: "3.11", DEBIAN_13: "3.13"}
WHEELS = "/wheels"
# Instead of what apt-get brings on the administrator's machine.
PIP = ("PIP_NO_INDEX=1", f"PIP_FIND_LINKS={WHEELS}")
TOML = """\
user = "cyrus"
[cyrus]
imapd_conf = "/srv/cyrus/imapd.conf"
[socketmap]
listen = ["unix:/run/smmapd/socketmap?mode=0660&group=smmapd"]
[milter]
listen = ["unix:/run/smmapd/milter?mode=0660&group=smmapd"]
[scope]
domains = ["example.org"]
"""


@pytest.fixture(scope="module", params=[DEBIAN_12, DEBIAN_13])
def machine(request: pytest.FixtureRequest) -> Iterator[Booted]:
    """A machine with the packages that the document names first, a clone, and a store with fred."""
    require("package")
    (line,) = pasted("pip-packages")
    command, word, *needed = line.split()
    assert (command, word) == ("apt-get", "install")
    with debian(*sorted({*needed, "libc6-dev"}), *PACKAGES, release=request.param) as root:
        copy_source(root)
        os.mkdir(root.path(WHEELS))
        fetch_wheels(PYTHONS[request.param], root.path(WHEELS))
        root.run("useradd", "--system", "--gid", "mail", "cyrus")
        store = FlatStore(
            root.path("/srv/cyrus"), mailboxes={b"user.fred": record(b"fred\tlrswipkxtecdan")}
        )
        store.write()
        with open(store.conf_path, encoding="utf-8") as file:
            text = file.read().replace(root.folder, "")
        write_text(store.conf_path, text)
        root.run("chown", "-R", "cyrus:mail", "/srv/cyrus")
        with Booted(root) as booted:
            yield booted


def _paste(machine: Booted, name: str) -> None:
    """The commands of a block, in the clone."""
    for command in pasted(name):
        machine.run("env", *PIP, "sh", "-e", "-c", f"cd {SOURCE} && {command}")


def test_a_gateway_that_pip_installed_serves(machine: Booted) -> None:
    """Programs, folders, user, unit, manual pages; then start, reload and an answer of the milter."""
    _paste(machine, "pip-install")
    _paste(machine, "pip-service")
    # Without its file a start fails, and says so: it is not skipped.
    assert machine.complete("systemctl", "start", "smmapd-gateway")[0] != 0
    assert "/etc/smmapd/gateway.toml: cannot be read: No such" in machine.journal("smmapd-gateway")
    write_text(machine.root.path("/etc/smmapd/gateway.toml"), TOML)
    _paste(machine, "start")
    for recipient, expected in (("fred", "ok"), ("nobody@example.org", "no")):
        code, said = machine.complete("smmapd-gateway", "ask", "--expect", expected, recipient)
        # A recipient without a domain is nobody's at the milter, which lets it pass.
        assert code == 0, said
    machine.run("systemctl", "reload", "smmapd-gateway")
    # systemctl may return before the new configuration is in force.
    wait_until(
        lambda: machine.property("smmapd-gateway", "ActiveState") == "active", "it serves again"
    )
    code, said = machine.complete("systemd-analyze", "verify", "--man=no", "smmapd-gateway.service")
    assert (code, said) == (0, "")
    for page in ("man8/smmapd.8", "man8/smmapd-gateway.8", "man5/gateway.toml.5"):
        assert os.path.isfile(machine.root.path(f"/usr/local/share/man/{page}"))
    assert machine.run("stat", "-c", "%a %U", "/run/smmapd").strip() == "755 root"
