"""smmapd-gateway as a user runs it, and small sites for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from tests.golden import configurations
from tests.stores import FlatStore, denial, quota, record

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# A command that does not end is a fault of ours; seconds.
_PATIENCE = 60

DOMAIN = "example.org"
GATEWAY_TOML = """
answers = "smmapd"
[cyrus]
imapd_conf = "{root}/imapd.conf"
[socketmap]
listen = ["unix:{root}/run/socketmap"]
[policy]
listen = ["unix:{root}/run/policy"]
[milter]
listen = ["inet:127.0.0.1:12347"]
[scope]
domains = ["example.org"]
"""


@dataclass(frozen=True)
class Done:
    """What a command left behind: its exit code, and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """The lines of standard output."""
        return self.out.splitlines()

    @property
    def objects(self) -> list[dict[str, object]]:
        """The JSON objects of standard output, one a line."""
        return [json.loads(line) for line in self.lines]


def environment(changes: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process' environment, so that the checkout is what runs."""
    return {**os.environ, "PYTHONPATH": ROOT, "TERM": "xterm", **(changes or {})}


def command(*words: str | bytes) -> list[str | bytes]:
    """The command line."""
    return [sys.executable, "-W", "error", "-m", "gateway.cli.main", *words]


def run(
    *words: str | bytes, stdin: bytes = b"", env: Mapping[str, str] | None = None, cwd: str = "/"
) -> Done:
    """Run one command to its end."""
    done = subprocess.run(
        command(*words),
        input=stdin,
        capture_output=True,
        check=False,
        timeout=_PATIENCE,
        env=environment(env),
        cwd=cwd,
    )
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


@dataclass(frozen=True)
class Site:
    """A store and a gateway.toml below `root`."""

    root: str
    store: FlatStore

    @property
    def config(self) -> str:
        """The path of gateway.toml."""
        return os.path.join(self.root, "gateway.toml")

    def configure(self, text: str = GATEWAY_TOML) -> None:
        """Write gateway.toml; `{root}` in `text` is the site's folder."""
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(text.replace("{root}", self.root))

    def run(
        self,
        command_: str,
        *words: str | bytes,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
    ) -> Done:
        """Run one command on this site."""
        return run(command_, "-c", self.config, *words, stdin=stdin, env=env)


def make_site(root: str, **options: str) -> Site:
    """Some users with something the matter with each; `options` are lines of imapd.conf."""
    store = FlatStore(root, options=options)
    store.mailboxes = {
        b"user.fred": record(b"fred\tlrswipkxte\t"),
        b"user.fred.Work": record(b"fred\tlrswipkxte\t"),
        b"user.over": record(),
        b"user.full": record(),
        b"user.den": record(),
        b"user.new": record(mbtype=b"z"),
        b"user.old": record(mbtype=b"d"),
        b"user.broken": b"%(T ! P default)",
        b"news": record(b"anyone\tlr\t"),
        b"list": record(b"anyone\tlrp\t"),
    }
    store.quotas = {
        b"user.fred": quota((512 * 1024, 1024), (5, 100)),
        b"user.over": quota((3 * 1024 * 1024, 2048)),
        b"user.full": quota((10, 2048), (100, 100)),
    }
    store.denials = {b"den": denial(b"closed for good"), b"joe": denial(pattern=b"imap")}
    store.write()
    site = Site(root, store)
    site.configure()
    return site


def golden_site(root: str, name: str) -> Site:
    """A site on the golden databases of the configuration `name` (`head-twoskip/default`)."""
    found = next(each for each in configurations() if each.id == name)
    found.write_conf(os.path.join(root, "imapd.conf"))
    site = Site(root, FlatStore(root))
    site.configure()
    return site
