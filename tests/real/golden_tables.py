"""The records of the golden twoskip store, in the tables of an SQL server."""

from __future__ import annotations

import os

from gateway.cyrus.db.formats import open_database
from tests.golden import configurations
from tests.rigs.sqlservers import SqlServer

GOLDEN = [each for each in configurations() if each.set == "head-twoskip"]

# imapd.conf's options for a store all of which is in tables.
IN_TABLES = {"mboxlist_db": "sql", "quota_db": "sql", "userdeny_db": "sql"}

_FILES = (("mailboxes.db", "twoskip"), ("user_deny.db", "flat"), ("quotas.db", "quotalegacy"))


def fill_golden(server: SqlServer) -> None:
    """Make the three tables of a running server, and fill them."""
    for name, kind in _FILES:
        path = os.path.join(GOLDEN[0].root, "conf", name)
        # virtdomains is for quotas of domains, which have a folder of their own.
        database = open_database(path, kind, virtdomains=True)
        server.fill(name.replace(".", "_"), list(database.items()))
        database.close()
