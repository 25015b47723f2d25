"""The subcommands as a user runs them, on a store that Cyrus' own tools wrote, beside a real Postfix.

What `explain` and `check` say is compared with what Debian's C smmapd says to
the same recipients (3.6.1 knows no userdeny), and `replay` reads a log that Postfix wrote.
"""

from __future__ import annotations

import os
import re
import socketserver
import threading
from collections.abc import Iterator, Mapping
from typing import Self

import pytest

from gateway.protocols.socketmap import Decoder, encode, split_request
from tests.rigs import smtp
from tests.rigs.commandline import Done, run
from tests.rigs.cyrus import Cyrus
from tests.rigs.cyrus_tools import Mailbox, quota_record
from tests.rigs.folders import write_text
from tests.rigs.postfix import Postfix
from tests.rigs.require import require
from tests.rigs.sendmail import Sendmail
from tests.rigs.syslog import Syslog
from tests.rigs.waiting import wait_until

pytestmark = pytest.mark.real

# C smmapd's status and our verdicts of it.
STATUSES = {
    b"OK": {"deliverable"},
    b"NOTFOUND": {"nonexistent"},
    b"TEMP": {"over-quota"},
    b"PERM": {"not-postable"},
}
RECIPIENTS = [
    b"fred",
    b"fred@example.org",
    b"Fred+Work@example.org",
    b"fred+None@example.org",
    b"nobody@example.org",
    b"over@example.org",
    b"+news@example.org",
    b"+list@example.org",
]


class SocketmapServer(socketserver.ThreadingUnixStreamServer):
    """A socketmap that knows what `table` holds, and nobody else."""

    daemon_threads = True

    def __init__(self, path: str, table: Mapping[bytes, bytes]) -> None:
        self.path = path
        self.table = table
        super().__init__(path, _Answer)

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class _Answer(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, SocketmapServer)
        decoder = Decoder()
        while data := self.request.recv(4096):
            for request in decoder.feed(data):
                key = split_request(request)[1].partition(b"@")[0]
                self.request.sendall(encode(self.server.table.get(key, b"NOTFOUND no")))


class Machine:
    """A store, gateway.toml for it, and the folder of its sockets."""

    def __init__(self, cyrus: Cyrus) -> None:
        self.cyrus = cyrus
        self.config = os.path.join(cyrus.folder, "gateway.toml")
        self.sockets = os.path.join(cyrus.folder, "s")

    def configure(self, sockets: str, user: str = "cyrus") -> None:
        """Write gateway.toml with the front ends' sockets in that folder."""
        self.sockets = sockets
        write_text(
            self.config,
            f"""user = "{user}"
answers = "smmapd"
[cyrus]
imapd_conf = "{self.cyrus.imapd_conf}"
[socketmap]
listen = ["unix:{sockets}/socketmap?mode=0666"]
[policy]
listen = ["unix:{sockets}/policy?mode=0666"]
[scope]
domains = ["example.org"]
""",
        )

    def run(self, command: str, *words: str | bytes) -> Done:
        """Run one command on this configuration."""
        return run(command, "-c", self.config, *words)


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    """A store with one of everything, written by ctl_mboxlist, cyr_dbtool and cyr_deny."""
    require("cyrus")
    with Cyrus({"userdeny_db": "flat"}) as cyrus:
        owner = {name: {name: "lrswipkxtecda"} for name in ("fred", "over", "den")}
        cyrus.tools.load_mailboxes(
            [
                *(Mailbox(f"user.{name}", acl) for name, acl in owner.items()),
                Mailbox("user.fred.Work", owner["fred"]),
                Mailbox("news", {"anyone": "lr"}),
                Mailbox("list", {"anyone": "lrp"}),
            ]
        )
        cyrus.tools.set_quotas(
            {
                b"user.fred": quota_record(storage=(1024, 1024)),
                b"user.over": quota_record(storage=(4096 * 1024, 2048)),
            }
        )
        cyrus.tools.deny("den", message="closed for good")
        made = Machine(cyrus)
        made.configure(made.sockets)
        yield made


def test_the_verdicts_are_those_of_the_c_program(machine: Machine) -> None:
    """`check` and `explain` beside smmapd on standard input."""
    checked = machine.run("check", *RECIPIENTS)
    assert checked.code == os.EX_TEMPFAIL
    with machine.cyrus.smmapd() as oracle:
        for recipient, line in zip(RECIPIENTS, checked.lines, strict=True):
            reply = oracle.ask(recipient)
            verdict = line.split("\t")[1]
            assert verdict in STATUSES[reply.split(b" ")[0]], (recipient, reply, verdict)
            (explained,) = machine.run("explain", "--json", recipient).objects
            front_ends = explained["front_ends"]
            assert isinstance(front_ends, list)
            assert front_ends[0]["reply"].encode() == reply


def test_explain_shows_what_cyrus_wrote(machine: Machine) -> None:
    """The files, the formats, the record and the numbers."""
    out = machine.run("explain", "over@example.org").out
    conf = machine.cyrus.config
    for part in (
        f"{conf}/mailboxes.db (twoskip)",
        f"{conf}/user_deny.db (flat)",
        f"{conf} (quotalegacy",
        "4,194,304 of 2,097,152 bytes (200.0 %)",
        "over lrswipkxtecda",
    ):
        assert part in out
    assert "NOTFOUND closed for good" in machine.run("explain", "den@example.org").out


