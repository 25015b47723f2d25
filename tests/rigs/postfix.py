"""A private Postfix: Debian's programs with a configuration, a queue and ports of their own.

    with Postfix(socketmap=f"unix:{path}", policy=f"unix:{other}") as mta:
        mta.start()
        reply = smtp.rcpt_replies(mta.address("policy"), [b"fred@example.org"])

Each way to ask the gateway is an interface, an smtpd on a loopback port of its own:

| interface      | how smtpd asks                                                    |
|-----------|-------------------------------------------------------------------|
| relay     | relay_recipient_maps = socketmap, domain `example.org`            |
| virtual   | virtual_mailbox_maps = socketmap, domain `virt.example`           |
| policy    | check_policy_service in smtpd_recipient_restrictions              |
| milter    | smtpd_milters                                                     |

/etc/postfix is neither read nor changed.  Accepted mail is thrown away.  A
client may take another address and a login by XCLIENT, so that every kind of
client can be played from the loopback interface; with a login it may send to
any domain.  The virtual settings apply
to all interfaces: Postfix knows no per-smtpd value of them.
"""

from __future__ import annotations

import grp
import os
import signal
from collections.abc import Mapping
from functools import partial

from tests.rigs.folders import make_subfolder, write_text
from tests.rigs.ports import LOOPBACK, accepts, free_ports
from tests.rigs.processes import Daemon, RigError, account, complete
from tests.rigs.rig import Rig
from tests.rigs.waiting import wait_until

DAEMONS = "/usr/lib/postfix/sbin"
RELAY_DOMAIN = "example.org"
VIRTUAL_DOMAIN = "virt.example"
HOSTNAME = "mx.test.example"
# An interface's setting that is not a parameter: whether its smtpd is chrooted to the queue, y or n.
CHROOT = "chroot"
INTERFACES = ("relay", "virtual", "policy", "milter")

_PRIVATE_FOLDERS = [
    "active",
    "bounce",
    "corrupt",
    "defer",
    "deferred",
    "flush",
    "hold",
    "incoming",
    "private",
    "saved",
    "trace",
]
_DROP_FOLDERS = {"maildrop": 0o730, "public": 0o710}

# Services of master.cf beside the interfaces: name, type, private, wakeup, maxproc, program.
# None is chrooted, so that socket paths are what they look like.
_SERVICES = """
pickup unix n 60 1 pickup
cleanup unix n - 0 cleanup
qmgr unix n 300 1 qmgr
rewrite unix - - - trivial-rewrite
bounce unix - - 0 bounce
defer unix - - 0 bounce
trace unix - - 0 bounce
verify unix - - 1 verify
proxymap unix - - - proxymap
smtp unix - - - smtp
lmtp unix - - - lmtp
error unix - - - error
retry unix - - - error
discard unix - - - discard
anvil unix - - 1 anvil
flush unix n 1000? 0 flush
showq unix n - - showq
tlsmgr unix - 1000? 1 tlsmgr
postlog unix-dgram n - 1 postlogd
"""


