"""Which transport a recipient goes by, and whether that may lead to Cyrus.

The name of a transport tells little: `lmtp` may lead to Cyrus or to Dovecot.
Some tell enough: `virtual` and a `local` that hands nothing on deliver into
Postfix' own mailboxes, `error`, `retry` and `discard` into none, `smtp` and
`relay` to another machine.  What cannot be told counts as bound for Cyrus,
unless [scope] mailers says which transports are.

Sources: transport(5); postconf(5) mailbox_transport and its neighbours;
src/local/recipient.c, mailbox.c, unknown.c.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.mta.domains import Class

if TYPE_CHECKING:
    from gateway.mta.postconf import Parameters

LOCAL = "local"

_NOT_CYRUS = frozenset({"bsmtp", "discard", "error", "ifmail", "mailman", "maildrop", "retry"}) | {
    "uucp",
    "virtual",
}
# Another machine's; ours where the mailboxes are asked of other servers, too.
_OTHER_MACHINES = frozenset({"relay", "smtp"})
_DEFAULTS = {
    Class.LOCAL: "local_transport",
    Class.VIRTUAL: "virtual_transport",
    Class.RELAY: "relay_transport",
}
# What local(8) hands mail to before it looks for a mailbox of its own, and instead of one.
_HANDS_ON = ("mailbox_transport", "mailbox_transport_maps", "mailbox_command",
             "mailbox_command_maps", "fallback_transport", "fallback_transport_maps")  # fmt: skip
_NAMED = ("mailbox_transport", "fallback_transport")


@dataclass(frozen=True, slots=True)
class Transports:
    """What main.cf says of transports.

    `handed` are the transports that local(8) hands to, `hands_on`: it does at
    all; `only_unknown`: system users are spared; `luser_relay`: it bounces
    nobody.  `mailers` are the transports that [scope] calls ours, empty where it tells
    none; `remote_store`: the mailboxes are on other machines.
    """

    defaults: dict[Class, str]
    handed: tuple[str, ...]
    hands_on: bool
    only_unknown: bool
    luser_relay: bool
    mailers: frozenset[str]
    remote_store: bool

    @classmethod
    def of(
        cls, parameters: Parameters, mailers: frozenset[str], *, remote_store: bool
    ) -> Transports:
        """As main.cf has them."""
        before = any(parameters[name] for name in _HANDS_ON[:4])
        return cls(
            defaults={each: parameters[name] for each, name in _DEFAULTS.items()},
            handed=tuple(parameters[name] for name in _NAMED if parameters[name]),
            hands_on=any(parameters[name] for name in _HANDS_ON),
            only_unknown=not before and any(parameters[name] for name in _HANDS_ON[4:]),
            luser_relay=bool(parameters["luser_relay"]),
            mailers=mailers,
            remote_store=remote_store,
        )

    def may_be_cyrus(self, transport: str) -> bool:
        """Whether `transport` (`name` or `name:nexthop`) may lead to Cyrus."""
        name = transport.partition(":")[0].strip()
        if self.mailers:
            if name in self.mailers or transport in self.mailers:
                return True
            return name == LOCAL and any(map(self.may_be_cyrus, self.handed))
        if name == LOCAL:
            return self.hands_on
        if name in _OTHER_MACHINES:
            return self.remote_store
        return name not in _NOT_CYRUS

    def default(self, domain_class: Class) -> str:
        """The transport of a class, before transport_maps are asked."""
        return self.defaults.get(domain_class, "")


def entry(value: bytes, default: str) -> str:
    """The transport that a value of transport_maps means; an empty name keeps the default's."""
    text = value.decode("utf-8", "backslashreplace").strip()
    name, colon, nexthop = text.partition(":")
    return text if name else f"{default.partition(':')[0]}{colon}{nexthop}"
