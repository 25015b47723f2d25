"""A mail server with tables of every kind before a real Cyrus, and a gateway that reads them.

Two Postfix instances have the same domains and tables.  In one, the socketmap
is in the tables of recipients; the other has interfaces for policy and milter, and
one that asks nobody: what it does with a mail is what happens to recipients.

| domain | class | its mail goes to |
|---|---|---|
| mx.test.example | local, by mailbox_transport | Cyrus |
| virt.example | virtual mailbox | Cyrus |
| other.example | virtual mailbox, by transport_maps | another place |
| relay.example | relay | Cyrus |
| alias.example | virtual alias, by a line of the table | |
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from tests.rigs.cyrus import Cyrus
from tests.rigs.folders import folder, make_subfolder, write_text
from tests.rigs.gateway import Gateway, Tables
from tests.rigs.ports import LOOPBACK, accepts, free_ports
from tests.rigs.postfix import CHROOT, Postfix
from tests.rigs.processes import Daemon, account, complete
from tests.rigs.require import require
from tests.rigs.smtp import Conversation
from tests.rigs.sqlservers import DATABASE, USER, Postgres
from tests.rigs.waiting import wait_until

SENDER = b"joe@sender.test"
USERS = (b"fred", b"alice", b"full", b"catcher")
# One that is over quota is deferred, and delivered later.
FULL = b"full"

TABLES = {
    "aliases": """
root: fred
abuse: root
archive: /dev/null
program: "|/bin/true"
team: fred, nobody
deadend: nobody
postmaster: fred
self: self
""",
    "aliases2": "lmdbalias: alice\n",
    "virtual": """
alias.example anything
info@alias.example fred@virt.example
sales@virt.example fred@virt.example, joe@gmail.example
old@virt.example nobody@virt.example
chain@relay.example sales@virt.example
"quoted name"@virt.example fred@virt.example
@catchall.example catcher@virt.example
catchall.example anything
tofull@virt.example full@virt.example
local fred@virt.example
""",
    "virtual.pcre": r"""
/^team-[a-z]+@virt\.example$/ fred@virt.example
/^@virt\.example$/ fred@virt.example
""",
    "recipient_canonical": "first.last@virt.example fred@virt.example\n",
    "canonical": "@old.example @virt.example\nfr@relay.example fred@relay.example\n",
    "relocated": "moved@virt.example new@gmail.example\n",
    "transport": "other.example discard:\nspecial@virt.example discard:\n",
    "virtual_domains": "virt.example x\nother.example x\n",
}
_COMPILED = {
    "aliases": "hash",
    "aliases2": "lmdb",
    "virtual": "hash",
    "recipient_canonical": "btree",
    "canonical": "hash",
    "relocated": "lmdb",
    "transport": "hash",
    "virtual_domains": "hash",
}
SQL = """
CREATE TABLE alias (address text, goto text);
INSERT INTO alias VALUES ('sql@virt.example', 'fred@virt.example'),
    ('sqldead@virt.example', 'nobody@virt.example'), ('sql@relay.example', 'alice@relay.example');
