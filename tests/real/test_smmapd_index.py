"""smmapd under a real master on a long mailbox list: a process of its own makes the index.

It is user cyrus', isolated as smmapd is, and gone as soon as it has made it.
"""

from __future__ import annotations

import os
import shutil
import signal

import pytest

from tests.rigs.cyrus_tools import CyrusTools, Mailbox
from tests.rigs.processes import command_line
from tests.rigs.require import require
from tests.rigs.under_master import NOT_FOUND, children, serving
from tests.rigs.waiting import wait_until

pytestmark = pytest.mark.real

# More than those of which a process makes its own (gateway.cyrus.db.twoskip.twoskip.SHARED_FROM).
USERS = 20_500
_USER = b"user%06d"


def lengthen(tools: CyrusTools) -> None:
    """Add USERS mailboxes to the list, as a conversion by Cyrus' own tool: it is written again."""
    tools.load_mailboxes([Mailbox("user.pattern")])
    records = tools.db_show("mailboxes.db", "twoskip")
    (key,) = (each for each in records if each.endswith(b"pattern"))  # N, and separators
    stem, value = key.removesuffix(b"pattern"), records[key]
    records.update({stem + _USER % number: value for number in range(USERS)})
    path = tools.path("mailboxes.db")
    with open(f"{path}.flat", "wb") as file:
        file.writelines(b"%b\t%b\n" % record for record in sorted(records.items()))
    shutil.chown(f"{path}.flat", "cyrus")
    tools.convert("mailboxes.db.flat", "flat", "mailboxes.db.new", "twoskip")
    os.rename(f"{path}.new", path)


def maps_an_index(pid: int) -> bool:
    """Whether the process uses an index that another one has made."""
    with open(f"/proc/{pid}/maps", encoding="ascii", errors="replace") as maps:
        return "/memfd:index" in maps.read()


def builders(pid: int) -> list[int]:
    """The processes that make one for it."""
    return [each for each in children(pid) if "indexbuilder" in command_line(each)]


def test_the_index_of_a_long_list_is_made_by_another_process() -> None:
    """While it serves, and again after a repack, and again where the one that makes it is killed."""
    require("cyrus")
    with serving("-U 1000", settings={"mboxlist_db": "twoskip"}) as service:
        lengthen(service.cyrus.tools)
        with service.connect() as connection:
            asked = iter(range(USERS))

            def strained() -> bool:
                for number in [next(asked) for _ in range(10)]:
                    assert connection.ask(_USER % number) == b"OK " + _USER % number
                    assert connection.ask(b"nobody%d" % number) == NOT_FOUND
                return maps_an_index(service.pid())

            wait_until(strained, "it has an index")
            pid = service.pid()
            wait_until(lambda: not children(pid), "what made it is gone")
            lengthen(service.cyrus.tools)

            def kill() -> bool:
                strained()
                for each in builders(pid):
                    os.kill(each, signal.SIGKILL)
                    return True
                return False

            wait_until(kill, "another one is made")
            wait_until(lambda: not builders(pid), "it is gone")
            for _ in range(30):
                strained()
        assert service.pid() == pid
        assert service.complaints() == []
