"""The table [scope]: which recipients the front ends judge.

Policy and milter see every RCPT TO, outbound mail too; what is not in scope they let
pass. A socketmap finds nobody in a domain that is not in scope.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.config.declaration import Section, declarations_of, setting
from gateway.config.types import (
    Network,
    boolean,
    delimiters,
    domains,
    file_path,
    integer,
    names,
    networks,
    paths,
    recipient_patterns,
)
from gateway.frontends import scope


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeSettings:
    """Ours and not ours; `rules` gives it to the front ends."""

    domains: tuple[str, ...] = setting(
        domains(),
        default=(),
        description="Domains whose recipients are mailboxes of this Cyrus. .example.org "
        "stands for all domains below example.org. Compared without regard to case."
        "",
        example='["example.org", "example.net"]',
        sample=True,
    )
    domain_files: tuple[str, ...] = setting(
        paths(),
        default=(),
        description="Files with more such domains, one a line; # begins a comment. They are "
        "read again a second after they were changed, an empty one after a minute.",
        example='["/etc/smmapd/domains"]',
    )
    postfix: str = setting(
        file_path(empty="none if empty"),
        default="",
        description="The configuration folder of the Postfix in front, whose own settings and "
        "tables are then read: which domains are its own (mydestination, virtual_mailbox_domains, "
        "relay_domains), and, before a recipient is refused, whether Postfix rewrites or redirects "
        "it (canonical, virtual and local aliases, relocated and transport maps, of every type). "
        "Such a recipient is left to Postfix, or judged as what it becomes. main.cf is read at the "
        "start and again some seconds after it was changed (until then no recipient is refused for "
        "what it did not say); tables are asked each time through postmap. MAIL SERVERS in "
        "smmapd-gateway(8) has the rest.",
        example='"/etc/postfix"',
    )
    mailers: tuple[str, ...] = setting(
        names("mailer"),
        default=(),
        description="For the milter: a recipient is ours if the MTA delivers it by one of these, "
        "as the macro {rcpt_mailer} says: a transport of Postfix, a mailer of Sendmail; or by one "
        "of them to a certain host, as {rcpt_host} says: lmtp:unix:/run/cyrus/socket/lmtp. If they "
        "are set and the MTA sends that macro, they decide instead of the domain. With `postfix`, "
        "the transports of Postfix that lead to this Cyrus, for every front end.",
        example='["lmtp", "cyrusv2"]',
    )
    unqualified: bool = setting(
        boolean(),
        default=False,
        description="Whether recipients without a domain are ours. A socketmap finds them if the "
        "store has them; if the store is an LMTP server, only with this setting.",
        example="true",
    )
    aliases: tuple[str, ...] = setting(
        paths(),
        default=(),
        description="Alias files whose left sides are never refused, in the syntax of aliases(5) "
        "or of a Postfix virtual(5) or canonical(5) text file. The MTA expands aliases after it "
        "has asked the gateway. A compiled database is not read: name the text file that it is "
        "made from. They are read again a second after they were changed, an empty one after a "
        "minute.",
        example='["/etc/aliases", "/etc/postfix/virtual"]',
    )
    recipient_delimiter: str = setting(
        delimiters(),
        default="+",
        description="The characters that may each begin an extension of an alias in those "
        "files (sales+2026). For Postfix' tables, its own recipient_delimiter is used.",
        example='"+-"',
    )
    srs: bool = setting(
        boolean(),
        default=True,
        description="Whether senders of forwarded mail may be rewritten here (SRS, as by "
        "postsrsd): then recipients such as SRS0=... and SRS1=... are never refused, because they "
        "are rewritten back only after the gateway is asked. Set it to false if this site rewrites "
        "no senders.",
        example="false",
    )
    max_loss: int = setting(
        integer(0, 100),
        default=50,
        units="per cent",
        description="How much of a file of domains or aliases one change may remove. A file that "
        "lost more, and more than ten entries or all of them, was probably cut off: it is not "
        "believed, what it said before stays in force, and the log says so. If the loss is meant, "
        "restart the gateway, or set 100 (believe every file) and reload.",
        example="100",
    )
    exempt_recipients: tuple[str, ...] = setting(
        recipient_patterns(),
        default=("postmaster@*",),
        description="Patterns of recipients that are never refused; * stands for any characters, "
        "and a pattern without @ is one of local parts. RFC 5321, section 4.5.1, asks for "
        "postmaster.",
        example='["postmaster@*", "abuse@*", "list-*"]',
    )
    exempt_clients: tuple[Network, ...] = setting(
        networks(),
        default=(),
        description="Networks of clients whose recipients are never refused.",
        example='["192.0.2.0/24", "2001:db8::/32"]',
    )
    exempt_authenticated: bool = setting(
        boolean(),
        default=False,
        description="Never refuse recipients of clients that have authenticated (SASL).",
        example="true",
    )

    def rules(self) -> scope.ScopeRules:
        """The same in the words of gateway.frontends.scope."""
        return scope.ScopeRules(
            domains=self.domains,
            domain_files=self.domain_files,
            mailers=self.mailers,
            unqualified=self.unqualified,
            alias_files=self.aliases,
            exempt_recipients=self.exempt_recipients,
            exempt_clients=tuple(map(str, self.exempt_clients)),
            exempt_authenticated=self.exempt_authenticated,
            delimiters=self.recipient_delimiter,
            srs=self.srs,
            postfix=self.postfix,
        )


SECTION = Section(
    name="scope",
    title="Which recipients are ours",
    description="The policy and milter front ends see every recipient, outbound mail too, and "
    "judge only those that are ours. If one of these front ends is on, at least one of `domains`, "
    "`domain_files`, `postfix` and, for the milter, `mailers` must be set. If domains are set, the "
    "socketmap front end finds no recipient outside them.",
    build=ScopeSettings,
    declarations=declarations_of(ScopeSettings),
)
