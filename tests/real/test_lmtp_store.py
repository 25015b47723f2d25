"""A gateway before somebody else's LMTP server: RCPT says what LMTP says.

The servers of `store = "lmtp:unix:..."` are Debian's Cyrus lmtpd and Dovecot's LMTP.
A thousand random recipients are asked for three times: in Postfix with the
gateway's milter, in Postfix with its policy service, and of the LMTP server
itself.  Reply code and enhanced code must be the same, but for what
`SAID_OTHERWISE` and `_as_policy` say.
"""

from __future__ import annotations

import os
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from random import Random

import pytest

from gateway.protocols import lmtp
from gateway.protocols.address import Address, parse_path
from tests.rigs import socketmap
from tests.rigs.commandline import run
from tests.rigs.cyrus import Cyrus
from tests.rigs.cyrus_tools import quota_record
from tests.rigs.dovecot import Dovecot
from tests.rigs.gateway import Gateway, Tables
from tests.rigs.postfix import Postfix
from tests.rigs.require import require
from tests.rigs.smtp import Conversation

pytestmark = pytest.mark.real

SEED = int(os.environ.get("LMTP_SEED", "20260101"))
COUNT = 1000
DEADLINE_S = 20.0

# The LMTP server's word for an address that it cannot read, and RFC 3463's.
SAID_OTHERWISE = {b"501 5.5.4": b"553 5.1.3", b"501 5.1.3": b"553 5.1.3"}

# All of them in one session, most of them wrong.
MAIN = {
    f"smtpd_{name}": "100000"
    for name in (
        "soft_error_limit",
        "hard_error_limit",
        "recipient_limit",
        "recipient_overshoot_limit",
    )
}

DOMAINS = ["example.com", "example.org", "virt.example", "sub.virt.example", "x-y.test"]


class Lmtp:
    """A conversation with an LMTP server, to hear it without the gateway."""

    def __init__(self, path: str) -> None:
        self._link = socket.socket(socket.AF_UNIX)
        self._link.settimeout(DEADLINE_S)
        self._link.connect(path)
        self._decoder = lmtp.ReplyDecoder()
        self._replies: list[lmtp.LmtpReply] = []
        assert self._reply().good
        assert self.command(lmtp.lhlo(b"test.example")).good
        assert self.command(lmtp.MAIL_NULL).good

    def _reply(self) -> lmtp.LmtpReply:
        while not self._replies:
            data = self._link.recv(65536)
            assert data, "the server has closed"
            self._replies += self._decoder.feed(data)
            assert self._decoder.error is None
        return self._replies.pop(0)

    def command(self, line: bytes) -> lmtp.LmtpReply:
        """The reply to a command."""
        self._link.sendall(line)
        return self._reply()

    def rcpt(self, recipient: bytes) -> bytes:
        """Code and enhanced code of the reply to RCPT TO."""
        reply = self.command(lmtp.rcpt(recipient))
        assert self.command(lmtp.RSET).good
        assert self.command(lmtp.MAIL_NULL).good
        return b"%d %b" % (reply.code, reply.enhanced)

    def close(self) -> None:
        """Leave."""
        self._link.close()


def usable(recipients: Iterator[bytes]) -> Iterator[bytes]:
    """Those that Postfix hands on as they are: an address in one of DOMAINS."""
    for each in recipients:
        address = each if b"@" in each else each + b"@example.com"
        if min(address) < 0x20 or len(address) > 500:
            continue
        argument = b"<" + lmtp.path(address) + b">"
        parsed = parse_path(argument)
        if not isinstance(parsed, Address) or parsed.address != address:
            continue
        domain = parsed.domain.decode("ascii", "replace")
        # Postfix would take these apart: owner-, %, ! and an @ in quotes.
        if domain in DOMAINS and not set(parsed.local) & set(b'@%!"\\') and address.isascii():
            yield address


def tables(path: str) -> Tables:
    """The gateway's settings."""
    return {
        "": {"store": f"lmtp:unix:{path}"},
        "scope": {"domains": DOMAINS, "exempt_recipients": []},
    }


