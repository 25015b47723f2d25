"""SQL servers that are down, come and go, only let read, or lack a table: what a gateway answers.

While the server has a fault the answers are temporary failures, with the
reason in the log and in `explain`; without a restart they are right again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from gateway.errors import DatabaseUnavailable
from tests.cli.program import run
from tests.life.doors import DOMAIN
from tests.life.running import DEADLINE_S, Life
from tests.real.golden_tables import IN_TABLES, fill_golden
from tests.real.test_sql_servers import connect
from tests.rigs.require import require
from tests.rigs.sqlservers import MariaDb, Postgres, SqlServer
from tests.rigs.waiting import wait_until
from tests.stores import FlatStore

pytestmark = [
    pytest.mark.real,
    pytest.mark.parametrize("make", [Postgres, MariaDb], ids=lambda each: each.engine),
]

DOORS = ("socketmap", "policy")
AT = b"@" + DOMAIN.encode()
# What each door says of four of the golden recipients.
NOBODY, DENIED = b"nobody" + AT, b"denmsg" + AT
RIGHT = {
    b"alice" + AT: (b"OK alice" + AT, b"DUNNO"),
    NOBODY: (b"NOTFOUND Mailbox does not exist", b"550 5.1.1 User unknown"),
    b"over" + AT: (b"TEMP Over quota", b"DEFER_IF_PERMIT 4.2.2 Over quota"),
    DENIED: (
        b"NOTFOUND Account closed; call 555-1234",
        b"550 5.2.1 Account closed; call 555-1234",
    ),
}
# And of anybody while the server cannot be asked.
FAULT = (b"TEMP System I/O error", b"DEFER_IF_PERMIT 4.3.0 System I/O error")
Answers = dict[bytes, tuple[bytes, bytes]]
FAULTS: Answers = dict.fromkeys(RIGHT, FAULT)

# The servers' own words for what is wrong.
REFUSED = {"pgsql": "Connection refused", "mysql": "Can't connect to MySQL server"}
NO_TABLE = {
    "pgsql": 'relation "{}" does not exist',
    "mysql": "Table 'cyrus.{}' doesn't exist",
}
READ_ONLY = {
    "pgsql": "ALTER DATABASE cyrus SET default_transaction_read_only = on;\n",
    "mysql": "SET GLOBAL read_only = 1;\n",
}


class Site:
    """A server with the golden records, and a gateway on it that is not started yet."""

    def __init__(self, server: SqlServer, life: Life) -> None:
        self.server = server
        self.life = life

    def answers(self) -> Answers:
        """What each door says now."""
        return {
            each: (self.life.ask("socketmap", each), self.life.ask("policy", each))
            for each in RIGHT
        }

    def wait_right(self) -> None:
        """Wait until nobody's answer is a fault, and look at all of them."""
        wait_until(
            lambda: not any(set(FAULT) & set(told) for told in self.answers().values()),
            "the server is asked again",
            DEADLINE_S,
        )
        assert self.answers() == RIGHT

    def explains(self, problem: str) -> None:
        """Whether the reason is in the log, in `explain` and in `check`."""
        self.life.wait_log("error", f"{self.server.engine}://", problem)
        words = ("-c", self.life.configuration, f"alice@{DOMAIN}")
        explained = run("explain", *words)
        assert "store-fault" in explained.out
        assert problem in explained.out
        checked = run("check", *words)
        assert checked.code == 75, checked
        assert "store-fault" in checked.out


@contextmanager
def site(make: type[SqlServer]) -> Iterator[Site]:
    """One, with a server that runs."""
    require("sql")
    with make() as server, Life() as life:
        server.start()
        fill_golden(server)
        FlatStore(life.folder, options={**server.options, **IN_TABLES}).write()
        yield Site(server, life)


def test_a_server_that_is_down_when_the_gateway_starts(make: type[SqlServer]) -> None:
    """It starts all the same."""
    with site(make) as here:
        here.server.stop()
        here.life.begin()
        assert here.answers() == FAULTS
        here.explains(REFUSED[here.server.engine])
        here.server.start()
        here.wait_right()


def test_a_server_that_only_lets_read(make: type[SqlServer]) -> None:
    """Nothing is written, so a standby answers like any other server."""
    with site(make) as here:
        here.server.script(READ_ONLY[here.server.engine])
        until = time.monotonic() + DEADLINE_S
        connection = connect(here.server, until)
        with pytest.raises(DatabaseUnavailable, match="read-only"):
            connection.rows("INSERT INTO mailboxes_db VALUES ('new', 'new')", (), until)
        connection.close()
        here.life.begin()
        assert here.answers() == RIGHT


def test_a_table_that_is_missing(make: type[SqlServer]) -> None:
    """Nobody is unknown, or has room, because of it; without a table of denials nobody is denied."""
    with site(make) as here:
        here.life.begin()
        assert here.answers() == RIGHT
        here.server.script("ALTER TABLE mailboxes_db RENAME TO away;\n")
        # Who is denied is so whether there is a mailbox or not.
        assert here.answers() == {**FAULTS, DENIED: RIGHT[DENIED]}
        here.explains(NO_TABLE[here.server.engine].format("mailboxes_db"))
        here.server.script("ALTER TABLE away RENAME TO mailboxes_db;\n")
        here.wait_right()
        here.server.script("ALTER TABLE quotas_db RENAME TO away;\n")
        nobodys = {each: RIGHT[each] for each in (NOBODY, DENIED)}
        assert here.answers() == {**FAULTS, **nobodys}
        here.explains(NO_TABLE[here.server.engine].format("quotas_db"))
        here.server.script("ALTER TABLE away RENAME TO quotas_db;\n")
        here.wait_right()
        here.server.script("ALTER TABLE user_deny_db RENAME TO away;\n")
        assert here.answers() == {**RIGHT, DENIED: (b"OK " + DENIED, b"DUNNO")}


def test_a_server_that_comes_and_goes_under_load(make: type[SqlServer]) -> None:
    """Each answer is the right one or a fault, at every door and for every kind of recipient."""
    with site(make) as here:
        here.life.begin()
        assert here.answers() == RIGHT
        said: dict[tuple[str, bytes], set[bytes]] = {
            (door, each): set() for door in DOORS for each in RIGHT
        }
        stop = threading.Event()

        def load(door: str) -> None:
            with here.life.open(door) as client:
                while not stop.is_set():
                    for each in RIGHT:
                        said[door, each].add(client.ask(each))

        askers = [threading.Thread(target=load, args=(door,)) for door in DOORS * 2]
        for asker in askers:
            asker.start()
        try:
            for _ in range(2):
                here.server.stop()
                assert here.answers() == FAULTS
                wait_until(
                    lambda: all(each & set(FAULT) for each in said.values()),
                    "every question meets a fault",
                    DEADLINE_S,
                )
                here.server.start()
                here.wait_right()
        finally:
            stop.set()
            for asker in askers:
                asker.join()
        assert said == {
            (door, each): {RIGHT[each][place], FAULT[place]}
            for place, door in enumerate(DOORS)
            for each in RIGHT
        }
