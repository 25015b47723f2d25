"""The snippets in real mail servers, which ask the demo's gateway."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from tests.contrib.snippets import main_cf, text
from tests.demo.running import Gateway
from tests.rigs import smtp
from tests.rigs.folders import folder, write_text
from tests.rigs.postfix import Postfix
from tests.rigs.processes import run
from tests.rigs.require import require, unpacked
from tests.rigs.sendmail import HOSTNAME

pytestmark = pytest.mark.real

# Where each snippet stands in Postfix, and what it says of whom; the ends of the lines.
POSTFIX = {
    "relay_recipient_maps": {
        "fred": b"250 2.1.5 Ok",
        "nobody": b"550 5.1.1 <nobody@example.org>: Recipient address rejected: "
        b"User unknown in relay recipient table",
        "dora": b"550 5.1.1 <dora@example.org>: Recipient address rejected: "
        b"User unknown in relay recipient table",
        "+archive": b"451 4.3.5 Server configuration error",
        "olga": b"451 4.3.0 <olga@example.org>: Temporary lookup failure",
    },
    "smtpd_recipient_restrictions": {
        "fred": b"250 2.1.5 Ok",
        "nobody": b"550 5.1.1 <nobody@example.org>: Recipient address rejected: User unknown",
        "dora": b"550 5.2.1 <dora@example.org>: Recipient address rejected: Your account is locked",
        "+archive": b"550 5.7.1 <+archive@example.org>: Recipient address rejected: "
        b"Permission denied",
        "olga": b"450 4.2.2 <olga@example.org>: Recipient address rejected: Over quota",
    },
    "smtpd_milters": {
        "fred": b"250 2.1.5 Ok",
        "nobody": b"550 5.1.1 User unknown",
        "dora": b"550 5.2.1 Your account is locked",
        "+archive": b"550 5.7.1 Permission denied",
        "olga": b"452 4.2.2 Over quota",
    },
}

# What check_rcpt of contrib/sendmail makes of a recipient.
USER_UNKNOWN = '$# error $@ 5 . 1 . 1 $: "550 5.1.1 User unknown"'
TRY_AGAIN = '$# error $@ 4 . 3 . 0 $: "451 4.3.0 Try again later"'
SENDMAIL = {
    "fred@example.org": "OK",
    "fred+Entw&APw-rfe@example.org": "OK",
    "fred+entw&apw-rfe@example.org": USER_UNKNOWN,
    "vera@virtual.example": "OK",
    "nobody@example.org": USER_UNKNOWN,
    "dora@example.org": USER_UNKNOWN,
    "+archive@example.org": USER_UNKNOWN,
    "olga@example.org": TRY_AGAIN,
    "dan@example.org": TRY_AGAIN,
    "somebody@elsewhere.example": "OK",
}

# As much of a sendmail.cf as check_rcpt needs; behind the caller stands the snippet.
_BASE = """\
V10/Berkeley
Cwlocalhost
Djmx.test.example
O DontBlameSendmail=TrustStickyBit
O QueueDirectory={folder}
O OperatorChars=.:%@!^/[]+
Mlocal,\tP=/bin/true, F=lsDFMAw5:/|@qSP, S=0, R=0, T=DNS/RFC822/X-Unix, A=true
Mprog,\tP=/bin/false, F=lsDFMoqeu9, S=0, R=0, D=/, A=false
Scanonify=3
R$* < $* > $*\t\t$: $2
R$+ @ $+\t\t$: $1 <@ $2>
Scheck_rcpt
R$*\t\t\t$: $1 $| $>"Local_check_rcpt" $1
R$* $| $#$*\t\t$#$2
R$* $| $*\t\t$@ OK
"""


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    """The demo's gateway, whose sockets mail servers can connect to."""
    with folder("gw") as path, Gateway(path) as made:
        for front in ("socketmap", "policy", "milter"):
            os.chmod(f"{path}/{front}", 0o666)
        yield made


@pytest.mark.parametrize("name", POSTFIX)
def test_postfix_with_a_snippet_of_main_cf(gateway: Gateway, name: str) -> None:
    """Each of the three ways by itself, with paths below the queue directory."""
    require("postfix")
    with Postfix(doors={"snippet": {name: main_cf()[name]}}) as mta:
        os.symlink(gateway.folder, f"{mta.folder}/queue/smmapd")
        mta.start()
        for user, line in POSTFIX[name].items():
            replies = smtp.rcpt_replies(mta.address("snippet"), [f"{user}@example.org".encode()])
            assert replies == [line]


def test_postfix_understands_both_files() -> None:
    """postconf finds no unknown setting and no wrong line."""
    require("postfix")
    with folder("pf") as path:
        for name in ("main.cf", "master.cf"):
            write_text(f"{path}/{name}", text(f"postfix/{name}"))
        for option in ("-n", "-M", "-P"):
            done = subprocess.run(
                ["/usr/sbin/postconf", "-c", path, option], capture_output=True, check=True
            )
            assert done.stderr == b""
            assert done.stdout


def test_sendmail_with_the_socket_map(gateway: Gateway) -> None:
    """The rules, in Sendmail's own address test mode."""
    require("sendmail")
    root = unpacked("sendmail")
    with folder("sm") as path:
        snippet = text("sendmail/socketmap.cf").replace("/run/smmapd", gateway.folder)
        configuration = write_text(f"{path}/sendmail.cf", _BASE.format(folder=path) + snippet)
        said = run(
            [
                *("unshare", "--uts", "sh", "-c", 'hostname "$1" && shift && exec "$@"', "sh"),
                *(HOSTNAME, f"{root}/usr/libexec/sendmail/sendmail", "-bt", f"-C{configuration}"),
            ],
            stdin="".join(f"check_rcpt <{each}>\n" for each in SENDMAIL).encode(),
        ).decode()
    word = "check_rcpt       returns: "
    found = [line.removeprefix(word) for line in said.splitlines() if line.startswith(word)]
    assert dict(zip(SENDMAIL, found, strict=True)) == SENDMAIL
