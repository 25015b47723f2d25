"""Which values of options Cyrus takes: its own reader beside ours, on Debian's release.

A value that Cyrus refuses is an error with file and line here, too, and the
other way round.
"""

from __future__ import annotations

import os
import re

import pytest

from gateway.cyrus import imapdconf
from gateway.errors import ConfigurationError
from tests.rigs.cyrus_tools import PROGRAMS, CyrusTools
from tests.rigs.folders import make_folder, write_text
from tests.rigs.processes import complete
from tests.rigs.require import require

pytestmark = pytest.mark.real

# One option of each type of lib/libconfig.c; BYTESIZE came with 3.8 only.
OPTIONS = (
    "unixhierarchysep",
    "virtdomains",
    "mupdate_port",
    "tcp_keepalive_idle",
    "mboxlist_db",
    "deletedprefix",
)
VALUES = (
    *("yes", "no", "Yes", "on", "off", "1", "0", "t", "f", "true", "false", "of", "o", "enabled"),
    *("userid", "Userid", "standard", "unified", "twoskip", "Twoskip", "berkeley", "quotalegacy"),
    *("10", "-1", "+5", "0x10", "010", "08", "10k", "1.5", "10 20", "2147483647", "99999999999"),
    *("1h", "5m", "1d2h", "1h30", "5x", "-5s", "h", "yes no", "\xe4", "twom", "zeroskip"),
)

# What differs, and why.
DIFFERENT = {
    ("mupdate_port", "99999999999"): "Cyrus takes what is left of it in 32 bits",
    ("tcp_keepalive_idle", "99999999999"): "Cyrus before 3.10 takes what is left of it in 32 bits",
    ("mboxlist_db", "twom"): "newer than 3.6",
    ("mboxlist_db", "zeroskip"): "no reader here",
}
# Of these, what Cyrus has refused since, by its release.
REFUSED_SINCE = {("tcp_keepalive_idle", "99999999999"): (3, 10)}


@pytest.mark.parametrize("option", OPTIONS)
def test_what_cyrus_refuses_is_refused(option: str) -> None:
    """With the same line; and what it takes is taken."""
    require("cyrus")
    folder = make_folder("conf")
    path = os.path.join(folder, "imapd.conf")
    database = os.path.join(folder, "any.db")
    with open(database, "wb"):
        os.chmod(database, 0o666)
    argv = [os.path.join(PROGRAMS, "cyr_dbtool"), "-C", path, database, "flat"]
    release = CyrusTools(path, write_text(path, f"configdirectory: {folder}\n")).version()
    refused = 0
    for value in VALUES:
        with open(path, "wb") as file:
            file.write(f"configdirectory: {folder}\n\n{option}: ".encode())
            file.write(value.encode("latin-1") + b"\n")
        theirs = complete([*argv, "show"])
        try:
            imapdconf.load(path, "smmap")
            problem = ""
        except ConfigurationError as error:
            problem = str(error)
        since = REFUSED_SINCE.get((option, value))
        if (option, value) in DIFFERENT and (since is None or release < since):
            assert (theirs.returncode == 0) is bool(problem), value
            continue
        assert (theirs.returncode != 0) is bool(problem), (value, theirs.stderr, problem)
        if problem:
            refused += 1
            assert re.search(rb"line 3\b", theirs.stderr), theirs.stderr
            assert f"{path}:3: {option}: " in problem
    assert refused > 0 or option == "deletedprefix"
