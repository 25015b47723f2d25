"""Whose answer the front ends give, and what the two authorities answer differently here.

Each row of `_DIFFERENCES` is an option of imapd.conf that is set on this
installation and counts for delivery only, or otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.cli.checks.finding import ok, warning
from gateway.config.choices import AuthorityName
from gateway.cyrus import cyrusconf, imapdconf
from gateway.cyrus.autocreate import Autocreate
from gateway.cyrus.delivery_names import DeliveryNaming
from gateway.errors import ConfigurationError, StoreError
from gateway.verification.kinds import NOT_CAUGHT
from gateway.verification.records import unfit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gateway.cli.checks.finding import Finding
    from gateway.config import Settings
    from gateway.cyrus.imapdconf import ImapdConf
    from gateway.cyrus.store import CyrusStore

_SUBJECT = "answers"

# Options that change who a recipient is; they come under the service's own name.
_NAMES = ("defaultdomain", "lmtp_downcase_rcpt", "postuser", "unixhierarchysep", "virtdomains")


@dataclass(frozen=True, slots=True)
class _Difference:
    """What an option makes the two answer differently.

    `loses`: smmapd refuses permanently what delivery takes.
    """

    option: str
    applies: Callable[[ImapdConf], bool]
    delivery: str
    smmapd: str
    loses: bool = False


_DIFFERENCES = (
    _Difference(
        "autocreate_post",
        lambda conf: Autocreate(conf).active,
        "takes mail for users without a mailbox and creates it",
        "refuses them as unknown",
        loses=True,
    ),
    _Difference(
        "lmtp_catchall_mailbox",
        lambda conf: conf.lmtp_catchall_mailbox is not None,
        "puts what it would refuse into that mailbox, but for what is "
        + ", ".join(kind.name for kind in NOT_CAUGHT),
        "refuses it",
        loses=True,
    ),
    _Difference(
        "lmtp_strict_quota",
        lambda conf: conf.lmtp_strict_quota,
        "counts the mail itself against the quota, as policy and milter announce it",
        "looks at what is used now",
    ),
    _Difference(
        "lmtp_fuzzy_mailbox_match",
        lambda conf: conf.lmtp_fuzzy_mailbox_match,
        "finds folders of similar names, which changes nothing for a user with an INBOX",
        "wants the folder's exact name",
    ),
)


def check(settings: Settings, store: CyrusStore, path: str) -> Iterator[Finding]:
    """Everything about `answers`; `path` is cyrus.conf."""
    asked = {row.name: settings.front_end(row.name).answers for row in settings.serving}
    for authority in AuthorityName:
        names = [name for name, answers in asked.items() if answers is authority]
        if names:
            yield ok(_SUBJECT, f"{', '.join(names)}: {_said(authority, store)}")
    yield from _skip_plus(settings, asked)
    yield from _differences(store.delivery_conf, asked)
    yield from _service_options(settings, store, path)
    if AuthorityName.DELIVERY in asked.values():
        yield from _not_honoured(store)


def _said(authority: AuthorityName, store: CyrusStore) -> str:
    if authority is AuthorityName.SMMAPD:
        return "as smmapd says"
    return f"as delivery by {store.delivery_service.decode('utf-8', 'replace')} does"


def _skip_plus(settings: Settings, asked: dict[str, AuthorityName]) -> Iterator[Finding]:
    if settings.cyrus.skip_plus and AuthorityName.SMMAPD not in asked.values():
        yield warning(
            _SUBJECT,
            "[cyrus] skip_plus counts only for smmapd's answers, and no front end gives them",
            "leave it out: delivery never refuses a user for the folder",
        )


def _differences(conf: ImapdConf, asked: dict[str, AuthorityName]) -> Iterator[Finding]:
    smmapd = [name for name, answers in asked.items() if answers is AuthorityName.SMMAPD]
    for each in _DIFFERENCES:
        if not each.applies(conf):
            continue
        what = f"{each.option} is set: delivery {each.delivery}, smmapd {each.smmapd}"
        if each.loses and smmapd:
            fix = f'set answers = "delivery" for {", ".join(smmapd)}'
            yield warning(_SUBJECT, what, fix)
        else:
            yield ok(_SUBJECT, what)
    yield ok(
        _SUBJECT,
        "everywhere: a folder behind the + that is missing or full makes a difference to smmapd, "
        "not to delivery; smmapd adds a mail to a quota of messages, delivery does not",
    )


def _service_options(settings: Settings, store: CyrusStore, path: str) -> Iterator[Finding]:
    """Options that count for one of the two services, or of several that deliver, only."""
    ours, theirs = store.conf, store.delivery_conf
    for option in _NAMES:
        if getattr(ours, option) != getattr(theirs, option):
            yield ok(
                _SUBJECT,
                f"{option} is {_shown(getattr(theirs, option))} for delivery, and "
                f"{_shown(getattr(ours, option))} for {settings.cyrus.service}",
            )
    if settings.cyrus.delivery_service:
        return
    try:
        found = cyrusconf.deliveries(cyrusconf.read(path))
    except OSError:
        return
    for other in found[1:]:
        try:
            conf = imapdconf.load(settings.cyrus.imapd_conf, other.name)
        except ConfigurationError:
            continue  # told where that service's options are read
        if conf != theirs:
            yield warning(
                _SUBJECT,
                f"{path}: {found[0].name} and {other.name} both deliver, with other options in "
                f"imapd.conf; {found[0].name} counts",
                f'say in [cyrus] which: delivery_service = "{other.name}"',
            )


def _shown(value: object) -> str:
    return (
        repr(value.decode("utf-8", "backslashreplace")) if isinstance(value, bytes) else str(value)
    )


def _not_honoured(store: CyrusStore) -> Iterator[Finding]:
    """What of delivery cannot be known from the files."""
    conf = store.delivery_conf
    unsure = Autocreate(conf).unsure
    if unsure:
        yield warning(
            _SUBJECT,
            f"the members of {', '.join(unsure)} are not known here: each user without a mailbox "
            "counts "
            "as one whose mailbox delivery creates",
            "name users in autocreate_users and admins, or expect mail for unknown users to be "
            "taken and bounced",
        )
    if conf.quota_use_conversations:
        yield warning(
            _SUBJECT,
            "quota_use_conversations: what counts is in a database that is not read here; the "
            "quota roots' own numbers are taken",
            "expect some over quota to be taken and deferred at delivery",
        )
    catch_all = conf.lmtp_catchall_mailbox
    inbox = DeliveryNaming(conf).user(catch_all).inbox if catch_all is not None else None
    if inbox is None:
        return
    try:
        entry = store.mailboxes.lookup(inbox)
    except StoreError:
        return  # gateway.cli.checks.databases tells
    missing = entry is None and not Autocreate(conf).active
    kind = unfit(entry, delivery=True) if entry is not None else None
    if missing or kind is not None:
        why = f"takes no mail ({kind.name})" if kind is not None else "is missing"
        yield warning(
            _SUBJECT,
            f"lmtp_catchall_mailbox: the INBOX of {_shown(catch_all)} {why}, and its own refusal "
            "replaces every other: over quota becomes "
            + ("an unknown user" if kind is None else kind.name),
            "make it a mailbox for mail, or take the option out of imapd.conf",
        )
