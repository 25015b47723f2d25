"""The engine's steps as rows for people."""

from __future__ import annotations

import pytest

from gateway.cyrus.names import Naming
from gateway.cyrus.quota import QuotaRecord
from gateway.explain import steps
from gateway.verification.steps import STEPS, Step, name_step

NAMING = Naming(keeps_domains=True, default_domain=b"Example.org")


def test_a_name_that_only_older_lists_have_is_shown_by_its_key_there() -> None:
    """There is no key of the newer form for it."""
    name = NAMING.recipient(b"fred+R&D")
    keys = [dict(name_step(each).facts)["key"] for each in (name, name.in_older())]
    assert keys == [name.dbkey, name.oldkey]


def test_every_step_has_rows() -> None:
    """There is a function for each step that the engine knows."""
    assert set(STEPS) <= {*steps._ROWS, "name"}


@pytest.mark.parametrize(
    ("address", "decision"),
    [
        (b"fred", "none given"),
        (b"fred@EXAMPLE.org", "EXAMPLE.org: dropped, it is the default domain"),
        (b"fred@example.net", "example.net: kept"),
        (b"fred@\x1b[2J", r"\x1b[2J: kept"),
        (b"fred@", "empty: kept"),
    ],
)
def test_what_becomes_of_the_domain(address: bytes, decision: str) -> None:
    """virtdomains and defaultdomain decide."""
    assert steps.domain_decision(address, NAMING) == decision
    off = Naming(keeps_domains=False)
    assert steps.domain_decision(b"a@b", off) == "b: dropped, virtdomains is off"


def test_each_reading_says_what_becomes_of_the_domain() -> None:
    """The default domain in other letters is kept first, as the C program does, then dropped."""
    shown = []
    for name in NAMING.readings(b"fred@example.org"):
        rows = dict(steps.rows(name_step(name), b"fred@example.org", NAMING))
        shown.append((rows["domain"], rows["mailbox"]))
    assert shown == [
        ("example.org: kept", "example.org!user.fred"),
        ("example.org: dropped, it is the default domain", "user.fred"),
    ]


@pytest.mark.parametrize(
    ("step", "rows"),
    [
        (
            Step("mupdate", problem=None),
            [("mupdate", "told to update the list, which is read again")],
        ),
        (
            Step("mupdate", problem="no socket"),
            [("mupdate", "no socket; the list is read again")],
        ),
        (
            Step("backend", server="be1", answer=b"TEMP Over quota"),
            [("server", "be1"), ("answer", "TEMP Over quota")],
        ),
        (
            Step("backend", server="be1", problem="timed out"),
            [("server", "be1"), ("problem", "timed out")],
        ),
        (
            Step("stale", kind="denied", reason=b"closed"),
            [("answer", "denied: closed (the last one known: no server answers)")],
        ),
        (Step("fault", problem="/x: is\ndamaged"), [("problem", r"/x: is\ndamaged")]),
        (
            Step("size", size=1234567, fits=True),
            [("announced", "1,234,567 bytes"), ("result", "fits into the free quota")],
        ),
        (
            Step("acl", acl=b"", lookup=True, post=False),
            [
                ("who", "anyone and anonymous, as nobody has logged in"),
                ("lookup (l)", "granted"),
                ("post (p)", "not granted"),
            ],
        ),
        (
            Step("quota", file="/c/quotas.db", format="flat", mailbox=b"user.x", use=None,
                 refusal=None),
            [("file", "/c/quotas.db (flat)"), ("root", "none for user.x: no limit")],
        ),
        (
            Step("quota", file="/c/quotas.db", format="twoskip", mailbox=b"user.x",
                 use=QuotaRecord(b"user", 5, 0, 7, None), refusal="over-quota-permanent"),
            [
                ("file", "/c/quotas.db (twoskip)"),
                ("root", "user"),
                ("storage", "5 of 0 bytes"),
                ("messages", "7, no limit"),
                (
                    "result",
                    "over-quota-permanent: The mailbox is over quota and imapd.conf sets "
                    "lmtp_over_quota_perm_failure.",
                ),
            ],
        ),
        *(
            (
                Step("delivery", folder=b"user.x.Cal", found=True, post=True, unfit=unfit, **fits),
                [("folder", row)],
            )
            for unfit, fits, row in (
                ("reserved", {}, "user.x.Cal takes no mail (reserved); delivery puts it into INBOX"),
                ("not-for-mail", {"fits": False}, "user.x.Cal takes no mail (not-for-mail); delivery puts it into INBOX"),
                ("reserved", {"fits": True}, "user.x.Cal takes no mail now (reserved), and soon may"),
            )
        ),
    ],
    ids=lambda value: value.name if isinstance(value, Step) else "",
)  # fmt: skip
def test_rows_are_a_label_and_a_printable_text(step: Step, rows: list[tuple[str, str]]) -> None:
    """A label and a text each, printable."""
    assert steps.rows(step, b"x", NAMING) == rows
