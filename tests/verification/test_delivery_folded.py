"""The authority "delivery" and addresses that a mail server may have put into lower case.

Postfix asks a socketmap so.  Where capitals count, the address may be that of
another user or folder, or of one that delivery makes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from gateway.verification.kinds import Kind
from gateway.verification.model import Query
from tests.verification.test_delivery import DOMAINS, NO, NONE, OK, OVER, Row, verifier

# Asked by somebody who may have folded the address.
KEPT = {"lmtp_downcase_rcpt": "no"}
FOR_GOOD = {"lmtp_over_quota_perm_failure": "yes"}
FUZZY = {"lmtp_fuzzy_mailbox_match": "yes"}
FOLDED: dict[str, tuple[Mapping[str, str], tuple[Row, ...]]] = {
    "shared folders": (NONE, (
        (b"+news", OK), (b"+News", OK), (b"+NEWS", NO), (b"+open", OK), (b"+nex", NO),
        (b"+r&-d", OK), (b"nobody", NO),
    )),
    "users, where capitals do not count": (NONE, ((b"anna", NO), (b"fred", OK))),
    "similar names are alike in lists of Cyrus 2.5 only": ({"lmtp_fuzzy_mailbox_match": "yes"}, (
        (b"+r_&-d", NO), (b"+news/none", NO), (b"+news", OK),
    )),
    "in a domain": (DOMAINS, ((b"+list/one@virt.example", OK), (b"+news@virt.example", NO))),
    "users, where capitals stay": ({"lmtp_downcase_rcpt": "no"}, (
        (b"anna", OK), (b"anna+x", OK), (b"fred", OK), (b"bert", NO), (b"a_b", NO),
    )),
    "a default domain with capitals": ({**DOMAINS, "defaultdomain": "Example.ORG"}, (
        (b"fred@example.org", OK), (b"bert@example.org", NO),
    )),
    "a quota for good, and another spelling": ({**KEPT, "lmtp_over_quota_perm_failure": "yes"}, (
        (b"pair", OVER), (b"over", Kind.OVER_QUOTA_PERMANENT),
    )),
    "a quota for good, and users who are made": (
        {
            **KEPT, "lmtp_over_quota_perm_failure": "yes",
            "autocreate_post": "yes", "autocreate_quota": "0",
        },
        ((b"over", OVER),),
    ),
    "a catch-all that is not there, and a user who is made in any letters": (
        {
            **KEPT, "lmtp_catchall_mailbox": "none",
            "autocreate_post": "yes", "autocreate_quota": "0", "autocreate_users": "over nf",
        },
        ((b"over", Kind.CREATED), (b"sub", OK), (b"counted", OK)),
    ),
    "a quota for good, and a catch-all": (
        {
            "lmtp_downcase_rcpt": "no", "lmtp_over_quota_perm_failure": "yes",
            "lmtp_catchall_mailbox": "catch", "lmtp_strict_quota": "yes",
        },
        ((b"brim", OVER),),
    ),
    "a quota for good, and a catch-all that is full, and denied to us": (
        {
            **KEPT, "lmtp_over_quota_perm_failure": "yes",
            "lmtp_catchall_mailbox": "fullcatch", "lmtp_strict_quota": "yes",
        },
        ((b"brim", Kind.OVER_QUOTA_PERMANENT),),
    ),
    "postuser with capitals": ({"lmtp_downcase_rcpt": "no", "postuser": "BB"}, (
        (b"bb+open", OK), (b"bb+news", OK), (b"bb+none", NO),
    )),
    "postuser with capitals, where only others are made": (
        {**KEPT, "postuser": "BB", "autocreate_users": "NewBie"},
        ((b"bb+open", OK), (b"other+open", NO)),
    ),
    "a user in capitals called as postuser is": (
        {**KEPT, "postuser": "cc", "autocreate_users": "NewBie"},
        ((b"cc+none", OK), (b"cc+open", OK)),
    ),
}  # fmt: skip
FOLDED_ROWS = [
    pytest.param(options, recipient, kind, id=f"{rule}: {recipient!r}")
    for rule, (options, rows) in FOLDED.items()
    for recipient, kind in rows
]


@pytest.mark.parametrize(("options", "recipient", "kind"), FOLDED_ROWS)
def test_an_address_without_capitals_may_be_that_of_a_mailbox_with_some(
    tmp_path: Path, options: Mapping[str, str], recipient: bytes, kind: Kind
) -> None:
    """An address without capitals may be that of a mailbox with some, if there is no other."""
    assert verifier(tmp_path, options).verify(Query(recipient, folded=True)).kind is kind


@pytest.mark.parametrize(
    ("options", "recipient", "folded", "older", "cacheable"),
    [
        (NONE, b"+news", True, False, True),
        (NONE, b"+nex", True, False, True),
        (NONE, b"over", True, False, True),
        # another spelling may be made, which no key of this one tells
        ({**KEPT, **FOR_GOOD}, b"over", True, False, False),
        ({**KEPT, **FOR_GOOD}, b"over", False, False, True),
        ({**KEPT, **FOR_GOOD}, b"over", False, True, True),
        # there is another spelling, on which it rests, too
        ({**KEPT, **FOR_GOOD}, b"pair", True, False, False),
        # any key may be similar
        (FUZZY, b"+news", False, True, False),
        (FUZZY, b"+other", False, True, False),
        (FUZZY, b"nobody", False, True, True),
        (FUZZY, b"+open", False, True, True),
    ],
)
def test_what_is_remembered(
    tmp_path: Path, options: Mapping[str, str], recipient: bytes,
    folded: bool, older: bool, cacheable: bool,
) -> None:  # fmt: skip
    """Only what rests on records that are known by their keys."""
    verdict = verifier(tmp_path, options, older=older).verify(Query(recipient, folded=folded))
    assert verdict.cacheable is cacheable


@pytest.mark.parametrize(
    ("options", "recipient", "folds"),
    [
        (DOMAINS, b"fred", False),
        (DOMAINS, b"fred@virt.example", False),
        (DOMAINS, b"+open", True),
        (DOMAINS, b"+Open", False),
        (DOMAINS, b"fr\xe9d", False),
        (DOMAINS | KEPT, b"fred", True),
        (DOMAINS | KEPT, b"Fred", False),
        (DOMAINS | {"defaultdomain": "Example.ORG"}, b"fred", True),
    ],
)
def test_which_addresses_may_have_been_another_one(
    tmp_path: Path, options: Mapping[str, str], recipient: bytes, folds: bool
) -> None:
    """Those without capitals, where capitals make a difference."""
    assert verifier(tmp_path, options).authority.folds(recipient) is folds
    assert not verifier(tmp_path, options).answering("smmapd").authority.folds(recipient)
