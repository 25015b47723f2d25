"""How Postfix, Sendmail and Exim are told to ask the socketmap.

Sources: socketmap_table(5), ADDRESS_CLASS_README and proxymap(8) of Postfix; cf/README ("Socket
Map", "LOCAL_CONFIG", "Local_check_rcpt") of Sendmail; Exim's specification, 11.5 (`readsocket`,
`strlen`), 22.5 (`:fail:` and `:defer:`, whose text may begin with a reply code), 3.10
(`verify_only`); RFC 5321, 4.5.1 (postmaster).  contrib/ has the same as files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.frontends.socketmap_replies import ROWS
from gateway.verification.kinds import KINDS, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.frontends.frontend import MailServerSite

# What passes and has no code of its own, and whatever is not understood.
LATER = "451 4.3.0 Try again later"
_SAID = {kind: f"{code} {enhanced} {text}" for kind, code, enhanced, text, *_ in ROWS}
_UNKNOWN = _SAID[Kind.NONEXISTENT]
# What Exim says to a NOTFOUND with a text of its own.
_WITH_TEXT = "550 5.2.1 $1"

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
    f'R<!> $* <TMPF>\t\t\t$#error $@ {LATER.split(" ")[1]} $: "{LATER}"',
    f'R<!> <NO>\t\t\t$#error $@ {_UNKNOWN.split(" ")[1]} $: "{_UNKNOWN}"',
)

# Columns for what Exim compares and says, so that a line has at most 100.
_SHORT = 46

_ASK = r"""
smmapd_verify:
  debug_print = "R: smmapd_verify for $local_part@$domain"
  driver = redirect
  domains = SMMAPD_DOMAINS
  # Postmaster gets mail whatever there is (RFC 5321, 4.5.1).
  local_parts = ! postmaster
  caseful_local_part
  verify_only
  allow_fail
  allow_defer
  # A netstring there and one back; our half of the connection is closed behind the question.
  address_data = ${readsocket{SMMAPD_SOCKET}{\
    ${strlen:smmapd $local_part@$domain}:smmapd $local_part@$domain,}{10s}{}{TEMP no answer}}
  # Nothing for OK: the next router takes the recipient.
"""

_DELIVER = r"""
smmapd_cyrus:
  debug_print = "R: smmapd_cyrus for $local_part@$domain"
  driver = accept
  domains = SMMAPD_DOMAINS
  caseful_local_part
  transport = smmapd_lmtp
"""


def _exim_rules() -> Iterator[tuple[str, str]]:
    """What follows the length of an answer, and what Exim makes of it; the first one counts.

    A kind is known by its word and text.  Those whose codes are given to any other answer with
    that word need no line.
    """
    yield "OK ", ""
    for kind in KINDS:
        said = _SAID[kind]
        others = _WITH_TEXT if kind.status == b"NOTFOUND" else LATER
        if kind.text and said.split(" ")[:2] != others.split(" ")[:2]:
            action = "defer" if kind.temporary else "fail"
            yield f"{kind.status.decode()} {kind.text.decode()},$", f":{action}: {said}"
    yield "NOTFOUND (.+),$", f":fail: {_WITH_TEXT}"
    yield "NOTFOUND", f":fail: {_UNKNOWN}"


def _exim_data() -> str:
    """The router's `data`: one condition inside the other."""
    rules = [
        f"${{if match{{$address_data}}{{\\N^\\d+:{pattern}\\N}}"
        + ("\\\n      " if len(pattern + action) > _SHORT else "")
        + f"{{{action}}}{{\\\n"
        for pattern, action in _exim_rules()
    ]
    return f"  data = {'    '.join(rules)}    :defer: {LATER}{'}}' * len(rules)}\n"


ROUTERS = f"{_ASK}{_exim_data()}{_DELIVER}"

TRANSPORT = """
smmapd_lmtp:
  debug_print = "T: smmapd_lmtp for $local_part@$domain"
  driver = lmtp
  socket = SMMAPD_LMTP
  batch_max = 50
  return_path_add
  delivery_date_add
"""


def postfix(site: MailServerSite) -> list[str]:
    """Lines for main.cf."""
    table = f"socketmap:{site.socket}:cyrus"
    lines = []
    if site.chrooted:
        lines += ["", f"# {site.chrooted} is chrooted: proxymap asks from outside."]
        table = f"proxy:{table}"
    return [
        *lines,
        "",
        "# Socketmap: in the table of your address class (ADDRESS_CLASS_README).",
        f"relay_recipient_maps = {table}",
        "# Instead, as virtual mailbox domains, instead of relay_domains:",
        f"#virtual_mailbox_domains = {site.domains}",
        f"#virtual_mailbox_maps = {table}",
        "# Instead, as domains of this machine (mydestination):",
        f"#local_recipient_maps = {table} $alias_maps",
        "# Senders would be looked up there, too: a user over quota could not send.",
        "smtpd_reject_unlisted_sender = no",
    ]


def sendmail(site: MailServerSite) -> list[str]:
    """Lines for sendmail.mc, the last of which are for sendmail.cf itself."""
    # The map's socket is `inet:` for either family (map.c, socket_map_open).
    where = site.socket.replace("inet6:", "inet:", 1)
    return [
        "dnl",
        "dnl Socket map, behind the MAILER lines: the client hears the two texts below.",
        "LOCAL_CONFIG",
        "# Domains whose recipients are mailboxes of Cyrus.",
        f"C{{CyrusDomain}}{site.domains}",
        f"Kcyrus socket -f -a<OK> -T<TMPF> {where}",
        "",
        "LOCAL_RULESETS",
        "SLocal_check_rcpt",
        *RULES,
    ]


def exim(site: MailServerSite) -> list[str]:
    """Macros, routers and a transport."""
    return [
        "",
        "# main/000_smmapd_macros. The domains are among Exim's local domains, too.",
        f"SMMAPD_SOCKET = {site.socket}",
        f"SMMAPD_DOMAINS = {site.domains}",
        "SMMAPD_LMTP = /run/cyrus/socket/lmtp",
        "",
        "# router/450_smmapd_routers: behind aliases, before local delivery.",
        ROUTERS.strip(),
        "",
        "# transport/30_smmapd_transport",
        TRANSPORT.strip(),
    ]


SNIPPETS = {"postfix": postfix, "sendmail": sendmail, "exim": exim}
