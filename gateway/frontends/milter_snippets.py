"""How Postfix (MILTER_README) and Sendmail (libmilter/README) are told to ask the milter."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.frontends.frontend import MailServerSite


def postfix(site: MailServerSite) -> list[str]:
    """Lines for main.cf."""
    action = "tempfail" if site.defers else "accept"
    return [
        "",
        "# Milter: the client hears why, and the milter learns the transport. Services for",
        "# your own users (submission) say -o smtpd_milters= in master.cf.",
        f"smtpd_milters = {{ {site.socket}, default_action={action} }}",
    ]


def sendmail(site: MailServerSite) -> list[str]:
    """Lines for sendmail.mc."""
    flag = "F=T, " if site.defers else ""
    return [
        "dnl",
        "dnl Milter, before the MAILER lines: the client hears why.",
        f"INPUT_MAIL_FILTER(`smmapd', `S={site.socket}, {flag}T=S:10s;R:10s;E:30s')dnl",
    ]


SNIPPETS = {"postfix": postfix, "sendmail": sendmail}
