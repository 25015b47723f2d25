"""What administrators break, and what check-config says of it: a table that a line extends.

Each row changes one thing in a sound world (a real Postfix' configuration, a
sendmail.cf, gateway.toml, imapd.conf, a unit) and says which finding must come
and what its advice must name.  Advice is harmless: see the last tests.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway import config
from gateway.cli.checks import otherservers
from gateway.cli.checks import sockets as sockets_check
from gateway.cli.checks import unit as unit_check
from gateway.cli.checks.finding import Level
from tests.rigs.commandline import Done, Site, make_site
from tests.rigs.folders import make_folder, write_text
from tests.rigs.require import require

pytestmark = pytest.mark.real

TOML = """
user = "cyrus"
[cyrus]
imapd_conf = "{root}/imapd.conf"
[socketmap]
listen = ["unix:{root}/queue/smmapd/socketmap?mode=0660&group=postfix"]
[policy]
listen = ["unix:{root}/queue/smmapd/policy?mode=0660&group=postfix"]
[milter]
listen = ["unix:{root}/queue/smmapd/milter?mode=0660&group=postfix"]
[scope]
domains = ["example.org"]
aliases = ["{root}/aliases"]
"""
MAIN = """\
compatibility_level = 3.6
queue_directory = {root}/queue
mydestination = localhost
relay_domains = example.org
relay_recipient_maps = socketmap:unix:smmapd/socketmap:cyrus
smtpd_recipient_restrictions =
    permit_mynetworks permit_sasl_authenticated reject_unauth_destination
    check_policy_service { unix:smmapd/policy, timeout=10s, default_action=DEFER_IF_PERMIT }
