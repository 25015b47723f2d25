"""What the authority "delivery" tells of its way to a verdict, for `explain`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from gateway.cyrus.quota import QuotaRecord
from gateway.verification.model import Query
from gateway.verification.steps import STEPS, Step
from tests.stores import dbkey
from tests.verification.test_delivery import CATCHES, DOMAINS, MAKES, NONE, STRICT, verifier


@pytest.mark.parametrize(
    ("options", "recipient", "names"),
    [
        (NONE, b"fred+nope", ["name", "userdeny", "mailbox", "quota", "userdeny", "delivery"]),
        (MAKES, b"newbie", ["name", "userdeny", "mailbox", "autocreate", "userdeny"]),
        (CATCHES, b"nobody", ["name", "userdeny", "mailbox", "autocreate", "catch-all", "name", "mailbox", "quota", "userdeny"]),
        (STRICT, b"brim+Own", ["name", "userdeny", "mailbox", "quota", "delivery", "userdeny", "delivery"]),
        (NONE, b"fr\xe9d", ["name"]),
        ({"calendarprefix": "open"}, b"+open", ["name", "mailbox", "acl", "quota", "kept"]),
    ],
)  # fmt: skip
def test_steps_are_told_in_the_order_of_delivery(
    tmp_path: Path, options: Mapping[str, str], recipient: bytes, names: list[str]
) -> None:
    """Each look is told, in the order of delivery."""
    trace: list[Step] = []
    verifier(tmp_path, options).verify(Query(recipient), trace)
    assert [step.name for step in trace] == names
    assert set(names) <= set(STEPS)


@pytest.mark.parametrize(
    ("options", "recipient", "facts"),
    [
        (NONE, b"fred", (None, None)),
        (NONE, b"over", (10_241, "over-quota")),
        (NONE, b"brim", (10_240, None)),
        (STRICT, b"brim", (10_240, "over-quota")),
        ({"lmtp_over_quota_perm_failure": "yes"}, b"over", (10_241, "over-quota-permanent")),
    ],
)
def test_what_is_told_of_the_quota(
    tmp_path: Path, options: Mapping[str, str], recipient: bytes, facts: tuple[object, ...]
) -> None:
    """What is used, and the kind of the refusal; as the verdict says."""
    trace: list[Step] = []
    verdict = verifier(tmp_path, options).verify(Query(recipient), trace)
    told = dict(next(step.facts for step in trace if step.name == "quota"))
    use = told["use"]
    assert use is None or isinstance(use, QuotaRecord)
    used = use.storage_used if use is not None else None
    assert (used, told["refusal"]) == facts
    assert verdict.evidence.quota == use
    untold = verifier(tmp_path, options).verify(Query(recipient)).evidence.quota
    assert untold == (use if told["refusal"] else None)


@pytest.mark.parametrize(
    ("recipient", "found", "post", "unfit", "fits"),
    [
        (b"brim+Own", True, True, None, True),
        (b"brim+Full", True, True, None, False),
        (b"brim+Closed", False, False, None, False),
        (b"brim+Cal", True, True, "not-for-mail", False),
        (b"brim+New", True, True, "reserved", True),
    ],
)
def test_what_is_told_of_a_folder_that_may_save_the_mail(
    tmp_path: Path, recipient: bytes, found: bool, post: bool, unfit: str | None, fits: bool
) -> None:
    """Whether it is there, may be posted to, takes mail, and has room."""
    trace: list[Step] = []
    verifier(tmp_path, STRICT).verify(Query(recipient), trace)
    told = dict(next(step.facts for step in trace if step.name == "delivery"))
    told.pop("folder")
    assert told == {"found": found, "post": post, "unfit": unfit, "fits": fits}


@pytest.mark.parametrize(
    ("recipient", "found", "post"),
    [
        (b"fred+Lists", True, False),
        (b"fred+Open", True, True),
        (b"fred+nope", False, False),
    ],
)
def test_what_is_told_of_the_folder_behind_the_plus(
    tmp_path: Path, recipient: bytes, found: bool, post: bool
) -> None:
    """Whether the mail goes there, or to INBOX."""
    trace: list[Step] = []
    verifier(tmp_path, NONE).verify(Query(recipient), trace)
    told = dict(trace[-1].facts)
    assert (trace[-1].name, told["found"], told["post"]) == ("delivery", found, post)


@pytest.mark.parametrize(
    ("recipient", "userid", "domain", "folders", "mailbox"),
    [
        (b"fred+Lists", b"fred", None, b"Lists", b"user.fred"),
        (b"vera@virt.example", b"vera@virt.example", b"virt.example", b"", b"virt.example!user.vera"),
        (b"+list/one@virt.example", None, b"virt.example", b"list/one", b"virt.example!list.one"),
        (b"+none", None, None, b"none", b"none"),
    ],
)  # fmt: skip
def test_what_is_told_of_the_name(
    tmp_path: Path, recipient: bytes, userid: bytes | None, domain: bytes | None,
    folders: bytes, mailbox: bytes,
) -> None:  # fmt: skip
    """Whose it is, and where mail for it goes; a verdict says of which mailbox it is."""
    trace: list[Step] = []
    verdict = verifier(tmp_path, DOMAINS).verify(Query(recipient), trace)
    told = dict(trace[0].facts)
    assert trace[0].name == "name"
    assert told.pop("key") == dbkey(mailbox)
    assert told == {"userid": userid, "domain": domain, "folders": folders, "mailbox": mailbox}
    assert verdict.evidence.mailbox == mailbox


def test_what_is_told_of_annotations(tmp_path: Path) -> None:
    """Their limit is in KiB in the record, and in bytes for people."""
    use = verifier(tmp_path, NONE).verify(Query(b"notes")).evidence.quota
    assert use is not None
    assert (use.annotations_used, use.annotations_limit) == (1025, 1024)