GRANT SELECT ON alias TO %s;
"""
_ASKING = ("plain", "policy", "milter", "submission", "chroot")
SRS_SECRET = "not a secret\n"


@dataclass
class MailSite:
    """The site; `interfaces` are the addresses of its smtpds by name."""

    gateway: Gateway
    maps: Postfix
    asking: Postfix
    postgres: Postgres
    tables: str
    interfaces: dict[str, tuple[str, int]]
    srs_forward: tuple[str, int]

    def rcpt(self, interface: str, *recipients: bytes, login: str = "") -> list[int]:
        """The codes of the replies to RCPT, all in one session."""
        with Conversation(self.interfaces[interface]) as client:
            if login:
                client.xclient(LOGIN=login)
                client.command(b"EHLO client.test")
            assert client.mail(SENDER).code == 250
            return [client.rcpt(each).code for each in recipients]

    def outcomes(self, *recipients: bytes) -> list[str]:
        """What happens to mails that nobody asks us about: refused, sent, deferred or bounced."""
        queued: list[str] = []
        with Conversation(self.interfaces["plain"]) as client:
            for each in recipients:
                assert client.mail(SENDER).code == 250
                taken = client.rcpt(each).code == 250
                queued.append(client.data().last.rpartition(b" ")[2].decode() if taken else "")
                client.rset()
        found = [
            wait_until(lambda each=each: self._status(each), "a mail is delivered or not")  # type: ignore[misc]
            if each
            else {"refused"}
            for each in queued
        ]
        order = ("refused", "sent", "deferred", "bounced")
        return [next(each for each in order if each in told) for told in found]

    def _status(self, queue_id: str) -> set[str]:
        """What became of each recipient, once nothing is left to be tried now."""
        lines = [line for line in self.asking.log() if f" {queue_id}: " in line]
        told = [re.search(r" to=<[^>]*>.* status=(\w+)", line) for line in lines]
        found = {each[1] for each in told if each is not None}
        over = any(line.endswith(": removed") for line in lines) or "deferred" in found
        return found if over else set()

    def rewritten_sender(self, address: str) -> bytes:
        """The address that postsrsd makes of a sender of forwarded mail."""
        host, port = self.srs_forward
        done = complete(
            [
                "/usr/sbin/postmap",
                "-c",
                self.asking.configuration,
                "-q",
                address,
                f"tcp:{host}:{port}",
            ]
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@contextmanager
def mail_site(scope: Tables | None = None) -> Iterator[MailSite]:
    """All of it, running; `scope` are more settings of the gateway."""
    require("cyrus", "postfix", "sql")
    with ExitStack() as stack:
        cyrus = stack.enter_context(Cyrus({"virtdomains": "off"}))
        cyrus.add_service("lmtp", "lmtpd -a", prefork=1)
        cyrus.add_service("imap", "imapd")
        cyrus.start()
        with cyrus.admin() as admin:
            for user in USERS:
                admin.create(b"user/" + user)
            admin.setacl(b"user/" + FULL, b"admin", b"lrswipkxtea")
            admin.append(b"user/" + FULL, size=2000)
            admin.setquota(b"user/" + FULL, storage_kib=1)
        postgres = stack.enter_context(Postgres())
        postgres.start()
        postgres.script(SQL % USER)
        tables = stack.enter_context(folder("mt"))
        srs = _postsrsd(stack, tables)
        main = _main_cf(tables, cyrus.socket_path("lmtp"), postgres.port, srs[1])
        _compile(tables)
        gateway = Gateway(cyrus.imapd_conf)
        stack.enter_context(gateway)
        table = f"socketmap:{gateway.unix('socketmap')}:cyrus"
        recipients = {
            "local_recipient_maps": f"{table} $alias_maps",
            "virtual_mailbox_maps": table,
            "relay_recipient_maps": table,
        }
        maps = stack.enter_context(Postfix(main=main | recipients, interfaces={"socketmap": {}}))
        asking = stack.enter_context(
            Postfix(
                policy=gateway.unix("policy"),
                milter=gateway.unix("milter"),
                main=main,
                interfaces={
                    "plain": {},
                    # As in contrib/postfix/master.cf, for the site's own users.
                    "submission": {
                        "smtpd_recipient_restrictions": "permit_sasl_authenticated, reject",
                    },
                    "chroot": {
                        CHROOT: "y",
                        "smtpd_recipient_restrictions": "permit_mynetworks, "
                        "permit_sasl_authenticated, reject_unauth_destination, "
                        "check_policy_service { unix:smmapd/policy, timeout=30s, "
                        "default_action=DEFER_IF_PERMIT }",
                    },
                    "policy": {
                        "smtpd_recipient_restrictions": "permit_sasl_authenticated, "
                        "reject_unauth_destination, check_policy_service "
                        f"{{ {gateway.unix('policy')}, timeout=30s, default_action=DEFER }}",
                    },
                },
            )
        )
        changes = {name: dict(values) for name, values in (scope or {}).items()}
        changes["scope"] = {"postfix": asking.configuration, **changes.get("scope", {})}
        inside = make_subfolder(f"{asking.folder}/queue", "smmapd", account("cyrus"))
        changes["policy"] = {
            "listen": [
                f"unix:{path}?mode=0660&group=postfix"
                for path in (gateway.path("policy"), f"{inside}/policy")
            ]
        }
        gateway.configure(changes)
        maps.start()
        asking.start()
        gateway.start()
        interfaces = {"socketmap": maps.address("socketmap")}
        interfaces |= {name: asking.address(name) for name in _ASKING}
        yield MailSite(gateway, maps, asking, postgres, tables, interfaces, (LOOPBACK, srs[0]))


def _main_cf(tables: str, lmtp: str, sql: int, srs: int) -> dict[str, str]:
    """What both instances have in common."""
    write_text(
        f"{tables}/pgsql.cf",
        f"hosts = {LOOPBACK}:{sql}\nuser = {USER}\npassword = secret\ndbname = {DATABASE}\n"
        "query = SELECT goto FROM alias WHERE address = '%s'\n",
    )
    return {
        "mydestination": "$myhostname",
        "local_transport": "local:$myhostname",
        "mailbox_transport": f"lmtp:unix:{lmtp}",
        "local_recipient_maps": "",
        "alias_maps": f"hash:{tables}/aliases, lmdb:{tables}/aliases2",
        "virtual_mailbox_domains": f"hash:{tables}/virtual_domains",
        "virtual_mailbox_maps": "",
        "virtual_transport": f"lmtp:unix:{lmtp}",
        "relay_domains": "relay.example",
        "relay_transport": f"lmtp:unix:{lmtp}",
        "virtual_alias_maps": f"hash:{tables}/virtual, pcre:{tables}/virtual.pcre, "
        f"proxy:pgsql:{tables}/pgsql.cf",
        "recipient_canonical_maps": f"btree:{tables}/recipient_canonical, tcp:{LOOPBACK}:{srs}",
        "canonical_maps": f"hash:{tables}/canonical",
        "relocated_maps": f"lmdb:{tables}/relocated",
        "transport_maps": f"hash:{tables}/transport",
        "recipient_delimiter": "+-",
        # Nobody waits for mail that is deferred.
        "minimal_backoff_time": "1000s",
    }


def _compile(tables: str) -> None:
    """Write the tables, and have Postfix compile those that are to be."""
    for name, text in TABLES.items():
        write_text(f"{tables}/{name}", text)
    write_text(f"{tables}/main.cf", "compatibility_level = 3.6\n")
    for name, kind in _COMPILED.items():
        program = "postalias" if name.startswith("aliases") else "postmap"
        path = f"{kind}:{tables}/{name}"
        done = complete([f"/usr/sbin/{program}", "-c", tables, path])
        assert done.returncode == 0, done.stderr


def _postsrsd(stack: ExitStack, where: str) -> tuple[int, int]:
    """Start a postsrsd; the ports of its forward and reverse tables."""
    forward, reverse = free_ports(2)
    secret = write_text(os.path.join(where, "secret"), SRS_SECRET, 0o600)
    daemon = Daemon(
        ["/usr/sbin/postsrsd", "-4", f"-s{secret}", "-dvirt.example", f"-l{LOOPBACK}",
         f"-f{forward}", f"-r{reverse}"],
        log=os.path.join(where, "postsrsd.log"),
    )  # fmt: skip
    daemon.start()
    stack.callback(daemon.stop)
    wait_until(lambda: accepts(LOOPBACK, reverse), "postsrsd serves")
    return forward, reverse
