"""A Cyrus store on this machine: its databases, opened as imapd.conf says.

The store reads on every call and keeps no answer.  It never writes, creates,
repairs or locks anything.  A database that cannot be read raises StoreError
when it is asked, and works again by itself once the file does.
"""

from __future__ import annotations

from gateway.cyrus.db.reopening import ReopeningDatabase
from gateway.cyrus.imapdconf import VIRTDOMAINS_OFF
from gateway.cyrus.mailboxlist import MailboxList
from gateway.cyrus.names import Naming
from gateway.cyrus.quota import QuotaRoots
from gateway.cyrus.userdeny import UserDeny
from gateway.errors import ConfigurationError, StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.cyrus.db.sqlserver.connections import Lookup, SqlPool, SqlSession
    from gateway.cyrus.imapdconf import ImapdConf

# Seconds of a deadline that there is none of; `math` would cost each start.
_FOREVER = float("inf")

# What lmtpd is called in the cyrus.conf of Debian and of Cyrus' own examples.
DELIVERY_SERVICE = b"lmtpunix"


class CyrusStore:
    """Mailbox list, quota roots and userdeny of one Cyrus server.

    `service` is the name that deny patterns are matched against;
    `skip_plus` is smmapd's `-p`; `report` takes warnings for the log.
    `delivery_service` is what lmtpd is called in cyrus.conf, `delivery_conf`
    the options that it reads under that name (default: those of `conf`).  Raises
    ConfigurationError where imapd.conf asks for an SQL server and does not say
    which, or its driver is not installed.

    `empty_list` says that a mailbox list without any record is not a fault; None is
    what imapd.conf says.  `sql` are the connections to the SQL server, for
    several stores to share; without them the store has its own (`sql_pool`).

    `server` is the name of the SQL server that holds a database, or None.
    Where there is one a look-up may block (gateway/cyrus/db/sqlserver/servertable.py), all of
    it for no longer than one deadline (`begin`).
    """

    __slots__ = (
        "_report",
        "conf",
        "databases",
        "delivery_conf",
        "delivery_service",
        "denials",
        "mailboxes",
        "naming",
        "quota_database",
        "quotas",
        "server",
        "service",
        "sql",
    )

    def __init__(
        self,
        conf: ImapdConf,
        service: bytes,
        *,
        skip_plus: bool = False,
        report: Callable[[str], None] | None = None,
        empty_list: bool | None = None,
        sql: SqlPool | None = None,
        delivery_conf: ImapdConf | None = None,
        delivery_service: bytes = DELIVERY_SERVICE,
    ) -> None:
        pool = sql if sql is not None else sql_pool(conf)
        session = _session(pool) if pool is not None else None

        def database(path: str, configured: str, *, optional: bool = False) -> ReopeningDatabase:
            table = None
            if configured == "sql":
                from gateway.cyrus.db.sql.layout import table_name  # noqa: PLC0415 (rarely)

                if session is not None:
                    return _server_table(session, path, optional=optional)
                table = table_name(path)
                path = _sqlite_file(conf)
            return ReopeningDatabase(
                path,
                configured,
                mboxsort=conf.improved_mboxlist_sort,
                table=table,
                virtdomains=conf.virtdomains != VIRTDOMAINS_OFF,
                fulldirhash=conf.fulldirhash,
                report=report,
            )

        self.conf = conf
        self._report = report
        self.delivery_conf = delivery_conf if delivery_conf is not None else conf
        self.delivery_service = delivery_service
        self.server = session.server.name() if session is not None else None
        self.sql = session
        self.service = service
        self.naming = Naming.from_conf(conf, skip_plus=skip_plus)
        mailboxes = database(conf.mboxlist_db_path, conf.mboxlist_db)
        denials = database(conf.userdeny_db_path, conf.userdeny_db, optional=True)
        quotas = database(conf.quota_db_path, conf.quota_db)
        self.databases = (mailboxes, denials, quotas)
        may_be_empty = conf.smmapd_allow_empty_list if empty_list is None else empty_list
        self.mailboxes = MailboxList(mailboxes, self._found_older, may_be_empty=may_be_empty)
        self.denials = UserDeny(denials)
        self.quotas = QuotaRoots(quotas, virtdomains=conf.virtdomains != VIRTDOMAINS_OFF)

    def look(self) -> None:
        """Warn now of what the first look-up would warn of; not where that may block."""
        if self.server is not None:
            return
        self.refresh()
        try:
            self.mailboxes.has_newer_keys()
        except StoreError:
            return  # the next look-up meets the fault, too

    def _found_older(self) -> None:
        """Warn where imapd.conf leaves open what an older list needs; once."""
        from gateway.cyrus import olddefaults  # noqa: PLC0415  (rarely)

        report, self._report = self._report, None
        text = olddefaults.warning(self.mailboxes.path, self.conf)
        if report is not None and text is not None:
            report(f"{text}; {olddefaults.MEND}")

    def begin(self, since: float | None) -> None:
        """A question came at `since` (time.monotonic), from which its one deadline runs.

        Whatever it asks of the SQL server is over then.  None: it has its answer, and
        each look-up has the whole time until the next one comes.
        """
        if self.sql is not None:
            self.sql.begin(since)

    @property
    def answer_seconds(self) -> float:
        """How long a question to the SQL server may take."""
        return self.sql.pool.deadline if self.sql is not None else _FOREVER

    def refresh(self) -> None:
        """See whether other files have come into the places of those that are open.

        Called once a question has arrived and before it is answered: one
        system call for each of the three databases.
        """
        for database in self.databases:
            try:
                database.refresh()
            except StoreError:
                # The look-up that needs this database meets the same fault
                # and says so; one that does not need it must not suffer.
                continue


