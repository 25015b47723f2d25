"""What Postfix needs to ask the gateway.

Sources: socketmap_table(5), SMTPD_POLICY_README, MILTER_README and
ADDRESS_CLASS_README of Postfix, proxymap(8).  contrib/postfix has the same with
all that belongs to a whole machine.

Postfix' own master.cf is looked at where there is one: a chrooted smtpd finds
only what is below the queue directory, and proxymap asks a table from outside.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from gateway.cli.checks.postfixconf import PostfixError, ask
from gateway.cli.snippets.sockets import UNKNOWN, domains, first, host, text
from gateway.config.choices import OnError
from gateway.config.endpoints import InetEndpoint, UnixEndpoint

if TYPE_CHECKING:
    from gateway.config import Settings
    from gateway.config.endpoints import Endpoint

# Postfix' queue_directory unless main.cf says otherwise.
_QUEUE = "/var/spool/postfix"


def postfix(settings: Settings) -> str:
    """Lines for main.cf."""
    tempfail = settings.general.on_error is OnError.TEMPFAIL
    ours = domains(settings.scope.domains)
    queue, chrooted = _instance()
    lines = [
        "# For Postfix' main.cf; each way of asking is enough by itself. A path that does",
        f"# not begin with / is below the queue directory ({queue}), with and",
        "# without chroot.",
        f"relay_domains = {ours}",
    ]
    if settings.socketmap.listen:
        where = _words(settings.socketmap.listen, queue)
        table = f"socketmap:{where}:cyrus"
        if chrooted and where.startswith("unix:/"):
            lines += ["", f"# {chrooted} is chrooted: proxymap asks from outside."]
            table = f"proxy:{table}"
        lines += [
            "",
            "# Socketmap: in the table of your address class (ADDRESS_CLASS_README).",
            f"relay_recipient_maps = {table}",
            "# Instead, as virtual mailbox domains, instead of relay_domains:",
            f"#virtual_mailbox_domains = {ours}",
            f"#virtual_mailbox_maps = {table}",
            "# Instead, as domains of this machine (mydestination):",
            f"#local_recipient_maps = {table} $alias_maps",
            "# Senders would be looked up there, too: a user over quota could not send.",
            "smtpd_reject_unlisted_sender = no",
        ]
    if settings.policy.listen:
        where = _words(settings.policy.listen, queue)
        lines += _out_of_reach("policy", where, queue, chrooted)
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
        where = _words(settings.milter.listen, queue)
        lines += _out_of_reach("milter", where, queue, chrooted)
        action = "tempfail" if tempfail else "accept"
        lines += [
            "",
            "# Milter: the client hears why, and the milter learns the transport. Services for",
            "# your own users (submission) say -o smtpd_milters= in master.cf.",
            f"smtpd_milters = {{ {where}, default_action={action} }}",
        ]
    return text(lines, bool(settings.serving))


def _instance() -> tuple[str, str]:
    """The queue directory, and the first smtpd that is chrooted; empty where none is."""
    try:
        found = ask(None)
    except PostfixError:
        # It has no configuration yet: these lines are to become it.
        return _QUEUE, ""
    if found is None:
        return _QUEUE, ""
    chrooted = (service for service, inside in found.services.items() if inside)
    return found.queue_directory, next(chrooted, "")


def _out_of_reach(name: str, where: str, queue: str, chrooted: str) -> list[str]:
    """A warning where a chrooted smtpd does not find the socket."""
    if not chrooted or not where.startswith("unix:/"):
        return []
    return [
        "",
        f"# {chrooted} is chrooted and does not find this socket. Let [{name}] listen at",
        f"# {queue}/smmapd/{name} and write unix:smmapd/{name} here.",
    ]


def _words(listen: tuple[Endpoint, ...], queue: str) -> str:
    endpoint = first(listen)
    match endpoint:
        case UnixEndpoint():
            path = os.path.normpath(endpoint.path)
            return f"unix:{path.removeprefix(queue + '/')}"
        case InetEndpoint():
            return f"inet:{host(endpoint)}:{endpoint.port}"
        case _:
            return UNKNOWN
