"""autocreate_post: whose mailbox lmtpd makes, and what its quota is then."""

from __future__ import annotations

import pytest

from gateway.cyrus.autocreate import FAILS, MADE, NO, UNSURE, Autocreate
from gateway.cyrus.imapdconf import ImapdConf
from gateway.cyrus.quota import STORAGE_UNIT as KIB
from gateway.cyrus.quota import QuotaRecord


def rules(**options: object) -> Autocreate:
    """The rules of an imapd.conf that makes mailboxes, with more options."""
    given = {"autocreate_post": True, "autocreate_quota": 0, **options}
    return Autocreate(ImapdConf(configdirectory="/conf", **given))


def outcome(creation: Autocreate, userid: bytes) -> str:
    """What becomes of a user."""
    return creation.outcome(userid, userid.partition(b"@")[0])[0]


@pytest.mark.parametrize(
    ("options", "userid", "expected"),
    [
        ({}, b"newbie", MADE),
        ({"autocreate_post": False}, b"newbie", NO),
        ({"autocreate_quota": -1}, b"newbie", NO),
        ({}, b"anonymous", NO),
        ({}, b"anonymous@virt.example", FAILS),
        ({"admins": "root admin"}, b"admin", NO),
        ({"admins": "root admin"}, b"ADMIN", NO),
        ({"admins": "root admin", "username_tolower": False}, b"ADMIN", MADE),
        ({"proxyservers": "proxy"}, b"proxy", NO),
        ({"admins": "anyone"}, b"newbie", NO),
        ({"admins": "group:wheel"}, b"newbie", UNSURE),
        ({"admins": "group:wheel newbie"}, b"newbie", NO),
        ({"autocreate_users": "newbie"}, b"newbie", MADE),
        ({"autocreate_users": "newbie"}, b"other", NO),
        ({"autocreate_users": "group:staff"}, b"newbie", UNSURE),
        ({"autocreate_users": "group:staff anyone"}, b"newbie", MADE),
        (
            {"autocreate_users": "anonymous"},
            b"new&-bie",
            MADE,
        ),  # no identifier: nobody in particular
        ({"autocreate_users": "new&-bie"}, b"new&-bie", NO),
        ({}, b"a.b", MADE),
        ({}, b"new&-bie", MADE),
        ({}, b"b&APw-cher", MADE),
        ({}, b"new&bie", FAILS),
        ({}, b"new!bie", FAILS),
        ({}, b"new!bie@virt.example", MADE),
        ({}, b"new/bie", FAILS),
        ({}, b"", FAILS),
        ({}, b"x" * 300, FAILS),
        # Files of the user have names of 255 bytes, and 256.
        ({}, b"x" * 246, MADE),
        ({}, b"x" * 247, FAILS),
        ({}, b"x" * 234 + b"@virt.example", MADE),
        ({}, b"x" * 235 + b"@virt.example", FAILS),
    ],
)
def test_who_gets_a_mailbox(options: dict[str, object], userid: bytes, expected: str) -> None:
    """autocreate_user and mboxname_policycheck."""
    assert outcome(rules(**options), userid) == expected


@pytest.mark.parametrize(
    ("options", "unsure"),
    [
        ({}, ()),
        ({"autocreate_post": False, "admins": "group:wheel"}, ()),
        ({"admins": "group:wheel a", "autocreate_users": "b group:wheel"}, ("group:wheel",)),
        ({"auth_mech": "pts"}, ()),
        ({"auth_mech": "pts", "autocreate_users": "a"}, ("auth_mech: pts",)),
    ],
)
def test_what_is_not_known_here(options: dict[str, object], unsure: tuple[str, ...]) -> None:
    """Groups, and who is who to ptloader: told by check-config."""
    assert rules(**options).unsure == unsure


@pytest.mark.parametrize(
    ("options", "before", "expected"),
    [
        ({}, None, (0, None, 0, None)),
        ({"autocreate_quota": 5}, None, (0, 5 * KIB, 0, None)),
        ({"autocreate_quota_messages": 7}, None, (0, None, 0, 7)),
        ({"autocreate_quota": 1, "autocreate_quota_messages": 1}, None, (0, KIB, 0, 1)),
        ({"autocreate_quota_messages": 0}, None, (0, None, 0, None)),
        ({"autocreate_quota": 5}, QuotaRecord(b"user.new", 9, 1, 3, 2), (9, 5 * KIB, 3, None)),
    ],
)
def test_the_quota_of_a_new_mailbox(
    options: dict[str, object],
    before: QuotaRecord | None,
    expected: tuple[int, int | None, int, int | None],
) -> None:
    """The options' limits; what is used already stays (mboxlist_setquotas)."""
    root = rules(**options).quota(b"user.new", before)
    assert root.root == b"user.new"
    assert (
        root.storage_used,
        root.storage_limit,
        root.messages_used,
        root.messages_limit,
    ) == expected
