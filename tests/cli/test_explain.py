"""`explain`: every step, the verdict, and what each front end replies."""

from __future__ import annotations

import os

import pytest

from tests.rigs.commandline import GATEWAY_TOML, Done, Site, golden_site


def rows(done: Done) -> dict[tuple[str, str], str]:
    """The three columns of the output: (step, label) to text."""
    found: dict[tuple[str, str], str] = {}
    blocks = [block.splitlines() for block in done.out.split("\n\n")]
    # The columns begin where they begin in the first line that names a step.
    first = blocks[0][0]
    second = len(first) - len(first[first.index(" ") :].lstrip())
    for block in blocks:
        step = block[0].split()[0]
        for line in block:
            label, _, text = line[second:].partition("  ")
            found[step, label.strip()] = text.strip()
    return found


def test_a_recipient_under_quota(site: Site) -> None:
    """Each step with its file, its record and its numbers, in the engine's order."""
    done = site.run("explain", "Fred+Work@Example.ORG")
    assert (done.code, done.err) == (0, "")
    found = rows(done)
    conf = site.store.configdirectory
    assert found["name", "user"] == "fred (in lower case: lmtp_downcase_rcpt)"
    assert found["name", "domain"] == "Example.ORG: dropped, virtdomains is off"
    assert found["name", "plus part"] == "Work"
    assert found["name", "mailbox"] == "user.fred.Work"
    assert found["name", "record key"] == r"Nuser\x1ffred\x1fWork"
    assert found["userdeny", "file"] == f"{conf}/user_deny.db (flat)"
    assert found["userdeny", "result"] == "not denied for service smmap"
    assert found["mailbox", "file"] == f"{conf}/mailboxes.db (flat)"
    assert found["mailbox", "type"] == "e-mail"
    assert found["mailbox", "ACL"] == "fred lrswipkxte"
    assert found["quota", "root"] == "user.fred"
    assert found["quota", "storage"] == "524,288 of 1,048,576 bytes (50.0 %)"
    assert found["quota", "messages"] == "5 of 100 (5.0 %)"
    assert found["verdict", "kind"] == "deliverable"
    assert found["socketmap", "reply"] == "OK Fred+Work@Example.ORG"
    assert found["policy", "reply"] == "action=DUNNO"
    assert found["milter", "reply"] == "continue"
    assert [step for step, label in found if label in ("address", "file", "kind")] == [
        "name",
        "userdeny",
        "mailbox",
        "quota",
        "verdict",
    ]


@pytest.mark.parametrize(
    ("local", "verdict", "replies"),
    [
        ("nobody", "nonexistent", ("NOTFOUND Mailbox does not exist", "action=550 5.1.1 User unknown", "550 5.1.1 User unknown")),
        ("over", "over-quota", ("TEMP Over quota", "action=DEFER_IF_PERMIT 4.2.2 Over quota", "452 4.2.2 Over quota")),
        ("full", "over-quota", ("TEMP Over quota", "action=DEFER_IF_PERMIT 4.2.2 Over quota", "452 4.2.2 Over quota")),
        ("den", "denied", ("NOTFOUND closed for good", "action=550 5.2.1 closed for good", "550 5.2.1 closed for good")),
        ("new", "reserved", ("TEMP Mailbox is currently reserved", "action=DEFER_IF_PERMIT 4.2.1 Mailbox is currently reserved", "451 4.2.1 Mailbox is currently reserved")),
        ("old", "nonexistent", ("NOTFOUND Mailbox does not exist", "action=550 5.1.1 User unknown", "550 5.1.1 User unknown")),
        ("broken", "store-fault", ("TEMP Mailbox has an invalid format", "action=DEFER_IF_PERMIT 4.3.0 System I/O error", "451 4.3.0 System I/O error")),
        ("+news", "not-postable", ("PERM Permission denied", "action=550 5.7.1 Permission denied", "550 5.7.1 Permission denied")),
    ],
)  # fmt: skip
def test_verdicts_and_replies(
    site: Site, local: str, verdict: str, replies: tuple[str, str, str]
) -> None:
    """The verdict, and the exact reply of each front end."""
    done = site.run("explain", f"{local}@example.org")
    assert done.code == 0
    found = rows(done)
    assert found["verdict", "kind"] == verdict
    names = ("socketmap", "policy", "milter")
    assert tuple(found[name, "reply"] for name in names) == replies


