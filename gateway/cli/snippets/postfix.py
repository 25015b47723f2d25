"""What Postfix needs to ask the gateway.

Sources: socketmap_table(5), SMTPD_POLICY_README, MILTER_README and
ADDRESS_CLASS_README of Postfix.  contrib/postfix has the same with all that
belongs to a whole machine.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from gateway.cli.snippets.sockets import UNKNOWN, domains, first, host, text
from gateway.daemon.endpoints import InetEndpoint, UnixEndpoint
from gateway.daemon.settings.words import OnError

if TYPE_CHECKING:
    from gateway.daemon.endpoints import Endpoint
    from gateway.daemon.settings import Settings

# Postfix' queue_directory unless main.cf says otherwise.
_QUEUE = "/var/spool/postfix"


def postfix(settings: Settings) -> str:
    """Lines for main.cf."""
    tempfail = settings.general.on_error is OnError.TEMPFAIL
    ours = domains(settings.scope.domains)
    lines = [
        "# For Postfix' main.cf; each way of asking is enough by itself. A path that does",
        f"# not begin with / is below the queue directory ({_QUEUE}), with and",
        "# without chroot.",
        f"relay_domains = {ours}",
    ]
    if settings.socketmap.listen:
        where = _words(settings.socketmap.listen)
        lines += [
            "",
            "# Socketmap: in the table of your address class (ADDRESS_CLASS_README).",
            f"relay_recipient_maps = socketmap:{where}:cyrus",
            "# Instead, as virtual mailbox domains, in the place of relay_domains:",
            f"#virtual_mailbox_domains = {ours}",
            f"#virtual_mailbox_maps = socketmap:{where}:cyrus",
            "# Instead, as domains of this machine (mydestination):",
            f"#local_recipient_maps = socketmap:{where}:cyrus $alias_maps",
            "# Senders would be looked up there, too: who is over quota could not send.",
            "smtpd_reject_unlisted_sender = no",
        ]
    if settings.policy.listen:
        where = _words(settings.policy.listen)
        action = "DEFER_IF_PERMIT" if tempfail else "DUNNO"
        lines += [
            "",
            "# Policy service: the client hears why. Where there is a list already, add the last",
            "# two entries to its end; your own users' mail is permitted before.",
            "smtpd_recipient_restrictions =",
            "    permit_mynetworks",
            "    permit_sasl_authenticated",
            "    reject_unauth_destination",
            "    check_policy_service {",
            f"        {where}, timeout=10s, default_action={action} }}",
        ]
    if settings.milter.listen:
        where = _words(settings.milter.listen)
        action = "tempfail" if tempfail else "accept"
        lines += [
            "",
            "# Milter: the client hears why, and the milter learns the transport. Services for",
            "# your own users (submission) say -o smtpd_milters= in master.cf.",
            f"smtpd_milters = {{ {where}, default_action={action} }}",
        ]
    asked = settings.socketmap.listen or settings.policy.listen or settings.milter.listen
    return text(lines, bool(asked))


def _words(listen: tuple[Endpoint, ...]) -> str:
    endpoint = first(listen)
    match endpoint:
        case UnixEndpoint():
            path = os.path.normpath(endpoint.path)
            return f"unix:{path.removeprefix(_QUEUE + '/')}"
        case InetEndpoint():
            return f"inet:{host(endpoint)}:{endpoint.port}"
        case _:
            return UNKNOWN
