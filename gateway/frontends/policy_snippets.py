"""How Postfix is told to ask the policy service (SMTPD_POLICY_README)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.frontends.frontend import MailServerSite


def postfix(site: MailServerSite) -> list[str]:
    """Lines for main.cf."""
    action = "DEFER_IF_PERMIT" if site.defers else "DUNNO"
    return [
        "",
        "# Policy service: the client hears why. Where there is a list already, add the last",
        "# two entries to its end; your own users' mail is permitted before.",
        "smtpd_recipient_restrictions =",
        "    permit_mynetworks",
        "    permit_sasl_authenticated",
        "    reject_unauth_destination",
        "    check_policy_service {",
        f"        {site.socket}, timeout=10s, default_action={action} }}",
    ]


SNIPPETS = {"postfix": postfix}
