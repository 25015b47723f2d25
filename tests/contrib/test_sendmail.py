"""The socket map of contrib/sendmail in a Sendmail that is made as Debian's is: m4, tables, aliases.

Each of its three forms (a FEATURE, lines for sendmail.mc, lines for
sendmail.cf) goes into a configuration made by Sendmail's own m4 files, with an
alias file, a virtusertable and the gateway of the demo; who is refused is
compared with whom Sendmail would deliver to.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator

import pytest

from tests.contrib.snippets import CONTRIB, text
from tests.demo.running import Gateway
from tests.rigs.folders import folder, make_subfolder, write_text
from tests.rigs.processes import run
from tests.rigs.require import require, unpacked
from tests.rigs.sendmail import HOSTNAME

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
    """The demo's gateway, whose sockets mail servers can connect to."""
    with folder("gw") as path, Gateway(path) as made:
        os.chmod(f"{path}/socketmap", 0o666)
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


def _configuration(where: str, pieces: tuple[str, str, str]) -> str:
    """The path of a sendmail.cf with these pieces, its tables made."""
    feature, lines, cf = pieces
    root = unpacked("sendmail")
    own = os.path.join(where, "cf")
    shutil.copytree(f"{root}/usr/share/sendmail/cf", own)
    shutil.copy(CONTRIB / "sendmail" / "smmapd.m4", f"{own}/feature/smmapd.m4")
    make_subfolder(where, "queue", mode=0o700)
    site = write_text(f"{where}/site.mc", SITE.format(folder=where, feature=feature, lines=lines))
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
    """What Sendmail prints, with a full host name."""
    program = os.path.join(unpacked("sendmail"), "usr/libexec/sendmail/sendmail")
    script = 'hostname "$1" && shift && exec "$@"'
    words = ["unshare", "--uts", "sh", "-c", script, "sh", HOSTNAME]
    return run([*words, program, f"-C{configuration}", option], stdin=stdin.encode()).decode()


@pytest.mark.parametrize("form", [_by_feature, _by_mc, _by_cf], ids=["feature", "mc", "cf"])
def test_whom_sendmail_refuses(
    gateway: Gateway, form: Callable[[str], tuple[str, str, str]]
) -> None:
    """Nobody whom its own tables know, never postmaster; and who has no mailbox at once."""
    require("sendmail")
    with folder("sm") as where:
        configuration = _configuration(where, form(f"{gateway.folder}/socketmap"))
        asked = "".join(f"Local_check_rcpt <{each}>\n" for each in CASES)
        said = _sendmail(configuration, "-bt", asked)
    word = "Local_check_rcpt returns: "
    found = [line.removeprefix(word) for line in said.splitlines() if line.startswith(word)]
    refused = [each if each.startswith("$#") else PASSED for each in found]
    assert dict(zip(CASES, refused, strict=True)) == CASES


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
