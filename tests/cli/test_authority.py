"""Whose answer it is: what check-config finds about it, and how explain shows delivery's."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.cli.checks import authority
from gateway.cli.checks.finding import Level
from gateway.config import Settings, load
from gateway.explain.explainer import Explainer
from gateway.explain.explanation import Explanation
from gateway.frontends.inquiry import Inquiry
from gateway.verification.kinds import NOT_CAUGHT
from gateway.wiring.assembly import cyrus_conf, delivery_service, make_store
from gateway.wiring.engines import make_engines
from tests.stores import FlatStore, denial, quota, record

OPEN = b"anyone\tlrp"
MAILBOXES = {
    b"user.fred": record(),
    b"user.fred.Lists": record(),
    b"user.fred.Open": record(OPEN),
    b"user.brim": record(),
    b"user.brim.Own": record(OPEN),
    b"user.catch": record(),
    b"user.agenda": record(mbtype=b"c"),
    b"user.den": record(),
    b"user.notes": record(),
    b"News": record(OPEN),
}
QUOTAS = {
    b"user.brim": quota((10_240, 10)),
    b"user.brim.Own": quota((10_240, 10)),
    b"user.notes": b"%(S (0) M (0) AS (2048 1) NF (3 2))",
}
TOML = """
user = ""
{top}
[cyrus]
imapd_conf = "{root}/imapd.conf"
{cyrus}
[socketmap]
listen = ["unix:{root}/socketmap"]
{socketmap}
[policy]
listen = ["unix:{root}/policy"]
[scope]
domains = ["example.org"]
"""


class Site:
    """A store, cyrus.conf beside it, and gateway.toml."""

    def __init__(self, root: Path, options: dict[str, str], master: str = "", **toml: str) -> None:
        denials = {b"den": denial(b"", b"lmtpunix")}
        FlatStore(str(root), MAILBOXES, QUOTAS, denials, options).write()
        if master:
            (root / "cyrus.conf").write_text(f"SERVICES {{\n{master}\n}}\n")
        parts = {"top": "", "cyrus": "", "socketmap": "", **toml}
        path = root / "gateway.toml"
        text = TOML
        for name, part in {**parts, "root": str(root)}.items():
            text = text.replace(f"{{{name}}}", part)
        path.write_text(text)
        self.settings: Settings = load(str(path))

    def findings(self, level: Level) -> list[str]:
        """What check-config says of that level."""
        found = authority.check(self.settings, make_store(self.settings), cyrus_conf(self.settings))
        return [each.what for each in found if each.level is level]

    def explain(self, recipient: bytes, size: int | None = None) -> Explanation:
        """What explain says."""
        explainer = Explainer(self.settings, make_engines(self.settings).engine())
        return explainer.explain(Inquiry(recipient=recipient, size=size))


def sections(explanation: Explanation) -> dict[tuple[str, str], str]:
    """The rows by section and label; of several alike the last one."""
    return {(title, label): text for title, rows in explanation.sections for label, text in rows}


GROUPS = {"autocreate_post": "yes", "autocreate_quota": "0", "autocreate_users": "group:staff"}


@pytest.mark.parametrize(
    ("options", "toml", "level", "said"),
    [
        ({}, {}, Level.OK, "socketmap, policy: as delivery by lmtpunix does"),
        ({}, {"top": 'answers = "smmapd"'}, Level.OK, "socketmap, policy: as smmapd says"),
        ({}, {"socketmap": 'answers = "smmapd"'}, Level.OK, "socketmap: as smmapd says"),
        ({}, {"socketmap": 'answers = "smmapd"'}, Level.OK, "policy: as delivery by lmtpunix does"),
        ({}, {"cyrus": 'delivery_service = "lmtp"'}, Level.OK, "as delivery by lmtp does"),
        ({}, {"cyrus": "skip_plus = true"}, Level.WARNING, "skip_plus counts only for smmapd"),
        ({"lmtp_catchall_mailbox": "catch"}, {}, Level.OK, "lmtp_catchall_mailbox is set"),
        ({"lmtp_catchall_mailbox": "catch"}, {}, Level.OK, f"mailbox, but for what is {', '.join(each.name for each in NOT_CAUGHT)}, smmapd"),
        ({"lmtp_catchall_mailbox": "catch"}, {"top": 'answers = "smmapd"'}, Level.WARNING, "lmtp_catchall_mailbox is set"),
        ({"lmtp_catchall_mailbox": "none"}, {}, Level.WARNING, "the INBOX of 'none' is missing"),
        ({"lmtp_catchall_mailbox": "agenda"}, {}, Level.WARNING, "the INBOX of 'agenda' takes no mail (not-for-mail)"),
        ({"autocreate_post": "yes", "autocreate_quota": "0"}, {}, Level.OK, "autocreate_post is set"),
        ({"createonpost": "yes", "autocreatequota": "0"}, {"top": 'answers = "smmapd"'}, Level.WARNING, "autocreate_post is set"),
        (GROUPS, {}, Level.WARNING, "the members of group:staff are not known here"),
        ({"lmtp_strict_quota": "yes"}, {}, Level.OK, "lmtp_strict_quota is set"),
        ({"lmtp_fuzzy_mailbox_match": "yes"}, {}, Level.OK, "lmtp_fuzzy_mailbox_match is set"),
        ({"quota_use_conversations": "yes"}, {}, Level.WARNING, "quota_use_conversations"),
        ({"lmtpunix_postuser": "bb"}, {}, Level.OK, "postuser is 'bb' for delivery"),
    ],
)  # fmt: skip
def test_what_check_config_says(
    tmp_path: Path, options: dict[str, str], toml: dict[str, str], level: Level, said: str
) -> None:
    """Whose answer, and what would be answered differently here."""
    found = Site(tmp_path, options, **toml).findings(level)
    assert [each for each in found if said in each], found


@pytest.mark.parametrize(
    ("master", "service"),
    [
        ("", "lmtpunix"),
        ('lmtp cmd="lmtpd -a" listen="localhost:lmtp"', "lmtp"),
        ('lmtp cmd="lmtpd" listen="lmtp"\nlu cmd="lmtpd" listen="/s"', "lu"),
        ('imap cmd="imapd" listen="imap"', "lmtpunix"),
    ],
)
def test_the_delivery_service_is_found_in_cyrus_conf(
    tmp_path: Path, master: str, service: str
) -> None:
    """Options and patterns of userdeny come under its name."""
    site = Site(tmp_path, {f"{service}_lmtp_catchall_mailbox": "catch"}, master)
    assert delivery_service(site.settings) == service
    assert site.explain(b"nobody@example.org").verdict.kind.name == "catch-all"


def test_two_services_that_deliver_with_other_options(tmp_path: Path) -> None:
    """One of them counts, and which one is said."""
    master = 'lmtp cmd="lmtpd" listen="lmtp"\nlu cmd="lmtpd" listen="/s"'
    (said,) = Site(tmp_path, {"lmtp_postuser": "bb"}, master).findings(Level.WARNING)
    assert "lu and lmtp both deliver" in said


@pytest.mark.parametrize(
    ("options", "recipient", "row", "text", "kind"),
    [
        ({}, b"fred+nope@example.org", ("delivery", "folder"), "no folder user.fred.nope; delivery puts it into INBOX", "deliverable"),
        ({}, b"fred+Lists@example.org", ("delivery", "folder"), "not everybody may post to user.fred.Lists; delivery puts it into INBOX", "deliverable"),
        ({}, b"fred+Open@example.org", ("delivery", "folder"), "delivery puts it into user.fred.Open, or into INBOX if it does not fit there", "deliverable"),
        ({"lmtp_strict_quota": "yes"}, b"brim+Own@example.org", ("delivery", "folder"), "it does not fit into user.brim.Own either", "over-quota"),
        ({}, b"nobody@example.org", ("autocreate", "INBOX"), "not made: autocreate_post is off", "nonexistent"),
        ({"autocreate_post": "yes", "autocreate_quota": "0"}, b"new@example.org", ("autocreate", "INBOX"), "made on delivery: autocreate_post", "created-on-delivery"),
        ({"autocreate_post": "yes", "autocreate_quota": "0"}, b"n&w@example.org", ("autocreate", "INBOX"), "cannot be made: Cyrus creates no mailbox of such a name", "not-creatable"),
        (GROUPS, b"new@example.org", ("autocreate", "INBOX"), "counts as made on delivery: not known here: whether one of the groups of autocreate_users", "created-on-delivery"),
        ({"lmtp_catchall_mailbox": "catch"}, b"nobody@example.org", ("catch-all", "mailbox"), "catch (lmtp_catchall_mailbox) is asked instead", "catch-all"),
        ({}, b"den@example.org", ("userdeny", "result"), "denied", "disabled"),
        ({}, b"notes@example.org", ("quota", "annotations"), "2,048 of 1,024 bytes (200.0 %)", "over-quota"),
        ({}, b"notes@example.org", ("quota", "folders"), "3 of 2 (150.0 %)", "over-quota"),
        ({}, b"fr\xe9d@example.org", ("name", "result"), "lmtpd takes no such address: Bad recipient address syntax", "bad-address"),
        ({}, b"+News@example.org", ("name", "user"), "none: a shared folder", "deliverable"),
        ({"calendarprefix": "News"}, b"+News@example.org", ("kept", "folder"), "lmtpd puts no mail into News, by its name (calendarprefix in imapd.conf)", "not-for-mail"),
        ({"virtdomains": "on"}, b"x@example.org", ("name", "domain"), "example.org", "nonexistent"),
        ({}, b"x@example.org", ("answers", "authority"), "delivery: what Cyrus' lmtpd does with a mail", "nonexistent"),
    ],
)  # fmt: skip
def test_how_delivery_is_explained(
    tmp_path: Path,
    options: dict[str, str],
    recipient: bytes,
    row: tuple[str, str],
    text: str,
    kind: str,
) -> None:
    """Each step in words, and the verdict."""
    explanation = Site(tmp_path, options).explain(recipient)
    assert sections(explanation)[row] == text
    assert explanation.verdict.kind.name == kind
    assert explanation.as_json()["answers"] == "delivery"


def test_a_front_end_with_an_authority_of_its_own(tmp_path: Path) -> None:
    """Its own answer is shown, and whose it is."""
    site = Site(tmp_path, {"lmtp_catchall_mailbox": "catch"}, socketmap='answers = "smmapd"')
    explanation = site.explain(b"nobody@example.org")
    found = {each.name: (each.answers, each.reply) for each in explanation.front_ends}
    assert found["socketmap"] == ("smmapd", "NOTFOUND Mailbox does not exist")
    assert found["policy"] == ("delivery", "action=DUNNO")


def test_a_socketmap_finds_a_folder_whose_capitals_are_gone(tmp_path: Path) -> None:
    """As Postfix asks; at the policy front end capitals arrive as they were."""
    explanation = Site(tmp_path, {}).explain(b"+news@example.org")
    found = {each.name: each.reply for each in explanation.front_ends}
    assert found["socketmap"] == "OK +news@example.org"
    assert found["policy"] == "action=550 5.1.1 User unknown"


@pytest.mark.parametrize("key", [b"virt.example", b"a.b", b"*"])
@pytest.mark.parametrize("option", ["lmtp_catchall_mailbox", "autocreate_post"])
def test_a_socketmap_finds_no_bare_domain(tmp_path: Path, key: bytes, option: str) -> None:
    """Whatever would be made or caught: else that domain would be ours for the whole world."""
    options = {"lmtp_catchall_mailbox": "catch"}
    if option == "autocreate_post":
        options = {"autocreate_post": "yes", "autocreate_quota": "0"}
    explanation = Site(tmp_path, options).explain(key)
    found = {each.name: each.reply for each in explanation.front_ends}
    assert found["socketmap"] == "NOTFOUND Mailbox does not exist"
