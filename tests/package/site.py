"""A booted Debian with the package, a store with fred and a configuration."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.package.conftest import depends
from tests.rigs.booted import PACKAGES, Booted
from tests.rigs.debian import debian
from tests.rigs.folders import write_text
from tests.stores import FlatStore, record

UNIT = "smmapd-gateway"
CONFIGURATION = "/etc/smmapd/gateway.toml"
FRED, NOBODY = "fred@example.org", "nobody@example.org"

TOML = """\
user = "cyrus"
{top}
[cyrus]
imapd_conf = "/srv/cyrus/imapd.conf"
[socketmap]
listen = [{socketmap}]
{more}
[policy]
listen = [{policy}]
[scope]
domains = ["example.org"]
[admin]
listen = []
"""
# As README has it: in a folder of the gateway's user, for Postfix.
QUEUE = "/var/spool/postfix/smmapd"
MILTER = f'[milter]\nlisten = ["unix:{QUEUE}/milter?mode=0660&group=postfix"]'
OWN_SOCKET = '"unix:/run/smmapd/socketmap?mode=0660&group=smmapd"'
OWN_POLICY = '"unix:/run/smmapd/policy?mode=0660&group=smmapd"'


@dataclass
class Site:
    """A booted machine with the package and a store with fred."""

    machine: Booted
    package: str
    release: str

    def configure(
        self,
        *,
        top: str = "",
        socketmap: str = OWN_SOCKET,
        policy: str = OWN_POLICY,
        more: str = "",
    ) -> None:
        """Write gateway.toml."""
        text = TOML.format(top=top, socketmap=socketmap, policy=policy, more=more)
        write_text(self.machine.root.path(CONFIGURATION), text)

    def ask(self, *words: str) -> tuple[int, str]:
        """`smmapd-gateway ask` inside."""
        return self.machine.complete(UNIT, "ask", *words)

    def serves(self, front: str = "policy") -> None:
        """A recipient that exists is accepted, and one that does not is refused."""
        code, said = self.ask("--front", front, "--expect", "ok", FRED)
        assert code == 0, said
        code, said = self.ask("--front", front, "--expect", "no", NOBODY)
        assert code == 0, said

    def systemctl(self, *words: str) -> tuple[int, str]:
        """systemctl's exit code and words."""
        return self.machine.complete("systemctl", *words)

    @property
    def main_pid(self) -> int:
        """The supervisor's process id inside."""
        return int(self.machine.property(UNIT, "MainPID"))


@contextmanager
def prepared(package: str, release: str) -> Iterator[Site]:
    """A clean machine, booted, with the package installed and configured, not started."""
    needed = set(depends(package)) - {
        "systemd-standalone-sysusers",
        "systemd-standalone-tmpfiles",
    }
    with debian(*sorted(needed), *PACKAGES, "lsb-base", release=release) as root:
        root.run("useradd", "--system", "--gid", "mail", "cyrus")
        store = FlatStore(
            root.path("/srv/cyrus"),
            mailboxes={b"user.fred": record(b"fred\tlrswipkxtecdan")},
            options={"virtdomains": "userid", "defaultdomain": "example.org"},
        )
        store.write()
        with open(store.conf_path, encoding="utf-8") as file:
            text = file.read().replace(root.folder, "")
        write_text(store.conf_path, text)
        root.run("chown", "-R", "cyrus:mail", "/srv/cyrus")
        # What of Postfix counts here.
        root.run("groupadd", "--system", "postfix")
        root.run("mkdir", "-p", os.path.dirname(QUEUE))
        root.run("install", "-d", "-o", "cyrus", "-g", "postfix", "-m", "0750", QUEUE)
        with Booted(root) as machine:
            made = Site(machine, package, release)
            shutil.copy(package, root.path("/srv/package.deb"))
            machine.run("dpkg", "--install", "/srv/package.deb")
            made.configure()
            yield made
