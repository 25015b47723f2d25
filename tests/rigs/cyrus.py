"""A throw-away Cyrus IMAP: Debian's master and services in a folder of their own.

    with Cyrus() as cyrus:
        cyrus.add_service("imap", "imapd")
        cyrus.add_service("smmap", "smmapd -U 5", prefork=1)
        cyrus.start()
        with cyrus.admin() as admin:
            admin.create(b"user/fred")
        assert socketmap.ask(cyrus.socket_path("smmap"), b"fred") == [b"OK fred"]

Nothing outside the folder is read or written (but Cyrus logs to syslog, where
one runs).  Services listen on Unix sockets below the folder, or on loopback
ports where the caller says so.  The store works without master, too: the
offline tools and `smmapd -X` need only the folder.

Cyrus runs as user cyrus, as Debian's package made it; the rig itself as root.
A program of the caller's that master shall start must be readable and
executable for user cyrus, with all folders above it.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from functools import partial

from tests.rigs.cyrus_tools import PROGRAMS, CyrusTools
from tests.rigs.debian import Root
from tests.rigs.folders import make_subfolder, write_text
from tests.rigs.imap import Admin
from tests.rigs.ports import LOOPBACK, accepts, accepts_unix
from tests.rigs.processes import Account, Daemon, RigError, account, run, start
from tests.rigs.rig import Rig
from tests.rigs.socketmap import StdioServer
from tests.rigs.syslog import Syslog
from tests.rigs.waiting import wait_until

ADMIN = "admin"
PASSWORD = "secret"  # of every user of the rig
# sockaddr_un.sun_path with its final NUL.
_LONGEST_SOCKET = 107

# What every throw-away store has; `settings` add to it and replace it.
_SETTINGS: Mapping[str, str] = {
    "defaultpartition": "default",
    "admins": ADMIN,
    "allowplaintext": "yes",
    "sasl_mech_list": "PLAIN",
    "sasl_pwcheck_method": "auxprop",
    "sasl_auxprop_plugin": "sasldb",
    "unixhierarchysep": "yes",
    "virtdomains": "off",
    "allowusermoves": "yes",
    # Deleted mailboxes are really gone, and no background process is needed.
    "delete_mode": "immediate",
    "expunge_mode": "immediate",
    "idlesocket": "/nonexistent",
    "sync_log": "no",
}


class Cyrus(Rig):
    """One store and, between `start()` and `stop()`, one master with the services added before."""

    prefix = "cy"
    program = "Cyrus' master"
    owner = "cyrus"

    def __init__(
        self,
        settings: Mapping[str, str] | None = None,
        *,
        include: Sequence[str] = (),
        root: Root | None = None,
        parent: str | None = None,
    ) -> None:
        """`settings` are options of imapd.conf, `include` whole lines for its end.

        `root` is a Debian whose Cyrus it is (`kept_root`), instead of this machine's;
        `parent` the folder for the rig's own one, instead of the temporary folder.
        """
        super().__init__(parent)
        self._root = root
        self._settings = {**_SETTINGS, **(settings or {})}
        self._include = tuple(include)
        self._services: dict[str, str] = {}
        self._listen: dict[str, str] = {}
        self.tools = CyrusTools("", "")

    # --- the folder -----------------------------------------------------------------------

    def _populate(self) -> None:
        owner = account("cyrus")
        for name in ("conf", "spool", "conf/db", "conf/proc", "conf/socket", "s"):
            make_subfolder(self.folder, name, owner)
        self.write_imapd_conf()
        self.tools = CyrusTools(self.config, self.imapd_conf, self._root)
        # A new store has an empty mailbox list, in the format that imapd.conf names.
        self.tools.recover()

    def write_imapd_conf(self, changes: Mapping[str, str] | None = None) -> None:
        """Write imapd.conf again, with changed settings; a running service keeps what it read."""
        self._settings.update(changes or {})
        self._write_settings(self.imapd_conf, self._settings)

    def another_imapd_conf(self, name: str, changes: Mapping[str, str]) -> str:
        """Write a second imapd.conf for the same store, with changed settings; its path."""
        path = os.path.join(self.folder, f"{name}.conf")
        self._write_settings(path, {**self._settings, **changes})
        return path

    def _write_settings(self, path: str, settings: Mapping[str, str]) -> None:
        settings = {
            "configdirectory": self.config,
            "partition-default": os.path.join(self.folder, "spool"),
            "sasl_sasldb_path": os.path.join(self.folder, "sasldb2"),
            "proc_path": os.path.join(self.config, "proc"),
            **settings,
        }
        lines = [f"{option}: {value}" for option, value in settings.items()]
        write_text(path, "\n".join([*lines, *self._include]) + "\n")

    @property
    def config(self) -> str:
        """The configdirectory."""
        return os.path.join(self.folder, "conf")

    @property
    def imapd_conf(self) -> str:
        """The path of imapd.conf."""
        return os.path.join(self.folder, "imapd.conf")

    # --- master and its services ----------------------------------------------------------

    def add_service(
        self, name: str, cmd: str, *, listen: str | None = None, **options: str | int
    ) -> None:
        """Add an entry to cyrus.conf's SERVICES.

        `cmd` is the command line without -C, which is added: a name of Cyrus'
        own folder (`smmapd -U 5`) or an absolute path of any program.  Without
        `listen` it is a Unix socket, `socket_path(name)`; with it any form that
        cyrus.conf(5) knows, such as `127.0.0.1:2003`.  `options` are prefork,
        maxchild, proto and so on.
        """
        if listen is None:
            listen = self.socket_path(name)
        program, *words = cmd.split()
        line = " ".join([program, "-C", self.imapd_conf, *words])
        more = "".join(f' {option}="{value}"' for option, value in options.items())
        self._services[name] = f'{name} cmd="{line}" listen="{listen}"{more}'
        self._listen[name] = listen

    def socket_path(self, name: str) -> str:
        """The path of the Unix socket of a service without `listen`."""
        path = os.path.join(self.folder, "s", name)
        if len(path.encode()) > _LONGEST_SOCKET:
            raise RigError(f"{path} is too long for a Unix socket: set TMPDIR to a shorter path")
        return path

    @property
    def cyrus_conf(self) -> str:
        """The path of cyrus.conf."""
        return os.path.join(self.folder, "cyrus.conf")

    @property
    def master(self) -> Daemon:
        """The running master.  Raises `RigError` if there is none."""
        return self.daemon

    def write_cyrus_conf(self) -> None:
        """Write cyrus.conf from the services added so far; master reads it again on SIGHUP."""
        services = "".join(f"  {line}\n" for line in self._services.values())
        write_text(self.cyrus_conf, f"START {{\n}}\nSERVICES {{\n{services}}}\nEVENTS {{\n}}\n")

    def start(self, syslog: Syslog | None = None, *, low_ports: bool = False) -> None:
        """Start master as user cyrus and wait until every service accepts connections.

        With `syslog` everything that it and its services log goes there.  With
        `low_ports`, which goes without it and without a root, services may listen
        below port 1024.
        """
        self.write_cyrus_conf()
        self.set_password(ADMIN)
        argv = [
            os.path.join(PROGRAMS, "master"),
            *("-C", self.imapd_conf, "-M", self.cyrus_conf),
            *("-p", os.path.join(self.folder, "master.pid")),
        ]
        log = os.path.join(self.folder, "master.log")
        user: Account | None = account("cyrus")
        if self._root is not None:
            # It comes in as root, and becomes user cyrus by itself.
            argv, user = [*self._root.guest(user), *argv], None
        if low_ports:
            daemon = Daemon([*_low_ports(account("cyrus")), *argv], log=log)
        elif syslog is None:
            daemon = Daemon(argv, user=user, log=log)
        else:
            # The mount namespace is made by root; user cyrus comes last.
            daemon = Daemon(syslog.wrap(argv, user), log=log)
        self._launch(daemon)
        for name in self._services:
            wait_until(partial(self._accepts, name), f"service {name} accepts")

    def _accepts(self, name: str) -> bool:
        self.master.check()
        listen = self._listen[name]
        if listen.startswith("/"):
            return accepts_unix(listen)
        host, _, port = listen.rpartition(":")
        return accepts(host.strip("[]") or LOOPBACK, int(port))

    def reload(self) -> None:
        """Write cyrus.conf and send SIGHUP to master, which relays it to its services."""
        self.write_cyrus_conf()
        self.master.send_signal(signal.SIGHUP)

    def stop(self) -> list[str]:
        """Stop master and wait for its children; returns what had to be killed, if anything."""
        killed = super().stop()
        for listen in self._listen.values():
            if listen.startswith("/") and os.path.exists(listen):
                os.unlink(listen)
        return killed

    # --- asking and changing --------------------------------------------------------------

    def set_password(self, user: str, domain: str = "") -> None:
        """Give a user the rig's `PASSWORD`."""
        database = os.path.join(self.folder, "sasldb2")
        argv = ["saslpasswd2", "-p", "-c", "-f", database]
        argv += ["-u", domain or socket.gethostname(), user]
        # By the programs that will read it: the file's format is of their release.
        run(argv if self._root is None else [*self._root.guest(), *argv], stdin=PASSWORD.encode())
        owner = account("cyrus")
        os.chown(database, owner.uid, owner.gid)

    def admin(self, user: str = ADMIN) -> Admin:
        """Log in through the service `imap`, as the administrator unless told otherwise."""
        return Admin(self.socket_path("imap"), user, PASSWORD)

    def smmapd(
        self,
        program: str = os.path.join(PROGRAMS, "smmapd"),
        *words: str,
        service: str = "smmap",
        imapd_conf: str | None = None,
    ) -> StdioServer:
        """Start a smmapd on standard input and output, as user cyrus: the C one or `program`.

        `service` is its name in cyrus.conf ($CYRUS_SERVICE), `words` are more
        options, `imapd_conf` is another file than the store's own.
        """
        words = ("-C", imapd_conf or self.imapd_conf, *words)
        errors = os.path.join(self.folder, "smmapd.err")
        return StdioServer(*self.on_socket(program, *words, service=service, errors=errors), errors)

    def on_socket(
        self, program: str, *words: str, service: str, errors: str
    ) -> tuple[subprocess.Popen[bytes], socket.socket]:
        """A service without master, as user cyrus, and the other end of its standard input.

        `service` is its name in cyrus.conf, `errors` the file for what it says.
        """
        argv = [program, "-X", *words]
        user: Account | None = account("cyrus")
        # Only Cyrus' own programs come from another root.
        if self._root is not None and program.startswith(PROGRAMS):
            argv, user = [*self._root.guest(user), *argv], None
        ours, theirs = socket.socketpair()
        with theirs, open(errors, "ab") as stderr:
            process = start(
                argv,
                user=user,
                env={"CYRUS_SERVICE": service, "CYRUS_ID": "1"},
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=stderr.fileno(),
            )
        return process, ours


def _low_ports(user: Account) -> list[str]:
    """The beginning of a command line that goes on as `user` with the right to such ports."""
    right = "+net_bind_service"
    groups = ",".join(map(str, user.groups))
    return [
        "setpriv",
        *(f"--reuid={user.uid}", f"--regid={user.gid}", f"--groups={groups}"),
        *(f"--inh-caps={right}", f"--ambient-caps={right}", "--"),
    ]