smtpd_milters = { unix:smmapd/milter, default_action=tempfail }
virtual_alias_maps =
alias_maps = hash:{root}/aliases
"""
MASTER = "smtp inet n - y - - smtpd\nproxymap unix - - n - - proxymap\n"
SENDMAIL = """\
O AliasFile={root}/aliases
Kcyrus socket -f -a<OK> -T<TMPF> local:{root}/queue/smmapd/socketmap
Xsmmapd, S=local:{root}/queue/smmapd/milter, F=T, T=S:10s;R:10s;E:30s
SLocal_check_rcpt
R<?> $+ <@ $=w>\t\t\t$: <$(aliases $1 $: ? $)> $1 <@ $2>
R<?> $+ <@ $+>\t\t\t$: <!> $(cyrus $1 @ $2 $: <NO> $)
Scheck_rcpt
"""


@dataclass(frozen=True)
class Breakage:
    """What is changed: (old, new) of a file, or lines added to its end; and what must be found."""

    name: str
    finding: str
    advice: str
    level: str = "warning"
    main: tuple[str, str] = ("", "")
    master: tuple[str, str] = ("", "")
    toml: tuple[str, str] = ("", "")
    sendmail: tuple[str, str] = ("", "")
    imapd: str = ""
    modes: tuple[tuple[str, int], ...] = ()


BREAKAGES = [
    # --- sockets that Postfix asks ---
    Breakage("a mistyped path", "nothing listens there", "smmapd/socketmap", "error", main=("smmapd/socketmap:", "smmapd/sockmap:")),
    Breakage("a mistyped folder", "nothing listens there", "smmapd/policy", "error", main=("unix:smmapd/policy", "unix:smmap/policy")),
    Breakage("policy asked as a milter", "as a milter, and that is [policy]'s socket", "[milter]", "error", main=("smtpd_milters = { unix:smmapd/milter", "smtpd_milters = { unix:smmapd/policy")),
    Breakage("socketmap asked as a policy service", "as a policy, and that is [socketmap]'s socket", "[policy]", "error", main=("unix:smmapd/policy", "unix:smmapd/socketmap")),
    Breakage("a milter asked as a table", "as a socketmap, and that is [milter]'s socket", "[socketmap]", "error", main=("smmapd/socketmap:", "smmapd/milter:")),
    Breakage("a chroot that hides the socket", "smtp/inet is chrooted", "proxy:socketmap:", "error", main=("socketmap:unix:smmapd/socketmap", "socketmap:unix:{root}/queue/smmapd/socketmap")),
    Breakage("a socket for another group", "lets user postfix not connect", "group=postfix", "error", toml=("smmapd/policy?mode=0660&group=postfix", "smmapd/policy?mode=0600")),
    Breakage("a folder that Postfix may not enter", "may not enter", "install -d", "error", modes=(("queue/smmapd", 0o700),)),
    Breakage("nobody asks", "no smtpd asks any of our sockets", "print-config postfix", main=("unix:smmapd/", "unix:other/x")),
    # --- the order of checks, and what other settings make of answers ---
    Breakage("nothing permits our own users", "refuses your own users' mail", "permit_mynetworks permit_sasl_authenticated", main=("permit_mynetworks permit_sasl_authenticated", "")),
    Breakage("policy before the barrier", "before reject_unauth_destination", "behind reject_unauth_destination", main=("reject_unauth_destination\n    check_policy_service { unix:smmapd/policy, timeout=10s, default_action=DEFER_IF_PERMIT }", "check_policy_service unix:smmapd/policy reject_unauth_destination")),
    Breakage("a milter without a default action", "every recipient is accepted", "default_action=tempfail", main=("smtpd_milters = { unix:smmapd/milter, default_action=tempfail }", "smtpd_milters = unix:smmapd/milter\nmilter_default_action = accept")),
    Breakage("non_smtpd_milters", "non_smtpd_milters has", "take it out of non_smtpd_milters", main=("", "non_smtpd_milters = unix:smmapd/milter\n")),
    Breakage("senders in the table", "looks senders up in [socketmap]", "reject_unlisted_sender", main=("", "smtpd_sender_restrictions = reject_unlisted_sender\n")),
    Breakage("senders in the table, by default", "looks senders up in [socketmap]", "smtpd_reject_unlisted_sender", main=("", "smtpd_reject_unlisted_sender = yes\n")),
    Breakage("a service with restrictions of its own", "smtp/inet: smtpd_recipient_restrictions refuses", "permit_mynetworks", master=("smtpd\n", "smtpd\n -o { smtpd_recipient_restrictions = reject_unauth_destination, check_policy_service unix:smmapd/policy }\n")),
    Breakage("a socketmap that observes", "which observes", "[policy] or [milter]", toml=("[socketmap]\n", '[socketmap]\nmode = "observe"\n')),
    Breakage("quotes that are a part of the name", "with quotes: lmtpd takes them", "lmtp_quote_rfc821_envelope = no", main=("", "relay_transport = lmtp:unix:/run/cyrus/socket/lmtp\n")),
    # --- tables that nobody reads ---
    Breakage("virtual aliases", "virtual_alias_maps) is not in [scope]", "[scope]", main=("virtual_alias_maps =", "virtual_alias_maps = hash:{root}/virtual")),
    Breakage("canonical", "canonical_maps) is not in [scope]", "postfix =", main=("", "canonical_maps = hash:{root}/virtual\n")),
    Breakage("recipient canonical of another type", "recipient_canonical_maps) is not known", "postfix =", main=("", "recipient_canonical_maps = pcre:{root}/virtual\n")),
    Breakage("relocated", "relocated_maps) is not in [scope]", "postfix =", main=("", "relocated_maps = texthash:{root}/virtual\n")),
    Breakage("another delimiter", "recipient_delimiter is +-", 'recipient_delimiter = "+-"', main=("", "recipient_delimiter = +-\n")),
    Breakage("SRS that is denied", "looks like SRS", "srs = false", main=("", "recipient_canonical_maps = tcp:localhost:10002\n"), toml=("[scope]\n", "[scope]\nsrs = false\n")),
    Breakage("a domain that is not ours", "example.net is in relay_domains", "domains in [scope]", main=("relay_domains = example.org", "relay_domains = example.org example.net")),
    Breakage("a domain that Postfix does not take", "is in [scope] and Postfix takes no mail", "relay_domains", main=("relay_domains = example.org", "relay_domains = example.com")),
    Breakage("a table that the user cannot read", "user cyrus may not read it", "setfacl -m u:cyrus:r", "error", main=("virtual_alias_maps =", "virtual_alias_maps = texthash:{root}/virtual"), toml=('domains = ["example.org"]', 'postfix = "{root}"'), modes=(("virtual", 0o600),)),
    Breakage("a type that is not installed", "no tables of type nosuch", "postfix-nosuch", "error", main=("virtual_alias_maps =", "virtual_alias_maps = nosuch:{root}/virtual"), toml=('domains = ["example.org"]', 'postfix = "{root}"')),
    Breakage("nobody is judged", "no recipient is judged; those of mydestination", "mailers of [scope]", toml=('domains = ["example.org"]', 'postfix = "{root}"')),
    Breakage("no domain at all", "no recipient is judged", "relay_domains or virtual_mailbox_domains", main=("relay_domains = example.org", "relay_domains ="), toml=('domains = ["example.org"]', 'postfix = "{root}"')),
    # --- with the eyes of the user ---
    Breakage("imapd.conf for root alone", "imapd.conf: cannot read", "correct it", "error", modes=(("imapd.conf", 0o600),)),
    Breakage("gateway.toml for root alone", "gateway.toml: cannot be read", "correct it", "error", modes=(("gateway.toml", 0o600),)),
    Breakage("databases for root alone", "may not read it", "chown cyrus", "error", modes=(("mailboxes.db", 0o600),)),
    Breakage("an alias file for root alone", "Permission denied; let the user that the gateway becomes read it", "correct it", "error", modes=(("aliases", 0o600),)),
    Breakage("several mistakes of imapd.conf", "lmtp_downcase_rcpt", "Cyrus reads the same file", "error", imapd="virtdomains: perhaps\nlmtp_downcase_rcpt: maybe\n"),
    # --- Sendmail ---
    Breakage("sendmail: a mistyped path", "nothing listens there", "smmapd/", "error", sendmail=("smmapd/socketmap", "smmapd/sockmap")),
    Breakage("sendmail: the wrong protocol", "as a milter, and that is [socketmap]'s socket", "[milter]", "error", sendmail=("S=local:{root}/queue/smmapd/milter", "S=local:{root}/queue/smmapd/socketmap")),
    Breakage("sendmail: no F=T", "lets every recipient in", "F=T", sendmail=(" F=T,", "")),
    Breakage("sendmail: no -T", "has no -T", "-T<TMPF>", sendmail=(" -T<TMPF>", "")),
    Breakage("sendmail: aliases come later", "before Sendmail's aliases", "print-config sendmail", "error", sendmail=("$(aliases $1 $: ? $)", "?")),
    Breakage("sendmail: an alias file that nobody reads", "(AliasFile) is not in [scope]", "aliases in [scope]", sendmail=("AliasFile={root}/aliases", "AliasFile={root}/virtual")),
    Breakage("sendmail: nobody asks", "asks none of our sockets", "print-config sendmail", sendmail=("queue/smmapd/", "other/x")),
    Breakage("a folder that Sendmail does not trust", "may be written by its group", "install -d", modes=(("queue/smmapd", 0o770),)),
]  # fmt: skip


@pytest.fixture
def world() -> Iterator[Site]:
    """A sound one; every user may enter its folder."""
    require("postfix", "cyrus")
    folder = make_folder("find")
    try:
        site = make_site(folder)
        os.makedirs(os.path.join(folder, "queue", "smmapd"))
        # As the documents say: install -d -o cyrus -g postfix -m 0750.
        shutil.chown(os.path.join(folder, "queue", "smmapd"), "cyrus", "postfix")
        os.chmod(os.path.join(folder, "queue", "smmapd"), 0o750)
        write_text(os.path.join(folder, "aliases"), "sales: fred\n")
        write_text(os.path.join(folder, "virtual"), "info@example.org fred@example.org\n")
        yield site
    finally:
        shutil.rmtree(folder)


def changed(text: str, change: tuple[str, str], root: str) -> str:
    """`text` with one change, which must have been possible."""
    old, new = (each.replace("{root}", root) for each in change)
    text = text.replace("{root}", root)
    if not old:
        return text + new
    assert old in text
    return text.replace(old, new)


def check(site: Site, breakage: Breakage | None = None) -> Done:
    """Run check-config in the world, with one thing broken."""
    broken = breakage or Breakage("", "", "")
    root = site.root
    for name, text, change in (
        ("main.cf", MAIN, broken.main),
        ("master.cf", MASTER, broken.master),
        ("gateway.toml", TOML, broken.toml),
        ("sendmail.cf", SENDMAIL, broken.sendmail),
    ):
        write_text(os.path.join(root, name), changed(text, change, root))
    with open(site.store.conf_path, "a", encoding="ascii") as file:
        file.write(broken.imapd)
    for name, mode in broken.modes:
        path = os.path.join(root, name)
        if not os.path.exists(path):
            path = os.path.join(site.store.configdirectory, name)
        os.chmod(path, mode)
    words = ("--postfix", root, "--sendmail", os.path.join(root, "sendmail.cf"), "--json")
    return site.run("check-config", *words)


def found(done: Done) -> list[tuple[str, str, str]]:
    """Level, text and advice of what is not well, but for what a test's folder is like."""
    rows = [(str(each["level"]), str(each["what"]), str(each["mend"])) for each in done.objects]
    usual = re.compile("no process serves|the folder /tmp may be written by others")
    return [row for row in rows if row[0] != "ok" and not usual.search(row[1])]


