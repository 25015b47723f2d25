"""contrib/exim in the Exim of each Debian release, set up by following its own comments.

The three files go where they say, Debian's own tools make the configuration,
and a client from outside asks: each reply is what the gateway says of the
recipient, Exim's own aliases come first, and accepted mail reaches lmtpd's
socket under the address that was asked about.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from tests.demo.running import Gateway
from tests.rigs import smtp
from tests.rigs.debian import DEBIAN_12, DEBIAN_13, Root, debian
from tests.rigs.folders import folder, write_text
from tests.rigs.lmtp import LmtpServer, lmtp_server
from tests.rigs.ports import LOOPBACK, accepts, free_ports
from tests.rigs.processes import Daemon
from tests.rigs.require import require
from tests.rigs.waiting import wait_until
from tests.support.snippets import text

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.clean]

# An address from which Debian's Exim relays nothing.
OUTSIDE = "127.0.0.9"
FILES = {
    "000_smmapd_macros": "main",
    "450_smmapd_routers": "router",
    "30_smmapd_transport": "transport",
}
SETTINGS = """\
dc_eximconfig_configtype='internet'
dc_other_hostnames='example.org;virtual.example'
dc_local_interfaces='{interface}'
dc_readhost=''
dc_relay_domains=''
dc_minimaldns='false'
dc_relay_nets=''
dc_smarthost=''
CFILEMODE='644'
dc_use_split_config='true'
dc_hide_mailname=''
dc_mailname_in_oh='true'
dc_localdelivery='mail_spool'
"""
ALIASES = "postmaster: fred@example.org\ninfo: fred@example.org\nwrong: nobody@example.org\n"

UNKNOWN = b"550 5.1.1 User unknown"
REPLIES = {
    "fred@example.org": b"250 Accepted",
    "Fred@Example.org": b"250 Accepted",
    "fred+work@example.org": b"250 Accepted",
    "vera@virtual.example": b"250 Accepted",
    "nobody@example.org": UNKNOWN,
    "fred@virtual.example": UNKNOWN,
    "no'body{x}$y@example.org": UNKNOWN,
    "dora@example.org": b"550 5.2.1 Your account is locked",
    "+archive@example.org": b"550 5.7.1 Permission denied",
    "olga@example.org": b"452 4.2.2 Over quota",
    "dan@example.org": b"451 4.3.0 Try again later",
    "rita@example.org": b"451 4.2.1 Mailbox is currently reserved",
    # Exim's own: an alias, where it leads, and postmaster (RFC 5321, 4.5.1).
    "info@example.org": b"250 Accepted",
    "wrong@example.org": b"550 5.1.1 User unknown",
    "postmaster@example.org": b"250 Accepted",
    "postmaster@virtual.example": b"250 Accepted",
    "somebody@elsewhere.example": b"550 relay not permitted",
}


@dataclass(frozen=True)
class Site:
    """A running Exim, and what it has delivered."""

    port: int
    lmtp: LmtpServer
    log: str

    def conversation(self) -> smtp.Conversation:
        """A client from outside."""
        return smtp.Conversation((LOOPBACK, self.port), source=OUTSIDE)


@pytest.fixture(scope="module", params=[DEBIAN_12, DEBIAN_13])
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    """Debian's Exim, the gateway of the demo and an lmtpd."""
    require("package")
    release: str = request.param
    with folder("exim") as where, Gateway(where) as gateway, lmtp_server(f"{where}/lmtp") as lmtp:
        os.chmod(f"{gateway.folder}/socketmap", 0o666)
        with debian("exim4-daemon-light", release=release) as root:
            (port,) = free_ports(1)
            _configure(root, where, port)
            words = ["/usr/sbin/exim4", "-bdf", "-v", "-oX", f"{LOOPBACK}.{port}"]
            # The sockets' folder is there in the root, too.
            bind = f'mount --bind {where} {root.path(where)} && exec "$@"'
            prefix = ["unshare", "--mount", "sh", "-c", bind, "sh"]
            daemon = root.daemon(*words, log=f"{where}/exim.log", prefix=prefix)
            with _running(daemon):
                wait_until(lambda: accepts(LOOPBACK, port), "Exim accepts connections")
                yield Site(port, lmtp, f"{where}/exim.log")


def _configure(root: Root, where: str, port: int) -> None:
    """Follow the files' own comments."""
    for name, section in FILES.items():
        content = text(f"exim/{name}")
        content = content.replace("/run/smmapd/socketmap\n", f"{where}/socketmap\n")
        content = content.replace("/run/cyrus/socket/lmtp\n", f"{where}/lmtp\n")
        content = content.replace("= example.org\n", "= example.org : virtual.example\n")
        write_text(root.path(f"/etc/exim4/conf.d/{section}/{name}"), content)
    settings = SETTINGS.format(interface=f"{LOOPBACK}.{port}")
    write_text(root.path("/etc/exim4/update-exim4.conf.conf"), settings)
    write_text(root.path("/etc/mailname"), "mx.test.example\n")
    write_text(root.path("/etc/aliases"), ALIASES)
    os.makedirs(root.path(where))
    root.run("update-exim4.conf")


@contextmanager
def _running(daemon: Daemon) -> Iterator[None]:
    daemon.start()
    try:
        yield
    finally:
        daemon.stop()


def test_each_recipient_hears_why(site: Site) -> None:
    """Codes and words are the verdict's; no recipient is refused that Exim itself redirects."""
    found = {}
    for recipient in REPLIES:
        with site.conversation() as client:
            assert client.mail(b"joe@sender.example").code == 250
            found[recipient] = client.rcpt(recipient.encode()).last
    assert found == REPLIES


def test_accepted_mail_reaches_lmtpd(site: Site) -> None:
    """Under the address that was asked about, folder and capitals included."""
    with site.conversation() as client:
        client.mail(b"joe@sender.example")
        for recipient in (b"Fred@example.org", b"info@example.org", b"fred+Work@example.org"):
            client.rcpt(recipient)
        assert client.data().code == 250
    wait_until(lambda: len(site.lmtp.recipients) >= 3, "three deliveries")
    asked = {b"Fred@example.org", b"fred@example.org", b"fred+Work@example.org"}
    assert set(site.lmtp.recipients) == asked


def test_nobody_is_refused_while_the_gateway_is_away(site: Site) -> None:
    """A socket that nobody serves defers."""
    path = os.path.join(os.path.dirname(site.log), "socketmap")
    os.rename(path, f"{path}.away")
    try:
        with site.conversation() as client:
            client.mail(b"joe@sender.example")
            assert client.rcpt(b"fred@example.org").last == b"451 4.3.0 Try again later"
            assert client.rcpt(b"postmaster@example.org").code == 250
    finally:
        os.rename(f"{path}.away", path)
