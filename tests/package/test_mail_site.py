"""A whole mail server on clean machines of both Debian releases, set up by following our own text.

Debian's Postfix with the main.cf that Debian makes, Debian's Cyrus, our package;
README's gateway.toml and commands, each of contrib/postfix's three files pasted
behind main.cf, and its master.cf.  Then mail comes in, goes out, and is refused.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.package.conftest import depends
from tests.rigs.booted import PACKAGES, Booted
from tests.rigs.debian import DEBIAN_12, DEBIAN_13, debian
from tests.rigs.folders import write_text
from tests.rigs.program import ROOT
from tests.rigs.require import require
from tests.rigs.waiting import wait_until
from tests.support.blocks import pasted

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.clean]

POSTFIX = Path(ROOT) / "contrib" / "postfix"
# In the machine's own network there is loopback alone; this address on it is nobody of mynetworks.
OUTSIDE = "192.0.2.1"
INTERNET_SITE = """\
postfix postfix/main_mailer_type select Internet Site
postfix postfix/mailname string mx.test.example
"""
# An administrator of Cyrus with a password, and fred's mailbox.
MAKE_FRED = """
import imaplib
with imaplib.IMAP4("127.0.0.1") as imap:
    imap.login("cyrus", "secret")
    separator = imap.list('""', '""')[1][0].split()[1].strip(b'"').decode()
    assert imap.create(f"user{separator}fred")[0] == "OK"
"""
# One mail from an address of the machine's; prints the reply to each recipient, and to DATA.
SEND = """
import smtplib, sys
source, *recipients = sys.argv[1:]
with smtplib.SMTP(source, 25, local_hostname="client.example", source_address=(source, 0)) as smtp:
    smtp.ehlo()
    mail = smtp.mail("joe@client.example")
    # A milter that is away defers the mail already at MAIL.
    replies = [smtp.rcpt(each) if mail[0] == 250 else mail for each in recipients]
    for code, text in replies:
        print(code, text.decode())
    if any(code == 250 for code, _ in replies):
        print(*smtp.data("Subject: test\\r\\n\\r\\ntext\\r\\n"))
"""
UNKNOWN = {
    "socketmap.cf": "550 5.1.1 <nobody@example.org>: Recipient address rejected: "
    "User unknown in relay recipient table",
    "policy.cf": "550 5.1.1 <nobody@example.org>: Recipient address rejected: User unknown",
    "milter.cf": "550 5.1.1 User unknown",
}


@dataclass
class Site:
    """The machine, and Postfix' main.cf as Debian made it."""

    machine: Booted
    debians: str

    def paste(self, name: str) -> None:
        """One of our files behind Debian's main.cf, and Postfix again."""
        text = self.debians + "\n" + (POSTFIX / name).read_text()
        write_text(self.machine.root.path("/etc/postfix/main.cf"), text)
        self.machine.run("systemctl", "restart", "postfix")
        # The gateway reads main.cf again by itself; until then it defers.
        wait_until(self._reads_main_cf, "the gateway knows the domain")

    def _reads_main_cf(self) -> bool:
        for expected, recipient in (("ok", "fred@example.org"), ("no", "nobody@example.org")):
            code, said = self.machine.complete(
                "smmapd-gateway", "ask", "--expect", expected, recipient
            )
            assert expected == "no" or "\tno\t" not in said, said
            if code != 0:
                return False
        return True

    def send(self, source: str, *recipients: str) -> list[str]:
        """The replies to a mail from an address."""
        said = self.machine.run("python3", "-c", SEND, source, *recipients)
        return said.splitlines()

    def delivered(self) -> int:
        """How many mails Cyrus has taken; nobody but fred has a mailbox."""
        said = self.machine.run("sh", "-c", "find /var/spool/cyrus -name '[0-9]*.' | wc -l")
        return int(said)