def test_a_sound_world(world: Site) -> None:
    """Nothing to fix."""
    done = check(world)
    assert found(done) == []
    assert done.code == 0


@pytest.mark.parametrize("breakage", BREAKAGES, ids=[each.name for each in BREAKAGES])
def test_each_breakage_is_found(world: Site, breakage: Breakage) -> None:
    """With its level, and advice that names what to do; and no other error follows from it."""
    done = check(world, breakage)
    rows = found(done)
    hits = [row for row in rows if breakage.finding in row[1]]
    assert hits, rows
    level, _, advice = hits[0]
    assert level == breakage.level
    assert breakage.advice in advice
    assert (done.code != 0) == any(row[0] == "error" for row in rows)
    for _, _, each in rows:
        assert not re.search(r"chmod\s+(o\+|go-w|a\+|777|\+)", each), each


def test_with_postfix_in_scope_its_own_aliases_and_domains_count(world: Site) -> None:
    """No list of ours is missed, and what is judged is told."""
    mine = ('domains = ["example.org"]\naliases = ["{root}/aliases"]', 'postfix = "{root}"')
    delivery = "relay_transport = lmtp:unix:/cyrus\nlmtp_quote_rfc821_envelope = no\n"
    done = check(world, Breakage("", "", "", main=("", delivery), toml=mine))
    # Sendmail, which is in this world too, reads the file itself.
    assert [row for row in found(done) if "AliasFile" not in row[1]] == []
    said = [str(each["what"]) for each in done.objects]
    judged = "recipients of relay_domains (by lmtp:unix:/cyrus) are judged; those of mydestination"
    assert any(judged in each for each in said), said


