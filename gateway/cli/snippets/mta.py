"""What Postfix and Sendmail need to ask the gateway.

Sources: socketmap_table(5), SMTPD_POLICY_README and MILTER_README of Postfix;
cf/README ("Socket Map", "LOCAL_CONFIG") and libmilter/README of Sendmail.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from gateway.daemon.endpoints import InetEndpoint, UnixEndpoint
from gateway.daemon.settings.words import OnError

if TYPE_CHECKING:
    from gateway.daemon.endpoints import Endpoint
    from gateway.daemon.settings import Settings

# Postfix' queue_directory unless main.cf says otherwise.
_QUEUE = "/var/spool/postfix"
# What stands for a socket that only a systemd unit knows.
_UNKNOWN = "unix:PATH"
_EXAMPLE_DOMAIN = "example.org"


def postfix(settings: Settings) -> str:
    """Lines for main.cf."""
    tempfail = settings.general.on_error is OnError.TEMPFAIL
    lines = [
        "# For Postfix' main.cf; each way of asking is enough by itself. A path that does",
        f"# not begin with / is below the queue directory ({_QUEUE}), with and",
        "# without chroot.",
    ]
    if settings.socketmap.listen:
        where = _postfix_words(settings.socketmap.listen)
        lines += [
            "",
            "# Socketmap: in the table of your address class (ADDRESS_CLASS_README).",
            f"relay_recipient_maps = socketmap:{where}:cyrus",
            f"#virtual_mailbox_maps = socketmap:{where}:cyrus",
            f"#local_recipient_maps = socketmap:{where}:cyrus $alias_maps",
        ]
    if settings.policy.listen:
        where = _postfix_words(settings.policy.listen)
        action = "DEFER_IF_PERMIT" if tempfail else "DUNNO"
        lines += [
            "",
            "# Policy service: the client hears why. It stands behind what protects from relaying.",
            "smtpd_recipient_restrictions =",
            "    reject_unauth_destination",
            "    check_policy_service {",
            f"        {where}, timeout=10s, default_action={action} }}",
        ]
    if settings.milter.listen:
        where = _postfix_words(settings.milter.listen)
        action = "tempfail" if tempfail else "accept"
        lines += [
            "",
            "# Milter: the client hears why, and the milter learns the transport.",
            f"smtpd_milters = {{ {where}, default_action={action} }}",
        ]
    return _text(lines, bool(settings.socketmap.listen or settings.policy.listen
                             or settings.milter.listen))  # fmt: skip


def sendmail(settings: Settings) -> str:
    """Lines for sendmail.mc; TABs stand between the two sides of a rule."""
    tempfail = settings.general.on_error is OnError.TEMPFAIL
    lines = [
        "dnl For sendmail.mc. The sockets' folders, and every folder above them, must be",
        "dnl writable by their owner only.",
    ]
    if settings.milter.listen:
        flag = "F=T, " if tempfail else ""
        where = _sendmail_words(settings.milter.listen, milter=True)
        lines += [
            "dnl",
            "dnl Milter, before the MAILER lines: the client hears why.",
            f"INPUT_MAIL_FILTER(`smmapd', `S={where}, {flag}T=S:10s;R:10s;E:30s')dnl",
        ]
    if settings.socketmap.listen:
        where = _sendmail_words(settings.socketmap.listen, milter=False)
        named = [each for each in settings.scope.domains if not each.startswith(".")]
        lines += [
            "dnl",
            "dnl Socket map, behind the MAILER lines: the client hears the two texts below.",
            "LOCAL_CONFIG",
            "# Domains whose recipients are mailboxes of Cyrus.",
            f"C{{CyrusDomain}}{' '.join(named) or _EXAMPLE_DOMAIN}",
            f"Kcyrus socket -f -a<OK> -T<TMPF> {where}",
            "",
            "LOCAL_RULESETS",
            "SLocal_check_rcpt",
            "R$*\t\t\t\t$: $>canonify $1",
            "R$* <@ $* .>\t\t\t$: $1 <@ $2>",
            "R$+ <@ $={CyrusDomain}>\t\t$: $(cyrus $1 @ $2 $: <NO> $)",
            'R$* <TMPF>\t\t\t$#error $@ 4.3.0 $: "451 4.3.0 Try again later"',
            'R<NO>\t\t\t\t$#error $@ 5.1.1 $: "550 5.1.1 User unknown"',
        ]
    return _text(lines, bool(settings.socketmap.listen or settings.milter.listen), sign="dnl")


def _text(lines: list[str], anything: bool, *, sign: str = "#") -> str:
    if not anything:
        lines = [*lines, sign, f"{sign} Nothing listens that this program could ask."]
    return "\n".join(lines)


def _first(listen: tuple[Endpoint, ...]) -> Endpoint:
    """The socket to name: a Unix one where there is one, as it has permissions."""
    return next((each for each in listen if isinstance(each, UnixEndpoint)), listen[0])


def _postfix_words(listen: tuple[Endpoint, ...]) -> str:
    endpoint = _first(listen)
    match endpoint:
        case UnixEndpoint():
            path = os.path.normpath(endpoint.path)
            return f"unix:{path.removeprefix(_QUEUE + '/')}"
        case InetEndpoint():
            return f"inet:{_host(endpoint)}:{endpoint.port}"
        case _:
            return _UNKNOWN


def _sendmail_words(listen: tuple[Endpoint, ...], *, milter: bool) -> str:
    endpoint = _first(listen)
    match endpoint:
        case UnixEndpoint():
            return f"local:{endpoint.path}"
        case InetEndpoint():
            six = endpoint.address.version == 6
            return f"inet{'6' if six and milter else ''}:{endpoint.port}@{_host(endpoint)}"
        case _:
            return _UNKNOWN.replace("unix", "local")


def _host(endpoint: InetEndpoint) -> str:
    return f"[{endpoint.host}]" if endpoint.address.version == 6 else endpoint.host
