"""Which recipients are ours to judge: only our own, and not the exempt ones.

Policy and milter see every RCPT, outbound mail too.  `Scope.skip` tells for
one of them why it is not judged, or that it is.  What says that a recipient
is ours:

- for a milter, where `mailers` are configured and the MTA has said which
  mailer or transport it will use ({rcpt_mailer}): that it is one of them;
- else its domain, which must be in `domains`, in a file of domains, or in a
  list of Postfix' own (`postfix`, gateway.mta).

Whether Postfix rewrites it, or sends it to another place, is asked only where it would
be refused (lastchecks.py).

An ours recipient is skipped where an alias file, an exempt pattern, an exempt
client or (if asked) an authenticated sender says so.  Files are read again
when they change (watched.py).

Limits: recipients without a domain are ours only where `unqualified` says so.
A scope without any word on what is ours cannot be made.
"""

from __future__ import annotations

import fnmatch
import ipaddress
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, TypeVar

from gateway.errors import ConfigurationError
from gateway.frontends import domains
from gateway.frontends.aliases import Aliases
from gateway.frontends.domains import DomainList
from gateway.frontends.watched import TRUST, Report, Trust, Watched, log_warning
from gateway.mta.srs import is_srs
from gateway.protocols.address import Address, BadAddress

if TYPE_CHECKING:
    from gateway.mta.postfix import Postfix

# Postfix' transport and Sendmail's mailer for what the MTA itself refuses
# (MILTER_README, SMFIP_RCPT_REJ).
ERROR_MAILER = b"error"

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
# ::ffff:0:0/96 is all of IPv4 (RFC 4291, 2.5.5.2).
_MAPPED_BITS = 96

T = TypeVar("T")


class Skip(Enum):
    """Why a recipient is not judged; the set is closed, the values are words for logs."""

    NOT_OUR_DOMAIN = "not-our-domain"
    NOT_OUR_MAILER = "not-our-mailer"
    REFUSED_BY_MTA = "refused-by-mta"
    NOT_BY_SMTP = "not-by-smtp"
    ALIAS = "alias"
    EXEMPT_RECIPIENT = "exempt-recipient"
    EXEMPT_CLIENT = "exempt-client"
    AUTHENTICATED = "authenticated"
    SRS = "srs"
    REWRITTEN = "rewritten-by-mta"


@dataclass(frozen=True, slots=True)
class ScopeRules:
    """What the configuration says about whose recipients are judged.

    `domains` are domains and `.example.org` patterns, `domain_files` paths of
    files with one a line, `mailers` values of {rcpt_mailer}, `alias_files`
    paths (gateway.frontends.aliases).  `exempt_recipients` are patterns with
    `*`, `?` and `[...]`: with an @ for the whole address, without one for the
    local part.  `exempt_clients` are addresses and networks (CIDR).
    `delimiters` are the characters that begin an extension of an alias; with
    `srs` rewritten senders (gateway.mta.srs) are not judged.
    """

    domains: tuple[str, ...] = ()
    domain_files: tuple[str, ...] = ()
    mailers: tuple[str, ...] = ()
    unqualified: bool = False
    alias_files: tuple[str, ...] = ()
    exempt_recipients: tuple[str, ...] = ()
    exempt_clients: tuple[str, ...] = ()
    exempt_authenticated: bool = False
    delimiters: str = "+"
    srs: bool = True
    postfix: str = ""

    @property
    def knows_domains(self) -> bool:
        """Whether anything says which domains are ours."""
        return bool(self.domains or self.domain_files or self.postfix)


