"""A private Sendmail 8.17: Debian's packages, unpacked beside Postfix, with which they conflict.

    with Sendmail(socketmap=f"local:{path}", milter=f"local:{other}") as mta:
        mta.start()
        reply = smtp.rcpt_replies(mta.address("milter"), [b"fred@example.org"])

Two interfaces: `map` asks a socket map in the ruleset check_rcpt, and relays to
`domains` only; `milter` hands every recipient to a milter.  What
check_rcpt refuses never reaches the milter, so each interface has a daemon name of
its own and check_rcpt decides nothing at the second one.  Accepted mail is
thrown away.

Sendmail runs as root in a UTS namespace of its own: without a full host name
it waits for minutes at its start, and the machine's name stays as it is.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial

from tests.rigs.folders import make_subfolder, write_text
from tests.rigs.ports import LOOPBACK, accepts, free_ports
from tests.rigs.processes import Daemon
from tests.rigs.require import unpacked
from tests.rigs.rig import Rig
from tests.rigs.syslog import Syslog
from tests.rigs.waiting import wait_until

HOSTNAME = "mx.test.example"
RELAY_DOMAIN = "example.org"

_OPTIONS = """\
V10/Berkeley
Cwlocalhost
CwlH
Dj{hostname}
Dnmailer-daemon
DZ8.17
O SevenBitInput=False
O DeliveryMode=background
O TempFileMode=0600
O QueueDirectory={folder}/queue
O PidFile={folder}/sendmail.pid
O DontBlameSendmail=TrustStickyBit
O LogLevel=9
# On a loaded machine it would refuse connections or slow down.
O RefuseLA=100000
O QueueLA=100000
O DelayLA=0
O BadRcptThrottle=0
O MaxDaemonChildren=200
O PrivacyOptions=noexpn,novrfy
O SmtpGreetingMessage=$j test sendmail
O UnixFromLine=From $g $d
O OperatorChars=.:%@!^/[]+
O Timeout.ident=0
CR{domains}
"""

# Its queue is of 10 clients by default: of more that come at once some hear nothing for minutes.
_MAP_INTERFACE = """\
O DaemonPortOptions=Name=MAP, Family=inet, Addr={host}, Port={map_port}, Listen=256
Ksmap socket -a<OK> -T<TMPF> {socketmap}
"""

_MILTER_INTERFACE = """\
O DaemonPortOptions=Name=MILTER, Family=inet, Addr={host}, Port={milter_port}, Listen=256,
	InputMailFilters=gw