def compare(path: str, recipients: list[bytes]) -> Counter[bytes]:
    """Ask all; how often each reply came.  Fails with the differences."""
    counts: Counter[bytes] = Counter()
    differences: list[str] = []
    with (
        Gateway("/nonexistent", tables(path)) as gateway,
        Postfix(
            policy=gateway.unix("policy"),
            milter=gateway.unix("milter"),
            main={**MAIN, "relay_domains": ", ".join(DOMAINS)},
        ) as postfix,
        ExitStack() as stack,
    ):
        gateway.start()
        postfix.start()
        direct = Lmtp(path)
        stack.callback(direct.close)
        interfaces = {
            interface: stack.enter_context(Conversation(postfix.address(interface)))
            for interface in ("milter", "policy")
        }
        for smtp in interfaces.values():
            assert smtp.mail(b"joe@sender.test").code == 250
        for recipient in recipients:
            theirs = direct.rcpt(recipient)
            counts[theirs] += 1
            theirs = SAID_OTHERWISE.get(theirs, theirs)
            for interface, smtp in interfaces.items():
                ours = b" ".join(smtp.rcpt(lmtp.path(recipient)).last.split(b" ")[:2])
                if ours != (_as_policy(theirs) if interface == "policy" else theirs):
                    differences.append(f"{recipient!r}: LMTP {theirs!r}, {interface} {ours!r}")
    if differences:
        shown = "\n".join(differences[:20])
        pytest.fail(f"LMTP_SEED={SEED}: {len(differences)} differences:\n{shown}", pytrace=False)
    return counts


def _as_policy(reply: bytes) -> bytes:
    """Postfix gives every deferral of a policy service the code 450 (access_map_defer_code)."""
    return b"450" + reply[3:] if reply.startswith(b"4") else reply


LOCALS = ("fred", "anna", "john.smith", "o'neil", "dash-ed", "under_score", "0815", "til~de")
FOLDERS = ("Sent", "Lists", "Lists/deep", "a.b", "per-cent", "x y")
RECORDS = (
    None,
    quota_record(storage=(0, 10)),
    quota_record(storage=(20_000, 10)),
    quota_record(storage=(10_240, 10)),
    quota_record(storage=(10_241, 10)),
    quota_record(messages=(3, 3)),
    quota_record(messages=(2, 3)),
)
RIGHTS = (b"p", b"lp", b"l", b"lrs", b"lrsp", b"")


def _populate(cyrus: Cyrus, random: Random) -> None:
    """Mailboxes that are really there: lmtpd opens them."""
    quotas: dict[bytes, bytes] = {}
    with cyrus.admin() as admin:
        for domain in DOMAINS[:4]:
            at = "" if domain == "example.com" else f"@{domain}"
            for local in LOCALS:
                name = f"user/{local}"
                admin.create((name + at).encode())
                for folder in FOLDERS:
                    if random.random() < 0.4:
                        if folder == "Lists/deep":
                            continue
                        admin.create(f"{name}/{folder}{at}".encode())
                record = random.choice(RECORDS)
                if record is not None:
                    # lmtpd knows a quota root by the mailbox's header, which SETQUOTA writes.
                    admin.setquota((name + at).encode(), storage_kib=10)
                    root = f"user.{local.replace('.', '^')}"
                    quotas[(f"{domain}!{root}" if at else root).encode()] = record
        for number, rights in enumerate(RIGHTS):
            shared = f"shared{number}".encode()
            admin.create(shared)
            admin.setacl(shared, b"anyone", rights)
    cyrus.tools.set_quotas(quotas)


def _questions(random: Random) -> Iterator[bytes]:
    """Without end: those that are there, nearly there, and not."""
    locals_ = (*LOCALS, "nobody", "a b", "fred.", "f red", "+fred", "fre", "user.fred")
    while True:
        folder = random.choice(("", "", *(f"+{each}" for each in FOLDERS), "+", "+lists", "+zz"))
        local = random.choice((str, str, str.upper, str.title))(random.choice(locals_)) + folder
        if random.random() < 0.15:
            local = f"+shared{random.randrange(len(RIGHTS) + 1)}"
        yield f"{local}@{random.choice(DOMAINS)}".encode()


