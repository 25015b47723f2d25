"""How smmapd starts, or why it does not: exit codes and what syslog says, under the real master and by hand."""

from __future__ import annotations

import os

import pytest

from tests.rigs.cyrus import Cyrus
from tests.rigs.folders import folder, write_text
from tests.rigs.processes import account, complete
from tests.rigs.program import smmapd_program
from tests.rigs.require import require
from tests.rigs.syslog import Syslog
from tests.rigs.under_master import SERVICE, serving
from tests.rigs.waiting import wait_until

pytestmark = pytest.mark.real

NAMED = {"CYRUS_SERVICE": SERVICE, "CYRUS_ID": "1"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-Z"], "invalid option '-Z'"),
        (["-U5"], "'-U5': options and arguments MUST be separated by whitespace"),
        (["-C"], "option '-C' requires an argument"),
        (["now"], "'now' is not an option"),
    ],
)
def test_wrong_usage_ends_with_64(words: list[str], said: str) -> None:
    """The message is on standard error and in syslog, with the usage."""
    require("cyrus")
    with Syslog() as log:
        done = complete(log.wrap([smmapd_program(), *words], account("cyrus")), env=NAMED)
        assert done.returncode == 64
        assert said in done.stderr.decode()
        assert b"usage: smmapd [-C <alt_config>] [-U uses] [-T timeout]" in done.stderr
        assert f" {SERVICE}[" in log.wait_for(said)
        log.wait_for("usage: smmapd")


def test_root_is_refused_without_x() -> None:
    """Only by hand may root look something up."""
    require("cyrus")
    with Syslog() as log, Cyrus() as cyrus:
        done = complete(log.wrap([smmapd_program(), "-C", cyrus.imapd_conf]), env=NAMED)
        assert done.returncode == 64
        assert b"must run as the Cyrus user" in done.stderr
        log.wait_for("must run as the Cyrus user")
        words = [smmapd_program(), "-X", "-C", cyrus.imapd_conf]
        done = complete(words, stdin=b"10:cyrus fred,")
        # A list that holds nobody is a fault of the store, and the answer temporary.
        assert (done.returncode, done.stdout) == (0, b"21:TEMP System I/O error,")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("virtdomains: perhaps", "imapd.conf:{line}: virtdomains: "),
        ("this is not an option", "imapd.conf:{line}: "),
        ("@include: /nonexistent/more.conf", "/nonexistent/more.conf"),
    ],
)
def test_broken_imapd_conf_ends_with_78(line: str, said: str) -> None:
    """The message names file, line and option, on standard error and in syslog."""
    require("cyrus")
    with Syslog() as log, Cyrus() as cyrus:
        with open(cyrus.imapd_conf, encoding="utf-8") as file:
            lines = [*file.read().splitlines(), line]
        write_text(cyrus.imapd_conf, "\n".join(lines) + "\n")
        words = [smmapd_program(), "-C", cyrus.imapd_conf]
        done = complete(log.wrap(words, account("cyrus")), env=NAMED)
        assert done.returncode == 78
        expected = said.format(line=len(lines))
        assert expected in done.stderr.decode()
        log.wait_for(expected)


def test_master_hears_of_a_broken_imapd_conf() -> None:
    """A service that cannot start ends with 78, and syslog says why; corrected, it serves again."""
    require("cyrus")
    with serving() as service:
        conf = service.cyrus.imapd_conf
        with open(conf, encoding="utf-8") as file:
            sound = file.read()
        # The file must do for master itself, so it is broken for this service only.
        broken = f"{sound}{SERVICE}_virtdomains: perhaps\n"
        service.renew(lambda: write_text(conf, broken))
        with service.connect() as connection:
            line = service.log.wait_for(f"{SERVICE}_virtdomains")
            assert f"imapd.conf:{len(broken.splitlines())}: " in line
            service.log.wait_for("exited, status 78")
            write_text(conf, sound)
            # master tries up to five times, then waits for SIGHUP.
            service.cyrus.reload()
            assert connection.ask(b"fred") == b"OK fred"


def test_d_runs_the_debugger_of_imapd_conf() -> None:
    """-D: debug_command is run by the shell with program, pid and service, before the first answer."""
    require("cyrus")
    with folder("debug", account("cyrus")) as place:
        command = f"echo %s %d %s >>{place}/seen"
        with serving("-D", settings={"debug_command": command}) as service:
            assert service.ask(b"fred") == b"OK fred"
            with open(f"{place}/seen", encoding="utf-8") as file:
                assert file.read() == f"{service.program} {service.pid()} {SERVICE}\n"
            service.log.wait_for("running external debugger: echo")
            service.log.wait_for("debugger returned exit status: 0")


def test_auditlog_is_one_line_a_verdict_at_info() -> None:
    """Facility mail, level INFO, ident with the prefix, and the key made printable."""
    require("cyrus")
    settings = {"auditlog": "yes", "syslog_prefix": "rig", "debug": "no"}
    with serving(settings=settings) as service:
        with service.connect() as connection:
            for key in (b"fred", b"nobody\n\xff", b"over", b"+news"):
                connection.ask(key)
        pid = service.pid()
        service.log.wait_for("+news")
        lines = [line for line in service.log.messages() if "event=" in line]
        assert all(line.startswith("<22>") for line in lines)  # mail.info
        assert [line.partition(f" rig/{SERVICE}[{pid}]: ")[2] for line in lines] == [
            "event=ok u.username=fred r.clienthost=[local]",
            'event=nonexistent u.username="nobody\\\\n\\\\xff" r.clienthost=[local]'
            ' reason="Mailbox does not exist"',
            'event=overquota u.username=over r.clienthost=[local] reason="Over quota"',
            'event=failed u.username=+news r.clienthost=[local] reason="Permission denied"',
        ]


def test_without_auditlog_it_is_quiet() -> None:
    """A service at work has nothing to say at INFO and above."""
    require("cyrus")
    with serving(settings={"debug": "no"}) as service:
        for _ in range(3):
            service.ask(b"fred", b"nobody", b"over", b"+news")
        assert [line for line in service.log.messages() if f"{SERVICE}[" in line] == []


def test_database_of_another_format_is_read_with_a_warning() -> None:
    """The file says what it is; where imapd.conf says otherwise, one line in the log tells so."""
    require("cyrus")
    with serving() as service:
        service.renew(lambda: service.cyrus.write_imapd_conf({"mboxlist_db": "skiplist"}))
        for _ in range(2):
            assert service.ask(b"fred", b"nobody", b"fred") == b"OK fred"
        path = os.path.join(service.cyrus.config, "mailboxes.db")
        words = f"{path} is twoskip, imapd.conf says skiplist"
        service.log.wait_for(words)
        assert len([line for line in service.log.messages() if words in line]) == 1


def test_wrong_words_in_cyrus_conf_are_named() -> None:
    """Under master, where nobody sees standard error, syslog has the reason."""
    require("cyrus")
    with Syslog() as log, Cyrus() as cyrus:
        cyrus.add_service(SERVICE, f"{smmapd_program()} -U5", prefork=0)
        cyrus.start(log)
        log.wait_for("'-U5': options and arguments MUST be separated by whitespace")
        wait_until(
            lambda: any("exited, status 64" in line for line in log.messages()), "master tells"
        )