class Scope:
    """Decides whether a recipient is judged.

    `sees_mailers`: the front end is a milter, the only one that
    learns {rcpt_mailer}.  `postfix` is the mail server of the settings, read
    already.  Raises ConfigurationError, which lists every
    problem.  Wrong lines in files, and files that become unusable later,
    are told to `report`; `trust` says what is believed of them (watched.py).
    `alias_files` and `domain_files` are what is watched.
    """

    __slots__ = (
        "_aliases",
        "_clients",
        "_domains",
        "_mailers",
        "_patterns",
        "_postfix",
        "_settings",
        "alias_files",
        "domain_files",
    )

    def __init__(
        self,
        settings: ScopeRules,
        *,
        sees_mailers: bool = False,
        postfix: Postfix | None = None,
        report: Report = log_warning,
        trust: Trust = TRUST,
    ) -> None:
        found: list[ConfigurationError] = []
        self._settings = settings
        self._postfix = postfix
        self._mailers = (
            frozenset(map(str.encode, settings.mailers)) if sees_mailers else frozenset()
        )
        if not (settings.domains or settings.domain_files or self._mailers or postfix):
            also = (
                ", domain_files, postfix or mailers"
                if sees_mailers
                else ", domain_files or postfix"
            )
            problem = f"nothing says which recipients are ours; set domains{also}"
            found.append(ConfigurationError(problem, option="domains"))
        for entry in settings.domains:
            wrong = domains.entry_problem(entry.encode())
            if wrong is not None:
                found.append(ConfigurationError(wrong, option="domains"))
        self._domains = DomainList(map(str.encode, settings.domains))
        self._clients = tuple(_each(settings.exempt_clients, _network, "exempt_clients", found))
        self._patterns = tuple(
            _each(settings.exempt_recipients, _pattern, "exempt_recipients", found)
        )
        self.domain_files: tuple[Watched[DomainList], ...] = tuple(
            _each(
                settings.domain_files,
                lambda path: Watched(path, domains.parse, report, trust),
                "domain_files",
                found,
            )
        )
        # One by one, so that each unreadable file is told.
        self._aliases = tuple(
            _each(
                settings.alias_files,
                lambda path: Aliases([path], report, settings.delimiters.encode(), trust),
                "aliases",
                found,
            )
        )
        self.alias_files = tuple(file for aliases in self._aliases for file in aliases.files)
        if found:
            raise ConfigurationError("; ".join(map(str, found)))

    @property
    def domains_settled(self) -> bool:
        """Whether what the files of domains do not say may be held against a domain."""
        return self._reads_postfix_as_it_is and all(file.settled for file in self.domain_files)

    @property
    def aliases_settled(self) -> bool:
        """Whether what the alias files do not say may be held against a recipient."""
        return self._reads_postfix_as_it_is and all(file.settled for file in self.alias_files)

    @property
    def _reads_postfix_as_it_is(self) -> bool:
        """False once Postfix' configuration has changed since it was read (gateway.mta)."""
        return self._postfix is None or not self._postfix.configuration.changed

    @property
    def heeds_clients(self) -> bool:
        """Whether the client's address makes a difference."""
        return bool(self._clients)

    @property
    def heeds_hosts(self) -> bool:
        """Whether it makes a difference to which host the MTA will send it."""
        return any(b":" in mailer for mailer in self._mailers)

    @property
    def heeds_logins(self) -> bool:
        """Whether it makes a difference that the client has authenticated."""
        return self._settings.exempt_authenticated

    @property
    def has_files(self) -> bool:
        """Whether there is anything to `refresh`."""
        return bool(self.domain_files or self._aliases or self._postfix)

    def refresh(self) -> None:
        """Read the files again that have changed: one system call a file if none has."""
        for file in self.domain_files:
            file.refresh()
        for aliases in self._aliases:
            aliases.refresh()
        if self._postfix is not None:
            self._postfix.configuration.refresh()

    @property
    def version(self) -> int:
        """A number that grows whenever one of the files says something new."""
        version = self._postfix.configuration.version if self._postfix is not None else 0
        for file in self.domain_files:
            version += file.version
        for aliases in self._aliases:
            version += aliases.version
        return version

    def skip(
        self,
        recipient: Address | BadAddress,
        *,
        client: bytes = b"",
        authenticated: bytes = b"",
        mailer: bytes = b"",
    ) -> Skip | None:
        """Why `recipient` is not judged, or None where it is.

        `client` is the SMTP client's address as the MTA writes it,
        `authenticated` its login name, `mailer` the value of {rcpt_mailer}, and
        behind a colon that of {rcpt_host} where `heeds_hosts`; each is empty where it is not known.
        """
        self.refresh()
        reason = self._foreign(recipient, mailer)
        if reason is not None:
            return reason
        if isinstance(recipient, Address):
            if self._settings.srs and is_srs(recipient.local):
                return Skip.SRS
            if any(pattern.match(_subject(recipient, whole)) for pattern, whole in self._patterns):
                return Skip.EXEMPT_RECIPIENT
            if any(aliases.covers(recipient) for aliases in self._aliases):
                return Skip.ALIAS
        if authenticated and self._settings.exempt_authenticated:
            return Skip.AUTHENTICATED
        if self._clients:
            address = client_address(client)
            if address is not None and any(address in network for network in self._clients):
                return Skip.EXEMPT_CLIENT
        return None

    def _foreign(self, recipient: Address | BadAddress, mailer: bytes) -> Skip | None:
        """Why `recipient` is not ours, or None where it is."""
        name = mailer.partition(b":")[0]
        if name == ERROR_MAILER:
            return Skip.REFUSED_BY_MTA
        if mailer and self._mailers:
            ours = name in self._mailers or mailer in self._mailers
            return None if ours else Skip.NOT_OUR_MAILER
        postfix = self._postfix
        if mailer and postfix is not None:
            transport = mailer.decode("utf-8", "backslashreplace")
            if not postfix.transports.may_be_cyrus(transport):
                return Skip.NOT_OUR_MAILER
        domain = recipient.domain
        if not domain:
            ours = isinstance(recipient, Address) and (
                self._settings.unqualified or (postfix is not None and postfix.may_own(domain))
            )
        else:
            ours = self.owns(domain)
        return None if ours else Skip.NOT_OUR_DOMAIN

    def owns(self, domain: bytes) -> bool:
        """Whether `domain`, in any case and without the root's dot, is one of ours.

        Of those that only Postfix' tables know, it may be one.
        """
        if self.lists(domain):
            return True
        return self._postfix is not None and self._postfix.may_own(domain.lower())

    def lists(self, domain: bytes) -> bool:
        """Whether [scope] itself says that `domain` is ours."""
        if domain in self._domains:
            return True
        return any(domain in file.value for file in self.domain_files)


