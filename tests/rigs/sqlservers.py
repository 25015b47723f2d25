"""Throw-away SQL servers: Debian's PostgreSQL and MariaDB, each as its own user in a folder.

    with Postgres() as server:
        server.start()
        Cyrus({"mboxlist_db": "sql", **server.options})

They listen on a loopback port that stays the same over `stop()` and
`start()`, and on a Unix socket in the folder, and let the user `cyrus` in
with the rig's password.  Nothing of the machine's own servers is touched.
"""

from __future__ import annotations

import glob
import os
import signal
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence

from tests.rigs.certificates import Authority
from tests.rigs.folders import make_subfolder, write_text
from tests.rigs.ports import LOOPBACK, accepts, free_ports
from tests.rigs.processes import Daemon, RigError, account, run
from tests.rigs.rig import Rig
from tests.rigs.waiting import wait_until

USER = "cyrus"
PASSWORD = "it's \\secret"
DATABASE = "cyrus"
# A first start writes its files again.
START_LIMIT_S = 60.0
# Of a million records.
LONG_LIMIT_S = 300.0


class SqlServer(Rig):
    """What both servers have in common; `engine` is imapd.conf's name."""

    prefix = "sql"
    engine = ""

    def __init__(self, *, tls: bool = False) -> None:
        """`tls` is whether it offers TLS, with a certificate that nobody knows."""
        super().__init__()
        self._tls = tls
        self.port = 0

    def _populate(self) -> None:
        owner = account(self.owner)
        (self.port,) = free_ports(1)
        make_subfolder(self.folder, "data", owner)
        if self._tls:
            self._pair = Authority(self.folder, "server").pair
            for path in (self._pair.certificate, self._pair.key):
                os.chown(path, owner.uid, owner.gid)
                os.chmod(path, 0o600)
        self._prepare()

    @property
    def options(self) -> Mapping[str, str]:
        """The options of imapd.conf that lead here."""
        return {
            "sql_engine": self.engine,
            "sql_hostnames": f"{LOOPBACK}:{self.port}",
            "sql_user": USER,
            "sql_passwd": self.password,
            "sql_database": DATABASE,
        }

    @property
    def password(self) -> str:
        """The password of the user `cyrus`."""
        return PASSWORD

    def start(self) -> None:
        """Start it and wait until it serves."""
        log = os.path.join(self.folder, "log")
        self._launch(Daemon(self._command(), user=account(self.owner), log=log))
        wait_until(self._serves, f"{self.engine} serves", START_LIMIT_S)

    def _serves(self) -> bool:
        self.daemon.check()
        return accepts(LOOPBACK, self.port)

    def _path(self, name: str) -> str:
        return os.path.join(self.folder, name)

    @abstractmethod
    def _prepare(self) -> None:
        """Make an empty database that lets the rig's user in."""

    @abstractmethod
    def _command(self) -> Sequence[str]:
        """How the server is started in the foreground."""

    @abstractmethod
    def script(self, statements: str) -> None:
        """Run statements in the database, with all rights."""

    @abstractmethod
    def populate(self, table: str, count: int) -> None:
        """Make a table of the mailboxes of user1, user2, ... as Cyrus has them, with an index."""

    @abstractmethod
    def dump(self, path: str) -> None:
        """Write the database as its own tool does by default, what is there being dropped first."""

    @abstractmethod
    def restore(self, path: str) -> None:
        """Put a dump into the database, in the way that its own tool's manual says."""

    @abstractmethod
    def fill(self, table: str, records: Iterable[tuple[bytes, bytes]]) -> None:
        """Make a table as Cyrus does, and put records into it."""