def test_every_mistake_of_imapd_conf_comes_at_once(world: Site) -> None:
    """The file has to be corrected once only."""
    broken = Breakage(
        "", "", "", imapd="virtdomains: perhaps\nnonsense\nlmtp_downcase_rcpt: maybe\n"
    )
    texts = [row[1] for row in found(check(world, broken))]
    for part in ("virtdomains", "expected `option: value`", "lmtp_downcase_rcpt"):
        assert any(part in each for each in texts), texts


def test_one_wrong_user_is_one_finding(world: Site) -> None:
    """No noise follows from it."""
    broken = Breakage("", "", "", toml=('user = "cyrus"', 'user = "no-such-user"'))
    rows = [row for row in found(check(world, broken)) if row[0] == "error"]
    assert len(rows) == 1, rows
    assert "no-such-user" in rows[0][1]


EVERYBODY = '[socketmap]\nlisten = ["inet:0.0.0.0:12346{tls}"]\n{allow}'
CERTIFICATES = '[tls]\ncertificate = "/c"\nca = "/ca"\n'


@pytest.mark.parametrize(
    ("text", "level"),
    [
        (EVERYBODY.format(tls="", allow=""), Level.WARNING),
        (EVERYBODY.format(tls="", allow='allow = ["192.0.2.0/24"]\n'), Level.OK),
        (EVERYBODY.format(tls="?tls=yes", allow=CERTIFICATES), Level.OK),
        (
            EVERYBODY.format(tls="?tls=yes", allow=CERTIFICATES + "verify_clients = false\n"),
            Level.WARNING,
        ),
    ],
)
def test_a_socket_that_other_machines_reach(text: str, level: Level) -> None:
    """It answers them all, unless `allow` or a certificate decides who may ask."""
    findings = list(sockets_check.check(config.loads(text.encode(), "/etc/smmapd/gateway.toml")))
    (finding,) = (each for each in findings if "socketmap" in each.what)
    assert finding.level is level
    assert level is Level.OK or "set allow in [socketmap]" in finding.fix


