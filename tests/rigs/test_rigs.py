"""The rigs themselves: each starts, answers, stops and leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.rigs import smtp, socketmap
from tests.rigs.cyrus import Cyrus
from tests.rigs.cyrus_tools import MAILBOX_LIST, Mailbox, quota_record
from tests.rigs.cyrus_tools import PACKAGES as CYRUS_PACKAGES
from tests.rigs.debian import DEBIAN_13, kept_root
from tests.rigs.imap import modified_utf7
from tests.rigs.postfix import Postfix
from tests.rigs.processes import Daemon, RigError, run, session_members
from tests.rigs.require import PACKAGES, missing, require
from tests.rigs.rig import Rig
from tests.rigs.sendmail import Sendmail
from tests.rigs.syslog import Syslog
from tests.rigs.waiting import DeadlineError, wait_until

pytestmark = pytest.mark.real

NOT_FOUND = b"NOTFOUND Mailbox does not exist"
OVER_QUOTA = b"TEMP Over quota"


@pytest.fixture
def store() -> Iterator[Cyrus]:
    """A Cyrus whose smmapd knows fred, over (over quota) and v@virt.example."""
    require("cyrus")
    with Cyrus({"virtdomains": "userid", "defaultdomain": "example.org"}) as cyrus:
        cyrus.tools.load_mailboxes(
            [Mailbox("user.fred"), Mailbox("user.over"), Mailbox("virt.example!user.v")]
        )
        cyrus.tools.set_quotas({b"user.over": quota_record(storage=(100_000, 5))})
        cyrus.add_service("smmap", "smmapd")
        cyrus.start()
        yield cyrus


def test_cyrus_starts_answers_and_leaves_nothing() -> None:
    """What an administrator changes over IMAP is what Debian's smmapd answers."""
    require("cyrus")
    with Cyrus() as cyrus:
        cyrus.add_service("imap", "imapd")
        cyrus.add_service("smmap", "smmapd -U 5", prefork=1)
        cyrus.start()
        with cyrus.admin() as admin:
            admin.create(b"user/fred")
            admin.create(b"user/full")
            admin.create(b"shared")
            admin.setacl(b"shared", b"anyone", b"p")
            admin.create(b"user/fred/" + modified_utf7("Ablage für & Kram"))
            admin.setacl(b"user/full", b"admin", b"lrswipkxtecdan")
            admin.append(b"user/full", 5000)
            admin.setquota(b"user/full", storage_kib=4)
        path = cyrus.socket_path("smmap")
        assert socketmap.ask(path, b"fred", b"nobody", b"full", b"+shared") == [
            b"OK fred",
            NOT_FOUND,
            OVER_QUOTA,
            b"OK +shared",
        ]
        session, folder = cyrus.master.pid, cyrus.folder
        assert cyrus.stop() == []
    assert session_members(session) == []
    assert not os.path.exists(folder)


def test_cyrus_offline_tools_write_what_smmapd_reads() -> None:
    """A store needs no master: the tools write it, smmapd answers on standard input."""
    require("cyrus")
    with Cyrus({"virtdomains": "userid"}) as cyrus:
        tools = cyrus.tools
        tools.load_mailboxes(
            [
                Mailbox("user.fred", {"fred": "lrswipkxtecdan"}),
                Mailbox("user.fred.Sent"),
                Mailbox("virt.example!user.v"),
                Mailbox("news", {"anyone": "lr"}),
            ]
        )
        tools.set_quotas({b"user.fred": quota_record(storage=(0, -1), messages=(7, 7))})
        assert set(tools.dump_mailboxes()) == {
            "user.fred",
            "user.fred.Sent",
            "virt.example!user.v",
            "news",
        }
        tools.db_repack(MAILBOX_LIST, "twoskip")
        assert tools.db_consistent(MAILBOX_LIST, "twoskip")
        tools.convert(MAILBOX_LIST, "twoskip", "copy.db", "flat")
        assert tools.db_show("copy.db", "flat") == tools.db_show(MAILBOX_LIST, "twoskip")
        tools.deny("fred", "smmap", "not today")
        assert tools.db_get("user_deny.db", "flat", b"fred") == b"2\tsmmap\tnot today"
        tools.allow("fred")
        assert tools.db_get("user_deny.db", "flat", b"fred") is None
        with cyrus.smmapd() as program:
            assert program.ask(b"fred") == OVER_QUOTA
            tools.delete_quotas(b"user.fred")
            assert program.ask(b"fred+Sent") == b"OK fred+Sent"
            assert program.ask(b"v@virt.example") == b"OK v@virt.example"
            assert program.ask(b"+news") == b"PERM Permission denied"