class Postgres(SqlServer):
    """PostgreSQL, as user postgres."""

    program = "PostgreSQL"
    engine = "pgsql"
    owner = "postgres"
    stop_signal = signal.SIGINT  # "fast": clients are cut off

    @property
    def password(self) -> str:
        """Without quotes: the C program puts it into the connection's text as it is."""
        return "secret"

    def _prepare(self) -> None:
        programs = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
        if not programs:
            raise RigError("there is no /usr/lib/postgresql/*/bin: is its package installed?")
        self._programs = programs[-1]
        owner = account(self.owner)
        initdb = [f"{self._programs}/initdb", "-D", self._path("data"), "--no-sync"]
        run([*initdb, "--auth=trust", "--encoding=UTF8", "--locale=C"], user=owner)
        rules = f"local all {self.owner} trust\nhost all {USER} {LOOPBACK}/32 scram-sha-256\n"
        write_text(self._path("data/pg_hba.conf"), rules)
        single = [f"{self._programs}/postgres", "--single", "-D", self._path("data"), "postgres"]
        made = f"CREATE ROLE {USER} LOGIN PASSWORD '{self.password}';\n"
        made += f"CREATE DATABASE {DATABASE} OWNER {USER};\n"
        run(single, user=owner, stdin=made.encode())

    def _command(self) -> Sequence[str]:
        settings = {
            "listen_addresses": LOOPBACK,
            "port": str(self.port),
            "unix_socket_directories": self.folder,
            "fsync": "off",
            "max_connections": "30",
        }
        if self._tls:
            settings["ssl"] = "on"
            settings["ssl_cert_file"] = self._pair.certificate
            settings["ssl_key_file"] = self._pair.key
        words = [word for each in settings.items() for word in ("-c", "=".join(each))]
        return [f"{self._programs}/postgres", "-D", self._path("data"), *words]

    def _serves(self) -> bool:
        if not super()._serves():
            return False
        words = [f"{self._programs}/pg_isready", "-q", "-h", LOOPBACK, "-p", str(self.port)]
        return run([*words, "-d", DATABASE], accept=(0, 1, 2)) == b"" and self._ready()

    def _ready(self) -> bool:
        return "ready to accept connections" in self.daemon.output()

    def script(self, statements: str) -> None:
        """Run statements in the database, with all rights."""
        words = ["psql", "-q", "-v", "ON_ERROR_STOP=1", "-h", self.folder, "-p", str(self.port)]
        data = statements.encode()
        run([*words, DATABASE], user=account(self.owner), stdin=data, timeout_s=LONG_LIMIT_S)

    def fill(self, table: str, records: Iterable[tuple[bytes, bytes]]) -> None:
        """Make a table as Cyrus does, and put records into it."""
        rows = "".join(
            f"INSERT INTO {table} VALUES ('\\x{key.hex()}', '\\x{value.hex()}');\n"
            for key, value in records
        )
        made = f"CREATE TABLE {table} (dbkey BYTEA NOT NULL, data BYTEA);\n"
        owned = f"ALTER TABLE {table} OWNER TO {USER};\n"
        self.script(f"BEGIN;\n{made}{rows}{owned}COMMIT;\n")

    def populate(self, table: str, count: int) -> None:
        """Make a table of the mailboxes of user1, user2, ... as Cyrus has them, with an index."""
        self.script(
            f"CREATE TABLE {table} (dbkey BYTEA NOT NULL, data BYTEA);\n"
            f"INSERT INTO {table} SELECT convert_to('Nuser' || chr(31) || 'user' || n, 'UTF8'),"
            " convert_to('%(T e P default A %(user' || n || ' lrswipkxtecda) I ' || n || ')', 'UTF8')"
            f" FROM generate_series(1, {count}) AS n;\n"
            f"CREATE INDEX ON {table} (dbkey); ALTER TABLE {table} OWNER TO {USER};"
            f" ANALYZE {table};\n"
        )

    def dump(self, path: str) -> None:
        """Write the database as its own tool does by default, what is there being dropped first."""
        words = ["pg_dump", "--clean", "--if-exists", "-h", self.folder, "-p", str(self.port)]
        run([*words, "-f", path, DATABASE], user=account(self.owner), timeout_s=LONG_LIMIT_S)

    def restore(self, path: str) -> None:
        """Put a dump into the database, in the way that its own tool's manual says."""
        words = ["psql", "-q", "-o", "/dev/null", "-h", self.folder, "-p", str(self.port)]
        run([*words, "-f", path, DATABASE], user=account(self.owner), timeout_s=LONG_LIMIT_S)


