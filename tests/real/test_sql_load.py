"""SQL servers under load: dumps that are restored, and connections that do not suffice for all.

`make bench-sql` does the same with a million mailboxes.
"""

from __future__ import annotations

import os
import time

import pytest

from tests.real.test_sql_servers import DEADLINE_S, connect
from tests.rigs import sqlload
from tests.rigs.folders import folder
from tests.rigs.gateway import Tables
from tests.rigs.require import require
from tests.rigs.sqlservers import MariaDb, Postgres, SqlServer
from tests.rigs.waiting import wait_until

pytestmark = pytest.mark.real

# Enough for a restore to take a while, and few enough for every run of the tests.
MAILBOXES = int(os.environ.get("SQL_MAILBOXES", "20000"))
CLIENTS = 8
# Of which few have a connection; SQL_CLIENTS=2000 SQL_RELOADS=10 is the long version.
MANY = int(os.environ.get("SQL_CLIENTS", "100"))
RELOADS = int(os.environ.get("SQL_RELOADS", "3"))


@pytest.mark.parametrize("make", [Postgres, MariaDb], ids=lambda each: each.engine)
def test_a_dump_that_is_restored_refuses_nobody(make: type[SqlServer]) -> None:
    """Tables are dropped, made again without a record, and filled: temporary answers meanwhile."""
    require("sql")
    with make() as server, folder("sql") as path:
        server.start()
        with sqlload.site(server, MAILBOXES, path) as site:
            site.gateway.start()
            dump = os.path.join(server.folder, "dump.sql")
            server.dump(dump)
            with site.load(CLIENTS) as load:
                load.wait_more(100)
                server.restore(dump)
                before = load.told["known", sqlload.OK]
                wait_until(lambda: load.told["known", sqlload.OK] > before, "all is right again")
            assert load.wrong() == {}, load.samples
            assert load.told["unknown", sqlload.NOTFOUND]


def test_few_connections_are_enough_for_many_clients_and_reloads() -> None:
    """PostgreSQL has thirty, of which others may take 18; generations give theirs back."""
    require("sql")
    with Postgres() as server, folder("sql") as path:
        server.start()
        taken = 18 if MANY <= 100 else 0
        others = [connect(server, time.monotonic() + DEADLINE_S) for _ in range(taken)]
        tables: Tables = {"": {"user": "cyrus", "workers": 2}, "sql": {"pool_size": 4}}
        with sqlload.site(server, 1000, path, tables) as site:
            site.gateway.start()
            with site.load(MANY) as load:
                for _ in range(RELOADS):
                    load.wait_more(3 * MANY)
                    site.gateway.reload()
            assert load.wrong() == {}, load.samples
            words = ("too many clients", "remaining connection slots")
            wanting = [line for line in site.gateway.log() if any(each in line for each in words)]
            assert wanting == []
            # Many more of them than the machine can serve in time may wait for their turn in vain.
            assert load.temporary() == 0 or MANY > 100, load.told
        for each in others:
            each.close()