def test_what_a_refusal_rests_on(site: Site) -> None:
    """The deny pattern, the type in words, the rights, and the damaged record."""
    assert rows(site.run("explain", "den"))["userdeny", "pattern"] == "* matches service smmap"
    old = rows(site.run("explain", "old"))
    assert old["mailbox", "type"] == "e-mail, deleted"
    assert old["mailbox", "result"] == "found, but a mailbox of this type takes no mail"
    news = rows(site.run("explain", "+news"))
    assert (news["acl", "lookup (l)"], news["acl", "post (p)"]) == ("granted", "not granted")
    assert "user\\x1fbroken" in rows(site.run("explain", "broken"))["fault", "problem"]


@pytest.mark.parametrize(
    ("toml", "words", "scope"),
    [
        ("", ["fred@elsewhere.net"], "not ours: its domain is not one of [scope], nor of its postfix"),
        ("", ["postmaster@example.org"], "not judged: it matches [scope] exempt_recipients"),
        ('aliases = ["{root}/aliases"]', ["sales@example.org"], "not judged: an alias file of [scope] aliases has it"),
        ('exempt_clients = ["192.0.2.0/24"]', ["nobody@example.org", "--client", "192.0.2.7"], "not judged: the client is in [scope] exempt_clients"),
        ('exempt_clients = ["192.0.2.0/24"]', ["nobody@example.org", "--client", "192.0.3.7"], "ours: judged"),
    ],
)  # fmt: skip
def test_policy_and_milter_say_whether_they_judge_a_recipient(
    site: Site, toml: str, words: list[str], scope: str
) -> None:
    """Policy and milter say whether they judge the recipient, and why not; socketmap only by the domain."""
    with open(os.path.join(site.root, "aliases"), "w", encoding="ascii") as file:
        file.write("sales: fred\n")
    site.configure(GATEWAY_TOML + toml)
    found = rows(site.run("explain", *words))
    assert found["policy", "scope"] == found["milter", "scope"] == scope
    if scope != "ours: judged":
        assert found["policy", "reply"] == "action=DUNNO"
        assert found["milter", "reply"] == "continue"
    foreign = "elsewhere" in words[0]
    assert found["socketmap", "scope"].startswith("not looked up" if foreign else "judged")
    if foreign:
        assert found["socketmap", "reply"].startswith("NOTFOUND")


def test_mailers_decide_for_the_milter(site: Site) -> None:
    """What {rcpt_mailer} would say can be given."""
    site.configure(GATEWAY_TOML + 'mailers = ["lmtp"]\n')
    assert rows(site.run("explain", "x@elsewhere.net", "--mailer", "lmtp"))["milter", "scope"] == (
        "ours: judged"
    )
    assert (
        "mailer"
        in (rows(site.run("explain", "x@example.org", "--mailer", "smtp"))["milter", "scope"])
    )


def test_observe_withholds_refusals(site: Site) -> None:
    """What would be said is shown beside what is said, with the reason."""
    site.configure('mode = "observe"\n' + GATEWAY_TOML)
    found = rows(site.run("explain", "nobody@example.org"))
    assert found["socketmap", "reply"] == "OK nobody@example.org"
    assert found["socketmap", "withheld"] == (
        "NOTFOUND Mailbox does not exist (the mode is observe)"
    )
    assert found["policy", "reply"] == "action=DUNNO"
    assert found["policy", "withheld"] == "action=550 5.1.1 User unknown (the mode is observe)"
    assert found["milter", "withheld"] == "550 5.1.1 User unknown (the mode is observe)"


def test_a_fault_of_ours_and_a_null_sender(site: Site) -> None:
    """A bounce is not deferred for a fault of ours; --sender <> plays one."""
    found = rows(site.run("explain", "broken@example.org", "--sender", "<>"))
    assert found["policy", "reply"] == "action=DUNNO"
    assert "the sender is null" in found["policy", "withheld"]


