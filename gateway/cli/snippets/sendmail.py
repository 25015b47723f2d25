"""What Sendmail needs to ask the gateway.

Sources: cf/README ("Socket Map", "LOCAL_CONFIG", "Local_check_rcpt") and
libmilter/README of Sendmail; RFC 5321, 4.5.1 (postmaster).
contrib/sendmail/smmapd.m4 has the same rules as a FEATURE.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.cli.snippets.sockets import UNKNOWN, domains, first, host, text
from gateway.config.choices import OnError
from gateway.config.endpoints import InetEndpoint, UnixEndpoint

if TYPE_CHECKING:
    from gateway.config import Settings
    from gateway.config.endpoints import Endpoint

# The ruleset Local_check_rcpt; TABs are between the two sides of a rule.  Sendmail's own tables
# come first, because check_rcpt runs before them: no recipient that they know is refused.
RULES = (
    "# Written as Sendmail itself writes it: user <@ domain>.",
    "R$*\t\t\t\t$: $>canonify $1",
    "R$* <@ $* .>\t\t\t$: $1 <@ $2>",
    "R$+ <@ $={CyrusDomain}>\t\t$: <?> $1 <@ $2>",
    "# Postmaster gets mail whatever the tables say (RFC 5321, 4.5.1).",
    "R<?> postmaster <@ $+>\t\t$@ OK",
    "ifdef(`_VIRTUSER_TABLE_', `dnl",
    "# Recipients in virtusertable are left to Sendmail.",
    "R<?> $+ <@ $+>\t\t\t$: <$(virtuser $1 @ $2 $: ? $)> $1 <@ $2>",
    "R<?> $+ + $* <@ $+>\t\t$: <$(virtuser $1 + * @ $3 $: ? $)> $1 + $2 <@ $3>",
    "R<?> $+ + $* <@ $+>\t\t$: <$(virtuser $1 @ $3 $: ? $)> $1 + $2 <@ $3>",
    "R<?> $+ <@ $+>\t\t\t$: <$(virtuser @ $2 $: ? $)> $1 <@ $2>",
    "')dnl",
    "# Aliases are of the domains in class w; a detail is looked up as aliases(5) says.",
    "R<?> $+ <@ $=w>\t\t\t$: <$(aliases $1 $: ? $)> $1 <@ $2>",
    "R<?> $+ + $* <@ $=w>\t\t$: <$(aliases $1 + * $: ? $)> $1 + $2 <@ $3>",
    "R<?> $+ + $* <@ $=w>\t\t$: <$(aliases $1 $: ? $)> $1 + $2 <@ $3>",
    "# Recipients that no table knows: of a domain in class w Cyrus is given the local part alone.",
    "R<?> $+ <@ $=w>\t\t\t$: <!> $(cyrus $1 $: <NO> $)",
    "R<?> $+ <@ $+>\t\t\t$: <!> $(cyrus $1 @ $2 $: <NO> $)",
    'R<!> $* <TMPF>\t\t\t$#error $@ 4.3.0 $: "451 4.3.0 Try again later"',
    'R<!> <NO>\t\t\t$#error $@ 5.1.1 $: "550 5.1.1 User unknown"',
)


def sendmail(settings: Settings) -> str:
    """Lines for sendmail.mc."""
    tempfail = settings.general.on_error is OnError.TEMPFAIL
    lines = [
        "dnl For sendmail.mc. The sockets' folders, and every folder above them, must be",
        "dnl writable by their owner only.",
    ]
    if settings.milter.listen:
        flag = "F=T, " if tempfail else ""
        where = _words(settings.milter.listen, milter=True)
        lines += [
            "dnl",
            "dnl Milter, before the MAILER lines: the client hears why.",
            f"INPUT_MAIL_FILTER(`smmapd', `S={where}, {flag}T=S:10s;R:10s;E:30s')dnl",
        ]
    if settings.socketmap.listen:
        where = _words(settings.socketmap.listen, milter=False)
        lines += [
            "dnl",
            "dnl Socket map, behind the MAILER lines: the client hears the two texts below.",
            "LOCAL_CONFIG",
            "# Domains whose recipients are mailboxes of Cyrus.",
            f"C{{CyrusDomain}}{domains(settings.scope.domains)}",
            f"Kcyrus socket -f -a<OK> -T<TMPF> {where}",
            "",
            "LOCAL_RULESETS",
            "SLocal_check_rcpt",
            *RULES,
        ]
    return text(lines, bool(settings.socketmap.listen or settings.milter.listen), sign="dnl")


def _words(listen: tuple[Endpoint, ...], *, milter: bool) -> str:
    endpoint = first(listen)
    match endpoint:
        case UnixEndpoint():
            return f"local:{endpoint.path}"
        case InetEndpoint():
            six = endpoint.address.version == 6
            return f"inet{'6' if six and milter else ''}:{endpoint.port}@{host(endpoint)}"
        case _:
            return UNKNOWN.replace("unix", "local")
