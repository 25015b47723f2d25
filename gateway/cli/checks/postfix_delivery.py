"""How Postfix hands mail to lmtpd: an address that it changes on the way is another one there.

Sources: postconf(5), lmtp_quote_rfc821_envelope; quote_821_local(3) for what Postfix puts into
quotes; mbname_from_recipient in imap/mboxname.c, for which they are part of the name.
Limits: transports of transport_maps, and what a service of master.cf sets itself, are not seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.cli.checks.finding import warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.cli.checks.finding import Finding
    from gateway.cli.checks.postfixconf import PostfixInstance

_QUOTES = "lmtp_quote_rfc821_envelope"
_TRANSPORTS = (
    "relay_transport",
    "virtual_transport",
    "mailbox_transport",
    "local_transport",
    "default_transport",
)


def check(postfix: PostfixInstance) -> Iterator[Finding]:
    """Whether what we accept is refused for the quotes that Postfix has put around it."""
    found = [
        name for name in _TRANSPORTS if postfix.parameters.get(name, "").partition(":")[0] == "lmtp"
    ]
    if found and postfix.parameters.get(_QUOTES, "yes") == "yes":
        yield warning(
            "postfix",
            f"{found[0]} is lmtp, and Postfix writes a recipient such as fred+x. or a..b with"
            " quotes: lmtpd takes them for a part of the name, and the mail bounces",
            f"set {_QUOTES} = no in main.cf (with Cyrus 3.0 or later)",
        )
