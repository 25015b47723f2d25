"""Leaving root for good."""

from __future__ import annotations

import pwd
import subprocess
import sys

import pytest

from gateway.supervisor import privileges
from gateway.supervisor.privileges import Identity, PrivilegeError
from tests.rigs.require import require_root


def test_names_become_numbers() -> None:
    """The user's own group where none is given."""
    daemon = pwd.getpwnam("daemon")
    assert privileges.resolve("daemon") == Identity("daemon", daemon.pw_uid, daemon.pw_gid)
    assert privileges.resolve("daemon", "mail").gid == privileges.group_id("mail")


@pytest.mark.parametrize(
    ("user", "group", "message"),
    [
        (
            "no-such-user",
            "",
            'user: there is no user "no-such-user"; create it (systemd-sysusers, adduser --system) '
            "or name another one",
        ),
        (
            "daemon",
            "no-such-group",
            'group: there is no group "no-such-group"; create it or name another one',
        ),
        (
            "root",
            "",
            'user: "root" is root; name a user without special rights that can read the '
            "databases of Cyrus",
        ),
    ],
)
def test_names_that_do_not_serve_are_refused(user: str, group: str, message: str) -> None:
    """The message names the option and what to do."""
    with pytest.raises(PrivilegeError) as caught:
        privileges.resolve(user, group)
    assert str(caught.value) == message


_DROP = """
import os
from gateway.supervisor import privileges
privileges.drop(privileges.resolve("daemon", "mail"))
print(os.getresuid(), os.getresgid(), 0 in os.getgroups())
try:
    os.setuid(0)
except PermissionError:
    print("no way back")
"""


def test_after_the_drop_there_is_no_way_back() -> None:
    """Real, effective and saved ids are the user's, and root's groups are gone."""
    require_root("only root can leave root")
    done = subprocess.run([sys.executable, "-c", _DROP], capture_output=True, text=True, check=True)
    uid, gid = pwd.getpwnam("daemon").pw_uid, privileges.group_id("mail")
    assert done.stdout.splitlines() == [f"{(uid,) * 3} {(gid,) * 3} False", "no way back"]


_NOT_ROOT = """
import os, sys
from gateway.supervisor import privileges
os.setresuid(1, 1, 1)
try:
    privileges.drop(privileges.Identity("mail", 8, 8))
except privileges.PrivilegeError as error:
    print(error)
"""


def test_who_is_not_root_cannot_become_another_user() -> None:
    """The message says so and ends the start."""
    require_root("only root can leave root")
    done = subprocess.run(
        [sys.executable, "-c", _NOT_ROOT], capture_output=True, text=True, check=True
    )
    assert done.stdout == (
        "cannot become user mail (uid 8, gid 8): Operation not permitted; start the gateway as "
        "root or as that user\n"
    )
