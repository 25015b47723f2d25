"""Why what we said and what delivery did may differ, kind by kind.

Every row that differs must have one of these reasons, or the test fails.
Only one of them is for a recipient that was permanently refused and delivered:
somebody has blocked that user for the gateway, and not for delivery.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from tests.delivery.histories import DENIALS
from tests.delivery.lmtpd import ABORTED
from tests.delivery.sites import Site
from tests.delivery.trial import Row, Trial

BLOCKED = "userdeny blocks the user for smmap, which delivery does not ask"


@dataclass(frozen=True, slots=True)
class Reason:
    """A kind of difference that is meant: what it is, and which rows are of it."""

    text: str
    covers: Callable[[Site, Row], bool]


def _of_died(_site: Site, row: Row) -> bool:
    return row.answer.outcome != "refused" and row.truth.last == ABORTED


def _what_delivery_adds(site: Site, row: Row) -> bool:
    return (
        row.answer.outcome == "accepted"
        and site.delivery("lmtp_strict_quota") == "yes"
        and row.truth.rcpt.startswith(b"250")
        and b" Over quota" in row.truth.data
    )


def _of_capitals(site: Site, row: Row) -> bool:
    default = site.plain("defaultdomain").encode()
    domain = row.recipient.rpartition(b"@")[2]
    other = domain != default or default != default.lower()
    return row.answer.outcome != "refused" and domain.lower() == default.lower() and other


def _of_fuzzy(site: Site, row: Row) -> bool:
    if site.delivery("lmtp_fuzzy_mailbox_match") != "yes":
        return False
    if row.answer.outcome == "refused":
        # With room, and once it has been moved, lmtpd would refuse it after DATA.
        return row.truth.rcpt.startswith((b"452", b"451 4.2.1"))
    return row.truth.rcpt.startswith(b"250") and row.truth.data.startswith(b"550 5.1.1")


def _of_ampersand(_site: Site, row: Row) -> bool:
    return row.answer.outcome != "refused" and b"&" in row.recipient.partition(b"+")[2]


def _catch_all(site: Site) -> bool:
    """Whether a catch-all mailbox gets what cannot be made, and answers for itself."""
    return bool(site.delivery("lmtp_catchall_mailbox"))


def _of_quota_names(site: Site, row: Row) -> bool:
    return (
        row.answer.outcome == "accepted"
        and site.delivery("autocreate_post") == "yes"
        and (_catch_all(site) or row.truth.rcpt.startswith(b"451 4.3.0 Invalid mailbox name"))
        and any(each in row.recipient.partition(b"+")[0] for each in (b"*", b"?"))
    )


def _of_folded(_site: Site, row: Row) -> bool:
    folded = row.front_end == "folded" or (
        row.front_end == "socketmap" and row.recipient == row.recipient.lower()
    )
    return folded and row.kind != ("refused", "delivered")


REASONS = (
    Reason("lmtpd dies of it in this release; nobody is refused for that", _of_died),
    Reason(
        "lmtp_strict_quota: with the header lines that delivery adds the mail is too large",
        _what_delivery_adds,
    ),
    Reason(
        "the default domain in other capitals: other releases deliver, and the list does not tell",
        _of_capitals,
    ),
    Reason("lmtp_fuzzy_mailbox_match: found at RCPT, not after DATA", _of_fuzzy),
    Reason("no quota can be set for a name with * or ?; the next try delivers", _of_quota_names),
    Reason("`&` in a folder: releases read it differently, either reading counts", _of_ampersand),
    Reason("Postfix asks in lower case, and another spelling is there, too", _of_folded),
)


def reason(trial: Trial, row: Row) -> str | None:
    """The reason for a row that differs; None where there is none."""
    if row.answer.outcome == "refused" and row.answer.said.endswith(DENIALS):
        return BLOCKED if _blocked(trial.denied, row.recipient) else None
    if row.kind == ("refused", "delivered"):
        return None
    return next((each.text for each in REASONS if each.covers(trial.site, row)), None)


def _blocked(denied: Mapping[str, str], recipient: bytes) -> bool:
    """Is the recipient's user blocked for smmap, in any spelling of the name?

    A mailbox whose name has `^` belongs to the user with `.` there, with either hierarchy
    separator: its mail can be addressed either way, and the record has the user's name.
    A folder that is addressed as a shared one (`+user/bob/Old`, `+DELETED/user/bob/Old`) belongs
    to the user whose name follows `user`.
    """
    local, _, domain = recipient.decode("latin-1").lower().rpartition("@")
    user, _, folder = local.partition("+")
    owners = [user.replace("^", ".")]
    parts = folder.replace(".", "/").split("/")
    if "user" in parts[:-1]:
        owners.append(parts[parts.index("user") + 1].replace("^", "."))
    names = {name for owner in owners for name in (owner, f"{owner}@{domain}")}
    return any(
        name.lower().replace("^", ".") in names
        and any(fnmatchcase("smmap", each) for each in services.split(","))
        for name, services in denied.items()
    )