def readme_toml() -> str:
    """README's gateway.toml."""
    found = re.search(r"```toml\n(.*?)```", (Path(ROOT) / "README.md").read_text(), re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture(scope="module", params=[DEBIAN_12, DEBIAN_13])
def site(request: pytest.FixtureRequest, package: str) -> Iterator[Site]:
    """Postfix and Cyrus as Debian installs them, the package, and README's steps."""
    require("package")
    needed = {each for each in depends(package) if "standalone" not in each}
    mail = ("cyrus-imapd", "postfix", "sasl2-bin")
    with debian(*sorted(needed), *PACKAGES, *mail, release=request.param) as root:
        # Debian's imapd.conf but for a way to make mailboxes; no pop3d is installed.
        conf = root.path("/etc/imapd.conf")
        text = (
            Path(conf).read_text().replace("pwcheck_method: saslauthd", "pwcheck_method: auxprop")
        )
        write_text(conf, text + "admins: cyrus\n")
        services = root.path("/etc/cyrus.conf")
        write_text(
            services, re.sub(r"(?m)^\s*(pop3|nntp|http)", r"\t#\1", Path(services).read_text())
        )
        with Booted(root) as machine:
            _mail_server(machine)
            _gateway(machine, package)
            yield Site(machine, Path(root.path("/etc/postfix/main.cf")).read_text())


def _mail_server(machine: Booted) -> None:
    """Debian's own configurations of Postfix and Cyrus."""
    machine.run("ip", "address", "add", f"{OUTSIDE}/32", "dev", "lo")
    machine.run("debconf-set-selections", stdin=INTERNET_SITE.encode())
    machine.run("dpkg-reconfigure", "-f", "noninteractive", "postfix")
    machine.run("sh", "-c", "echo secret | saslpasswd2 -p -c cyrus")
    machine.run(
        "sh", "-c", "chgrp sasl /etc/sasldb2; chmod 640 /etc/sasldb2; adduser -q cyrus sasl"
    )
    machine.run("systemctl", "restart", "cyrus-imapd")
    wait_until(lambda: machine.complete("python3", "-c", MAKE_FRED)[0] == 0, "fred has a mailbox")


def _gateway(machine: Booted, package: str) -> None:
    """The package, README's configuration and folder, contrib's services in master.cf."""
    root = machine.root
    shutil.copy(package, root.path("/srv/package.deb"))
    machine.run("dpkg", "--install", "/srv/package.deb")
    write_text(root.path("/etc/smmapd/gateway.toml"), readme_toml())
    for command in pasted("socket-folder"):
        machine.run("sh", "-c", command)
    machine.run("adduser", "-q", "postfix", "mail")
    for service, fields, options in _services():
        machine.run("postconf", "-M", f"{service}={fields}")
        for option in options:
            machine.run("postconf", "-P", f"{service}/{option}")
    code, said = machine.complete("smmapd-gateway", "check-config", "-q")
    assert code == 0, said
    for command in pasted("start"):
        machine.run("sh", "-c", command)


def _services() -> Iterator[tuple[str, str, list[str]]]:
    """contrib's master.cf: NAME/TYPE, the line, and its -o options."""
    text = (POSTFIX / "master.cf").read_text()
    for entry in re.sub(r"\n\s+-o ", " -o ", re.sub(r"(?m)^#.*\n", "", text)).splitlines():
        fields, *options = entry.split(" -o ")
        if fields.strip():
            name, kind = fields.split()[:2]
            yield f"{name}/{kind}", fields, options


@pytest.mark.parametrize("way", UNKNOWN)
def test_each_way_pasted_behind_debians_main_cf(site: Site, way: str) -> None:
    """A user with a mailbox gets mail, a name without one is refused at RCPT, our own mail goes out."""
    site.paste(way)
    before = site.delivered()
    replies = site.send(OUTSIDE, "fred@example.org", "nobody@example.org", "joe@elsewhere.example")
    assert replies[0] == "250 2.1.5 Ok"
    assert replies[1] == UNKNOWN[way]
    assert re.match(r"(454|554) ", replies[2]), replies
    assert replies[3].startswith("250 "), replies
    wait_until(lambda: site.delivered() == before + 1, "fred has got the mail")
    # From this machine to others; Debian's main.cf permits it.
    assert site.send("127.0.0.1", "joe@elsewhere.example")[0] == "250 2.1.5 Ok"


@pytest.mark.parametrize("way", UNKNOWN)
def test_a_folder_that_is_not_there_goes_to_the_inbox(site: Site, way: str) -> None:
    """As delivery does it."""
    site.paste(way)
    before = site.delivered()
    replies = site.send(OUTSIDE, "fred+nothing@example.org")
    assert replies[0] == "250 2.1.5 Ok"
    wait_until(lambda: site.delivered() == before + 1, "fred has got the mail")


@pytest.mark.parametrize("way", UNKNOWN)
def test_while_the_gateway_is_away_nobody_is_refused(site: Site, way: str) -> None:
    """Unknown or not: try again later."""
    site.paste(way)
    site.machine.run("systemctl", "stop", "smmapd-gateway")
    try:
        for recipient in ("fred@example.org", "nobody@example.org"):
            (reply,) = site.send(OUTSIDE, recipient)
            assert reply.startswith("45"), reply
    finally:
        site.machine.run("systemctl", "start", "smmapd-gateway")


def test_check_config_is_content_with_what_the_documents_say(site: Site) -> None:
    """No error; Postfix reaches our socket out of its chroot."""
    site.paste("policy.cf")
    code, said = site.machine.complete("smmapd-gateway", "check-config")
    assert code == 0, said
    assert "asks [policy]" in said