# The words of OpenSSL, the resolver and our clients, as two machines have shown them.
NO_ANSWER = [
    ("cannot connect: self-signed certificate in certificate chain", "ca of [tls]"),
    ("cannot connect: Hostname mismatch, certificate is not valid for 'a.example'.", "name it"),
    ("cannot connect: IP address mismatch, certificate is not valid for '192.0.2.1'.", "name it"),
    (
        "the connection failed: [SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] tlsv13 alert certificate "
        "required (_ssl.c:2650)",
        "its log says",
    ),
    ("it closed the connection before a whole reply", "client_names there"),
    ("cannot connect: Temporary failure in name resolution", "correct the host"),
    ("cannot connect: Name or service not known", "correct the host"),
    ("cannot connect: Connection refused", "see that it runs at that port"),
    ("no reply within the deadline", "see that it runs at that port"),
]


@pytest.mark.parametrize(("problem", "fix"), NO_ANSWER)
def test_another_server_that_gives_no_answer(problem: str, fix: str) -> None:
    """Where to look is said of each reason."""
    assert fix in otherservers.advice(problem)


def test_a_hidden_socket_needs_no_right_to_write(tmp_path: os.PathLike[str]) -> None:
    """One finding: the folder that is named could be written, and still nobody would see it."""
    folder = str(tmp_path)
    lines = "[Service]\nPrivateTmp=yes\nProtectSystem=strict\n"
    write_text(os.path.join(folder, unit_check.UNIT), lines)
    toml = '[policy]\nlisten = ["unix:/tmp/smmapd/p"]\n[scope]\ndomains = ["example.org"]\n'
    loaded = config.loads(toml.encode(), "/etc/smmapd/gateway.toml")
    (finding,) = unit_check.check(loaded, [], [folder])
    assert "PrivateTmp" in finding.what


UNITS = [
    ("PrivateTmp=yes", "/tmp/smmapd/policy", "PrivateTmp"),
    ("ProtectHome=yes", "/run/user/8/policy", "ProtectHome"),
    ("ProtectSystem=strict\nReadWritePaths=-/run/smmapd", "/srv/policy", "ReadWritePaths=/srv"),
    ("InaccessiblePaths=-/var/spool/cyrus", "/run/smmapd/policy", "InaccessiblePaths"),
]


