"""Where an SQL server is, as imapd.conf says, and what a driver for one must do.

`pgsql` and `mysql` are drivers; connections.py connects, and servertable.py asks through them.
"""

from __future__ import annotations

from gateway.errors import ConfigurationError, DatabaseDamaged, DatabaseUnavailable
from gateway.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Protocol

    from gateway.cyrus.imapdconf import ImapdConf

    Rows = Sequence[tuple[object, ...]]

    class SqlConnection(Protocol):
        """One connection of a driver.

        Raises DatabaseMissing where the table is not there, ColumnsUnfit, and
        DatabaseUnavailable for everything else.
        """

        def rows(self, statement: str, parameters: tuple[bytes, ...], until: float) -> Rows:
            """All rows of a statement, before `until` (time.monotonic).

            No more than MAX_ROWS, nor than MAX_BYTES in all: an answer that has more is a fault.
            """

        def stream(
            self, statement: str, parameters: tuple[bytes, ...], patience: float
        ) -> Iterator[tuple[object, ...]]:
            """The rows one by one; `patience` is in seconds, for each wait for the server."""

        def close(self) -> None:
            """Let go of the connection."""

    # To the address where one is given, else to whatever the driver finds under the host's name.
    # Raises DatabaseUnavailable where there is no connection before the given moment.
    Connect = Callable[["SqlServer", "Host", float, str | None], SqlConnection]

# Seconds for one question with everything that it takes: names, connecting, every
# statement.  A look-up takes a millisecond, a failover a second or two, and an MTA
# waits for half a minute.
ANSWER_SECONDS = 5.0

# Rows of one answer: a few of each key, and one a prefix; and bytes of all of them.
MAX_ROWS = 128  # only a bound
MAX_BYTES = 32 << 20  # only a bound


# What to do where a server has no connection left.
MORE_CONNECTIONS = (
    "give it more (max_connections, or the account's own limit), or lower pool_size in [sql]"
)


class ColumnsUnfit(DatabaseDamaged):
    """`columns` (their places) hold no bytes that compare as bytes; `found` says what they are."""

    def __init__(self, path: str, columns: tuple[int, ...], found: str) -> None:
        self.columns = columns
        self.found = found
        super().__init__(path, found)


class TooManyConnections(DatabaseUnavailable):
    """The server is well, and has no connection left for us at this moment."""


def bounded(server: str, rows: Iterable[tuple[object, ...]]) -> Rows:
    """All of an answer's `rows`, as SqlConnection.rows has them; `server` is named in the fault."""
    found = []
    size = 0
    for row in rows:
        found.append(row)
        size += sum(len(value) for value in row if isinstance(value, bytes))
        if len(found) > MAX_ROWS or size > MAX_BYTES:
            raise DatabaseUnavailable(
                server, f"an answer of more than {MAX_ROWS} rows or {MAX_BYTES} bytes"
            )
    return found


class Host(Value):
    """One server of sql_hostnames; no name is the local one, a path its Unix socket's."""

    __slots__ = ("name", "port")
    name: str
    port: int | None

    def __init__(self, name: str, port: int | None = None) -> None:
        self.name = name
        self.port = port
        self._freeze()

    def __str__(self) -> str:
        name = f"[{self.name}]" if ":" in self.name else self.name
        return name if self.port is None else f"{name}:{self.port}"


class SqlServer(Value):
    """Where the tables are, as imapd.conf says; `engine` is pgsql or mysql.

    The server itself ends a statement after `seconds`.
    """

    __slots__ = ("database", "engine", "hosts", "password", "seconds", "tls", "user")
    database: str
    engine: str
    hosts: tuple[Host, ...]
    password: str
    seconds: float
    tls: bool
    user: str

    def __init__(
        self,
        engine: str,
        database: str,
        hosts: tuple[Host, ...] = (Host(""),),
        *,
        user: str = "",
        password: str = "",
        tls: bool = False,
        seconds: float = ANSWER_SECONDS,
    ) -> None:
        self.database = database
        self.engine = engine
        self.hosts = hosts
        self.password = password
        self.seconds = seconds
        self.tls = tls
        self.user = user
        self._freeze()

    @classmethod
    def from_conf(
        cls, conf: ImapdConf, hostnames: str = "", seconds: float = ANSWER_SECONDS
    ) -> SqlServer:
        """As imapd.conf says; `hostnames`, if there are any, replace sql_hostnames.

        Raises ConfigurationError for what names no server.
        """
        if not conf.sql_database:
            raise ConfigurationError(
                "the option is missing; a database of format sql needs it", option="sql_database"
            )
        return cls(
            conf.sql_engine or "",
            conf.sql_database,
            hosts(hostnames or conf.sql_hostnames),
            user=conf.sql_user or "",
            password=conf.sql_passwd or "",
            tls=conf.sql_usessl,
            seconds=seconds,
        )

    def name(self, host: Host | None = None) -> str:
        """For messages: the engine, one host or all of them, and the database."""
        where = str(host) if host is not None else ",".join(map(str, self.hosts))
        return f"{self.engine}://{where}/{self.database}"

    def has_name(self, host: Host) -> bool:
        """Whether `host` is on the network, under a name or an address."""
        if self.engine == "mysql" and host.name == "localhost":
            return False  # its clients take that for the socket of the local server
        return host.name != "" and host.name[0] not in "/@"

    def __repr__(self) -> str:
        """Without the password."""
        return f"SqlServer({self.name()!r}, user={self.user!r}, tls={self.tls!r})"


def as_written(text: str) -> bytes:
    """The bytes of an option of imapd.conf, which need not be UTF-8."""
    return text.encode("utf-8", "surrogateescape")


def hosts(text: str) -> tuple[Host, ...]:
    """The servers of sql_hostnames, `host[:port]` with commas between, in their order.

    Nothing is the local server.  Beyond the C program an IPv6 address may
    are written in brackets.  Raises ConfigurationError.
    """
    found = [_host(part.strip()) for part in text.split(",") if part.strip()]
    return tuple(found) or (Host(""),)


def _host(text: str) -> Host:
    if text.startswith("["):
        name, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":")
    else:
        name, _, port = text.partition(":")
    # One digit more than a port can have says enough; int() refuses thousands of them.
    digits = port.lstrip("0")
    # same with 7: six digits are too many already
    if port and not (port.isascii() and port.isdigit() and 0 < int(digits[:6] or 0) <= 65_535):
        raise ConfigurationError(
            f"{text}: the port is not between 1 and 65535; write HOST, HOST:PORT or"
            " [IPV6]:PORT, with commas between several",
            option="sql_hostnames",
        )
    return Host(name, int(digits) if port else None)