def test_the_size_is_compared_where_size_check_says_so(site: Site) -> None:
    """The size is compared where size_check says so, and shown to play no part where not."""
    words = ["fred@example.org", "--size", str(1024 * 1024)]
    off = rows(site.run("explain", *words))
    assert off["size", "announced"] == "1,048,576 bytes"
    assert off["size", "result"] == "does not fit into the free quota"
    assert "size_check is off" in off["size", "note"]
    assert off["policy", "reply"] == "action=DUNNO"
    site.configure('size_check = "temporary"\n' + GATEWAY_TOML)
    on = rows(site.run("explain", *words))
    assert on["policy", "reply"] == "action=DEFER_IF_PERMIT 4.2.2 Message exceeds the free quota"
    assert on["socketmap", "reply"] == "OK fred@example.org"
    assert rows(site.run("explain", words[0], "--size", "1"))["size", "result"].startswith("fits")


def test_a_site_without_scope(site: Site) -> None:
    """With socketmap alone nothing says what is ours; the others show what they would say."""
    site.configure(GATEWAY_TOML.split("[policy]", maxsplit=1)[0])
    found = rows(site.run("explain", "nobody@example.org"))
    assert found["policy", "listens"] == "off: it listens nowhere"
    assert found["policy", "scope"] == "nothing in [scope] says which recipients are ours"
    assert found["policy", "would say"] == "action=550 5.1.1 User unknown"


@pytest.mark.parametrize(
    "recipient", ["a@@", "", "@example.org", "a\tb@example.org", b"\xff\xfe@x", "x" * 3000]
)
def test_odd_addresses_are_explained_in_printable_text(site: Site, recipient: str | bytes) -> None:
    """Whatever is asked gets an explanation in printable text."""
    done = site.run("explain", "--", recipient)
    assert (done.code, done.err) == (0, "")
    assert done.out.replace("\n", "").isprintable()


@pytest.mark.parametrize(
    "words",
    [["fred", "--size", "ten"], ["fred", "--size", "-1"], ["fred", "--client", "host.example"], ["fred", "--size", "9" * 30]],
)  # fmt: skip
def test_arguments_that_make_no_sense(site: Site, words: list[str]) -> None:
    """They are named, with what to write; the code is EX_USAGE."""
    done = site.run("explain", *words)
    assert done.code == os.EX_USAGE
    assert words[1] in done.err
    assert "Traceback" not in done.err


def test_json_is_one_object_with_steps_verdict_and_front_ends(site: Site) -> None:
    """One object with the steps' facts, the verdict and the front ends."""
    (found,) = site.run("explain", "--json", "<over@example.org>").objects
    steps = found["steps"]
    assert isinstance(steps, list)
    assert [step["step"] for step in steps] == ["name", "userdeny", "mailbox", "quota"]
    assert steps[-1]["use"]["storage_limit"] == 2048 * 1024
    verdict, front_ends = found["verdict"], found["front_ends"]
    assert isinstance(verdict, dict)
    assert isinstance(front_ends, list)
    assert (verdict["kind"], verdict["temporary"]) == ("over-quota", True)
    assert verdict["accepts"] is False
    assert [each["name"] for each in front_ends] == ["socketmap", "policy", "milter"]
    assert front_ends[2]["reply"] == "452 4.2.2 Over quota"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("head-twoskip/vd-userid", "example.com: dropped, it is the default domain"),
        ("head-twoskip/default", "example.com: dropped, virtdomains is off"),
        ("head-sql/vd-userid", "example.com: dropped, it is the default domain"),
    ],
)
def test_any_format_is_told(tmp_path: os.PathLike[str], name: str, shown: str) -> None:
    """Databases that Cyrus wrote, in several formats."""
    found = rows(golden_site(str(tmp_path), name).run("explain", "over@example.com"))
    assert found["name", "domain"] == shown
    assert found["verdict", "kind"] == "over-quota"
    assert "quotalegacy" in found["quota", "file"]


def test_the_plus_part_that_is_ignored(site: Site) -> None:
    """skip_plus is told where it matters."""
    site.configure(GATEWAY_TOML.replace("[cyrus]", "[cyrus]\nskip_plus = true"))
    found = rows(site.run("explain", "fred+None@example.org"))
    assert found["name", "plus part"] == "None: ignored ([cyrus] skip_plus)"
    assert found["verdict", "kind"] == "deliverable"


def test_a_database_that_is_not_there(site: Site) -> None:
    """Cyrus makes user_deny.db when it is first needed; no format is told of what is not there."""
    path = f"{site.store.configdirectory}/user_deny.db"
    os.unlink(path)
    found = rows(site.run("explain", "fred"))
    assert found["userdeny", "file"] == f"{path} does not exist: nobody is denied"
    assert found["userdeny", "result"] == "not denied for service smmap"
