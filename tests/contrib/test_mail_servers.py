"""The snippets in real mail servers, which ask the demo's gateway."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from tests.demo.running import Gateway
from tests.rigs import smtp
from tests.rigs.folders import folder, write_text
from tests.rigs.postfix import Postfix
from tests.rigs.require import require
from tests.support.snippets import WAYS, main_cf, text

pytestmark = pytest.mark.real

# Where in Postfix each snippet belongs, and the ends of the lines that it says of each recipient.
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
    with Postfix(interfaces={"snippet": _asking(name)}) as mta:
        os.symlink(gateway.folder, f"{mta.folder}/queue/smmapd")
        mta.start()
        for user, line in POSTFIX[name].items():
            replies = smtp.rcpt_replies(mta.address("snippet"), [f"{user}@example.org".encode()])
            assert replies == [line]


def _asking(name: str) -> dict[str, str]:
    """The setting that asks, and what comes with it, as it is in the file."""
    return {name: main_cf(WAYS[name])[name]}


@pytest.mark.parametrize("way", WAYS.values())
def test_postfix_understands_the_files(way: str) -> None:
    """postconf finds no unknown setting and no wrong line."""
    require("postfix")
    with folder("pf") as path:
        write_text(f"{path}/main.cf", text(f"postfix/{way}"))
        write_text(f"{path}/master.cf", text("postfix/master.cf"))
        for option in ("-n", "-M", "-P"):
            done = subprocess.run(
                ["/usr/sbin/postconf", "-c", path, option], capture_output=True, check=True
            )
            assert done.stderr == b""
            assert done.stdout