def _some(recipients: Iterator[bytes]) -> list[bytes]:
    return list(islice(usable(recipients), COUNT))


def test_cyrus_lmtpd() -> None:
    """Mailboxes, folders, shared folders, quotas of all kinds."""
    require("cyrus", "postfix")
    random = Random(SEED)
    options = {"virtdomains": "userid", "defaultdomain": "example.com"}
    with Cyrus(options) as cyrus:
        cyrus.add_service("lmtp", "lmtpd", prefork=1)
        cyrus.add_service("imap", "imapd")
        cyrus.start()
        _populate(cyrus, random)
        counts = compare(cyrus.socket_path("lmtp"), _some(_questions(random)))
    assert sum(counts.values()) == COUNT
    assert counts[b"250 2.1.5"] > COUNT // 20
    assert counts[b"550 5.1.1"] > COUNT // 20
    assert counts[b"452 4.2.2"] > COUNT // 100
    assert counts[b"550 5.7.1"] > 0


def test_dovecot() -> None:
    """Users and users over quota, in all spellings."""
    require("dovecot", "postfix")
    random = Random(SEED)
    users: dict[str, int | None] = {
        f"{local}@{domain}": random.choice((None, 10, 10**9))
        for local in LOCALS
        for domain in DOMAINS[:3]
    }
    with Dovecot(users) as dovecot:
        dovecot.start()
        counts = compare(dovecot.socket, _some(_questions(random)))
    assert sum(counts.values()) == COUNT
    assert counts[b"250 2.1.5"] > COUNT // 20
    assert counts[b"550 5.1.1"] > COUNT // 20
    assert counts[b"552 5.2.2"] > COUNT // 20


UNKNOWN_NAMES = [b"word%d@example.com" % number for number in range(3)]
EXPLAINED = "makes no mailbox", "defers a name that no mailbox can have"


@pytest.mark.parametrize("autocreates", [False, True], ids=["plain", "autocreate_post"])
def test_what_people_look_at_makes_no_mailbox(autocreates: bool) -> None:
    """lmtpd with autocreate_post makes one at RCPT: tools do not ask it, and say why."""
    require("cyrus")
    options = {"virtdomains": "userid", "defaultdomain": "example.com"}
    if autocreates:
        options |= {"autocreate_post": "yes", "autocreate_quota": "0"}
    with Cyrus(options) as cyrus:
        cyrus.add_service("lmtp", "lmtpd", prefork=1)
        cyrus.add_service("imap", "imapd")
        cyrus.start()
        with cyrus.admin() as admin:
            admin.create(b"user/fred")
        path = cyrus.socket_path("lmtp")
        with Gateway("/nonexistent", tables(path)) as gateway:
            words = ("-c", gateway.configuration)
            asked = run("check-config", *words)
            assert "answers to LHLO" in asked.out
            asked = run("check-config", "--ask", *words)
            assert EXPLAINED[autocreates] in asked.out
            for unknown in UNKNOWN_NAMES:
                explained = run("explain", *words, unknown.decode()).out
                assert ("upstream-fault" if autocreates else "nonexistent") in explained
            run("check", *words, *(each.decode() for each in UNKNOWN_NAMES))
            assert set(cyrus.tools.dump_mailboxes()) == {"user.fred"}
            # A gateway that serves goes on, since mail must come in; its log says what happens.
            gateway.start()
            link = socketmap.Connection.to(gateway.path("socketmap"))
            assert link.ask(b"fred@example.com") == b"OK fred@example.com"
            told = link.ask(UNKNOWN_NAMES[0])
            link.close()
            assert told.startswith(b"OK" if autocreates else b"NOTFOUND")
            if autocreates:
                gateway.wait_log("autocreate_post", "each recipient that it is asked about")
