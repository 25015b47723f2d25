"""PostgreSQL and MariaDB: the golden recipients, Debian's Cyrus writing, TLS, servers that hang."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.cyrus import imapdconf
from gateway.cyrus.db.formats import open_database
from gateway.cyrus.db.sqlserver import location as sql_address
from gateway.cyrus.db.sqlserver import servertable as sql_server
from gateway.cyrus.store import CyrusStore
from gateway.errors import DatabaseUnavailable
from gateway.verification.verifier import Verifier
from tests.golden import Configuration
from tests.golden.comparison import wrong_replies
from tests.interfaces.askcases import ask_policy, policy_request
from tests.interfaces.model import Case, Rcpt
from tests.real.golden_tables import GOLDEN, IN_TABLES, fill_golden
from tests.rigs import socketmap
from tests.rigs.cyrus import Cyrus
from tests.rigs.gateway import Gateway, Tables
from tests.rigs.imap import ALL_RIGHTS
from tests.rigs.program import smmapd_program
from tests.rigs.require import require
from tests.rigs.sqlservers import DATABASE, USER, MariaDb, Postgres, SqlServer
from tests.rigs.waiting import wait_until

pytestmark = pytest.mark.real

NOT_FOUND = b"NOTFOUND Mailbox does not exist"
TEMPORARY = b"TEMP "
# For a connection and a statement on a busy machine; less where one takes too long.
DEADLINE_S = 60.0
SHORT_S = 1.0
# Asked while a server hangs, one after the other: one of them the event loop might read before
# it gets to the question that hangs.
QUESTIONS = 20


@pytest.fixture(scope="module", params=[Postgres, MariaDb], ids=lambda each: each.engine)
def golden_server(request: pytest.FixtureRequest) -> Iterator[SqlServer]:
    """A server with the records of the golden twoskip store in its tables."""
    require("cyrus", "sql")
    with request.param() as server:
        server.start()
        fill_golden(server)
        yield server


@pytest.mark.parametrize("configuration", GOLDEN, ids=lambda each: each.name)
def test_golden_recipients_get_the_same_answers_from_tables(
    golden_server: SqlServer, configuration: Configuration, tmp_path: Path
) -> None:
    """All three databases are tables; each reply is the C program's on the twoskip store."""
    path = str(tmp_path / "imapd.conf")
    configuration.write_conf(path)
    with open(path, encoding="utf-8") as file:
        kept = [
            line for line in file if not line.startswith(("mboxlist_db", "quota_db", "userdeny"))
        ]
    options = {**golden_server.options, **IN_TABLES}
    with open(path, "w", encoding="utf-8") as file:
        file.writelines([*kept, *(f"{option}: {value}\n" for option, value in options.items())])
    store = CyrusStore(
        imapdconf.load(path, configuration.service),
        configuration.service.encode(),
        skip_plus="-p" in configuration.arguments,
    )
    verifier = Verifier.for_store(store)
    wrong = wrong_replies(configuration, verifier)
    for database in store.databases:
        database.close()
    assert wrong == [], "\n".join(wrong)


def test_debians_cyrus_keeps_its_list_in_postgresql() -> None:
    """What imapd and the tools write, the C smmapd, ours and the gateway answer alike, at once."""
    require("cyrus", "sql")
    with Postgres() as server, Cyrus() as cyrus:
        server.start()
        # ctl_cyrusdb -r wants to rename a table, which Cyrus cannot: it ran with a file.
        cyrus.write_imapd_conf({**server.options, **IN_TABLES})
        cyrus.add_service("imap", "imapd")
        cyrus.add_service("smmap", "smmapd")
        cyrus.add_service("ours", smmapd_program())
        cyrus.start()
        with (
            Gateway(cyrus.imapd_conf, front_ends=("socketmap",)) as gateway,
            cyrus.admin() as admin,
        ):
            gateway.start()
            with (
                socketmap.Connection.to(gateway.path("socketmap")) as ours,
                cyrus.smmapd(smmapd_program()) as program,
            ):
                for user in (b"fred", b"o'neil", b"full"):
                    admin.create(b"user/" + user)
                    assert ours.ask(user) == b"OK " + user
                admin.create(b"shared")
                admin.setacl(b"shared", b"anyone", b"p")
                admin.setacl(b"user/full", b"admin", ALL_RIGHTS)
                admin.append(b"user/full", 5000)
                admin.setquota(b"user/full", storage_kib=4)
                asked = [b"fred", b"o'neil", b"full", b"+shared", b"nobody"]
                answers = socketmap.ask(cyrus.socket_path("smmap"), *asked)
                assert answers == [
                    b"OK fred",
                    b"OK o'neil",
                    b"TEMP Over quota",
                    b"OK +shared",
                    NOT_FOUND,
                ]
                assert socketmap.ask_all(ours, asked) == answers
                assert [program.ask(key) for key in asked] == answers
                assert socketmap.ask(cyrus.socket_path("ours"), *asked) == answers
                # The C smmapd of 3.6 overlooks denials in SQL.
                cyrus.tools.db_set("user_deny.db", "sql", {b"fred": b"2\tsmmap\tnot today"})
                wait_until(
                    lambda: ours.ask(b"fred") == program.ask(b"fred") == b"NOTFOUND not today",
                    "a table that was not there is seen",
                )
                admin.rename(b"user/full", b"user/moved")
                assert socketmap.ask_all(ours, [b"full", b"moved"]) == [
                    NOT_FOUND,
                    b"TEMP Over quota",
                ]