class MariaDb(SqlServer):
    """MariaDB, as user mysql."""

    program = "MariaDB"
    engine = "mysql"
    owner = "mysql"

    def _prepare(self) -> None:
        owner = account(self.owner)
        install = ["mariadb-install-db", "--no-defaults", f"--datadir={self._path('data')}"]
        run([*install, "--auth-root-authentication-method=normal", "--skip-test-db"], user=owner)
        password = PASSWORD.replace("\\", "\\\\").replace("'", "\\'")
        made = f"CREATE DATABASE {DATABASE};\n"
        made += f"CREATE USER {USER}@'{LOOPBACK}' IDENTIFIED BY '{password}';\n"
        made += f"GRANT ALL ON {DATABASE}.* TO {USER}@'{LOOPBACK}';\n"
        write_text(self._path("init.sql"), made)
        self._first = True

    def _command(self) -> Sequence[str]:
        words = [
            "/usr/sbin/mariadbd",
            "--no-defaults",
            f"--datadir={self._path('data')}",
            f"--bind-address={LOOPBACK}",
            f"--port={self.port}",
            f"--socket={self._path('socket')}",
            f"--pid-file={self._path('pid')}",
            "--skip-name-resolve",
            "--innodb-flush-log-at-trx-commit=0",
            "--innodb-buffer-pool-size=32M",
        ]
        if self._tls:
            words += [f"--ssl-cert={self._pair.certificate}", f"--ssl-key={self._pair.key}"]
        else:
            # MariaDB 11.4 and later make themselves a certificate.
            words.append("--skip-ssl")
        if self._first:
            words.append(f"--init-file={self._path('init.sql')}")
            self._first = False
        return words

    def _client(self, program: str) -> list[str]:
        """The words of a client with all rights, on the Unix socket.

        From 11.4 on clients want TLS there, too, which a server without a certificate has not.
        """
        return [
            program,
            "--no-defaults",
            f"--socket={self._path('socket')}",
            "-uroot",
            "--skip-ssl",
        ]

    def script(self, statements: str) -> None:
        """Run statements in the database, with all rights."""
        words = self._client("mariadb")
        data = statements.encode()
        run([*words, DATABASE], user=account(self.owner), stdin=data, timeout_s=LONG_LIMIT_S)

    def fill(self, table: str, records: Iterable[tuple[bytes, bytes]]) -> None:
        """Make a table as Cyrus does, and put records into it."""
        rows = "".join(
            f"INSERT INTO {table} VALUES (x'{key.hex()}', x'{value.hex()}');\n"
            for key, value in records
        )
        made = f"CREATE TABLE {table} (dbkey BLOB NOT NULL, data BLOB);\n"
        self.script(f"{made}BEGIN;\n{rows}COMMIT;\n")

    def populate(self, table: str, count: int) -> None:
        """Make a table of the mailboxes of user1, user2, ... as Cyrus has them, with an index."""
        self.script(
            f"CREATE TABLE {table} (dbkey BLOB NOT NULL, data BLOB, KEY (dbkey(100)));\n"
            f"INSERT INTO {table} SELECT concat('Nuser', x'1f', 'user', seq),"
            " concat('%(T e P default A %(user', seq, ' lrswipkxtecda) I ', seq, ')')"
            f" FROM seq_1_to_{count};\nANALYZE TABLE {table};\n"
        )

    def dump(self, path: str) -> None:
        """Write the database as its own tool does by default, what is there being dropped first."""
        words = [*self._client("mariadb-dump"), f"--result-file={path}", DATABASE]
        run(words, user=account(self.owner), timeout_s=LONG_LIMIT_S)

    def restore(self, path: str) -> None:
        """Put a dump into the database, in the way that its own tool's manual says."""
        words = self._client("mariadb")
        words += ["-e", f"source {path}", DATABASE]
        run(words, user=account(self.owner), timeout_s=LONG_LIMIT_S)
