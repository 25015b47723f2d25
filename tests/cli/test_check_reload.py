"""`check-config --reload`: sockets that a gateway which has left root could not make."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator

import pytest

from tests.rigs.commandline import Site, make_site
from tests.rigs.folders import make_folder
from tests.rigs.processes import account
from tests.rigs.require import require_root

# Whom the gateway becomes; everybody has it, and it is in no other group.
USER = "daemon"
TOML = """
user = "daemon"
[cyrus]
imapd_conf = "{root}/imapd.conf"
[policy]
listen = ["unix:{root}/run/policy%s"]
[scope]
domains = ["example.org"]
"""


@pytest.fixture
def world() -> Iterator[Site]:
    """A site whose gateway is of user daemon, with a folder for sockets."""
    require_root("only root becomes another user")
    folder = make_folder("cr")
    try:
        site = make_site(folder)
        os.mkdir(os.path.join(folder, "run"), 0o755)
        yield site
    finally:
        shutil.rmtree(folder)


def check(site: Site, option: str, socket_query: str = "", *, own_folder: bool) -> tuple[int, str]:
    """Exit code and words of check-config for a policy socket in a folder of the user's, or root's."""
    site.configure(TOML % socket_query)
    owner = account(USER).uid if own_folder else 0
    os.chown(os.path.join(site.root, "run"), owner, -1)
    done = site.run("check-config", option, "-q")
    return done.code, done.out + done.err


@pytest.mark.parametrize(
    ("query", "own_folder", "expected"),
    [
        ("", True, ()),
        ("?mode=0660&group=daemon", True, ()),
        ("?mode=0660&group=mail", True, ("Operation not permitted", "adduser USER GROUP")),
        ("?user=root", True, ("Operation not permitted", "restart the gateway")),
        ("", False, ("Permission denied", "restart the gateway")),
    ],
)
def test_a_new_socket_must_be_one_that_the_user_can_make(
    world: Site, query: str, own_folder: bool, expected: tuple[str, ...]
) -> None:
    """Else the reload would be refused; a start makes it as root."""
    code, said = check(world, "--reload", query, own_folder=own_folder)
    assert code == (os.EX_CONFIG if expected else os.EX_OK), said
    for part in expected:
        assert part in said
    assert check(world, "--start", query, own_folder=own_folder)[0] == os.EX_OK


@pytest.mark.parametrize("served", [True, False])
def test_a_socket_that_is_served_is_kept(world: Site, served: bool) -> None:
    """A reload does not make it; a file that nobody listens on would be made again."""
    with socket.socket(socket.AF_UNIX) as listener:
        path = os.path.join(world.root, "run", "policy")
        listener.bind(path)
        os.chown(path, account(USER).uid, -1)
        if served:
            listener.listen()
        code, said = check(world, "--reload", own_folder=False)
        assert code == (os.EX_OK if served else os.EX_CONFIG), said
