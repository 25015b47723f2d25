"""What Exim needs to ask the gateway's socketmap, and to deliver to Cyrus.

Sources: Exim's specification, 11.5 (`readsocket`, `strlen`), 22.5 (`:fail:` and
`:defer:`, whose text may begin with a reply code), 3.10 (`verify_only`).
contrib/exim has the same as files for Debian's split configuration.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.cli.snippets.sockets import UNKNOWN, domains, first, host, text
from gateway.config.endpoints import InetEndpoint, UnixEndpoint

if TYPE_CHECKING:
    from gateway.config import Settings
    from gateway.config.endpoints import Endpoint

ROUTERS = r"""
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
  data = ${if match{$address_data}{\N^\d+:OK \N}{}{\
    ${if match{$address_data}{\N^\d+:NOTFOUND Mailbox does not exist,$\N}\
      {:fail: 550 5.1.1 User unknown}{\
    ${if match{$address_data}{\N^\d+:NOTFOUND (.+),$\N}{:fail: 550 5.2.1 $1}{\
    ${if match{$address_data}{\N^\d+:NOTFOUND\N}{:fail: 550 5.1.1 User unknown}{\
    ${if match{$address_data}{\N^\d+:PERM Over quota,$\N}{:fail: 552 5.2.2 Over quota}{\
    ${if match{$address_data}{\N^\d+:PERM Permission denied,$\N}\
      {:fail: 550 5.7.1 Permission denied}{\
    ${if match{$address_data}{\N^\d+:TEMP Over quota,$\N}{:defer: 452 4.2.2 Over quota}{\
    :defer: 451 4.3.0 Try again later}}}}}}}}}}}}}}

smmapd_cyrus:
  debug_print = "R: smmapd_cyrus for $local_part@$domain"
  driver = accept
  domains = SMMAPD_DOMAINS
  caseful_local_part
  transport = smmapd_lmtp
"""

TRANSPORT = """
smmapd_lmtp:
  debug_print = "T: smmapd_lmtp for $local_part@$domain"
  driver = lmtp
  socket = SMMAPD_LMTP
  batch_max = 50
  return_path_add
  delivery_date_add
"""


def exim(settings: Settings) -> str:
    """Macros, routers and a transport."""
    listen = settings.socketmap.listen
    ours = domains(settings.scope.domains).replace(" ", " : ")
    lines = [
        "# For Exim; on Debian with a split configuration the three parts are files below",
        "# /etc/exim4/conf.d. The socket must be writable for user Debian-exim.",
    ]
    if listen:
        lines += [
            "",
            "# main/000_smmapd_macros. The domains are among Exim's local domains, too.",
            f"SMMAPD_SOCKET = {_words(listen)}",
            f"SMMAPD_DOMAINS = {ours}",
            "SMMAPD_LMTP = /run/cyrus/socket/lmtp",
            "",
            "# router/450_smmapd_routers: behind aliases, before local delivery.",
            ROUTERS.strip(),
            "",
            "# transport/30_smmapd_transport",
            TRANSPORT.strip(),
        ]
    return text(lines, bool(listen))


def _words(listen: tuple[Endpoint, ...]) -> str:
    endpoint = first(listen)
    match endpoint:
        case UnixEndpoint():
            return endpoint.path
        case InetEndpoint():
            return f"inet:{host(endpoint)}:{endpoint.port}"
        case _:
            return UNKNOWN.removeprefix("unix:")
