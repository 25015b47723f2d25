"""A Postfix of parameters alone, whose tables are dicts: what becomes of an address in it."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.mta.keys import Mailbox
from gateway.mta.lookups import Lookups, TableAnswers
from gateway.mta.postconf import Parameters
from gateway.mta.postfix import Postfix
from gateway.mta.routing import Routing

# What postconf tells of a Postfix whose main.cf is empty, as far as it matters.
DEFAULTS = {
    "canonical_classes": "envelope_sender, envelope_recipient, header_sender, header_recipient",
    "double_bounce_sender": "double-bounce",
    "local_transport": "local:$myhostname",
    "mail_version": "3.7.11",
    "mydestination": "mx.test.example, localhost",
    "myorigin": "mx.test.example",
    "owner_request_special": "yes",
    "parent_domain_matches_subdomains": "mynetworks,relay_domains,smtpd_access_maps",
    "propagate_unmatched_extensions": "canonical, virtual",
    "recipient_canonical_classes": "envelope_recipient, header_recipient",
    "recipient_delimiter": "+-",
    "relay_transport": "lmtp:unix:/cyrus",
    "virtual_transport": "lmtp:unix:/cyrus",
    "mailbox_transport": "lmtp:unix:/cyrus",
}

# What each table says by its key; a string is a fault.
Contents = Mapping[str, Mapping[str, str] | str]


def postfix(parameters: Mapping[str, str], *, mailers: tuple[str, ...] = ()) -> Postfix:
    """With these parameters changed."""
    return Postfix(
        Parameters("", {**DEFAULTS, **parameters}),
        ours=lambda table: table.kind == "socketmap",
        mailers=frozenset(mailers),
    )


def answers(lookups: Lookups, contents: Contents) -> TableAnswers:
    """What the tables say."""
    found = TableAnswers()
    for lookup in lookups.wanted:
        for table in lookup.run.tables:
            said = contents.get(table.text, {})
            if isinstance(said, str):
                found.faults[lookup.run] = said
                found.values.pop(lookup, None)
                break
            value = said.get(lookup.key.decode().lower())
            found.values[lookup] = None if value is None else value.encode()
            if value is not None:
                break
    return found


def mailbox(address: str) -> Mailbox:
    """An address in two parts."""
    local, _, domain = address.rpartition("@")
    return Mailbox(local.encode(), domain.encode()) if local else Mailbox(domain.encode(), b"")


def routing(
    world: Postfix, address: str, contents: Contents, *, explicit: bool = False, transport: str = ""
) -> Routing:
    """What becomes of an address."""
    reasoning = world.routing(mailbox(address), explicit=explicit, transport=transport)
    try:
        wanted = next(reasoning)
        while True:
            wanted = reasoning.send(answers(wanted, contents))
    except StopIteration as ended:
        found: Routing = ended.value
        return found
