"""`serve` with a configuration that cannot serve."""

from __future__ import annotations

import os

from tests.rigs.commandline import Site
from tests.rigs.require import require_root


def test_every_fault_outside_the_file_is_told_at_once(site: Site) -> None:
    """With file, line and key; the exit code is 78, and no socket is left."""
    require_root("only root looks the user up")
    site.configure(
        """user = "no-such-user"
[cyrus]
imapd_conf = "/nonexistent/imapd.conf"
[policy]
listen = ["unix:/nonexistent/policy"]
[scope]
domains = ["example.org"]
aliases = ["/etc"]
"""
    )
    done = site.run("serve")
    assert (done.code, done.out) == (os.EX_CONFIG, "")
    lines = done.err.splitlines()
    places = [f"{site.config}:{line}: {key}: " for line, key in PLACES]
    assert len(lines) == len(places)
    assert all(place in line for place, line in zip(places, lines, strict=True)), lines


PLACES = [(1, "user"), (3, "cyrus.imapd_conf"), (5, "policy.listen[0]"), (8, "scope.aliases[0]")]