def test_cyrus_of_debian_13_runs_from_its_own_root() -> None:
    """Tools, master and services are those of the root, on a store in this machine's folder."""
    require("cyrus", "package")
    root = kept_root(*CYRUS_PACKAGES, release=DEBIAN_13)
    with Cyrus(root=root) as cyrus:
        cyrus.tools.load_mailboxes([Mailbox("user.fred", {"fred": "lrswipkxtecdan"})])
        cyrus.add_service("imap", "imapd")
        cyrus.add_service("smmap", "smmapd", prefork=1)
        cyrus.start()
        with cyrus.admin() as admin:
            admin.create(b"user/anna")
        assert os.readlink(f"/proc/{cyrus.master.pid}/root") == root.folder
        with cyrus.smmapd() as program:
            assert program.ask(b"fred") == b"OK fred"
        assert socketmap.ask(cyrus.socket_path("smmap"), b"anna") == [b"OK anna"]
        assert cyrus.stop() == []
    with pytest.raises(RigError, match="Read-only file system"):
        run([*root.guest(), "touch", "/etc/left-behind"])


def test_cyrus_mailboxes_can_be_renamed_and_deleted() -> None:
    """RENAME moves the mailbox with its quota root's name, DELETE removes it at once."""
    require("cyrus")
    with Cyrus() as cyrus:
        cyrus.add_service("imap", "imapd")
        cyrus.add_service("smmap", "smmapd")
        cyrus.start()
        with (
            cyrus.admin() as admin,
            socketmap.Connection.to(cyrus.socket_path("smmap")) as connection,
        ):
            admin.create(b"user/old")
            assert connection.ask(b"old") == b"OK old"
            admin.rename(b"user/old", b"user/new")
            assert socketmap.ask_all(connection, [b"old", b"new"]) == [NOT_FOUND, b"OK new"]
            admin.delete(b"user/new")
            assert connection.ask(b"new") == NOT_FOUND


def test_syslog_shows_what_services_say() -> None:
    """With a Syslog the log lines of master's services come to the test."""
    require("cyrus")
    with Syslog() as log, Cyrus({"syslog_prefix": "rig", "auditlog": "yes"}) as cyrus:
        cyrus.tools.load_mailboxes([Mailbox("user.fred")])
        cyrus.add_service("smmap", "smmapd")
        cyrus.start(log)
        assert socketmap.ask(cyrus.socket_path("smmap"), b"fred") == [b"OK fred"]
        line = log.wait_for("auditlog: ok userid=<fred>")
        assert " rig/smmap[" in line
        assert cyrus.stop() == []


def test_a_service_that_cannot_start_is_named() -> None:
    """A master that ends at once is an error that shows what it was started with."""
    require("cyrus")
    with Cyrus() as cyrus:
        cyrus.add_service("smmap", "smmapd")
        os.unlink(cyrus.imapd_conf)
        with pytest.raises(RigError, match="master"):
            cyrus.start()


def test_postfix_starts_answers_and_leaves_nothing(store: Cyrus) -> None:
    """Each interface of the private Postfix asks what it was told to ask."""
    require("postfix")
    path = store.socket_path("smmap")
    with Postfix(
        socketmap=f"unix:{path}", policy="unix:/nonexistent", milter="unix:/nonexistent"
    ) as mta:
        mta.start()
        relay = [b"fred@example.org", b"no@example.org", b"over@example.org", b"x@other.test"]
        assert smtp.rcpt_replies(mta.address("relay"), relay) == [
            b"250 2.1.5 Ok",
            b"550 5.1.1 <no@example.org>: Recipient address rejected:"
            b" User unknown in relay recipient table",
            b"451 4.3.0 <over@example.org>: Temporary lookup failure",
            b"554 5.7.1 <x@other.test>: Relay access denied",
        ]
        assert smtp.rcpt_replies(mta.address("virtual"), [b"v@virt.example"]) == [b"250 2.1.5 Ok"]
        (refused,) = smtp.rcpt_replies(mta.address("policy"), [b"fred@example.org"])
        assert refused.startswith(b"450 4.7.1 ")
        with smtp.Conversation(mta.address("milter")) as client:
            assert client.mail().lines == (b"451 4.7.1 Service unavailable - try again later",)
        table = f"socketmap:unix:{path}:any"
        assert mta.postmap(b"fred", table) == b"fred"
        assert mta.postmap(b"nobody", table) is None
        with pytest.raises(RigError, match="Over quota"):
            mta.postmap(b"over", table)
        assert any("warning" in line for line in mta.log())
        session, folder = mta.master.pid, mta.folder
        assert mta.stop() == []
    assert session_members(session) == []
    assert not os.path.exists(folder)