@pytest.mark.parametrize(("lines", "path", "named"), UNITS)
def test_a_unit_that_hides_what_is_needed(
    tmp_path: os.PathLike[str], lines: str, path: str, named: str
) -> None:
    """Sockets and databases that the service's sandbox keeps away."""
    folder = str(tmp_path)
    write_text(os.path.join(folder, unit_check.UNIT), f"[Service]\n{lines}\n")
    toml = f'[policy]\nlisten = ["unix:{path}"]\n[scope]\ndomains = ["example.org"]\n'
    loaded = config.load(write_text(os.path.join(folder, "gateway.toml"), toml))
    databases = ["/var/spool/cyrus/mailboxes.db"] if "Inaccessible" in lines else []
    rows = list(unit_check.check(loaded, databases, [folder]))
    assert [each.level for each in rows if named in each.what + each.fix][:1] == [Level.ERROR]


# Files below the folders of units, and what follows: the policy socket is in /srv/sockets.
DROP_INS = [
    ({}, [Level.ERROR]),
    # docs/confinement.md's.
    ({"etc/smmapd-gateway.service.d/override.conf": "ReadWritePaths=/srv/sockets\n"}, [Level.OK]),
    ({"lib/smmapd-gateway.service.d/a.conf": "ProtectSystem=full\n"}, [Level.OK]),
    # A later name counts, from whichever folder; of one name that of the first folder.
    (
        {
            "etc/smmapd-gateway.service.d/a.conf": "ReadWritePaths=/srv/sockets\n",
            "lib/smmapd-gateway.service.d/b.conf": "ReadWritePaths=\n",
        },
        [Level.ERROR],
    ),
    (
        {
            "etc/smmapd-gateway.service.d/a.conf": "ReadWritePaths=/srv/sockets\n",
            "lib/smmapd-gateway.service.d/a.conf": "InaccessiblePaths=/srv\n",
        },
        [Level.OK],
    ),
    # One that hides what the unit shows.
    (
        {
            "etc/smmapd-gateway.service.d/a.conf": "ReadWritePaths=/srv/sockets\n",
            "etc/smmapd-gateway.service.d/b.conf": "InaccessiblePaths=/var/lib/cyrus\n",
        },
        [Level.ERROR],
    ),
    ({"etc/smmapd-gateway.service.d/note.txt": "ReadWritePaths=/srv/sockets\n"}, [Level.ERROR]),
]


@pytest.mark.parametrize(("files", "levels"), DROP_INS)
def test_drop_ins_of_the_unit_count(
    tmp_path: Path, files: dict[str, str], levels: list[Level]
) -> None:
    """What `systemctl edit` makes, and what other folders have."""
    folders = [str(tmp_path / "etc"), str(tmp_path / "lib")]
    unit = "[Service]\nProtectSystem=strict\nReadWritePaths=-/run/smmapd\n"
    for name, text in {f"lib/{unit_check.UNIT}": unit, **files}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"[Service]\n{text}")
    toml = '[policy]\nlisten = ["unix:/srv/sockets/p"]\n[scope]\ndomains = ["example.org"]\n'
    loaded = config.loads(toml.encode(), "/etc/smmapd/gateway.toml")
    found = unit_check.check(loaded, ["/var/lib/cyrus/mailboxes.db"], folders)
    assert [each.level for each in found] == levels


def test_our_own_unit_hides_nothing(tmp_path: os.PathLike[str]) -> None:
    """For the sockets of the documents."""
    folder = str(tmp_path)
    shutil.copy("contrib/systemd/smmapd-gateway.service", folder)
    toml = '[policy]\nlisten = ["unix:/run/smmapd/policy"]\n[scope]\ndomains = ["example.org"]\n'
    write_text(os.path.join(folder, "gateway.toml"), toml)
    # Where pytest makes its folders is below /tmp, which the unit hides: say where it would be.
    loaded = config.loads(toml.encode(), "/etc/smmapd/gateway.toml")
    rows = list(unit_check.check(loaded, ["/var/lib/cyrus/mailboxes.db"], [folder]))
    assert [each.level for each in rows] == [Level.OK]