class Postfix(Rig):
    """One private instance; see this file's head for its interfaces."""

    prefix = "pf"
    program = "Postfix"

    def __init__(
        self,
        *,
        socketmap: str | None = None,
        policy: str | None = None,
        milter: str | None = None,
        main: Mapping[str, str] | None = None,
        interfaces: Mapping[str, Mapping[str, str]] | None = None,
        timeout: int = 10,
        lenient: bool = False,
    ) -> None:
        """Say where the gateway listens, in Postfix' own words; an interface without one is not opened.

        `socketmap` and `policy`: `unix:PATH` or `inet:HOST:PORT`; `milter`:
        `unix:PATH` or `inet:HOST:PORT`.  `main` are settings of main.cf that
        add to or replace the rig's, `interfaces` the same per interface, by its name
        (`{"policy": {"smtpd_delay_reject": "no"}}`); CHROOT among them is that column of
        master.cf.  After `timeout` seconds without an
        answer of policy or milter a recipient is deferred, or accepted if `lenient`; a table
        has the time that is built in (100 s), and always defers.
        """
        super().__init__()
        self._main = dict(main or {})
        self._interfaces: dict[str, dict[str, str]] = {}
        if socketmap is not None:
            self._interfaces["relay"] = {"relay_recipient_maps": f"socketmap:{socketmap}:rcpt"}
            self._interfaces["virtual"] = {}
            self._main.setdefault("virtual_mailbox_domains", VIRTUAL_DOMAIN)
            self._main.setdefault("virtual_mailbox_maps", f"socketmap:{socketmap}:vbox")
        if policy is not None:
            action = "DUNNO" if lenient else "DEFER"
            service = f"{{ {policy}, timeout={timeout}s, default_action={action} }}"
            self._interfaces["policy"] = {
                "smtpd_recipient_restrictions": f"check_policy_service {service}",
                "smtpd_end_of_data_restrictions": f"check_policy_service {service}",
            }
        if milter is not None:
            self._interfaces["milter"] = {
                "smtpd_milters": milter,
                "milter_connect_timeout": f"{timeout}s",
                "milter_command_timeout": f"{timeout}s",
                "milter_default_action": "accept" if lenient else "tempfail",
            }
        for interface, settings in (interfaces or {}).items():
            self._interfaces.setdefault(interface, {}).update(settings)
        self._ports: dict[str, int] = {}

    # --- the folder -----------------------------------------------------------------------

    def _populate(self) -> None:
        make_subfolder(self.folder, "etc")
        make_subfolder(self.folder, "data", account("postfix"), mode=0o700)
        self._make_queue()
        self._ports = dict(zip(self._interfaces, free_ports(len(self._interfaces)), strict=True))
        self.write_configuration()

    def _make_queue(self) -> None:
        """Make the queue's folders with the owners and modes that postfix-files lists."""
        queue = make_subfolder(self.folder, "queue")
        make_subfolder(queue, "pid")
        owner, postdrop = account("postfix"), grp.getgrnam("postdrop").gr_gid
        for name in _PRIVATE_FOLDERS:
            make_subfolder(queue, name, owner, mode=0o700)
        for name, mode in _DROP_FOLDERS.items():
            os.chown(make_subfolder(queue, name, owner, mode), owner.uid, postdrop)
            os.chmod(os.path.join(queue, name), mode)

    def write_configuration(self, main: Mapping[str, str] | None = None) -> None:
        """Write main.cf (with changed settings) and master.cf; `reload()` makes them count."""
        self._main.update(main or {})
        settings = {
            "compatibility_level": "3.6",
            "queue_directory": os.path.join(self.folder, "queue"),
            "data_directory": os.path.join(self.folder, "data"),
            "daemon_directory": DAEMONS,
            "command_directory": "/usr/sbin",
            "mail_owner": "postfix",
            "setgid_group": "postdrop",
            "maillog_file": self.maillog,
            "maillog_file_prefixes": self.folder,
            "myhostname": HOSTNAME,
            "mydestination": "",
            "alias_maps": "",
            "alias_database": "",
            "inet_interfaces": LOOPBACK,
            "inet_protocols": "ipv4",
            "mynetworks": "",
            "relay_domains": RELAY_DOMAIN,
            "relay_transport": "discard:",
            "virtual_transport": "discard:",
            "default_transport": "discard:",
            "local_transport": "error:no local mailboxes",
            "smtpd_relay_restrictions": "permit_sasl_authenticated, reject_unauth_destination",
            "smtpd_recipient_restrictions": "",
            "smtpd_authorized_xclient_hosts": LOOPBACK,
            # Without it a login that XCLIENT gives does not count.
            "smtpd_sasl_auth_enable": "yes",
            "smtpd_peername_lookup": "no",
            "smtpd_client_connection_rate_limit": "0",
            "smtpd_client_connection_count_limit": "0",
            "smtpd_error_sleep_time": "0",
            "smtpd_soft_error_limit": "1000",
            "smtpd_hard_error_limit": "1000",
            "smtpd_junk_command_limit": "1000",
            "smtpd_tls_security_level": "none",
            **self._main,
        }
        text = "".join(f"{name} = {value}\n" for name, value in settings.items())
        path = write_text(os.path.join(self.configuration, "main.cf"), text)
        # Postfix waits until a file that is younger than a second or two "cools down".
        os.utime(path, (0, 0))
        rows = []
        for interface, options in self._interfaces.items():
            words = "".join(
                f" -o {{ {name} = {value} }}" for name, value in options.items() if name != CHROOT
            )
            rows.append(
                f"{LOOPBACK}:{self._ports[interface]} inet n - {options.get(CHROOT, 'n')} - - smtpd"
                f" -o syslog_name=postfix/{interface}{words}"
            )
        for line in _SERVICES.split("\n"):
            if line:
                name, kind, private, wakeup, most, program = line.split()
                rows.append(f"{name} {kind} {private} - n {wakeup} {most} {program}")
        # The only one that becomes other users, and so has to be root.
        rows.append("local unix - n n - - local")
        write_text(os.path.join(self.configuration, "master.cf"), "\n".join(rows) + "\n")

    @property
    def configuration(self) -> str:
        """The folder of main.cf and master.cf."""
        return os.path.join(self.folder, "etc")

    @property
    def maillog(self) -> str:
        """The path of the log."""
        return os.path.join(self.folder, "maillog")

    # --- start and stop -------------------------------------------------------------------

    def start(self) -> None:
        """Start master and wait until every interface accepts connections."""
        # `postfix start` would look through all of Postfix' files first, which takes seconds,
        # and leave this session, in which `master -d` stays.
        self._launch(
            Daemon(
                [os.path.join(DAEMONS, "master"), "-c", self.configuration, "-d"],
                env={"MAIL_CONFIG": self.configuration},
                log=os.path.join(self.folder, "output"),
            )
        )
        for interface in self._interfaces:
            wait_until(
                partial(self._accepts, interface),
                f"Postfix accepts at the interface {interface}",
            )

    def _accepts(self, interface: str) -> bool:
        self.daemon.check()
        return accepts(*self.address(interface))

    def reload(self) -> None:
        """Write the configuration and make it count for new connections."""
        self.write_configuration()
        self.master.send_signal(signal.SIGHUP)

    @property
    def master(self) -> Daemon:
        """The running master.  Raises `RigError` if there is none."""
        return self.daemon

    # --- asking and reading ---------------------------------------------------------------

    def address(self, interface: str) -> tuple[str, int]:
        """Where an SMTP client finds an interface.  Raises `RigError` if it is not open."""
        if interface not in self._ports:
            raise RigError(f"no interface {interface}; this Postfix has {sorted(self._ports)}")
        return LOOPBACK, self._ports[interface]

    def log(self) -> list[str]:
        """The lines of the log so far."""
        try:
            with open(self.maillog, encoding="utf-8", errors="replace") as file:
                return file.read().splitlines()
        except FileNotFoundError:
            return []

    def postmap(self, key: bytes, table: str) -> bytes | None:
        """`postmap -q KEY TABLE`: the value, or None if the table has none.

        `table` is for example `socketmap:unix:/path:name`.  Raises `RigError`
        with what postmap said if the look-up failed.
        """
        argv: list[str | bytes] = ["/usr/sbin/postmap", "-c", self.configuration, "-q", key, table]
        done = complete(argv)
        if done.returncode == 0:
            return done.stdout.removesuffix(b"\n")
        if done.returncode == 1 and not done.stderr:
            return None
        raise RigError(done.stderr.decode(errors="replace").strip())