def connect(server: SqlServer, until: float, *, tls: bool = False) -> sql_address.SqlConnection:
    """The driver's connection, as a store makes it."""
    where = sql_address.SqlServer(
        server.engine,
        DATABASE,
        sql_address.hosts(server.options["sql_hostnames"]),
        user=USER,
        password=server.password,
        tls=tls,
    )
    return sql_server.driver(server.engine)(where, where.hosts[0], until, None)


@pytest.mark.parametrize("make", [Postgres, MariaDb], ids=lambda each: each.engine)
def test_sql_usessl_speaks_tls(make: type[SqlServer]) -> None:
    """As in the C program no authority is asked who the server is."""
    require("sql")
    with make(tls=True) as server:
        server.start()
        for tls in (True, False):
            connect(server, time.monotonic() + DEADLINE_S, tls=tls).close()


def test_sql_usessl_demands_tls(golden_server: SqlServer) -> None:
    """A server without it is not talked to."""
    with pytest.raises(DatabaseUnavailable, match="SSL"):
        connect(golden_server, time.monotonic() + DEADLINE_S, tls=True)


# For a connection alone: much on an idle machine.
MOMENT_S = 0.5
SLEEP = {
    "pgsql": "SELECT ''::bytea, ''::bytea FROM pg_sleep(60)",
    "mysql": "SELECT x'00', x'00', SLEEP(60)",
}


def test_a_statement_that_takes_too_long_is_given_up(golden_server: SqlServer) -> None:
    """The deadline is the question's own, whatever the server or the connection were set to."""
    connection = connect(golden_server, time.monotonic() + DEADLINE_S)
    until = time.monotonic() + SHORT_S
    with pytest.raises(DatabaseUnavailable, match=r"deadline|timed out"):
        connection.rows(SLEEP[golden_server.engine], (), until)
    connection.close()


def test_a_short_time_to_connect_is_not_that_of_all_questions(golden_server: SqlServer) -> None:
    """A connection that was made in the last moment is as good as any other."""
    wait_until(lambda: _made_in_a_moment(golden_server), "a connection is made in a moment")


def _made_in_a_moment(server: SqlServer) -> bool:
    """Whether one could be made; then it has answered a question that takes longer."""
    try:
        connection = connect(server, time.monotonic() + MOMENT_S)
    except DatabaseUnavailable:  # a busy machine
        return False
    slow = SLEEP[server.engine].replace("60", str(3 * MOMENT_S))
    assert connection.rows(slow, (), time.monotonic() + DEADLINE_S)
    connection.close()
    return True


def test_a_server_that_hangs_holds_up_nobody_else() -> None:
    """Its questions wait for their deadline; the event loop answers what needs no server."""
    require("cyrus", "sql")
    source = os.path.join(GOLDEN[0].root, "conf", "mailboxes.db")
    with MariaDb() as server, Cyrus() as cyrus:
        server.start()
        database = open_database(source, "twoskip")
        server.fill("mailboxes_db", list(database.items()))
        database.close()
        conf = cyrus.another_imapd_conf("sql", {**server.options, "mboxlist_db": "sql"})
        tables: Tables = {"scope": {"domains": ["example.org"]}}
        with Gateway(conf, tables, front_ends=("socketmap", "policy")) as gateway:
            gateway.start()
            path = gateway.path("socketmap")
            assert socketmap.ask(path, b"alice") == [b"OK alice"]
            with (
                socketmap.Connection.to(path) as waiting,
                socket.socket(socket.AF_UNIX) as policy,
            ):
                policy.settimeout(DEADLINE_S)
                policy.connect(gateway.path("policy"))
                other = Rcpt(b"fred@other.test")
                question = policy_request(Case("other", (other,)), other)

                def others_are_first() -> bool:
                    waiting.send(socketmap.request(b"alice"))
                    said = {ask_policy(policy, question) for _ in range(QUESTIONS)}
                    first = not waiting.has_reply()
                    assert said == {b"DUNNO"}
                    assert waiting.receive().startswith(TEMPORARY)
                    return first

                server.daemon.send_signal(signal.SIGSTOP)
                try:
                    # A machine may be too busy once, or twice; a loop that is held up always is.
                    wait_until(others_are_first, "others are answered before the one that waits")
                finally:
                    server.daemon.send_signal(signal.SIGCONT)
            wait_until(lambda: socketmap.ask(path, b"alice") == [b"OK alice"], "it answers again")
