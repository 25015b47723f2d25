"""The socket map of contrib/sendmail in a Sendmail that is made as Debian's is: m4, tables, aliases.

Each of its three forms (a FEATURE, lines for sendmail.mc, lines for
sendmail.cf) goes into a configuration made by Sendmail's own m4 files, with an
alias file, a virtusertable and the gateway of the demo; the recipients that are refused are
compared with those that Sendmail would deliver to.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator

import pytest

from tests.demo.running import Gateway
from tests.rigs import smtp
from tests.rigs.folders import folder, make_subfolder, write_text
from tests.rigs.lmtp import lmtp_server
from tests.rigs.ports import LOOPBACK, accepts, free_ports
from tests.rigs.processes import Daemon, run
from tests.rigs.require import require, unpacked
from tests.rigs.sendmail import HOSTNAME
from tests.rigs.waiting import wait_until
from tests.support.snippets import CONTRIB, text

pytestmark = pytest.mark.real

SITE = """\
OSTYPE(`linux')dnl
define(`ALIAS_FILE', `{folder}/aliases')dnl
define(`confDONT_BLAME_SENDMAIL', `TrustStickyBit')dnl
define(`confLOCAL_MAILER', `cyrusv2')dnl
define(`CYRUSV2_MAILER_ARGS', `FILE /run/cyrus/socket/lmtp')dnl
define(`QUEUE_DIR', `{folder}/queue')dnl
define(`confPID_FILE', `{folder}/pid')dnl
undefine(`STATUS_FILE')dnl
FEATURE(`access_db', `hash -T<TMPF> -o {folder}/access')dnl
FEATURE(`virtusertable', `hash -o {folder}/virtusertable')dnl
VIRTUSER_DOMAIN(`virtual.example')dnl
LOCAL_DOMAIN(`example.org')dnl
{feature}MAILER(`local')dnl
MAILER(`smtp')dnl
MAILER(`cyrusv2')dnl
{lines}"""
ALIASES = """\
info: fred
postmaster: fred
list: "|/bin/true"
team+*: fred
away: joe@elsewhere.example
"""
VIRTUSERS = """\
sales@virtual.example\tfred
info+*@virtual.example\tfred
closed@virtual.example\terror:nouser No such user
"""

# An address from which Sendmail relays nothing.
OUTSIDE = "127.0.0.9"
UNKNOWN = '$# error $@ 5 . 1 . 1 $: "550 5.1.1 User unknown"'
LATER = '$# error $@ 4 . 3 . 0 $: "451 4.3.0 Try again later"'
# Whom Sendmail's own tables know is left to it: this is what the ruleset says then.
PASSED = ""
CASES = {
    "fred@example.org": PASSED,
    "FRED@EXAMPLE.ORG": PASSED,
    "fred+work@example.org": PASSED,
    "fred+Entw&APw-rfe@example.org": PASSED,
    "nobody@example.org": UNKNOWN,
    "dora@example.org": UNKNOWN,
    "+archive@example.org": UNKNOWN,
    "olga@example.org": LATER,
    "dan@example.org": LATER,
    '"a b"@example.org': UNKNOWN,
    # Aliases, with a detail and without; RFC 5321's postmaster in any case.
    "info@example.org": PASSED,
    "Info@example.org": PASSED,
    "list@example.org": PASSED,
    "team+abc@example.org": PASSED,
    "info+abc@example.org": PASSED,
    "away@example.org": PASSED,
    "postmaster@example.org": PASSED,
    "PostMaster@example.org": PASSED,
    "postmaster@virtual.example": PASSED,
    # A virtual domain: its table, then Cyrus.
    "sales@virtual.example": PASSED,
    "sales+x@virtual.example": PASSED,
    "info+x@virtual.example": PASSED,
    "closed@virtual.example": PASSED,  # Sendmail itself says no
    "vera@virtual.example": PASSED,
    "fred@virtual.example": UNKNOWN,
    # An alias is of the machine's own domains only.
    "info@virtual.example": UNKNOWN,
    # Not of Cyrus.
    "somebody@elsewhere.example": PASSED,
    "postmaster": PASSED,
}


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    """The demo's gateway, which knows Sendmail's tables, with sockets that anybody may use."""
    with folder("gw") as path:
        made = Gateway(path)
        # As the documents say: the text files of what Sendmail looks up later.
        with open(f"{path}/aliases", "a", encoding="ascii") as file:
            file.write("sales@virtual.example fred\nclosed@virtual.example error:nouser\n")
        with made:
            for front in ("socketmap", "milter"):
                os.chmod(f"{path}/{front}", 0o666)
            yield made


def _by_feature(socket: str) -> tuple[str, str, str]:
    """A FEATURE line; nothing behind the mailers, nothing in sendmail.cf."""
    domains = "example.org virtual.example"
    return f"FEATURE(`smmapd', `local:{socket}', `{domains}')dnl\n", "", ""


def _by_mc(socket: str) -> tuple[str, str, str]:
    """Lines behind the mailers."""
    return "", text("sendmail/socketmap.mc").replace("/run/smmapd/socketmap", socket), ""


def _by_cf(socket: str) -> tuple[str, str, str]:
    """Lines for the finished file, with those for a virtusertable taken into use."""
    lines = text("sendmail/socketmap.cf").replace("/run/smmapd/socketmap", socket)
    return "", "", lines.replace("\n#R", "\nR")


def _configuration(where: str, pieces: tuple[str, str, str], text_: str = SITE) -> str:
    """The path of a sendmail.cf with these pieces, its tables made."""
    feature, lines, cf = pieces
    root = unpacked("sendmail")
    own = os.path.join(where, "cf")
    shutil.copytree(f"{root}/usr/share/sendmail/cf", own)
    shutil.copy(CONTRIB / "sendmail" / "smmapd.m4", f"{own}/feature/smmapd.m4")
    make_subfolder(where, "queue", mode=0o700)
    site = write_text(f"{where}/site.mc", text_.format(folder=where, feature=feature, lines=lines))
    made = run(["m4", f"-D_CF_DIR_={own}/", f"{own}/m4/cf.m4", site]).decode()
    if cf:
        classes, _, rules = cf.partition("SLocal_check_rcpt\n")
        made = made.replace("SLocal_check_rcpt\n", f"SLocal_check_rcpt\n{rules}", 1)
        made = made.replace("\nV10/Berkeley\n", f"\nV10/Berkeley\n{classes}\n", 1)
    configuration = write_text(f"{where}/sendmail.cf", made)
    write_text(f"{where}/aliases", ALIASES)
    _sendmail(configuration, "-bi")
    for name, content in (("virtusertable", VIRTUSERS), ("access", "")):
        program = f"{root}/usr/libexec/sendmail/makemap"
        words = [program, "-C", configuration, "hash", f"{where}/{name}"]
        run(words, stdin=content.encode())
    return configuration


def _sendmail(configuration: str, option: str, stdin: str = "") -> str:
    """What Sendmail prints."""
    return run(_sendmail_words(configuration, option), stdin=stdin.encode()).decode()


def _sendmail_words(configuration: str, option: str) -> list[str]:
    """Sendmail's command line, with a full host name, without which it waits for minutes."""
    program = os.path.join(unpacked("sendmail"), "usr/libexec/sendmail/sendmail")
    script = 'hostname "$1" && shift && exec "$@"'
    words = ["unshare", "--uts", "sh", "-c", script, "sh", HOSTNAME]
    return [*words, program, f"-C{configuration}", option]


@pytest.mark.parametrize("form", [_by_feature, _by_mc, _by_cf], ids=["feature", "mc", "cf"])
def test_whom_sendmail_refuses(
    gateway: Gateway, form: Callable[[str], tuple[str, str, str]]
) -> None:
    """No recipient that its own tables know, never postmaster; and one without a mailbox at once."""
    require("sendmail")
    with folder("sm") as where:
        configuration = _configuration(where, form(f"{gateway.folder}/socketmap"))
        asked = "".join(f"Local_check_rcpt <{each}>\n" for each in CASES)
        said = _sendmail(configuration, "-bt", asked)
    word = "Local_check_rcpt returns: "
    found = [line.removeprefix(word) for line in said.splitlines() if line.startswith(word)]
    refused = [each if each.startswith("$#") else PASSED for each in found]
    assert dict(zip(CASES, refused, strict=True)) == CASES


# What a client hears of each recipient, and under which name lmtpd then gets the mail; "" where
# nobody gets it, "-" where somebody else does (a program, another machine).
DELIVERED = {
    b"fred@example.org": (b"250 2.1.5", b"fred"),
    # The mailer has no flag u: capitals of the local part are not kept.
    b"Fred+work@example.org": (b"250 2.1.5", b"fred+work"),
    b"nobody@example.org": (b"550 5.1.1", b""),
    b"olga@example.org": (b"45", b""),
    b"info@example.org": (b"250 2.1.5", b"fred"),
    b"postmaster@example.org": (b"250 2.1.5", b"fred"),
    b"sales@virtual.example": (b"250 2.1.5", b"fred"),
    b"closed@virtual.example": (b"553 5.3.0", b""),
    b"joe@elsewhere.example": (b"550 5.7.1", b""),
}


@pytest.mark.parametrize("front", ["socketmap", "milter"])
def test_mail_comes_to_whom_sendmail_itself_would_bring_it(gateway: Gateway, front: str) -> None:
    """By SMTP, with each way to ask: replies, and what lmtpd gets."""
    require("sendmail")
    (port,) = free_ports(1)
    socket = f"{gateway.folder}/{front}"
    milter = f"INPUT_MAIL_FILTER(`smmapd', `S=local:{socket}, F=T, T=S:10s;R:10s;E:30s')dnl\n"
    asking = milter if front == "milter" else _by_feature(socket)[0]
    own = f"DAEMON_OPTIONS(`Name=T, Family=inet, Addr={LOOPBACK}, Port={port}')dnl\n"
    options = (
        "FEATURE(`no_default_msa')dnl\nFEATURE(`accept_unresolvable_domains')dnl\n"
        "define(`confREFUSE_LA', `100000')dnl\ndefine(`confQUEUE_LA', `100000')dnl\n"
        "define(`confTO_IDENT', `0')dnl\n"
    )
    with folder("sm") as where, lmtp_server(f"{where}/lmtp") as lmtp:
        site = SITE.replace("FILE /run/cyrus/socket/lmtp", f"FILE {where}/lmtp")
        configuration = _configuration(where, (own + options + asking, "", ""), site)
        words = _sendmail_words(configuration, "-bD")
        daemon = Daemon(words, log=f"{where}/log")
        daemon.start()
        try:
            wait_until(lambda: accepts(LOOPBACK, port), "Sendmail accepts connections")
            heard = {}
            for recipient in DELIVERED:
                with smtp.Conversation((LOOPBACK, port), source=OUTSIDE) as client:
                    client.mail(b"joe@sender.example")
                    reply = client.rcpt(recipient)
                    heard[recipient] = reply.last
                    if reply.code == 250:
                        assert client.data().code == 250
            with smtp.Conversation((LOOPBACK, port)) as client:
                # This machine's own mail to others goes out.
                client.mail(b"fred@example.org")
                assert client.rcpt(b"joe@elsewhere.example").code == 250
            expected = [name for _, name in DELIVERED.values() if name]
            wait_until(lambda: len(lmtp.recipients) >= len(expected), "all mail is delivered")
        finally:
            daemon.stop()
    for recipient, (code, _) in DELIVERED.items():
        assert heard[recipient].startswith(code), (recipient, heard[recipient])
    assert sorted(lmtp.recipients) == sorted(expected)


@pytest.mark.parametrize(
    ("line", "missing"), [("FEATURE(`smmapd')", "the socket"), ("FEATURE(`smmapd', `local:/s')", "the domains")]
)  # fmt: skip
def test_a_feature_that_lacks_something(line: str, missing: str) -> None:
    """m4 says what to name."""
    require("sendmail")
    root = unpacked("sendmail")
    with folder("sm") as where:
        own = os.path.join(where, "cf")
        shutil.copytree(f"{root}/usr/share/sendmail/cf", own)
        shutil.copy(CONTRIB / "sendmail" / "smmapd.m4", f"{own}/feature/smmapd.m4")
        text_ = SITE.format(folder=where, feature=f"{line}dnl\n", lines="")
        site = write_text(f"{where}/site.mc", text_)
        script = 'm4 -D_CF_DIR_="$1"/ "$1"/m4/cf.m4 "$2" 2>&1 >/dev/null'
        said = run(["sh", "-c", script, "sh", own, site]).decode()
    assert f"FEATURE(smmapd): name {missing}" in said