def test_postfix_plays_any_client(store: Cyrus) -> None:
    """XCLIENT gives an address and a login, pipelining and RSET work, accepted mail goes away."""
    require("postfix")
    with Postfix(socketmap=f"unix:{store.socket_path('smmap')}") as mta:
        mta.start()
        with smtp.Conversation(mta.address("relay")) as client:
            assert client.xclient(addr="192.0.2.1", login="alice").has(b"SMTPUTF8")
            codes = [
                reply.code
                for reply in client.pipeline(
                    [
                        b"MAIL FROM:<a@client.test> SIZE=1000",
                        b"RCPT TO:<outside@other.test>",
                        b"RSET",
                        b"MAIL FROM:<> SMTPUTF8",
                        "RCPT TO:<für@example.org>".encode(),
                        b"RCPT TO:<fred@example.org>",
                    ]
                )
            ]
            assert codes == [250, 250, 250, 250, 550, 250]
            assert client.data(b"Subject: dots\r\n\r\n.\r\n").code == 250
            assert client.command(b"VRFY fred@example.org").code == 252


def test_sendmail_starts_answers_and_leaves_nothing(store: Cyrus) -> None:
    """The unpacked Sendmail asks the socket map at one interface and the milter at the other."""
    require("sendmail")
    with Sendmail(
        socketmap=f"local:{store.socket_path('smmap')}", milter="local:/nonexistent"
    ) as mta:
        mta.start()
        recipients = [b"fred@example.org", b"no@example.org", b"over@example.org", b"x@other.test"]
        assert smtp.rcpt_replies(mta.address("map"), recipients) == [
            b"250 2.1.5 <fred@example.org>... Recipient ok",
            b"550 5.1.1 <no@example.org>... smap: no such user",
            b"451 4.3.0 smap: try later",
            b"550 5.7.1 <x@other.test>... relaying denied",
        ]
        with smtp.Conversation(mta.address("milter")) as client:
            assert client.mail().enhanced.startswith(b"4.")
        session, folder = mta.daemon.pid, mta.folder
        assert mta.stop() == []
    assert session_members(session) == []
    assert not os.path.exists(folder)


# The child waits for a word, and ends by itself should it never come.
_PARENT = """
import os, subprocess, sys
os.chdir(sys.argv[1])
os.mkfifo("go")
child = "import signal; signal.alarm(60); open('go').read(); open('written', 'w').close()"
subprocess.Popen([sys.executable, "-c", child], start_new_session=True)
"""


class Forking(Rig):
    """A program whose child has a session of its own, and writes while the rig waits for it."""

    prefix = "fk"
    program = "a program that forks"

    def _populate(self) -> None:
        argv = [sys.executable, "-c", _PARENT, self.folder]
        self._launch(Daemon(argv, log=os.path.join(self.folder, "log")))
        wait_until(lambda: not self.daemon.running(), "the parent ends")

    def _is_left(self) -> bool:
        if not os.path.exists(os.path.join(self.folder, "written")):
            with suppress(OSError):  # the child does not listen yet, or not any more
                os.close(os.open(os.path.join(self.folder, "go"), os.O_WRONLY | os.O_NONBLOCK))
        return super()._is_left()


@pytest.mark.processes
def test_a_child_with_a_session_of_its_own_ends_before_its_folder_goes() -> None:
    """Sendmail delivers in such, and removes files of its queue at the end."""
    with Forking() as rig:
        assert rig.stop() == []
        assert os.path.exists(os.path.join(rig.folder, "written"))
    assert not os.path.exists(rig.folder)


def test_packages_check_is_quiet_when_all_is_there() -> None:
    """`packages.sh check` and a second `install` say nothing and change nothing."""
    require("cyrus", "postfix", "sendmail")
    for verb in ("check", "install"):
        done = subprocess.run(
            ["/bin/bash", PACKAGES, verb, "cyrus", "postfix", "sendmail"],
            capture_output=True,
            check=False,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_packages_check_names_what_is_missing(tmp_path: os.PathLike[str]) -> None:
    """An empty cache folder lacks the unpacked Sendmail, and the command to get it is shown."""
    require("sendmail")
    done = subprocess.run(
        ["/bin/bash", PACKAGES, "check", "sendmail"],
        capture_output=True,
        check=False,
        text=True,
        env={**os.environ, "SMMAPD_TESTS_CACHE": os.fspath(tmp_path)},
    )
    assert done.returncode == 1
    assert "sendmail-bin sendmail-base sendmail-cf, unpacked in" in done.stderr
    assert "packages.sh install sendmail" in done.stderr


@pytest.mark.parametrize(
    ("variables", "outcome"),
    [
        ({}, "Skipped"),
        ({"CI": "true"}, "Failed"),
        ({"RIGS_REQUIRED": "1"}, "Failed"),
    ],
)
def test_a_missing_program_fails_where_all_is_required(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], outcome: str
) -> None:
    """A missing program skips on a developer's machine and fails on CI."""
    for name in ("CI", "RIGS_REQUIRED"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises((pytest.skip.Exception, pytest.fail.Exception), match="no such") as caught:
        missing("no such program")
    assert type(caught.value).__name__ == outcome


def test_waiting_names_what_did_not_come() -> None:
    """A condition that never comes true ends at the deadline with its name."""
    with pytest.raises(DeadlineError, match="until the moon is blue"):
        wait_until(lambda: False, "the moon is blue", 0.01)
