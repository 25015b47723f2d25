"""The table [sql]: how the SQL server is asked, where imapd.conf keeps a database on one."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.config.declaration import (
    BadValue,
    Section,
    SettingType,
    declarations_of,
    setting,
)
from gateway.config.tables.remote import MAX_DEADLINE, MAX_POOL
from gateway.config.types import integer, list_of, seconds, toml_string
from gateway.cyrus.db.sqlserver.location import ANSWER_SECONDS, Host, hosts
from gateway.errors import ConfigurationError

# PostgreSQL has a hundred connections as a rule, and others want some, too.
POOL_SIZE = 4


def _host(value: object) -> str:
    """One server of `hosts`; raises BadValue."""
    text = value if isinstance(value, str) else repr(value)
    try:
        (found,) = hosts(text)
    except (ConfigurationError, ValueError):
        found = Host("")
    if not found.name or not isinstance(value, str):
        reason = f'"{text}" is not a HOST, HOST:PORT, [IPV6]:PORT or /folder/of/a/socket'
        raise BadValue(("", reason))
    return text


def server_hosts() -> SettingType[tuple[str, ...]]:
    """Servers as sql_hostnames has them, one a string."""
    return list_of("servers", _host, toml_string)


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlSettings:
    """How the SQL server is asked."""

    hosts: tuple[str, ...] = setting(
        server_hosts(),
        default=(),
        description="The servers to ask, in place of sql_hostnames of imapd.conf: read-only "
        "standbys, for instance. They are tried in this order; one that has failed comes last "
        "for a while. A standby shows what it has received so far.",
        example='["db1.example.org", "db2.example.org:5433"]',
    )
    deadline: float = setting(
        seconds(0.1, MAX_DEADLINE),
        default=ANSWER_SECONDS,
        units="seconds",
        description="How long a question may take: waiting for a connection, looking names up, "
        "connecting, and every statement together. The server is told to end a statement after the "
        "same time. After that the recipient gets a temporary failure.",
        example="2.5",
    )
    pool_size: int = setting(
        integer(1, MAX_POOL),
        default=POOL_SIZE,
        units="connections",
        description="How many connections one process has at most, and how many questions it asks "
        "at once; more are queued. The server needs room for this number times the processes (each "
        "worker, and one for the milter), and twice that while a new configuration comes into "
        "force.",
        example="8",
    )


SECTION = Section(
    name="sql",
    title="Databases on an SQL server",
    description="Used where imapd.conf has a database of format sql on PostgreSQL or MySQL.",
    build=SqlSettings,
    declarations=declarations_of(SqlSettings),
)
