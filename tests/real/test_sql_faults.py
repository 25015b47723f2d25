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
from tests.real.golden_tables import IN_TABLES, fill_golden
from tests.real.test_sql_servers import connect
from tests.rigs.clients import DOMAIN
from tests.rigs.commandline import run
from tests.rigs.managed import DEADLINE_S, ManagedGateway
from tests.rigs.require import require
from tests.rigs.sqlservers import MariaDb, Postgres, SqlServer
from tests.rigs.waiting import wait_until
from tests.stores import FlatStore

pytestmark = [
    pytest.mark.real,
    pytest.mark.parametrize("make", [Postgres, MariaDb], ids=lambda each: each.engine),
]

INTERFACES = ("socketmap", "policy")
AT = b"@" + DOMAIN.encode()
# What each interface says of four of the golden recipients.
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

    def __init__(self, server: SqlServer, managed: ManagedGateway) -> None:
        self.server = server
        self.managed = managed

    def answers(self) -> Answers:
        """What each interface says now."""
        return {
            each: (self.managed.ask("socketmap", each), self.managed.ask("policy", each))
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

    def fix(self) -> None:
        """Run the statements that `explain` gives, if it gives any."""
        explained = run("explain", "-c", self.managed.configuration, f"alice@{DOMAIN}").out
        told = explained.partition("as the table's owner: ")[2].partition("\n")[0]
        if told:
            self.server.script(told[: told.rindex(";") + 1] + "\n")

    def explains(self, problem: str) -> None:
        """Whether the reason is in the log, in `explain` and in `check`."""
        self.managed.wait_log("error", f"{self.server.engine}://", problem)
        words = ("-c", self.managed.configuration, f"alice@{DOMAIN}")
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
    with make() as server, ManagedGateway() as managed:
        server.start()
        fill_golden(server)
        FlatStore(managed.folder, options={**server.options, **IN_TABLES}).write()
        yield Site(server, managed)


def test_a_server_that_is_down_when_the_gateway_starts(make: type[SqlServer]) -> None:
    """It starts all the same."""
    with site(make) as here:
        here.server.stop()
        here.managed.begin()
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
        here.managed.begin()
        assert here.answers() == RIGHT


def test_a_table_that_is_missing(make: type[SqlServer]) -> None:
    """Nobody is unknown, has room, or is let in because of it; nor of a list without any record."""
    with site(make) as here:
        here.managed.begin()
        assert here.answers() == RIGHT
        # A fresh server in the place of the old one, and a table that Cyrus' tool has just made.
        here.server.script("CREATE TABLE kept AS SELECT * FROM mailboxes_db;\n")
        here.server.script("DELETE FROM mailboxes_db;\n")
        assert here.answers() == {**FAULTS, DENIED: RIGHT[DENIED]}
        here.explains("has no mailbox at all")
        here.server.script("INSERT INTO mailboxes_db SELECT * FROM kept;\n")
        here.wait_right()
        here.server.script("ALTER TABLE mailboxes_db RENAME TO away;\n")
        # A user is denied whether there is a mailbox or not.
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
        assert here.answers() == FAULTS
        here.managed.wait_log("error", "user_deny_db", "was there and is missing")
        here.server.script("ALTER TABLE away RENAME TO user_deny_db;\n")
        here.wait_right()


def test_a_table_of_denials_that_never_was_is_looked_for_now_and_then(
    make: type[SqlServer],
) -> None:
    """Nobody is denied; and not each question is a complaint in the server's log."""
    with site(make) as here:
        here.server.script("ALTER TABLE user_deny_db RENAME TO away;\n")
        here.managed.begin()
        for _ in range(20):
            assert here.answers() == {**RIGHT, DENIED: (b"OK " + DENIED, b"DUNNO")}
        complaints = here.server.daemon.output().count('relation "user_deny_db" does not exist')
        assert complaints < 20  # of 160 questions
        here.server.script("ALTER TABLE away RENAME TO user_deny_db;\n")
        wait_until(lambda: here.answers() == RIGHT, "the table is seen", DEADLINE_S)


# What other columns make of keys: tables as somebody's own hand has made them.
UNFIT = {
    "pgsql": ("dbkey TEXT, data BYTEA", "dbkey VARCHAR(500), data TEXT"),
    "mysql": (
        "dbkey VARCHAR(500) CHARACTER SET utf8mb4, data MEDIUMBLOB",
        "dbkey BINARY(250), data MEDIUMBLOB",
        "dbkey VARBINARY(500), data MEDIUMTEXT CHARACTER SET utf8mb4",
    ),
}
AS_TEXT = {
    "pgsql": "convert_from(dbkey, 'UTF8') AS dbkey, convert_from(data, 'UTF8') AS data",
    "mysql": "dbkey, data",
}
TABLES = ("mailboxes_db", "quotas_db", "user_deny_db")


def test_columns_that_are_not_bytes_are_a_fault_with_what_mends_it(
    make: type[SqlServer],
) -> None:
    """Text ignores case, accents or blanks, and BINARY adds bytes; the statements are run as told."""
    with site(make) as here:
        here.managed.begin()
        engine = here.server.engine
        for table in TABLES:
            for columns in UNFIT[engine]:
                text = AS_TEXT[engine]
                if engine == "pgsql" and "data BYTEA" in columns:
                    text = text.replace("convert_from(data, 'UTF8') AS data", "data")
                here.server.script(
                    f"ALTER TABLE {table} RENAME TO away; CREATE TABLE {table} ({columns});\n"
                    f"INSERT INTO {table} SELECT {text} FROM away;\n"
                    + (f"ALTER TABLE {table} OWNER TO cyrus;\n" if engine == "pgsql" else "")
                )
                answers = here.answers()
                assert answers[b"alice" + AT] == FAULT, (table, columns)
                wrong = {each: told for each, told in answers.items() if told != RIGHT[each]}
                assert set(wrong.values()) == {FAULT}, (table, columns)
                # PostgreSQL cannot compare such a key, and tells of the other column then.
                for _ in range(1 + columns.endswith("TEXT")):
                    here.fix()
                assert here.answers() == RIGHT, (table, columns)
                here.server.script(f"DROP TABLE {table}; ALTER TABLE away RENAME TO {table};\n")
                here.wait_right()


def test_a_server_that_comes_and_goes_under_load(make: type[SqlServer]) -> None:
    """Each answer is the right one or a fault, at every interface and for every kind of recipient."""
    with site(make) as here:
        here.managed.begin()
        assert here.answers() == RIGHT
        said: dict[tuple[str, bytes], set[bytes]] = {
            (interface, each): set() for interface in INTERFACES for each in RIGHT
        }
        stop = threading.Event()

        def load(interface: str) -> None:
            with here.managed.open(interface) as client:
                while not stop.is_set():
                    for each in RIGHT:
                        said[interface, each].add(client.ask(each))

        askers = [threading.Thread(target=load, args=(interface,)) for interface in INTERFACES * 2]
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
            (interface, each): {RIGHT[each][place], FAULT[place]}
            for place, interface in enumerate(INTERFACES)
            for each in RIGHT
        }
