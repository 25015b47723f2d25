"""docs/past-one-machine.md: its statements, run on a server, make tables that a gateway reads."""

from __future__ import annotations

import re

import pytest

from tests.rigs import sqlload
from tests.rigs.folders import folder
from tests.rigs.gateway import Gateway
from tests.rigs.require import require
from tests.rigs.sqlservers import MariaDb, Postgres, SqlServer
from tests.sources import ROOT
from tests.stores import FlatStore

pytestmark = pytest.mark.real

TEXT = (ROOT / "docs/past-one-machine.md").read_text(encoding="utf-8")
BLOCKS = {"pgsql": "postgresql", "mysql": "mysql"}
HEX = {"pgsql": "'\\x{}'", "mysql": "x'{}'"}


@pytest.mark.parametrize("make", [Postgres, MariaDb], ids=lambda each: each.engine)
def test_from_an_empty_server_to_a_served_recipient(make: type[SqlServer]) -> None:
    """Tables as the text makes them; without a mailbox nobody is refused."""
    require("sql")
    (statements,) = re.findall(rf"```{BLOCKS[make.engine]}\n(.*?)```", TEXT, re.DOTALL)
    with make() as server, folder("sql") as path:
        server.start()
        server.script(statements)
        tables = {"mboxlist_db": "sql", "quota_db": "sql", "userdeny_db": "sql"}
        flat = FlatStore(path, options={**server.options, **tables})
        flat.write()
        with Gateway(flat.conf_path, {}, front_ends=("socketmap",)) as gateway:
            gateway.start()
            site = sqlload.Site(server, gateway, 1)
            assert site.ask(b"fred", b"nobody") == [b"TEMP System I/O error"] * 2
            quoted = [
                HEX[make.engine].format(x.hex()) for x in (b"Nuser\x1ffred", b"%(T e P p A %())")
            ]
            server.script(f"INSERT INTO mailboxes_db VALUES ({', '.join(quoted)});\n")
            assert site.ask(b"fred", b"nobody") == [
                b"OK fred",
                b"NOTFOUND Mailbox does not exist",
            ]
