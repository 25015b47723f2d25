"""Runs of check-config, with a script that stands for Postfix' postconf."""

from __future__ import annotations

import os
import shutil

from tests.rigs.commandline import GATEWAY_TOML, Done, Site

POSTCONF = """
case "$*" in
*-M*) echo 'smtp inet n - {chroot} - - smtpd -o x=y' ;;
*-Px*) ;;
*-nx*) echo 'relay_recipient_maps = {map}' ;;
*-m*) echo hash; echo socketmap ;;
*) cat <<'END'
queue_directory = {queue}
mail_owner = root
compatibility_level = 3.6
mydestination = localhost, {mydestination}
relay_domains = {relay}
virtual_alias_maps = {aliases}
END
;;
esac
"""


def toml(scope: str = "", top: str = "") -> str:
    """The site's gateway.toml with the present user as the gateway's."""
    return f'user = ""\n{top}\n{GATEWAY_TOML}aliases = ["{{root}}/aliases"]\n{scope}'


def check(site: Site, *words: str, postconf: str | None = None) -> Done:
    """Run check-config; `postconf` is the script that stands for Postfix', None for none."""
    programs = os.path.join(site.root, "bin")
    os.makedirs(programs, exist_ok=True)
    aliases = os.path.join(site.root, "aliases")
    if "--no-aliases" in words:
        words = tuple(word for word in words if word != "--no-aliases")
    elif not os.path.exists(aliases):
        with open(aliases, "w", encoding="ascii") as file:
            file.write("sales: fred\n")
    if postconf is not None:
        path = os.path.join(programs, "postconf")
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"#!/bin/sh\n{postconf}\n")
        os.chmod(path, 0o755)
    # Nothing but our own programs: the script needs cat.
    for name in ("cat", "sh"):
        target = shutil.which(name)
        assert target is not None
        link = os.path.join(programs, name)
        if not os.path.lexists(link):
            os.symlink(target, link)
    return site.run("check-config", *words, env={"PATH": programs})


def findings(done: Done, level: str) -> list[str]:
    """What was found of one level; each warning and error has a fix."""
    found = []
    for line, behind in zip(done.lines, [*done.lines[1:], ""], strict=True):
        if line.startswith(level + " "):
            found.append(line[len(level) :].strip())
            if level != "ok":
                assert behind.strip().startswith("-> ")
    return found


def postconf(**changes: str) -> str:
    """A postconf whose Postfix has these values."""
    values = {
        "chroot": "n",
        "map": "",
        "queue": "/var/spool/postfix",
        "mydestination": "",
        "relay": "example.org",
        "aliases": "",
        **changes,
    }
    text = POSTCONF
    for name, value in values.items():
        text = text.replace("{" + name + "}", value)
    return text
