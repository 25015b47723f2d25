"""The authority "delivery" and addresses that a mail server may have put into lower case.

Postfix asks a socketmap so.  Where capitals count, the address may be that of
another user or folder, or of one whom delivery makes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from gateway.verification.model import Kind, Query
from tests.verification.test_delivery import DOMAINS, NO, NONE, OK, OVER, Row, verifier

# Asked by somebody who may have folded the address.
KEPT = {"lmtp_downcase_rcpt": "no"}
FOLDED: dict[str, tuple[Mapping[str, str], tuple[Row, ...]]] = {
    "shared folders": (NONE, (
        (b"+news", OK), (b"+News", OK), (b"+NEWS", NO), (b"+open", OK), (b"+nex", NO),
        (b"+r&-d", OK), (b"nobody", NO),
    )),
    "in a domain": (DOMAINS, ((b"+list/one@virt.example", OK), (b"+news@virt.example", NO))),
    "users, where capitals stay": ({"lmtp_downcase_rcpt": "no"}, (
        (b"anna", OK), (b"anna+x", OK), (b"fred", OK), (b"bert", NO),
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
def test_folded_addresses(
    tmp_path: Path, options: Mapping[str, str], recipient: bytes, kind: Kind
) -> None:
    """An address without capitals may be that of a mailbox with some, if there is no other."""
    assert verifier(tmp_path, options).verify(Query(recipient, folded=True)).kind is kind