def sql_pool(
    conf: ImapdConf,
    *,
    hostnames: str = "",
    deadline: float | None = None,
    size: int | None = None,
    lookup: Lookup | None = None,
) -> SqlPool | None:
    """Connections to the SQL server that holds a database; None where none does.

    `hostnames` replaces sql_hostnames, `deadline` is in seconds, `size` the number of
    connections; `lookup` finds addresses in time.  Raises ConfigurationError where
    imapd.conf does not say which server, or its driver is not installed.
    """
    formats = (conf.mboxlist_db, conf.userdeny_db, conf.quota_db)
    if "sql" not in formats or conf.sql_engine in ("sqlite", None):
        return None
    # Most stores have no SQL server.
    from gateway.cyrus.db.sqlserver.connections import POOL_SIZE, SqlPool  # noqa: PLC0415
    from gateway.cyrus.db.sqlserver.location import ANSWER_SECONDS, SqlServer  # noqa: PLC0415
    from gateway.cyrus.db.sqlserver.servertable import driver  # noqa: PLC0415

    seconds = ANSWER_SECONDS if deadline is None else deadline
    server = SqlServer.from_conf(conf, hostnames, seconds)
    connect = driver(server.engine)
    return SqlPool(server, connect, size=size or POOL_SIZE, deadline=seconds, lookup=lookup)


def _session(pool: SqlPool) -> SqlSession:
    from gateway.cyrus.db.sqlserver.connections import SqlSession  # noqa: PLC0415

    return SqlSession(pool)


def _server_table(session: SqlSession, path: str, *, optional: bool) -> ReopeningDatabase:
    from gateway.cyrus.db.sqlserver.servertable import ServerTable  # noqa: PLC0415

    return ServerTable(session, path, optional=optional)


def _sqlite_file(conf: ImapdConf) -> str:
    """The file of the SQLite database that imapd.conf names."""
    if not conf.sql_database:
        raise ConfigurationError(
            "the option is missing; a database of format sql needs it", option="sql_database"
        )
    if conf.sql_engine is None and not conf.sql_database.startswith("/"):
        raise ConfigurationError(
            f"the option is missing, and {conf.sql_database} is not a file of SQLite: Cyrus then"
            " takes the engine that it was built with first; name it",
            option="sql_engine",
        )
    return conf.sql_database