@pytest.mark.parametrize(
    ("kind", "last"),
    [
        ("--over-quota", "quota roots over quota: 1; quota roots not over quota: 1"),
        ("--denied", "users denied for smmap: 1"),
        ("--mailboxes", "e-mail: 6"),
    ],
)
def test_lists(machine: Machine, kind: str, last: str) -> None:
    """As many as the tools wrote."""
    done = machine.run("list", kind)
    assert (done.code, done.err) == (0, "")
    assert sorted(done.lines[-1].split("; ")) == sorted(last.split("; "))


def test_replay_of_a_log_that_postfix_wrote(machine: Machine) -> None:
    """Postfix knows nobody and accepts all; the rehearsal names those that it should not have accepted."""
    require("postfix")
    interface = {"relay": {"relay_recipient_maps": ""}}
    with Postfix(interfaces=interface) as mta:
        mta.start()
        with smtp.Conversation(mta.address("relay")) as client:
            for name in (b"fred", b"nobody", b"over"):
                client.mail(b"joe@example.com")
                client.rcpt(name + b"@example.org")
                client.data()
        wait_until(
            lambda: sum("status=sent" in line for line in mta.log()) == 3,
            "Postfix delivers the three mails",
        )
        done = machine.run("replay", mta.maillog)
        assert (done.code, done.err) == (0, "")
    assert "Accepted then, would be refused: 1 recipient" in done.out
    assert "nobody@example.org" in done.out
    assert "over-quota: 452 4.2.2 Over quota" in done.out
    assert "fred@example.org" not in done.out


def test_replay_of_a_log_that_sendmail_wrote(machine: Machine) -> None:
    """Sendmail refused one recipient in check_rcpt, and took the others."""
    require("sendmail")
    table = {b"fred": b"OK fred", b"gone": b"OK gone"}
    path = os.path.join(machine.sockets, "old")
    with SocketmapServer(path, table) as server, Syslog() as log:
        with Sendmail(socketmap=f"local:{server.path}") as mta:
            mta.start(log)
            with smtp.Conversation(mta.address("map")) as client:
                for name in (b"fred", b"gone", b"nobody"):
                    client.mail(b"joe@example.com")
                    if client.rcpt(name + b"@example.org").code == 250:
                        client.data()
                    client.rset()
            log.wait_for("to=<fred@example.org>")
            log.wait_for("to=<gone@example.org>")
            log.wait_for("reject=550")
        path = os.path.join(machine.cyrus.folder, "maillog")
        # A syslog daemon adds the host's name behind the time.
        lines = [re.sub(r"^(<\d+>.{15}) ", r"\1 mx ", line) for line in log.messages()]
        write_text(path, "\n".join(lines) + "\n")
    done = machine.run("replay", "--json", path)
    assert (done.code, done.err) == (0, "")
    *found, counts = done.objects
    # The rig's mailer takes no mail, which is not the recipients' fault.
    lost = {"failed for another reason": 1}
    assert {str(each["recipient"]): (each["log"], each["now"]) for each in found} == {
        "fred@example.org": (lost, "accepted"),
        "gone@example.org": (lost, "refused"),
        "nobody@example.org": ({"refused": 1}, "refused"),
    }
    skipped = counts["skipped"]
    assert isinstance(skipped, dict)
    assert skipped["not understood"] == 0


MAIN_CF = """compatibility_level = 3.6
queue_directory = {queue}
mail_owner = postfix
myhostname = mx.example.org
mydestination =
relay_domains = example.org, example.net
relay_recipient_maps = socketmap:unix:{map}:cyrus
alias_maps =
"""
MASTER_CF = "smtp inet n - {chroot} - - smtpd\n"


@pytest.mark.parametrize(
    ("chroot", "asked", "code"),
    [("n", "{sockets}/socketmap", 0), ("y", "{sockets}/socketmap", 78), ("y", "s/socketmap", 0)],
)
def test_check_config_beside_postfix(machine: Machine, chroot: str, asked: str, code: int) -> None:
    """Postfix' own postconf tells what it would ask; its chroot decides where that is."""
    require("postfix")
    folder = machine.cyrus.folder
    etc = os.path.join(folder, "postfix")
    os.makedirs(etc, exist_ok=True)
    asked = asked.replace("{sockets}", machine.sockets)
    main = MAIN_CF.replace("{queue}", folder).replace("{map}", asked)
    write_text(os.path.join(etc, "main.cf"), main)
    write_text(os.path.join(etc, "master.cf"), MASTER_CF.replace("{chroot}", chroot))
    done = machine.run("check-config", "--postfix", etc)
    assert done.code == code, done.out
    assert ("is chrooted" in done.out) == (code != 0)
    assert ("smtp/inet asks [socketmap]" in done.out) == (code == 0)
    assert "example.net is in relay_domains and not in [scope]" in done.out
    assert "mailboxes.db (twoskip, 12 records) can be read by user cyrus" in done.out


def test_check_config_as_another_user(machine: Machine) -> None:
    """Cyrus' databases are not for everybody."""
    os.chmod(machine.cyrus.config, 0o750)
    machine.configure(machine.sockets, user="nobody")
    try:
        done = machine.run("check-config", "-q")
    finally:
        os.chmod(machine.cyrus.config, 0o755)
        machine.configure(machine.sockets)
    assert done.code == os.EX_CONFIG
    assert f"user nobody may not enter {machine.cyrus.config}" in done.out