def client_address(client: bytes) -> IPAddress | None:
    """The IP address that an MTA writes for its client, or None (Unix sockets, `unknown`).

    Sendmail puts `IPv6:` before IPv6 addresses.  An IPv4 address that is
    mapped into IPv6 is the IPv4 address.
    """
    text = client.decode("ascii", "replace")
    if text[:5].lower() == "ipv6:":
        text = text[5:]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return address if mapped is None else mapped


def _each(
    values: tuple[str, ...],
    make: Callable[[str], T],
    option: str,
    found: list[ConfigurationError],
) -> Iterator[T]:
    """What `make` makes of each value; its errors go to `found` instead."""
    for value in values:
        try:
            yield make(value)
        except ConfigurationError as error:
            error.option = option
            found.append(error)


def client_network(network: Network) -> Network:
    """`network` as `client_address` sees its clients: of IPv4 where its addresses are mapped."""
    if isinstance(network, ipaddress.IPv6Network) and network.prefixlen >= _MAPPED_BITS:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return ipaddress.IPv4Network((mapped, network.prefixlen - _MAPPED_BITS))
    return network


def _network(value: str) -> Network:
    try:
        return client_network(ipaddress.ip_network(value))
    except ValueError as error:
        problem = f"{error}; write 192.0.2.0/24, 2001:db8::/32 or one address"
        raise ConfigurationError(problem) from error


def _pattern(value: str) -> tuple[re.Pattern[bytes], bool]:
    """The compiled pattern, and whether it is about the whole address."""
    if not value:
        raise ConfigurationError("an empty pattern; write for example postmaster@*")
    # Bytes become characters one by one and back, so that a pattern in UTF-8
    # is compared byte for byte.
    text = fnmatch.translate(value.encode().lower().decode("latin-1"))
    return re.compile(text.encode("latin-1")), "@" in value


def _subject(recipient: Address, whole: bool) -> bytes:
    return (recipient.address if whole else recipient.local).lower()