O Milter.LogLevel=9
O Milter.macros.connect=j, _, {{daemon_name}}, {{if_name}}, {{if_addr}}
O Milter.macros.envfrom=i, {{auth_authen}}, {{auth_type}}, {{mail_mailer}}, {{mail_host}}, {{mail_addr}}
O Milter.macros.envrcpt={{rcpt_mailer}}, {{rcpt_host}}, {{rcpt_addr}}
Xgw, S={milter}, {flag}T=C:{timeout}s;S:{timeout}s;R:{timeout}s;E:30s
"""

# A TAB stands between the two sides of a rule, and one in front of a comment.
_MAILERS_AND_RULES = """\
Mlocal,\tP=/bin/true, F=lsDFMAw5:/|@qSP, S=0, R=0, T=DNS/RFC822/X-Unix, A=true
Mprog,\tP=/bin/false, F=lsDFMoqeu9, S=0, R=0, D=/, A=false
Mnull,\tP=/bin/true, F=mDFMuX, S=0, R=0, A=true
Scanonify=3
R$@\t\t\t$@ <@>
R$* < $* > $*\t\t$: $2
R$@\t\t\t$@ <@>
R$+ @ $+\t\t$: $1 <@ $2>
Sfinal=4
R<@>\t\t\t$@
R$+ <@ $+>\t\t$: $1 @ $2
Sparse=0
R<@>\t\t\t$#local $: <>
R$+ <@ $+>\t\t$#null $@ $2 $: $1 @ $2
R$+\t\t\t$#local $: $1
Scheck_rcpt
R$*\t\t\t$: $&{daemon_name} $| $1
RMILTER $| $*\t\t$@ OK
RMAP $| $*\t\t$: $>canonify $1
"""

_ASK_MAP = """\
R$+ <@ $=R>\t\t$: $(smap $1 @ $2 $: <NO> $)
R$* <OK>\t\t$@ OK
R$* <TMPF>\t\t$#error $@ 4.3.0 $: "451 4.3.0 smap: try later"
R<NO>\t\t\t$#error $@ 5.1.1 $: "550 5.1.1 smap: no such user"
R$+ <@ $+>\t\t$#error $@ 5.7.1 $: "550 5.7.1 relaying denied"
"""


class Sendmail(Rig):
    """One private instance; see this file's head for its two interfaces."""

    prefix = "sm"
    program = "Sendmail"

    def __init__(
        self,
        *,
        socketmap: str | None = None,
        milter: str | None = None,
        domains: Sequence[str] = (RELAY_DOMAIN,),
        timeout: int = 10,
        lenient: bool = False,
    ) -> None:
        """Say where the gateway listens; an interface without one is not opened.

        Both in Sendmail's words: `local:PATH` or `inet:PORT@HOST`.  After
        `timeout` seconds without an answer of the milter a recipient is
        deferred, or accepted if `lenient`; for the map it waits as long as the
        connection lasts.
        """
        super().__init__()
        self._domains = tuple(domains)
        self._socketmap = socketmap
        self._milter = milter
        self._timeout = timeout
        self._lenient = lenient
        self._ports: dict[str, int] = {}

    def _populate(self) -> None:
        make_subfolder(self.folder, "queue", mode=0o700)
        self._ports = dict(zip(("map", "milter"), free_ports(2), strict=True))
        write_text(self.configuration, self._configuration_text())

    @property
    def configuration(self) -> str:
        """The path of sendmail.cf."""
        return os.path.join(self.folder, "sendmail.cf")

    def _configuration_text(self) -> str:
        text = _OPTIONS.format(
            folder=self.folder, hostname=HOSTNAME, domains=" ".join(self._domains)
        )
        if self._socketmap is not None:
            text += _MAP_INTERFACE.format(
                host=LOOPBACK, map_port=self._ports["map"], socketmap=self._socketmap
            )
        if self._milter is not None:
            text += _MILTER_INTERFACE.format(
                host=LOOPBACK,
                milter_port=self._ports["milter"],
                milter=self._milter,
                timeout=self._timeout,
                flag="" if self._lenient else "F=T, ",
            )
        text += _MAILERS_AND_RULES
        if self._socketmap is not None:
            text += _ASK_MAP
        return text + "R$*\t\t\t$@ OK\n"

    def start(self, log: Syslog | None = None) -> None:
        """Start Sendmail in the foreground and wait until its interfaces accept connections.

        `log` gets what it writes to syslog.
        """
        program = os.path.join(unpacked("sendmail"), "usr/libexec/sendmail/sendmail")
        # sendmail picks its work by the name that it is called by, which is the program's own.
        script = 'hostname "$1" && shift && exec "$@"'
        argv = [
            *("unshare", "--uts", "sh", "-c", script, "sh", HOSTNAME),
            *(program, f"-C{self.configuration}", "-bD", f"-X{self.traffic}"),
        ]
        output = os.path.join(self.folder, "output")
        self._launch(Daemon(log.wrap(argv) if log is not None else argv, log=output))
        for interface in self._ports:
            if (self._socketmap if interface == "map" else self._milter) is not None:
                wait_until(
                    partial(self._accepts, interface),
                    f"Sendmail accepts at the interface {interface}",
                )

    def _accepts(self, interface: str) -> bool:
        self.daemon.check()
        return accepts(*self.address(interface))

    def address(self, interface: str) -> tuple[str, int]:
        """Where an SMTP client finds the interface `map` or `milter`."""
        return LOOPBACK, self._ports[interface]

    @property
    def traffic(self) -> str:
        """The path of the log of all SMTP traffic (its own log goes to syslog)."""
        return os.path.join(self.folder, "traffic")
