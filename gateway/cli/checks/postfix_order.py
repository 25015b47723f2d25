"""The order of Postfix' checks around ours, and what its other settings make of our answers.

Sources: SMTPD_ACCESS_README, SMTPD_POLICY_README, MILTER_README; postconf(5) for
reject_unlisted_sender, milter_default_action, non_smtpd_milters and
lmtp_quote_rfc821_envelope; quote_821_local(3) for what Postfix puts into quotes,
mbname_from_recipient in imap/mboxname.c, for which they are part of the name.
Limits: transports of transport_maps, and what a service of master.cf sets for the LMTP
client, are not seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.cli.checks import sockets
from gateway.cli.checks.finding import warning
from gateway.cli.checks.postfixconf import items

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.cli.checks.finding import Finding
    from gateway.cli.checks.postfixconf import PostfixInstance, SocketUse
    from gateway.config import Settings

_SUBJECT = "postfix"
_RESTRICTIONS = "smtpd_recipient_restrictions"
_UNAUTHORIZED = ("reject_unauth_destination", "defer_unauth_destination")
_PERMITS = ("permit_mynetworks", "permit_sasl_authenticated")
_UNLISTED = "reject_unlisted_sender"
_QUOTES = "lmtp_quote_rfc821_envelope"
_TRANSPORTS = (
    "relay_transport",
    "virtual_transport",
    "mailbox_transport",
    "local_transport",
    "default_transport",
)


def check(settings: Settings, postfix: PostfixInstance) -> Iterator[Finding]:
    """What comes before and after each of our sockets, and how mail is handed to lmtpd."""
    ours = sockets.by_place(settings)
    for use in postfix.uses:
        name, _ = ours.get(postfix.place(use), ("", None)) if use.path else ("", None)
        if name != use.protocol:
            continue
        if use.protocol == "policy" and use.parameter == _RESTRICTIONS:
            yield from _restrictions(postfix, use)
        elif use.protocol == "milter":
            yield from _milter(postfix, use)
        elif use.protocol == "socketmap":
            yield from _senders(postfix, use)
    yield from _quotes(postfix)


def _restrictions(postfix: PostfixInstance, use: SocketUse) -> Iterator[Finding]:
    words = [first for first, *_ in items(postfix.of(use.service, _RESTRICTIONS))]
    barrier = next((words.index(each) for each in _UNAUTHORIZED if each in words), None)
    ours = words.index("check_policy_service")
    if barrier is not None and barrier < ours and not set(words[:barrier]) & set(_PERMITS):
        yield warning(
            _SUBJECT,
            f"{use.service}: {_RESTRICTIONS} refuses your own users' mail to other domains: "
            f"nothing permits it before {words[barrier]}",
            f"let {_RESTRICTIONS} begin with {' '.join(_PERMITS)}",
        )
    relay = {first for first, *_ in items(postfix.of(use.service, "smtpd_relay_restrictions"))}
    if (barrier is None and not relay & set(_UNAUTHORIZED)) or (
        barrier is not None and ours < barrier
    ):
        yield warning(
            _SUBJECT,
            f"{use.service}: [policy] is asked before reject_unauth_destination, about strangers' "
            "relaying, too",
            f"put check_policy_service behind reject_unauth_destination in {_RESTRICTIONS}",
        )


def _milter(postfix: PostfixInstance, use: SocketUse) -> Iterator[Finding]:
    if use.parameter == "non_smtpd_milters":
        yield warning(
            _SUBJECT,
            f"non_smtpd_milters has {use.written}: mail of this machine's own programs has no "
            "RCPT, and the milter refuses none of it",
            "take it out of non_smtpd_milters",
        )
        return
    action = dict(use.options).get("default_action") or postfix.of(
        use.service, "milter_default_action"
    )
    if action == "accept":
        yield warning(
            _SUBJECT,
            f"{use.service}: while the milter is away every recipient is accepted "
            "(milter_default_action = accept)",
            f"write {{ {use.written}, default_action=tempfail }} in {use.parameter}",
        )


def _senders(postfix: PostfixInstance, use: SocketUse) -> Iterator[Finding]:
    lists = ("smtpd_sender_restrictions", _RESTRICTIONS, "smtpd_relay_restrictions")
    named = any(
        first == _UNLISTED for name in lists for first, *_ in items(postfix.of(use.service, name))
    )
    if named or postfix.of(use.service, "smtpd_reject_unlisted_sender") == "yes":
        yield warning(
            _SUBJECT,
            f"{use.service}: {_UNLISTED} looks senders up in [socketmap], too: a user that is "
            "over quota or blocked cannot send",
            f"leave {_UNLISTED} and smtpd_reject_unlisted_sender off, or ask by [policy] or "
            f"[milter] instead of {use.parameter}",
        )


def _quotes(postfix: PostfixInstance) -> Iterator[Finding]:
    """Whether what we accept is refused for the quotes that Postfix has put around it."""
    found = [
        name for name in _TRANSPORTS if postfix.parameters.get(name, "").partition(":")[0] == "lmtp"
    ]
    if found and postfix.parameters.get(_QUOTES, "yes") == "yes":
        yield warning(
            _SUBJECT,
            f"{found[0]} is lmtp, and Postfix writes a recipient such as fred+x. or a..b with"
            " quotes: lmtpd takes them for a part of the name, and the mail bounces",
            f"set {_QUOTES} = no in main.cf (with Cyrus 3.0 or later)",
        )
