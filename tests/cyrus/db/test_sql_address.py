"""Where an SQL server is: the hosts of imapd.conf, and a name for messages that hides the password."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.cyrus.db.sqlserver.location import Host, SqlServer, hosts
from gateway.cyrus.imapdconf import ImapdConf, load
from gateway.errors import ConfigurationError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", (Host(""),)),
        (" , ", (Host(""),)),
        ("db", (Host("db"),)),
        ("db1:5433, db2,192.0.2.1:1", (Host("db1", 5433), Host("db2"), Host("192.0.2.1", 1))),
        ("[2001:db8::1]:5432,[::1]", (Host("2001:db8::1", 5432), Host("::1"))),
        ("db:65535,db:005432", (Host("db", 65535), Host("db", 5432))),
        ("/run/postgresql", (Host("/run/postgresql"),)),
    ],
)
def test_hosts_with_ports(text: str, expected: tuple[Host, ...]) -> None:
    """As sql_hostnames lists them; none is the local server."""
    assert hosts(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "db:x",
        "db:0",
        "db:65536",
        "db:00123456",
        pytest.param("db:" + 5000 * "9", id="endless"),
        "db:1:2",
        "[::1]5432x",
    ],
)
def test_ports_that_are_none(text: str) -> None:
    """The option and its part are named."""
    with pytest.raises(ConfigurationError, match="sql_hostnames"):
        hosts(f"good,{text}")


def test_a_server_is_shown_without_its_password() -> None:
    """Neither in a message nor in a repr."""
    server = SqlServer("pgsql", "cyrus", (Host("a"), Host("b", 7)), user="u", password="hidden")
    assert server.name() == "pgsql://a,b:7/cyrus"
    assert server.name(Host("::1", 7)) == "pgsql://[::1]:7/cyrus"
    assert "hidden" not in repr(server)


def written(tmp_path: Path, *lines: str) -> ImapdConf:
    """An imapd.conf with these lines."""
    path = tmp_path / "imapd.conf"
    path.write_text("\n".join(("configdirectory: /x", *lines)))
    return load(str(path))


def test_a_server_is_where_imapd_conf_says(tmp_path: Path) -> None:
    """Each of the options has its place."""
    conf = written(
        tmp_path,
        "sql_engine: mysql",
        "sql_database: mail",
        "sql_hostnames: a,b:7",
        "sql_user: u",
        "sql_passwd: p",
        "sql_usessl: yes",
    )
    assert SqlServer.from_conf(conf) == SqlServer(
        "mysql", "mail", (Host("a"), Host("b", 7)), user="u", password="p", tls=True
    )


def test_a_server_may_be_local_and_need_no_password(tmp_path: Path) -> None:
    """No host, no user, no password, and no TLS unless it is asked for."""
    server = SqlServer.from_conf(written(tmp_path, "sql_engine: pgsql", "sql_database: cyrus"))
    assert server == SqlServer("pgsql", "cyrus")
    assert (server.hosts, server.user, server.password, server.tls) == ((Host(""),), "", "", False)


def test_a_database_must_be_named(tmp_path: Path) -> None:
    """Where it is not, the option is."""
    with pytest.raises(ConfigurationError, match=r"sql_database: .*missing"):
        SqlServer.from_conf(written(tmp_path, "sql_engine: pgsql"))


@pytest.mark.parametrize(
    ("engine", "name", "known"),
    [
        ("pgsql", "", False),
        ("pgsql", "/run/postgresql", False),
        ("pgsql", "@abstract", False),
        ("pgsql", "localhost", True),
        ("pgsql", "db", True),
        ("pgsql", "a/b", True),
        ("pgsql", "::1", True),
        ("mysql", "localhost", False),
        ("mysql", "", False),
        ("mysql", "db", True),
        ("mysql", "localhost.example.org", True),
    ],
)
def test_which_hosts_are_on_the_network(engine: str, name: str, known: bool) -> None:
    """The names of sockets are not looked up, nor what MySQL's clients take for one."""
    server = SqlServer(engine, "cyrus", (Host(name),))
    assert server.has_name(server.hosts[0]) is known
